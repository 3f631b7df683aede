"""AnnData: cells × genes with their names, in memory or as ``.h5ad`` files; latents written back.

Of a file X, the names and one column of `obs` are read; layers and graphs stay on the disk.
"""

import shutil
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from elbax.data.arrays import require_room
from elbax.data.errors import DataError
from elbax.data.splitting import Part, Raw
from elbax.util import sizes
from elbax.util.extras import need
from elbax.util.words import counted, hint, listed, reason, shown

SUFFIX = ".h5ad"
HDF5_MAGIC = b"\x89HDF\r\n\x1a\n"
KEY = "X_elbax"
"""Where `obsm` holds the means of q(z|x)."""

# Bytes of a cell on its way in: as it is stored, as float64 twice, and as float32.
_A_CELL = 4 + 8 + 8 + 4
_WHAT = "data in AnnData"


def is_annotated(data: Any) -> bool:
    """Whether this is an AnnData, or the path of an HDF5 file."""
    if isinstance(data, str | Path):
        try:
            path = Path(data).expanduser()
            if not path.is_file():
                return False
            with path.open("rb") as file:
                return file.read(8) == HDF5_MAGIC
        except (OSError, RuntimeError, ValueError):  # said by whoever reads it
            return False
    kind = type(data)
    return kind.__name__ == "AnnData" and kind.__module__.partition(".")[0] == "anndata"


def read(data: Any, labels: str | None = None, memory: int | None = None) -> Raw:
    """X as an array (cells, genes) with the genes' names.

    Args:
        data: an AnnData (backed or not), or the path of an ``.h5ad`` file.
        labels: the column of `obs` that holds the labels.
        memory: bytes that X may take once it is dense; None: what the machine has.

    Raises:
        DataError: no AnnData, no X, names that occur twice, no such column, or more than fits; in
            one line.
    """
    if not isinstance(data, str | Path):
        where = "the AnnData"
        x = _dense(data.X, where, memory)
        return _raw(x, data.var_names, _labels(data.obs, labels, where), where, "anndata")
    path = Path(data).expanduser()
    where, anndata = shown(path), need("anndata.io", "anndata", _WHAT)
    with _opened(path) as file:
        if not {"X", "var", "obs"} <= file.keys():
            held = listed(file.keys()) if len(file) else "nothing"
            raise DataError(
                f"{where} is HDF5 and no AnnData with an X, var and obs: it holds {held}"
            )
        x = _dense(file["X"], where, memory, read=anndata.read_elem)
        obs = anndata.read_elem(file["obs"]) if labels is not None else None
        names = anndata.read_elem(file["var"]).index
        return _raw(x, names, _labels(obs, labels, where), where, shown(path.stem))


def write(out: Path, source: Path, z: np.ndarray) -> None:
    """A copy of an ``.h5ad`` file with `obsm[KEY]`, all else as it stands there.

    Args:
        out: the file to write, whole or not at all as `elbax.util.files.atomic` has it.
        source: the file of the cells.
        z: (cells, latent_dim).
    """
    anndata, h5py = need("anndata.io", "anndata", _WHAT), need("h5py", "anndata", _WHAT)
    shutil.copyfile(source, out)
    with h5py.File(out, "r+") as file:
        if "obsm" not in file:
            anndata.write_elem(file, "obsm", {})
        anndata.write_elem(file["obsm"], KEY, z)


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    where = shown(path)
    h5py = need("h5py", "anndata", _WHAT)
    try:
        with h5py.File(path, "r") as file:
            yield file
    except DataError:
        raise
    except MemoryError:
        raise DataError(f"{where} does not fit into memory: choose fewer genes") from None
    # h5py raises any of these where a file is damaged.
    except (OSError, KeyError, ValueError, TypeError, RuntimeError) as error:
        raise DataError(f"{where} cannot be read as AnnData ({reason(error, 160)})") from None


def _dense(x: Any, where: str, memory: int | None, read: Any = None) -> np.ndarray:
    """X as an array, once it is known to fit."""
    if x is None:
        raise DataError(f"{where} has no X: put one there, as in adata.X = adata.layers['counts']")
    shape = x.attrs["shape"] if hasattr(x, "attrs") and "shape" in x.attrs else x.shape
    shape = tuple(int(length) for length in shape)
    if len(shape) != 2:
        raise DataError(f"X of {where} has the shape {shape}: it is cells × genes")
    _check_room(shape, where, memory)
    if read is not None:
        x = read(x)
    elif hasattr(x, "to_memory"):  # sparse, and still on the disk
        x = x.to_memory()
    if hasattr(x, "toarray"):
        if hasattr(x, "check_format"):  # scipy believes indices, and would write beyond the array
            x.check_format(full_check=True)
        x = x.toarray()
    dense = np.asarray(x)
    if dense.dtype.kind not in "buif":
        raise DataError(f"X of {where} holds {shown(dense.dtype)}, not real numbers")
    return dense


def _check_room(shape: tuple[int, int], where: str, memory: int | None) -> None:
    needed = shape[0] * shape[1] * _A_CELL
    if memory is not None and needed > memory:
        raise DataError(
            f"X of {where}, {shape[0]:,} cells × {shape[1]:,} genes, takes {sizes.words(needed)} "
            f"once it is dense, of {sizes.words(memory)} that the data may take (--memory): choose "
            "genes first, as scanpy.pp.highly_variable_genes(adata, n_top_genes=2000, subset=True)"
        )
    require_room(needed, f"X of {where}")


def _labels(obs: Any, name: str | None, where: str) -> np.ndarray | None:
    if name is None:
        return None
    known = [str(column) for column in obs.columns]
    if name not in known:
        raise DataError(
            f"obs of {where} has no column {shown(repr(name))}{hint(name, known)}: it has "
            f"{listed(known) if known else 'none'}"
        )
    column = obs[name]
    gone = int(column.isna().sum())
    if gone:
        raise DataError(
            f"the labels ({shown(repr(name))}) of {where} are missing for {counted(gone, 'cell')}: "
            "fill them, or drop those cells"
        )
    numbers = column.to_numpy()
    return numbers if numbers.dtype.kind in "biuf" else np.array([str(value) for value in numbers])


def _raw(x: np.ndarray, names: Any, label: np.ndarray | None, where: str, name: str) -> Raw:
    genes = tuple(str(gene) for gene in names)
    twice = next((gene for gene, count in Counter(genes).items() if count > 1), None)
    if twice is not None:
        raise DataError(
            f"{where} has two genes called {shown(repr(twice))}: adata.var_names_make_unique()"
        )
    if min(x.shape) == 0:
        raise DataError(
            f"{where} has {x.shape[0]:,} cells and {x.shape[1]:,} genes: there is nothing to read"
        )
    source = "AnnData in memory" if where == "the AnnData" else where
    parts = {"all": Part(x, label)}
    return Raw(name, source, parts, where={"all": f"X of {where}"}, names=genes)


def family(raw: Raw) -> str | None:
    """What all genes are, unless it is asked otherwise: counts, where X holds such.

    By one rule for all of them: a gene of which few cells hold more than 0 or 1 is a count as the
    others are, and cells that nobody has seen may hold more of it.

    Args:
        raw: what `read` gave; of other arrays this is None.
    """
    x = raw.parts["all"].x
    if not raw.names:
        return None
    with np.errstate(invalid="ignore"):
        whole = bool(np.all((x == np.rint(x)) | np.isnan(x)))
        low, high = np.fmin.reduce(x, axis=None), np.fmax.reduce(x, axis=None)  # of what is no NaN
    return "count" if whole and 0 <= low <= high and high > 1 else None
