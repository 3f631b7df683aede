"""A run's model, exported with what the run knows of its data."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

import numpy as np

from elbax.export.exporting import Export
from elbax.program.functions import Units
from elbax.run.run import Run
from elbax.run.use.tables import columns_of

Format = Literal["onnx", "torch"]


def export(run: Run, format: Format, folder: Path) -> Export:  # noqa: A002 - as the option is called
    """Writes a run's model for what runs it without JAX.

    Args:
        run: A finished run.
        format: "onnx" or "torch".
        folder: Where to; it is made.

    Raises:
        ValueError: The run has no model yet, or a package is not installed; one line.
        WriteError: The disk is full.
    """
    if format == "onnx":
        from elbax.export.onnx_files import export as write
    else:
        from elbax.export.torch_module import export as write
    columns = columns_of(run.config)
    facts: dict[str, Any] = {
        "elbax": version("elbax"),
        "recipe": str(run.config["recipe"]),
        "data": str(run.config["data"]["name"]),
        "latent_dim": run.model.latent_dim,
        "shape": list(run.model.shape),
    }
    if columns:
        facts["columns"] = [_described(column) for column in columns]
    if run.model.condition_dim:
        facts["condition"] = list(run.config["data"].get("label_names") or ())
    return write(run.model, run.model.shape, folder, units=units_of(columns), facts=facts)


def units_of(columns: Any) -> Units:
    """The own units of a table's columns; of other data those that it is stored in."""
    if not columns:
        return Units()
    pairs = [(column.shift, column.scale) for column in columns]
    return Units(*(np.array(numbers, np.float32) for numbers in zip(*pairs, strict=True)))


def _described(column: Any) -> dict[str, Any]:
    """What a number of `x` means: of coded columns also the values of their codes."""
    found = {"name": column.name, "kind": column.kind}
    if column.categories:
        found["categories"] = [str(value) for value in column.categories]
    if column.relation is not None:
        found["of"] = "its distance from what bounds it"
    return found
