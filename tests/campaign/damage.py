"""Damage: every file of a run, with bits flipped, cut off, swapped, or made up by a stranger.

A trial damages one file and opens all that the run says. What is told must be what it was, or a
line must name the damage.
"""

import hashlib
import itertools
import json
import random
import shutil
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from tests.campaign.trials import FAILED, NAMED, SAME, Trial
from tests.campaign.worker import Worker

SMALL = ["--hidden", "4", "--latent-dim", "2", "--batch-size", "50", "--iterations", "20"]


def trials(chance: random.Random, folder: Path) -> Iterator[Trial]:
    """Trials without end."""
    with Worker() as worker:
        run = made(worker, folder)
        whole = worker.call("damage:opened", str(run))
        assert "died" not in whole, whole
        assert all(value[0] == "said" for value in whole.values()), whole
        for kind, place, change in itertools.chain(_crafted(run), _random(chance, run)):
            yield _trial(worker, run, whole, kind, place, change)


def made(worker: Worker, folder: Path) -> Path:
    """A small run, with a checkpoint, a best model and results."""
    words = ["train", "digits", *SMALL, "--validate-every", "10", "--no-report", "--out", "run"]
    found = worker.call("worker:command", words, str(folder), seconds=300)
    assert found.get("status") == 0, found
    return folder / "run"


def _trial(
    worker: Worker,
    run: Path,
    whole: dict[str, Any],
    kind: str,
    place: Path,
    change: Callable[[Path], str],
) -> Trial:
    kept = run.with_name("kept")
    shutil.rmtree(kept, ignore_errors=True)
    shutil.copytree(run, kept)
    where = str(place.relative_to(run))
    try:
        how = change(place)
        found = worker.call("damage:opened", str(run))
    finally:
        shutil.rmtree(run)
        kept.rename(run)
    if "died" in found:
        return Trial(kind, where, FAILED, f"{how}: {found['died']}")
    differing = {part: value for part, value in found.items() if value != whole[part]}
    silent = {part: value for part, value in differing.items() if value[0] == "said"}
    if silent:
        return Trial(kind, where, FAILED, f"{how}: another value in silence of {sorted(silent)}")
    not_ours = {part: value for part, value in differing.items() if value[0] == "raised"}
    if not_ours:
        return Trial(kind, where, FAILED, f"{how}: {not_ours}")
    return Trial(kind, where, NAMED if differing else SAME, how)


# --- what is done to a file --------------------------------------------------------------------


def _random(chance: random.Random, run: Path) -> Iterator[tuple[str, Path, Callable[[Path], str]]]:
    files = sorted(path for path in run.rglob("*") if path.is_file())
    kinds = {
        "bit flipped": _flip,
        "cut off": _cut,
        "two parts swapped": _swap,
        "a part zeroed": _zero,
        "replaced by another of its files": _replace(files),
        "removed": _remove,
        "a digit changed": _digit,
    }
    while True:
        kind = chance.choice(list(kinds))
        # The files that people see as often as the many small ones of a checkpoint.
        seen = chance.random() < 0.6
        place = chance.choice([path for path in files if (path.parent == run) == seen])
        seed, change = chance.random(), kinds[kind]
        yield kind, place, lambda path, seed=seed, change=change: change(path, random.Random(seed))


def _flip(path: Path, chance: random.Random) -> str:
    content = bytearray(path.read_bytes())
    if not content:
        return "nothing to flip"
    at, bit = chance.randrange(len(content)), chance.randrange(8)
    content[at] ^= 1 << bit
    path.write_bytes(content)
    return f"bit {bit} of byte {at}"


def _cut(path: Path, chance: random.Random) -> str:
    content = path.read_bytes()
    length = chance.randrange(len(content) + 1)
    path.write_bytes(content[:length])
    return f"to {length} bytes"


def _swap(path: Path, chance: random.Random) -> str:
    content = path.read_bytes()
    a, b, c, d = sorted(chance.randrange(len(content) + 1) for _ in range(4))
    path.write_bytes(content[:a] + content[c:d] + content[b:c] + content[a:b] + content[d:])
    return f"{a}:{b} and {c}:{d}"


def _zero(path: Path, chance: random.Random) -> str:
    content = bytearray(path.read_bytes())
    a, b = sorted(chance.randrange(len(content) + 1) for _ in range(2))
    content[a:b] = bytes(b - a)
    path.write_bytes(content)
    return f"{a}:{b}"


def _digit(path: Path, chance: random.Random) -> str:
    """The likeliest damage by hand: a number that is still one."""
    content = bytearray(path.read_bytes())
    digits = [i for i, byte in enumerate(content) if 0x30 <= byte <= 0x39]
    if not digits:
        return "no digit"
    at = chance.choice(digits)
    content[at] = 0x30 + (content[at] - 0x30 + chance.randint(1, 9)) % 10
    path.write_bytes(content)
    return f"byte {at}"


def _remove(path: Path, chance: random.Random) -> str:
    del chance
    path.unlink()
    return "removed"


def _replace(files: list[Path]) -> Callable[[Path, random.Random], str]:
    def change(path: Path, chance: random.Random) -> str:
        # A model says of itself which of the run's it is: in another's place it is no silence.
        model = path.suffix == ".safetensors"
        other = chance.choice([one for one in files if not model or one.suffix != path.suffix])
        path.write_bytes(other.read_bytes())
        return f"by {other.name}"

    return change


