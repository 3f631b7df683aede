"""The posteriors of data: as arrays, and in an AnnData."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from elbax.data.formats import annotated
from elbax.data.source import Split
from elbax.run import labels
from elbax.run.use import apply, other_data
from elbax.util.files import atomic

if TYPE_CHECKING:
    from elbax.run.run import Run


def of(
    run: Run,
    data: Any = None,
    split: str = "all",
    unseen: Literal["refuse", "missing"] = "refuse",
) -> dict[str, np.ndarray]:
    """What `Run.encode` gives.

    Raises:
        ValueError: Data that the model does not take; in one line.
    """
    run = other_data.on(run, data, unseen=unseen)
    rows, label = run.rows(split)
    return apply.encode(run.model, labels.conditioned(run.model, Split(rows, label)), label)


def annotate(run: Run, adata: Any, key: str) -> None:
    """What `Run.annotate` does.

    Raises:
        ValueError: It is no AnnData, or not one of the model's genes; in one line.
    """
    if isinstance(adata, str | Path) or not annotated.is_annotated(adata):
        raise ValueError(
            f"annotate takes an AnnData, not a {type(adata).__name__}: of a file, "
            "anndata.read_h5ad(path)"
        )
    adata.obsm[key] = of(run, adata)["mean"]


def check_file(run: Run, data: str | None, split: str) -> Path:
    """The `.h5ad` file to whose cells the latents of an `.h5ad` file belong.

    Args:
        run: The run.
        data: Other data than its own.
        split: Which rows.

    Raises:
        ValueError: There is none, or the rows are not all of it; in one line.
    """
    source = data or run.config["data"]["argument"]
    if source is None or not annotated.is_annotated(source):
        what = "an array in memory" if source is None else source
        raise ValueError(
            f"out (--out) is an .h5ad file, a copy of the cells with their latents, and the data "
            f"are {what}: give --data cells.h5ad, or an --out that is .npz, .csv or .parquet"
        )
    if split != "all":
        raise ValueError(
            f"split (--split) is {split}, and an .h5ad file has all cells: leave it out, or give "
            "an --out that is .npz, .csv or .parquet"
        )
    return Path(source).expanduser()


def write(out: Path, source: Path, z: np.ndarray) -> None:
    """A copy of an `.h5ad` file with the latents in its `obsm`, whole or not at all."""
    with atomic(out) as temporary:
        annotated.write(temporary, source, z)
