"""``explorer.html``: one file in which a model is moved by hand."""

from __future__ import annotations

from pathlib import Path

from elbax.explore import images, tables
from elbax.model.compatibility import latent_kind
from elbax.run.run import Run
from elbax.util.files import write_bytes


def explorer(run: Run, path: Path) -> None:
    """Writes the page: one file, nothing is loaded from elsewhere.

    Args:
        run: A run on images or on a table.
        path: The file to write.

    Raises:
        ValueError: The model is of other data, has other latents than real vectors, or has a step
            that a page cannot run; one line with the mend.
    """
    write_bytes(path, page(run).encode())


def page(run: Run) -> str:
    """The page; see `explorer`."""
    data = run.dataset
    if data.columns:
        return tables.page(run)
    if len(data.shape) != 3:
        raise ValueError(
            f"{run.path} is of {data.kind}, and the explorer shows images and tables: see `elbax "
            "encode` and `elbax decode`"
        )
    if latent_kind(run.model) != "real":
        raise ValueError(
            f"the explorer moves a vector of real latents, and the model of {run.path} has others: "
            "see `elbax plot RUN generated`"
        )
    return images.page(run)