def _crafted(run: Path) -> Iterator[tuple[str, Path, Callable[[Path], str]]]:
    """What a stranger may have put there on purpose."""

    def holding(content: bytes) -> Callable[[Path], str]:
        return lambda path: f"{path.write_bytes(content)} bytes, {content[:40]!r}"

    deep = b"[" * 10**6 + b"]" * 10**6
    for name in ("config.json", "results.json"):
        place = run / name
        content = json.loads(place.read_text())
        odd = [deep, b'{"elbax": "0.1.0", "schema": 1}', b"null", b"[]", b"\xff\xfe", b""]
        odd += [json.dumps(content).replace("1", "NaN", 1).encode()]
        odd += [b'{"a":' * 10**5 + b"1" + b"}" * 10**5, b"9" * 10**5, b'"\\ud800"']
        for bad in odd:
            yield "made up", place, holding(bad)
    place = run / "metrics.jsonl"
    for bad in (
        deep,
        b'{"step": 1e400}\n',
        b'{"step": "x"}\n',
        b'{"step": 1}\n[]\n',
        b"\x00" * 100,
    ):
        yield "made up", place, holding(bad)
    for name in ("model.safetensors", "best.safetensors"):
        for bad in _safetensors(run / name):
            yield "made up", run / name, holding(bad)
        yield "made up", run / name, _link("/etc/passwd")
        yield "made up", run / name, _link("/dev/null")


def _link(target: str) -> Callable[[Path], str]:
    def change(path: Path) -> str:
        path.unlink()
        path.symlink_to(target)
        return f"a link to {target}"

    return change


def _safetensors(path: Path) -> Iterator[bytes]:
    content = path.read_bytes()
    (length,) = struct.unpack("<Q", content[:8])
    header, body = json.loads(content[8 : 8 + length]), content[8 + length :]
    name = next(key for key in header if key != "__metadata__")

    def packed(changed: Any, size: int | None = None) -> bytes:
        text = json.dumps(changed).encode()
        return struct.pack("<Q", len(text) if size is None else size) + text + body

    for size in (0, 2**63 - 1, 2**64 - 1, 10**9, length + 1, length - 1):
        yield packed(header, size)
    for offsets in ([0, 10**15], [-4, 4], [4, 0], [0, 0], [2**63, 2**64], ["a", "b"]):
        yield packed({**header, name: {**header[name], "data_offsets": offsets}})
    for shape in ([10**12], [-1, -1], [0], [2**62, 4], [], [1.5]):
        yield packed({**header, name: {**header[name], "shape": shape}})
    yield packed({**header, name: {**header[name], "dtype": "F64"}})
    yield packed({**header, name: {**header[name], "dtype": "OBJECT"}})
    yield packed({key: header[key] for key in header if key != "__metadata__"})
    said = header["__metadata__"]
    odd = [
        "{}",
        "null",
        "[" * 10**5,
        '{"module": "os.system", "fields": {}}',
        '{"part": "x"}',
        '{"tuple": 3}',
    ]
    for architecture in odd:
        yield packed({**header, "__metadata__": {**said, "architecture": architecture}})
    for field, value in (("version", "99"), ("version", "x"), ("format", "pt"), ("metadata", "[]")):
        yield packed({**header, "__metadata__": {**said, field: value}})
    yield b"\x80\x04\x95" + content  # a pickle
    yield b"PK\x03\x04" + content


# --- in the worker -----------------------------------------------------------------------------


def opened(path: str) -> dict[str, list[str]]:
    """All that a run says: of each part "said" and its digest, "named" and a line, or "raised"."""
    from elbax.run.run import Run

    run = Run(Path(path))
    parts: dict[str, Callable[[], Any]] = {
        "config": lambda: (run.config, repr(run.options)),
        "results": lambda: _there(run.results),
        "history": lambda: _plain(run.history),
        "model": lambda: _of_model(run.path / "model.safetensors"),
        "best": lambda: _of_model(run.path / "best.safetensors"),
        "checkpoint": lambda: _restored(run),
    }
    return {name: _said(part) for name, part in parts.items()}


class Told(ValueError):
    """What a command says of damage without raising it."""


def _said(part: Callable[[], Any]) -> list[str]:
    from elbax.cli.main import _is_expected, _is_users
    from elbax.util.words import one_line

    try:
        text = json.dumps(part(), sort_keys=True, default=str)
    except Exception as error:  # noqa: BLE001 - whatever it is, it is the answer
        line = one_line(error)
        ours = isinstance(error, Told) or _is_users(error) or _is_expected(error)
        return ["named" if ours and "\n" not in line else "raised", type(error).__name__, line]
    return ["said", hashlib.sha256(text.encode()).hexdigest()]


def _there(value: Any) -> Any:
    if value is None:
        raise Told("the run counts as one that was not measured")
    return value


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(one) for key, one in value.items()}
    return value.tolist() if isinstance(value, np.ndarray) else value


def _of_model(path: Path) -> Any:
    import jax

    from elbax.model.serialise import load_model, read_metadata

    leaves = [np.asarray(leaf).tolist() for leaf in jax.tree.leaves(load_model(path))]
    return leaves, read_metadata(path)


def _restored(run: Any) -> Any:
    from elbax.train.checkpoint import Checkpoints
    from elbax.train.state import to_arrays

    with Checkpoints(run.path / "checkpoints") as checkpoints:
        found = checkpoints.restore(_state())
    if found.state is None:
        raise Told(f"no whole checkpoint: {found.warnings}")
    return {name: leaf.tolist() for name, leaf in to_arrays(found.state).items()}, found.warnings


_STATES: list[Any] = []


def _state() -> Any:
    """A state of the structure of the runs that `made` makes."""
    if not _STATES:
        import elbax
        from elbax.recipes.options import Options, replace
        from elbax.run import settle, training

        del elbax
        changes = {"hidden": (4,), "latent_dim": 2, "batch_size": 50, "iterations": 20}
        plan = settle.settle("digits", replace(Options(), {**changes, "validate_every": 10}))
        _STATES.append(training.build(plan).state)
    return _STATES[0]
