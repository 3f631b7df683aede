"""Damage: every file of a run, with bits flipped, cut off, swapped, or made up by a stranger.

A trial damages one file and opens all that the run says. What is told must be what it was, or a
line must name the damage. A damaged cache must make no difference to a command that reads it, and
what a link leads to outside of the run must stay as it is.
"""

import hashlib
import json
import os
import random
import re
import shutil
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from tests.campaign.nurse import Nursery
from tests.campaign.runs import timeless
from tests.campaign.trials import FAILED, NAMED, SAME, Trial
from tests.campaign.worker import Worker

SMALL = ["--hidden", "4", "--latent-dim", "2", "--batch-size", "50", "--iterations", "20"]


Change = Callable[[Path], str]
Damage = tuple[str, Path, Change]


def trials(chance: random.Random, folder: Path) -> Iterator[Trial]:
    """Trials without end: what a stranger may have made up, among what chance does."""
    with Worker() as worker, Nursery(folder, _cached_at(folder)) as nursery:
        run = made(worker, folder)
        whole = worker.call("damage:opened", str(run))
        assert "died" not in whole, whole
        assert all(value[0] == "said" for value in whole.values()), whole
        crafted, at_random = list(_crafted(run)), _random(chance, run)
        chance.shuffle(crafted)
        caches = _of_caches(nursery, chance, run)
        while True:
            which = chance.random()
            if which < 0.06:
                yield next(caches)
            else:
                damage = crafted.pop() if crafted and which < 0.5 else next(at_random)
                yield _trial(worker, run, whole, *damage)


def made(worker: Worker, folder: Path) -> Path:
    """A small run, with a checkpoint, a best model and results."""
    words = ["train", "digits", *SMALL, "--validate-every", "10", "--no-report", "--out", "run"]
    words += ["--checkpoint-seconds", "0"]  # that of step 10 is there too
    found = worker.call("worker:command", words, str(folder), seconds=300)
    assert found.get("status") == 0, found
    return folder / "run"


def _trial(
    worker: Worker, run: Path, whole: dict[str, Any], kind: str, place: Path, change: Change
) -> Trial:
    kept, outside = run.with_name("kept"), run.with_name("outside")
    for path in (kept, outside):
        shutil.rmtree(path, ignore_errors=True)
    shutil.copytree(run, kept)
    shutil.copytree(run, outside)
    before = _content(outside)
    where = place.relative_to(run).parts[0]
    try:
        how = f"{place.relative_to(run)}: {change(place)}"
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
    if _content(outside) != before:
        return Trial(kind, where, FAILED, f"{how}: what a link leads to was changed")
    return Trial(kind, where, NAMED if differing else SAME, how)


