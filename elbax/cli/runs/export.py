"""``elbax export RUN``."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from elbax.cli.parsing import POSITIONAL
from elbax.cli.runs import opened
from elbax.recipes.convert import Checked
from elbax.run.folder import SCHEMA


@dataclass(frozen=True)
class Arguments(Checked):
    """A trained model for what runs it without elbax: ONNX files, or a PyTorch module.

    encode, decode and reconstruct take and give data as they were: a table's own units and the
    codes of its categories, an image's bytes. score is the importance-weighted bound on log p(x),
    with the random numbers as an input. Any number of rows at once.
    """

    run: Annotated[Path, POSITIONAL]
    """The run's folder."""
    format: Literal["onnx", "torch"] = "onnx"
    """What is written. onnx: a file for each function, compared with the model by ONNX Runtime
    before it is written (pip install 'elbax[onnx]'). torch: model.py, an nn.Module of plain code,
    and model.safetensors."""
    out: Path | None = None
    """The folder to write into. Without it: RUN/onnx or RUN/torch."""
    json: bool = False
    """Print what was written as one JSON object."""


def main(arguments: Arguments) -> None:
    """Runs the command."""
    from elbax.util.files import check_folder

    run = opened(arguments.run)
    folder = run.path / arguments.format if arguments.out is None else arguments.out
    check_folder(folder)
    from elbax.export.run import export

    found = export(run, arguments.format, folder)
    if not found.written:
        why = "; ".join(f"{name}: {reason}" for name, reason in found.left_out.items())
        raise ValueError(f"nothing of {run.path} can be written: {why}")
    if arguments.json:
        written = {one.name: one.deviation for one in found.written}
        plain = {"run": str(arguments.run), "folder": str(folder), "deviations": written}
        print(json.dumps({"schema": SCHEMA, **plain, "left_out": found.left_out}))
        return
    print(f"{folder}:")
    for one in found.written:
        checked = "" if one.deviation is None else f" (greatest deviation {one.deviation:.1e})"
        print(f"  {one.name:<12} {one.words}{checked}")
    for name, why in found.left_out.items():
        print(f"  {name:<12} left out: {why}")
