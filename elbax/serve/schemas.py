"""What the rows of a run look like in JSON: as types that check them, and as JSON schemas."""

# pyright: reportMissingImports=false
# (Packages of an extra, which not every checkout has.)

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import ConfigDict, Field, TypeAdapter, with_config
from typing_extensions import TypedDict

from elbax.data.cells import EXACT
from elbax.data.columns import CODED
from elbax.util.words import listed

if TYPE_CHECKING:
    from elbax.data import Column
    from elbax.serve.limits import Limits

_STRICT = ConfigDict(strict=True, allow_inf_nan=False, extra="allow")
_WHOLE = ConfigDict(strict=True, allow_inf_nan=False, extra="forbid")
_MOST_TEXT = 10_000  # characters of a cell

_Integer = Annotated[int, Field(ge=-EXACT, le=EXACT)]
_Text = Annotated[str, Field(max_length=_MOST_TEXT)]
_Number = _Integer | float
_Cell = bool | _Number | _Text
_Label = Annotated[int, Field(ge=0, le=2**31 - 1)] | _Text


def row_of_table(columns: Sequence[Column]) -> Any:
    """The type of a row: an object with all columns, null where a cell was not observed.

    Others than those are passed over.
    """
    cells = {}
    for column in columns:
        kind, said = _cell(column.own)
        cells[column.name] = Annotated[kind | None, Field(description=said)]
    return with_config(_STRICT)(_typed("Row", cells))


def row_of_array(shape: tuple[int, ...], *, holes: bool, shares: bool) -> Any:
    """The type of a row: lists within lists, of the shape of a datum.

    Args:
        shape: Of one datum.
        holes: Whether numbers may be missing, null.
        shares: Whether they are shares of the brightest level, from 0 to 1.
    """
    kind: Any = Annotated[float, Field(ge=0, le=1)] if shares else float
    if holes:
        kind = kind | None
    for size in reversed(shape):
        kind = Annotated[list[kind], Field(min_length=size, max_length=size)]
    return kind


def data(row: Any, limits: Limits, *, labels: bool) -> TypeAdapter:
    """The type of a body with rows.

    Args:
        row: The type of a row.
        limits: How many rows there may be.
        labels: Whether the model needs the label of each.
    """
    rows = Annotated[list[row], Field(min_length=1, max_length=limits.rows)]
    fields: dict[str, Any] = {"rows": rows}
    if labels:
        said = "The label of each row, by its number or its name."
        fields["labels"] = Annotated[list[_Label], Field(min_length=1, description=said)]
    return _body("Data", fields)


def latents(size: int, limits: Limits) -> TypeAdapter:
    """The type of a body with latents of so many numbers."""
    latent = Annotated[list[float], Field(min_length=size, max_length=size)]
    rows = Annotated[list[latent], Field(min_length=1, max_length=limits.rows)]
    return _body("Latents", {"z": rows})


def options(fields: dict[str, Any]) -> TypeAdapter:
    """The type of an object with these fields and no others."""
    return _body("Options", fields)


def schema(kind: TypeAdapter) -> dict[str, Any]:
    """The JSON schema of a type, whole: no part of it stands elsewhere."""
    found = kind.json_schema()
    return _inlined(found, found.pop("$defs", {}))


def _body(name: str, fields: dict[str, Any]) -> TypeAdapter:
    return TypeAdapter(with_config(_WHOLE)(_typed(name, fields)))


def _typed(name: str, fields: dict[str, Any]) -> Any:
    """The type of an object with these fields, of any names."""
    make: Any = TypedDict
    return make(name, fields)


def _cell(column: Column) -> tuple[Any, str]:
    """The type of a cell, and what it is in words."""
    if column.kind in CODED:
        return _Cell, f"{column.kind}: one of {listed(map(repr, column.categories), 30)}"
    said = f"{column.kind} numbers"
    if column.moment:
        said = "dates or times, as 2025-07-30 or 2025-07-30 12:00:00"
    elif column.notation is not None:
        said += f", {column.notation.in_words()}"
    if column.lower is not None and column.upper is not None and not column.moment:
        said += f"; in training from {column.lower:g} to {column.upper:g}"
    as_text = column.moment or column.notation is not None
    return (_Number | _Text if as_text else _Number), said


def _inlined(found: Any, parts: dict[str, Any]) -> Any:
    if isinstance(found, list):
        return [_inlined(item, parts) for item in found]
    if not isinstance(found, dict):
        return found
    if "$ref" in found:
        return _inlined(parts[found["$ref"].rpartition("/")[2]], parts)
    return {name: _inlined(value, parts) for name, value in found.items()}