def _content(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


# --- caches ------------------------------------------------------------------------------------

_READS_CACHES = [
    *("evaluate", "run", "--estimator", "elbo", "--estimator", "samples"),
    *("--features", "classifier", "--samples", "10", "--limit", "60", "--json"),
]


def _cached_at(folder: Path) -> dict[str, str]:
    return {"XDG_CACHE_HOME": str(folder / "cache")}


def _of_caches(nursery: Nursery, chance: random.Random, run: Path) -> Iterator[Trial]:
    """Compiled programs and trained features: damaged they are made anew, with the same result."""
    cache = run.with_name("cache") / "elbax"
    whole = nursery.run(_READS_CACHES)
    assert whole["status"] == 0, whole
    kinds = _kinds([])
    while True:
        files = sorted(path for path in cache.rglob("*") if path.suffix != ".lock")
        files = [path for path in files if path.is_file()]
        features = [path for path in files if path.suffix == ".safetensors"]
        kind, alone = chance.choice(list(kinds)), chance.random() < 0.5
        # Which of the programs a command reads is not known beforehand: all are damaged.
        damaged = features if alone else [path for path in files if path not in features]
        for path in damaged:
            kinds[kind](path, chance)
        found = nursery.run(_READS_CACHES)
        where = "the cache of features" if alone else "the cache of programs"
        detail = f"status {found['status']}, {found['out'][-300:]!r}, {found['err'][-300:]!r}"
        right = found["status"] == 0 and timeless(found["out"]) == timeless(whole["out"])
        yield Trial(kind, where, SAME if right else FAILED, detail)


# --- what is done to a file --------------------------------------------------------------------


def _kinds(files: list[Path]) -> dict[str, Callable[[Path, random.Random], str]]:
    kinds = {
        "bit flipped": _flip,
        "cut off": _cut,
        "two parts swapped": _swap,
        "a part zeroed": _zero,
        "removed": _remove,
        "a digit changed": _digit,
    }
    return {**kinds, "replaced by another of its files": _replace(files)} if files else kinds


def _random(chance: random.Random, run: Path) -> Iterator[Damage]:
    files = sorted(path for path in run.rglob("*") if path.is_file())
    kinds = _kinds(files)
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


def _crafted(run: Path) -> Iterator[Damage]:
    """What a stranger may have put there on purpose."""
    for name in ("config.json", "results.json", "metrics.jsonl"):
        for kind, content in _json((run / name).read_bytes()):
            yield kind, run / name, _holding(content)
    for bad in (b'{"step": 1e400}\n', b'{"step": "x"}\n', b'{"step": 1}\n[]\n', b'{"step": -1}\n'):
        yield "a log of no steps", run / "metrics.jsonl", _holding(bad)
    for name in ("model.safetensors", "best.safetensors"):
        for kind, content in _safetensors(run / name):
            yield kind, run / name, _holding(content)
    places = [path for path in run.iterdir() if path.is_file()]
    digests = run / "checkpoints" / "20" / "sha256.json"
    for place in (*places, digests):
        yield "a link out of the folder", place, _link("/etc/passwd")
        yield "a link out of the folder", place, _link(f"../outside/{place.name}")
        yield "a link to a device", place, _link("/dev/null")
        yield "a link to a device", place, _link("/dev/zero")
        yield "a link to nothing", place, _link("nothing")
        yield "a link to itself", place, _link(place.name)
        yield "a pipe for a file", place, _pipe
        yield "a folder for a file", place, _folder
    checkpoints = run / "checkpoints"
    for target in ("../outside/checkpoints", "../outside", "/etc", "nothing", "checkpoints"):
        yield "a link out of the folder", checkpoints, _link(target)
    yield "a link out of the folder", checkpoints / "20", _link("../../outside/checkpoints/20")
    yield "a file for a folder", checkpoints, _holding(b"")
    for kind, content in _json(digests.read_bytes()):
        yield kind, digests, _holding(content)
    for name in ("../../../outside/config.json", "/etc/passwd", "/dev/zero", "\x00", "a" * 5000):
        content = json.dumps({name: "0" * 64}).encode()
        yield "a sum of a file elsewhere", digests, _holding(content)


def _holding(content: bytes) -> Change:
    def change(path: Path) -> str:
        if path.is_dir():
            shutil.rmtree(path)
        return f"{path.write_bytes(content)} bytes, {content[:40]!r}"

    return change


def _link(target: str) -> Change:
    def change(path: Path) -> str:
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()
        path.symlink_to(target)
        return f"a link to {target}"

    return change


def _pipe(path: Path) -> str:
    path.unlink()
    os.mkfifo(path)
    return "a pipe"


def _folder(path: Path) -> str:
    path.unlink()
    path.mkdir()
    return "a folder"


def _json(content: bytes) -> Iterator[tuple[str, bytes]]:
    yield "JSON a million deep", b"[" * 10**6 + b"]" * 10**6
    yield "JSON a million deep", b'{"a":' * 10**6 + b"1" + b"}" * 10**6
    for number in (b"NaN", b"Infinity", b"-Infinity", b"1e400", b"9" * 10**5, b"-0.0", b"1" * 400):
        yield "NaN and other numbers in JSON", re.sub(rb": \d", b": " + number, content, count=1)
    for other in (b'{"elbax": "0.1.0", "schema": 1}', b"null", b"[]", b"3", b'"\\ud800"', b"{}"):
        yield "JSON of another kind", other
    for other in (b"", b"\xff\xfe", b"\x00" * 100, b"\xef\xbb\xbf" + content, content * 2):
        yield "no JSON", other


def _safetensors(path: Path) -> Iterator[tuple[str, bytes]]:
    content = path.read_bytes()
    (length,) = struct.unpack("<Q", content[:8])
    header, body = json.loads(content[8 : 8 + length]), content[8 + length :]
    first, second = [key for key in header if key != "__metadata__"][:2]

    def packed(changed: Any, size: int | None = None) -> bytes:
        text = json.dumps(changed).encode()
        return struct.pack("<Q", len(text) if size is None else size) + text + body

    def with_entry(**changes: Any) -> bytes:
        return packed({**header, first: {**header[first], **changes}})

    for size in (0, 1, 2**63 - 1, 2**64 - 1, 10**9, length + 1, length - 1, length + len(body)):
        yield "safetensors, a header of another length", packed(header, size)
    for offsets in ([0, 10**15], [2**63, 2**64], [10**400, 10**401], [0, 2**64 - 1]):
        yield "safetensors, huge offsets", with_entry(data_offsets=offsets)
    for offsets in ([-4, 4], [-(2**63), 0], [4, 0], [8, 4]):
        yield "safetensors, negative offsets", with_entry(data_offsets=offsets)
    for offsets in (header[second]["data_offsets"], [0, 0], [0, len(body)], [1, 5], ["a", "b"]):
        yield "safetensors, overlapping offsets", with_entry(data_offsets=offsets)
    for shape in ([10**12], [-1, -1], [0], [2**62, 4], [], [1.5], [2**32, 2**32], "x", None):
        yield "safetensors, another shape", with_entry(shape=shape)
    for kind in ("F64", "OBJECT", "", "I8", None):
        yield "safetensors, another type", with_entry(dtype=kind)
    yield (
        "safetensors, a header without ours",
        packed({key: header[key] for key in header if key != "__metadata__"}),
    )
    yield "safetensors, a header without ours", packed({"__metadata__": header["__metadata__"]})
    deep = b"[" * 10**6
    yield "safetensors, a header a million deep", struct.pack("<Q", len(deep)) + deep + body
    said = header["__metadata__"]
    for architecture in (
        *("{}", "null", "[" * 10**5, '{"part": "x"}', '{"tuple": 3}', '{"array": ["O", [1]]}'),
        *('{"module": "os.system", "fields": {}}', '{"module": "Path", "fields": {"a": "x"}}'),
        *('{"module": "LatentVariableModel", "fields": {}}', '{"list": [' * 1000),
    ):
        changed = {**header, "__metadata__": {**said, "architecture": architecture}}
        yield "safetensors, another architecture", packed(changed)
    for field, value in (("version", "99"), ("version", "x"), ("format", "pt"), ("metadata", "[]")):
        yield (
            "safetensors, another format",
            packed({**header, "__metadata__": {**said, field: value}}),
        )
    yield "a pickle", b"\x80\x04\x95" + content
    yield "a pickle", b"cposix\nsystem\n(S'touch ran'\ntR."
    yield "an archive", b"PK\x03\x04" + content


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
    from elbax.run.folder import locked
    from elbax.train.checkpoint import Checkpoints
    from elbax.train.state import to_arrays

    with locked(run.path), Checkpoints(run.path / "checkpoints") as checkpoints:
        found = checkpoints.restore(_state())
    if found.state is None or found.warnings:  # the one before, where there is one, is another
        raise Told(f"not the last checkpoint: {found.warnings}")
    return {name: leaf.tolist() for name, leaf in to_arrays(found.state).items()}


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
