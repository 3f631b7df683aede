"""The tensors of a file that `torch.save` wrote, without PyTorch and without unpickling.

The file is a zip of the tensors' bytes and of `data.pkl`, a program of pickle's that says which
tensor has which name. A pickle may call anything; here its opcodes are read one by one, and only
those do something that make dictionaries, tuples, numbers, text and tensors. Whatever else a
program names is refused, and nothing is imported or called.
"""

from __future__ import annotations

import math
import pickletools
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from elbax.util import words

_DTYPES = {
    "FloatStorage": "<f4",
    "DoubleStorage": "<f8",
    "HalfStorage": "<f2",
    "LongStorage": "<i8",
    "IntStorage": "<i4",
    "BoolStorage": "?",
}
_DICTIONARY, _TENSOR = ("collections", "OrderedDict"), ("torch._utils", "_rebuild_tensor_v2")
_KNOWN = {_DICTIONARY, _TENSOR, *(("torch", name) for name in _DTYPES)}
_LARGEST_PROGRAM = 16 << 20  # bytes; that of a thousand tensors has about a hundred thousand
_MARK = object()
_CONSTANTS: dict[str, Callable[[], Any]] = {
    "EMPTY_DICT": dict,
    "EMPTY_LIST": list,
    "EMPTY_TUPLE": tuple,
    "MARK": lambda: _MARK,
    "NEWFALSE": lambda: False,
    "NEWTRUE": lambda: True,
    "NONE": lambda: None,
}
_LITERALS = {"BINUNICODE", "SHORT_BINUNICODE", "BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT"}
_TUPLES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}

Read = Callable[[str, str, int], np.ndarray]


def read(path: Path) -> Any:
    """What was saved: dictionaries of arrays, as they were nested.

    Args:
        path: A file of `torch.save`, of PyTorch 1.6 or later.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It is none, is damaged, or holds something other than tensors.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            (name,) = (one for one in archive.namelist() if one.endswith("/data.pkl"))
            if archive.getinfo(name).file_size > _LARGEST_PROGRAM:
                raise ValueError("it has too many parts")
            folder = name.removesuffix("data.pkl")
            order = f"{folder}byteorder"
            if order in archive.namelist() and archive.read(order) != b"little":
                raise ValueError("its numbers are big-endian")
            machine = _Machine(lambda *asked: _storage(archive, folder, *asked))
            return machine.run(archive.read(name))
    except FileNotFoundError:
        raise
    except (zipfile.BadZipFile, ValueError, LookupError, TypeError, RuntimeError, OSError) as error:
        raise ValueError(
            f"{words.shown(path)} can't be read as tensors of torch.save ({words.reason(error)})"
        ) from None


def _storage(archive: zipfile.ZipFile, folder: str, kind: str, key: str, count: int) -> np.ndarray:
    """The numbers of a storage."""
    entry = archive.getinfo(f"{folder}data/{key}")
    dtype = np.dtype(_DTYPES[kind])
    if entry.compress_type != zipfile.ZIP_STORED or entry.file_size != count * dtype.itemsize:
        raise ValueError(f"its storage {words.shown(key)} has not the size that it says")
    return np.frombuffer(archive.read(entry), dtype)


class _Machine:
    """Pickle's stack machine, of the few opcodes that tensors take."""

    def __init__(self, storage: Read) -> None:
        self._storage = storage
        self._stack: list[Any] = []
        self._memo: dict[int, Any] = {}

    def run(self, program: bytes) -> Any:
        """What the program leaves on the stack."""
        for code, argument, _ in pickletools.genops(program):
            if code.name == "STOP":
                return self._stack.pop()
            self._do(code.name, argument)
        raise ValueError("it ends in the middle")

    def _do(self, name: str, argument: Any) -> None:
        stack = self._stack
        if name in _CONSTANTS:
            stack.append(_CONSTANTS[name]())
        elif name in _LITERALS:
            stack.append(argument)
        elif name in _TUPLES:
            stack[-_TUPLES[name] :] = [tuple(stack[-_TUPLES[name] :])]
        elif name in ("BINPUT", "LONG_BINPUT"):
            self._memo[argument] = stack[-1]
        elif name in ("BINGET", "LONG_BINGET"):
            stack.append(self._memo[argument])
        elif name == "GLOBAL":
            stack.append(_known(argument))
        elif name != "PROTO":
            self._combine(name)

    def _combine(self, name: str) -> None:
        """What takes something from the stack."""
        stack = self._stack
        if name == "TUPLE":
            stack.append(tuple(self._from_mark()))
        elif name in ("SETITEM", "SETITEMS"):
            items = self._from_mark() if name == "SETITEMS" else [stack.pop(-2), stack.pop()]
            if not isinstance(stack[-1], dict):
                raise ValueError("it puts something into what is no dictionary")
            stack[-1].update(zip(items[::2], items[1::2], strict=True))
        elif name == "BINPERSID":
            word, storage, key, _, count = stack.pop()
            if word != "storage" or storage[0] != "torch":
                raise ValueError("it refers to something other than a tensor")
            stack.append(self._storage(storage[1], key, count))
        elif name == "REDUCE":
            arguments, called = stack.pop(), stack.pop()
            is_dictionary = isinstance(called, tuple) and called == _DICTIONARY
            stack.append({} if is_dictionary else _tensor(called, arguments))
        elif name == "BUILD" and isinstance(stack[-2], dict):
            stack.pop()  # the versions of modules
        else:
            raise ValueError(f"it holds more than tensors: {name}")

    def _from_mark(self) -> list[Any]:
        """What was put on the stack since the last mark."""
        at = max(i for i, one in enumerate(self._stack) if one is _MARK)
        found = self._stack[at + 1 :]
        del self._stack[at:]
        return found


def _known(said: str) -> tuple[str, str]:
    """A name that a program may say."""
    module, _, name = said.partition(" ")
    if (module, name) not in _KNOWN:
        raise ValueError(f"it names {words.shown(module)}.{words.shown(name)}, which is no tensor")
    return module, name


def _tensor(called: Any, arguments: tuple[Any, ...]) -> np.ndarray:
    """A tensor: some numbers of a storage, in a shape."""
    if not isinstance(called, tuple) or called != _TENSOR:
        raise ValueError("it calls something that makes no tensor")
    storage, offset, shape, strides = arguments[:4]
    last = offset + sum((n - 1) * stride for n, stride in zip(shape, strides, strict=True))
    size = math.prod(shape)
    if (
        min(offset, *shape, *strides, 0) < 0
        or size > len(storage)
        or (size and last >= len(storage))
    ):
        raise ValueError("a tensor lies outside of its storage")
    steps = [stride * storage.itemsize for stride in strides]
    return np.lib.stride_tricks.as_strided(storage[offset:], shape, steps).copy()
