"""What a request is answered with: as JSON, as Arrow's columns, as a picture."""

# pyright: reportMissingImports=false
# (Packages of an extra, which not every checkout has.)

from __future__ import annotations

import datetime
import decimal
import io
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import orjson

from elbax.run.use import outputs
from elbax.serve.limits import Refused
from elbax.serve.reading import ARROW, JSON, PNG
from elbax.util.words import listed, shown

if TYPE_CHECKING:
    import pyarrow as pa

_TEXT = orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_NON_STR_KEYS


@dataclass(frozen=True)
class Answer:
    """An answer, in the forms that it has; each is made when it is asked for.

    Attributes:
        body: Plain data and arrays of numpy, for JSON.
        table: A table of Arrow's.
        picture: The bytes of a PNG.
    """

    body: Callable[[], Mapping[str, Any]]
    table: Callable[[], pa.Table] | None = None
    picture: Callable[[], bytes] | None = None

    @property
    def types(self) -> list[str]:
        """The media types that it can be of."""
        table = [] if self.table is None else [ARROW]
        return [JSON, *table, *([] if self.picture is None else [PNG])]

    def as_type(self, kind: str) -> bytes:
        """Its bytes, as one of its media types."""
        if kind == ARROW and self.table is not None:
            return to_arrow(self.table())
        if kind == PNG and self.picture is not None:
            return self.picture()
        return to_json(self.body())


def chosen(accept: str | None, types: list[str]) -> str:
    """The media type to answer with: of those that are accepted most gladly the first.

    Args:
        accept: What the request accepts (RFC 9110, §12.5.1); None or nothing accepts all.
        types: What there is.

    Raises:
        Refused: Nothing of it is accepted (406).
    """
    best, gladness = types[0], 0.0 if accept else 1.0
    for piece in (accept or "").split(","):
        kind, *parameters = (word.strip() for word in piece.split(";"))
        weight = next((p[2:] for p in parameters if p.startswith("q=")), "1")
        try:
            q = float(weight)
        except ValueError:
            q = 0.0
        for one in types:
            if kind.lower() in (one, "*/*", f"{one.partition('/')[0]}/*") and q > gladness:
                best, gladness = one, q
    if gladness <= 0 or math.isnan(gladness):
        raise Refused(406, f"{shown(accept)} is accepted, and there is {listed(types)}")
    return best


def to_json(body: Any) -> bytes:
    """Plain data and arrays as JSON; what is not finite is null."""
    return orjson.dumps(body, default=_plain, option=_TEXT)


def plain(body: Any) -> Any:
    """The same as Python's own lists and numbers."""
    return orjson.loads(to_json(body))


def to_arrow(table: pa.Table) -> bytes:
    """A table as a stream of Arrow's."""
    import pyarrow as pa

    sink = io.BytesIO()
    with pa.ipc.new_stream(sink, table.schema) as stream:
        stream.write_table(table)
    return sink.getvalue()


def sheet(images: np.ndarray) -> bytes:
    """Pictures (n, h, w, c) as tiles of one PNG."""
    sink = io.BytesIO()
    outputs.write_sheet(sink, images)
    return sink.getvalue()


def pairs(even: np.ndarray, odd: np.ndarray) -> bytes:
    """Pairs of pictures as one PNG."""
    sink = io.BytesIO()
    outputs.write_pairs(sink, even, odd)
    return sink.getvalue()


def arrays_table(arrays: Mapping[str, np.ndarray]) -> pa.Table:
    """Arrays with a row for each as columns; of rows of several numbers as tensors."""
    import pyarrow as pa

    columns = {}
    for name, array in arrays.items():
        if array.ndim == 1:
            columns[name] = pa.array(array)
        else:
            whole = np.ascontiguousarray(array)
            columns[name] = pa.FixedShapeTensorArray.from_numpy_ndarray(whole)
    return pa.table(columns)


def _plain(value: Any) -> Any:
    """What orjson does not know, as something that it knows."""
    if isinstance(value, np.ndarray):  # not contiguous, or of a type of its own
        return value.tolist()
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, decimal.Decimal):
        return float(value)
    if isinstance(value, datetime.timedelta):
        return str(value)
    raise TypeError(type(value).__name__)
