"""Input: files and options that nobody would write, read in a process held to 2 GB.

A command must end with status 0, or with status 2 and one line that says what is wrong.
"""

import gzip
import io
import json
import os
import random
import shutil
import struct
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from tests.campaign.trials import FAILED, NAMED, SAME, Trial
from tests.campaign.worker import MEMORY, Worker
from tests.cases.made import write_workbook

_ODD = [
    *(b"", b"\x00", b"\xff\xfe", b"\xef\xbb\xbf", b"\r", b"\n\n", b'"', b"'", b",", b";", b"\t"),
    *(b"nan", b"NaN", b"-inf", b"1e400", b"1e-400", b"99999999999999999999", b"0x1F", b"1_000"),
    *(b"2020-02-30", b"24:61", b"\xc3\x28", "ﬀ".encode(), "１２".encode(), b"=1+1", b"../../x"),
    *(b"9" * 400, b"a" * 70_000, b"," * 3000, b'"' * 501, b"\x1b[31m", b"%s%n", b"None", b"-0.0"),
]


_IMAGES = (".png", ".jpg", ".webp", ".tif", ".gif", ".bmp")
_READ = (*_IMAGES, ".csv", ".npy", ".gz", ".npz")


def trials(chance: random.Random, folder: Path) -> Iterator[Trial]:
    """Trials without end: made-up files first, then mutated ones, uses of them, and options."""
    # Another for what computes: what bombs have left of the memory of the first is not its share.
    with Worker() as worker, Worker(address_space=3 * MEMORY) as other:
        for name, content in _crafted():
            yield _inspected(worker, folder, "made up", name, content, name)
        good, cases = _good(), _cases()
        _train(other, folder, good["table.csv"])
        while True:
            which = chance.random()
            if which < 0.15:
                yield _options(worker, folder, chance)
            elif which < 0.3:
                name = chance.choice(["table.csv", "table.tsv", "table.csv.gz", "table.parquet"])
                yield _used(other, folder, name, *_mutated(good[name], chance), chance)
            elif which < 0.45 and cases:
                name = chance.choice(list(cases))
                content, how = _mutated(cases[name], chance)
                yield _inspected(worker, folder, "a mutated case", name, content, how)
            else:
                name = chance.choice(list(good))
                content, how = _mutated(good[name], chance)
                yield _inspected(worker, folder, "mutated", name, content, how)


def _inspected(
    worker: Worker, folder: Path, kind: str, name: str, content: bytes, how: str
) -> Trial:
    place = folder / "given" / name
    place.parent.mkdir(exist_ok=True)
    place.write_bytes(content)
    target = place.parent if place.suffix in _IMAGES else place
    try:
        trial = _judged(worker, folder, kind, name, how, ["inspect", str(target)])
    finally:
        place.unlink()
    return trial


def _train(worker: Worker, folder: Path, content: bytes) -> None:
    """A small run on a table, for uses of others."""
    (folder / "table.csv").write_bytes(content)
    words = ["train", "table.csv", "--hidden", "4", "--latent-dim", "2", "--iterations", "10"]
    found = worker.call(
        "worker:command", [*words, "--no-report", "--out", "run"], str(folder), seconds=300
    )
    assert found.get("status") == 0, found


def _used(
    worker: Worker, folder: Path, name: str, content: bytes, how: str, chance: random.Random
) -> Trial:
    """A run asked about a mutated table: it writes a whole file, or none."""
    place, out, own = folder / name, folder / "written", "use of a mutated table"
    out.mkdir(exist_ok=True)
    place.write_bytes(content)
    words = chance.choice(
        [
            ["impute", "run", "--data", name, "--out", "written/filled.csv", "--draws", "10"],
            ["score", "run", "--data", name, "--out", "written/scores.csv", "--samples", "10"],
            ["encode", "run", "--data", name, "--out", "written/codes.csv"],
            ["reconstruct", "run", "--data", name, "--out", "written/rebuilt.csv"],
            ["evaluate", "run", "--data", name, "--samples", "10", "--json"],
            [
                "train",
                name,
                "--iterations",
                "2",
                "--hidden",
                "4",
                "--no-report",
                "--out",
                "written/run",
            ],
        ]
    )
    trial = _judged(worker, folder, own, words[0], how, words, whole=words[0] != "train")
    left = sorted(path.name for path in out.rglob("*"))
    unfinished = [n for n in left if n.startswith(".elbax-")]
    if (trial.verdict == NAMED and left and words[0] != "train") or unfinished:
        trial = Trial(own, words[0], FAILED, f"{trial.detail}; left {left}")
    for path in (out, place):
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    return trial


