"""``explorer.html``: one file in which a model is moved by hand."""

from __future__ import annotations

import shlex
from pathlib import Path

import equinox as eqx
import jax
import numpy as np

from elbax.explore import images, tables
from elbax.model.compatibility import latent_kind
from elbax.run.folder import EXPLORER
from elbax.run.run import Run
from elbax.util.files import write_bytes

_MOST = 3_000_000  # numbers in a model whose page is made unasked: some 6 MB of it


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


def beside_report(run: Run) -> str | None:
    """Writes ``explorer.html`` into the run's folder where a page can hold the model.

    Returns:
        Why there is none, in one line; None where there is one. An older one does not stay.

    Raises:
        WriteError: The disk is full.
    """
    path, why = run / EXPLORER, _too_large(run)
    if why is None:
        try:
            explorer(run, path)
        except ValueError as problem:
            why = str(problem)
    if why is not None:
        path.unlink(missing_ok=True)
    return why


def rehearse(run: Run) -> None:
    """Does what `beside_report` does, but for the file; of an untrained model beside training.

    What JAX traces and compiles for it is kept, and is most of the time that it takes.
    """
    if _too_large(run) is None:
        page(run)


def _too_large(run: Run) -> str | None:
    count = sum(np.size(leaf) for leaf in jax.tree.leaves(eqx.filter(run.model, eqx.is_array)))
    if count <= _MOST:
        return None
    return (
        f"a page of the model's {count:,} numbers would be large; "
        f"`elbax explore {shlex.quote(str(run.path))}` makes it all the same"
    )


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
