"""ONNX files: one for each function of a model, checked by ONNX Runtime before it is written."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from elbax.export import checking
from elbax.export.exporting import Export, Exported, Traced, deviation, traced
from elbax.export.graph import graph
from elbax.model.latent_variable_model import LatentVariableModel
from elbax.program.functions import Units
from elbax.program.lowering import Untraceable
from elbax.util.extras import need
from elbax.util.files import write_bytes

_LARGEST = 2_000_000_000  # bytes: what one message of protobuf holds


def export(
    model: LatentVariableModel,
    shape: tuple[int, ...],
    folder: Path,
    *,
    units: Units | None = None,
    facts: Mapping[str, Any] | None = None,
) -> Export:
    """Writes a file for each function: ``encode.onnx``, ``decode.onnx``, ``score.onnx``.

    Rows stand along the first axis of all inputs and outputs, as many as one likes. `score` gives
    the importance-weighted bound on log p(x) in nats of the draws that it is given: standard normal
    numbers `normal`, (rows, draws, …), and uniform ones from 0 to 1, `uniform`, where the posterior
    draws such; of one draw it is the evidence lower bound. Each is compared with the model on 1,000
    rows that the model draws; the greatest difference stands in the file's metadata.

    Args:
        model: The model.
        shape: Of one datum.
        folder: Where to; it is made.
        units: The data's own.
        facts: What else the files say of the model, as plain data.

    Raises:
        ValueError: The packages onnx and onnxruntime are not installed.
        WriteError: The disk is full.
    """
    for package in ("onnx", "onnxruntime"):
        need(package, "onnx", "--format onnx")
    units = units or Units()
    functions, left_out = traced(model, shape, units)
    rows = checking.random_rows(model, shape, units)
    written = []
    for one in functions:
        try:
            made = graph(one.program, _outputs(one), one.name)
        except Untraceable as error:
            left_out[one.name] = str(error)
            continue
        found = deviation(one, rows, lambda given, made=made: _run(made, given))
        if found > checking.LIMIT:
            left_out[one.name] = f"it deviates by {found:.1e}, relative to the largest number"
            continue
        said = {"function": one.name, "gives": one.function.words, **(facts or {})}
        _describe(made, said, found)
        folder.mkdir(parents=True, exist_ok=True)
        write_bytes(folder / f"{one.name}.onnx", made.SerializeToString())
        written.append(Exported(one.name, one.function.words, found))
    return Export(tuple(written), left_out)


def _outputs(one: Traced) -> tuple[str, ...]:
    return ("bound",) if one.function.draws else one.function.outputs


def _run(made: Any, given: Mapping[str, np.ndarray]) -> list[np.ndarray]:
    """What ONNX Runtime makes of a graph."""
    size = sum(len(tensor.raw_data) for tensor in made.graph.initializer)
    if size > _LARGEST:
        raise ValueError(f"the model has {size:,} bytes of weights, and one ONNX file holds 2 GB")
    runtime = need("onnxruntime", "onnx", "--format onnx")
    session = runtime.InferenceSession(made.SerializeToString(), providers=["CPUExecutionProvider"])
    asked = {node.name for node in session.get_inputs()}
    return session.run(None, {name: x for name, x in given.items() if name in asked})


def _describe(made: Any, facts: Mapping[str, Any], found: float) -> None:
    """What a file says of itself: text and numbers as text, all else as JSON."""
    checked = {"greatest_deviation": f"{found:.3g}", "checked_rows": str(checking.ROWS)}
    for name, value in {**facts, **checked}.items():
        entry = made.metadata_props.add()
        entry.key = name
        entry.value = value if isinstance(value, str) else json.dumps(value)