def _judged(
    worker: Worker,
    folder: Path,
    kind: str,
    name: str,
    how: str,
    words: list[str],
    *,
    whole: bool = True,
) -> Trial:
    """Status 0 or 2, and one line; of work that may fail on the way (not `whole`) 1 as well."""
    found = worker.call("worker:command", words, str(folder))
    if "status" not in found:
        return Trial(kind, name, FAILED, f"{how}: {found}")
    lines = found["err"].splitlines()
    said = [line for line in lines if line.startswith("elbax: ")]
    if found["status"] == 0:
        return Trial(kind, name, SAME, how)
    right = (
        found["status"] in ((2,) if whole else (1, 2))
        and len(said) == 1
        and lines[-1] == said[0]
        and not found["out"]
    )
    verdict = NAMED if right else FAILED
    return Trial(kind, name, verdict, f"{how}: status {found['status']}, {found['err'][-500:]!r}")


# --- files ---------------------------------------------------------------------------------------


def _good() -> dict[str, bytes]:
    """One of each format that is read."""
    import pyarrow as pa
    import pyarrow.feather
    import pyarrow.parquet
    from PIL import Image

    rng = np.random.default_rng(0)
    kinds, days = rng.choice(["ash", "elm", "oak"], 60), rng.integers(1, 29, 60)
    rows = [
        f"{i},{rng.normal():.3f},{kind},2021-03-{day:02d},{'' if i % 9 == 0 else rng.poisson(3)}"
        for i, (kind, day) in enumerate(zip(kinds, days, strict=True))
    ]
    csv = ("id,size,kind,day,count\n" + "\n".join(rows) + "\n").encode()
    table = pa.table({"size": rng.normal(size=60), "kind": kinds.tolist(), "n": days.tolist()})
    x = rng.integers(0, 256, (40, 6, 6)).astype(np.uint8)
    found = {"table.csv": csv, "table.tsv": csv.replace(b",", b"\t")}
    found["table.csv.gz"] = gzip.compress(csv)
    for name, write in (
        ("table.parquet", lambda to: pyarrow.parquet.write_table(table, to)),
        ("table.feather", lambda to: pyarrow.feather.write_feather(table, to)),
        ("images.npy", lambda to: np.save(to, x)),
        ("floats.npy", lambda to: np.save(to, rng.normal(size=(40, 5)))),
        ("splits.npz", lambda to: np.savez(to, x_train=x, x_test=x[:9])),
        ("one.png", lambda to: Image.fromarray(x[0]).save(to, "PNG")),
        ("one.jpg", lambda to: Image.fromarray(x[0]).save(to, "JPEG")),
        ("one.webp", lambda to: Image.fromarray(x[0]).save(to, "WEBP")),
        ("one.tif", lambda to: Image.fromarray(x[0]).save(to, "TIFF")),
        ("one.gif", lambda to: Image.fromarray(x[0]).save(to, "GIF")),
        ("one.bmp", lambda to: Image.fromarray(x[0]).save(to, "BMP")),
    ):
        stream = io.BytesIO()
        write(stream)
        found[name] = stream.getvalue()
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("table.csv", csv)
    found["table.zip"] = stream.getvalue()
    with tempfile.TemporaryDirectory() as folder:
        write_workbook(Path(folder, "table.xlsx"), table.to_pandas())
        found["table.xlsx"] = Path(folder, "table.xlsx").read_bytes()
    found["digits-images-idx3-ubyte"] = struct.pack(">4BIII", 0, 0, 8, 3, 40, 6, 6) + x.tobytes()
    return found


