"""The OpenAPI description of a run's verbs: what their bodies hold, and what their answers."""

# pyright: reportMissingImports=false
# (Packages of an extra, which not every checkout has.)

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from elbax.data.columns import CODED
from elbax.serve import schemas
from elbax.serve.reading import ARROW, JSON, PNG

if TYPE_CHECKING:
    from pydantic import TypeAdapter

    from elbax.data import Column
    from elbax.serve.verbs import Verbs

PICTURED = ("decode", "reconstruct", "sample", "impute")
"""The verbs that answer with pictures, of images."""

_NUMBER = {"type": ["number", "null"]}
_NUMBERS = {"type": "array", "items": _NUMBER}
_BINARY = {"schema": {"type": "string", "format": "binary"}}

_REASONS = {
    400: "The request ended before its body did.",
    401: "The token is missing, or another one.",
    406: "No form of the answer is accepted.",
    408: "The body came too slowly.",
    413: "The body is too large.",
    415: "The body is of a type that is not read.",
    422: "What was given is not of this run's data, or no option is of that value.",
    429: "Too many rows are waiting: ask again in a second.",
    503: "The server is stopping, not ready yet, or took too long.",
}
_PROBLEM = {
    "type": "object",
    "properties": {"detail": {"type": "string", "description": "What, where and the mend."}},
    "required": ["detail"],
}


def answer_types(verbs: Verbs, name: str) -> list[str]:
    """The media types that a verb answers with."""
    pictures = [PNG] if verbs.reader.image and name in PICTURED else []
    return [JSON, ARROW, *pictures]


def body(verbs: Verbs, kind: TypeAdapter, *, pictures: bool) -> dict[str, Any]:
    """What FastAPI is to say of a verb's body."""
    content: dict[str, Any] = {JSON: {"schema": schemas.schema(kind)}, ARROW: _BINARY}
    if pictures and verbs.reader.image:
        content[PNG] = _BINARY
    return {"requestBody": {"required": True, "content": content}}


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """What FastAPI is to say of requests that are not answered."""
    return {
        status: {"description": _REASONS[status], "content": {JSON: {"schema": _PROBLEM}}}
        for status in statuses
    }


def answers(verbs: Verbs, name: str, *, body: bool = True) -> dict[int | str, dict[str, Any]]:
    """What FastAPI is to say of a verb's answers.

    Args:
        verbs: The run's.
        name: The verb.
        body: Whether it takes one.
    """
    content: dict[str, Any] = {JSON: {"schema": _answer(verbs, name)}}
    content |= dict.fromkeys(answer_types(verbs, name)[1:], _BINARY)
    of_body = (400, 408, 413, 415) if body else ()
    found: dict[int | str, dict[str, Any]] = {200: {"description": "Done.", "content": content}}
    return found | problems(401, 406, 422, 429, 503, *of_body)


def _answer(verbs: Verbs, name: str) -> dict[str, Any]:
    array = {"type": "array", "description": f"A row for each, of the shape {verbs.reader.shape}."}
    rows = {"type": "array", "items": _row(verbs.columns)}
    if name == "encode":
        each = {"type": "array", "items": _NUMBERS}
        return _object({"mean": each}, scale=each)
    if name == "score":
        return _object(_scores(verbs, array))
    if verbs.reader.table:
        intervals = {"type": "array", "items": _INTERVAL}
        return _object({"rows": rows, **({"intervals": intervals} if name == "impute" else {})})
    if name == "impute" and not verbs.columns:
        return _object(dict.fromkeys(("x", "lower", "upper"), array))
    names = ("original", "reconstruction") if name == "reconstruct" else ("x",)
    return _object(dict.fromkeys(names, array))


def _scores(verbs: Verbs, array: dict[str, Any]) -> dict[str, Any]:
    plain = dict.fromkeys(("log_p", "error", "effective_samples", "kl"), _NUMBERS)
    if not verbs.reader.table:
        return {**plain, "elements": array}
    shares = _object({column.name: _NUMBERS for column in verbs.columns})
    return {**plain, "masses": _NUMBERS, "densities": _NUMBERS, "shares": shares}


def _row(columns: Sequence[Column]) -> dict[str, Any]:
    cells = {}
    for column in (c.own for c in columns):
        text = column.kind in CODED or column.moment or column.notation is not None
        cells[column.name] = {} if text else {"type": ["number", "string", "null"]}
    return _object(cells)


def _object(properties: dict[str, Any], **optional: Any) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": {**properties, **optional},
        "required": list(properties),
    }


_TEXT = {"type": ["string", "null"]}
_INTERVAL = _object(
    {
        "row": {"type": "integer", "description": "From 0."},
        "column": {"type": "string"},
        "value": _TEXT,
        "lower": {**_TEXT, "description": "Of the central 90% interval."},
        "upper": _TEXT,
        "probability": {"type": ["number", "null"], "description": "Of the value, a category."},
    }
)