def _cases() -> dict[str, bytes]:
    """Files as people have them, where there are any beside the data sets: `cases` there."""
    found = Path(os.environ.get("ELBAX_DATA_DIR", "nowhere")).parent / "cases"
    files = sorted(path for path in found.rglob("*") if path.is_file())
    return {path.name: path.read_bytes() for path in files if path.suffix in _READ}


def _mutated(content: bytes, chance: random.Random) -> tuple[bytes, str]:
    seed = chance.getrandbits(40)
    own, made = random.Random(seed), bytearray(content)
    for _ in range(own.choice([1, 1, 2, 5, 20])):
        a = own.randrange(len(made) + 1)
        b = min(len(made), a + own.choice([0, 1, 1, 3, 10, 100]))
        what = own.randrange(5)
        if what == 0:
            made[a:b] = own.choice(_ODD)
        elif what == 1:
            del made[a:b]
        elif what == 2:
            made[a:a] = made[a:b] * own.choice([1, 2, 50])
        elif what == 3 and made:
            made[min(a, len(made) - 1)] ^= 1 << own.randrange(8)
        else:
            made[a:b] = own.randbytes(b - a)
    return bytes(made), f"mutation {seed}"


def _crafted() -> Iterator[tuple[str, bytes]]:
    """What costs memory, time or trust where it is believed."""

    def npy(header: str, body: bytes = b"", version: bytes = b"\x01\x00") -> bytes:
        text = header.encode("latin1") + b"\n"
        return b"\x93NUMPY" + version + struct.pack("<H", len(text)) + text + body

    for shape in (
        "(1000000000000,)",
        "(10, 1000000000)",
        "(-1, 4)",
        "(0, 4)",
        "(4, 0)",
        "()",
        "(2**40,)",
    ):
        head = f"{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}"
        yield "made.npy", npy(head, b"\x00" * 64)
    for descr in (
        "'|O'",
        "'<U1000000000'",
        "[('a', '|O')]",
        "'<c16'",
        "'|V8'",
        "'<M8[ns]'",
        "'>f2'",
    ):
        head = f"{{'descr': {descr}, 'fortran_order': False, 'shape': (4, 4), }}"
        yield "made.npy", npy(head, b"\x80\x04\x95" + b"\x00" * 300)
    yield "made.npy", npy("__import__('os').system('touch ran')")
    yield "made.npy", npy("(" * 10_000)
    yield "made.npz", b"PK\x05\x06" + b"\x00" * 18
    yield "made.npz", b"\x80\x04N."
    yield "made.npz", _zipped({"x_train.npy": b"\x00" * 10**8})
    yield "bomb.zip", _zipped({"table.csv": b"1,2\n" * 10**8})
    yield "slip.zip", _zipped({"../../slip.csv": b"a,b\n1,2\n"})
    yield "two.zip", _zipped({"a.csv": b"a\n1\n", "b.csv": b"a\n1\n"})
    yield "bomb.csv.gz", _bomb(4 * 10**9)
    yield "long.csv", b"1," * (5 * 10**7)
    yield (
        "wide.csv",
        b",".join(b"c%d" % i for i in range(20_000)) + b"\n" + b",".join([b"1"] * 20_000),
    )
    yield "one.csv", b"a"
    yield "quotes.csv", b'a,b\n"' + b"x" * 10**6
    yield "null.csv", b"a,b\n" + b"\x00,\x00\n" * 100
    yield "same.csv", b"a,a,a\n" + b"1,2,3\n" * 50
    yield "empty.csv", b",,,\n" * 50
    yield "odd.csv", b"a,b\n" + b"".join(word.replace(b"\n", b" ") + b",1\n" for word in _ODD)
    yield "idx3-images-idx3-ubyte", struct.pack(">4BIII", 0, 0, 8, 3, 2**31, 2**31, 2**31)
    yield "idx9-images-idx3-ubyte", struct.pack(">4B", 0, 0, 13, 255) + b"\xff" * 1020
    yield "made.parquet", b"PAR1" + struct.pack("<I", 2**31 - 1) + b"PAR1"
    yield "made.parquet", b"PAR1" + b"\x15" * 400 + struct.pack("<I", 400) + b"PAR1"
    yield "made.feather", b"ARROW1\x00\x00" + b"\xff" * 500 + b"ARROW1"
    yield (
        "made.xlsx",
        _zipped({"xl/workbook.xml": b"<!DOCTYPE x [<!ENTITY a 'aaaa'>]>" + b"&a;" * 99}),
    )
    yield "made.xlsx", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\x00" * 600
    yield "bomb.png", _png(2**31 - 1, 2**31 - 1)
    yield "bomb.png", _png(60_000, 60_000)
    yield (
        "made.pkl",
        b"\x80\x04\x95\x1b\x00\x00\x00\x00\x00\x00\x00\x8c\x05posix\x8c\x06system\x93.",
    )
    yield "made.pt", _zipped({"archive/data.pkl": b"\x80\x02."})


def _zipped(files: dict[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return stream.getvalue()


def _bomb(size: int) -> bytes:
    """Gzip of so many bytes, made without having them."""
    packer, piece = zlib.compressobj(9, zlib.DEFLATED, 31), b"1,2,3,4\n" * 125_000
    return b"".join(packer.compress(piece) for _ in range(size // len(piece))) + packer.flush()


def _png(width: int, height: int) -> bytes:
    def chunk(kind: bytes, content: bytes) -> bytes:
        check = struct.pack(">I", zlib.crc32(kind + content))
        return struct.pack(">I", len(content)) + kind + content + check

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    return (
        b"\x89PNG\r\n\x1a\n"
        + head
        + chunk(b"IDAT", zlib.compress(b"\x00" * 10**6))
        + chunk(b"IEND", b"")
    )


# --- options -------------------------------------------------------------------------------------

_FLAGS = [
    *("--latent-dim", "--hidden", "--activation", "--network", "--prior", "--posterior"),
    *("--likelihood", "--condition", "--iterations", "--epochs", "--batch-size"),
    *("--learning-rate", "--learning-rate-schedule", "--learning-rate-warm-up", "--optimizer"),
    *("--gradient-clip", "--objective", "--fit-prior", "--validate-every", "--patience"),
    *("--precision", "--validation", "--binarize", "--seed", "--recipe", "--config", "--columns"),
    *("--prior.components", "--posterior.layers", "--objective.beta", "--network.layer-norm"),
    *("--objective.samples", "--objective.cycles", "--missing", "--constraint", "--labelled"),
]
_VALUES = [
    *("0", "-1", "1", "2", "3", "8", "1e3", "1e400", "nan", "inf", "-inf", "0.5", "", " ", "true"),
    *(
        "none",
        "null",
        "9" * 30,
        "1,2,3",
        ",",
        "8,,8",
        "digits",
        "vae",
        "iwae",
        "beta-vae",
        "mixture",
    ),
    *("vamp", "flow", "iaf", "categorical", "full-normal", "elbo", "factor", "geco", "beta-tc"),
    *("importance-weighted", "semi-supervised", "label", "cosine", "staged", "conv", "resnet"),
    *("bernoulli", "normal", "mixed", "sgd", "adamw", "dynamic", "static", "bfloat16", "é"),
    *("self-masking", "a >= b", "x=count", "/dev/null", "../..", "--", "-", "$(touch ran)", "{}"),
]


def _options(worker: Worker, folder: Path, chance: random.Random) -> Trial:
    words = ["train", "digits", "--dry-run", "--hidden", "4"]
    for _ in range(chance.choice([1, 1, 2, 3, 6])):
        words += [chance.choice(_FLAGS), chance.choice(_VALUES)]
    return _judged(worker, folder, "options", "train", json.dumps(words), words)
