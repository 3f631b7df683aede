"""Kills and disks: a run that is killed, or whose disk fails, ends as one that nobody disturbed.

Signals come at random moments, SIGKILL also before and after a call of `os.replace` or `os.fsync`,
by which files get their names; and such a call may fail as on a full, read-only or broken disk.
"""

import errno
import hashlib
import json
import random
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.campaign.nurse import Nursery
from tests.campaign.trials import FAILED, NAMED, SAME, Trial

SMALL = ["--hidden", "4", "--latent-dim", "2", "--batch-size", "20", "--no-report"]
OFTEN = ["--validate-every", "10", "--checkpoint-seconds", "0", "--seed", "3"]
RUNS = {
    "image": ["train", "digits", *SMALL, *OFTEN, "--iterations", "60"],
    "table": ["train", "table.csv", *SMALL, *OFTEN, "--iterations", "40", "--patience", "2"],
}
USES = {
    "evaluate": ["evaluate", "RUN", "--samples", "30", "--json"],
    "impute": ["impute", "RUN", "--data", "table.csv", "--out", "filled.csv", "--draws", "20"],
    "sample": ["sample", "RUN", "--count", "20", "--out", "drawn.csv"],
}
_DISK = [errno.ENOSPC, errno.EROFS, errno.EIO, errno.EACCES, errno.EDQUOT]


def kills(chance: random.Random, folder: Path) -> Iterator[Trial]:
    """Trials without end: two thirds are signals, the others SIGKILL at a call of the disk's."""
    yield from _trials(chance, folder, _kill)


def disks(chance: random.Random, folder: Path) -> Iterator[Trial]:
    """Trials without end: calls that fail, folders that go or move while a run writes there."""
    yield from _trials(chance, folder, _disk)


def _trials(chance: random.Random, folder: Path, fault: Any) -> Iterator[Trial]:
    with Nursery(folder) as nursery:
        _table(folder / "table.csv")
        whole = {name: _undisturbed(nursery, words) for name, words in RUNS.items()}
        uses = {}
        for name, words in USES.items():
            uses[name] = _use(nursery, words)
            assert uses[name]["status"] == 0, uses[name]
        while True:
            if chance.random() < 0.25:
                yield _of_use(nursery, chance.choice(list(USES)), uses, fault(chance, 1.2))
            else:
                name = chance.choice(list(RUNS))
                yield from _of_run(nursery, chance, name, whole[name], fault)


def _kill(chance: random.Random, seconds: float) -> dict[str, Any]:
    if chance.random() < 0.35:
        call = {"call": chance.choice(["replace", "fsync", "rename", "unlink"])}
        return {
            **call,
            "nth": chance.choice([1, 1, 2, 3, 5, 8, 13]),
            "after": chance.random() < 0.5,
        }
    at, number = chance.uniform(0, seconds), chance.choice([9, 9, 9, 15, 2])
    signals = [[number, at]]
    if number == 2 and chance.random() < 0.5:
        signals.append([2, at + chance.choice([0.0, 0.01, 0.2])])
    return {"signals": signals}


def _disk(chance: random.Random, seconds: float) -> dict[str, Any]:
    if chance.random() < 0.7:
        call = {"call": chance.choice(["replace", "fsync", "rename", "mkdir", "open", "unlink"])}
        return {**call, "nth": chance.choice([1, 1, 2, 3, 5, 8, 13]), "errno": chance.choice(_DISK)}
    return {chance.choice(["remove", "rename"]): "run", "at": chance.uniform(0, seconds)}


def _of_run(
    nursery: Nursery, chance: random.Random, name: str, whole: dict[str, str], fault: Any
) -> Iterator[Trial]:
    """One to three faults in one run, each a trial, then to its end without any."""
    run, words = nursery.folder / "run", [*RUNS[name], "--out", "run"]
    for path in (run, nursery.folder / "run-moved"):
        shutil.rmtree(path, ignore_errors=True)
    faults = [fault(chance, 3.0) for _ in range(chance.choice([1, 1, 2, 3]))]
    for i, one in enumerate(faults):
        found = nursery.run(_next(run, words), one)
        trial = _judged(name, one, found)
        if i == len(faults) - 1 and trial.verdict != FAILED:
            trial = _ended(nursery, run, words, trial, whole)
        yield trial
        if trial.verdict == FAILED:
            return


def _next(run: Path, words: list[str]) -> list[str]:
    return ["resume", "run"] if (run / "config.json").exists() else words


def _judged(name: str, fault: dict[str, Any], found: dict[str, Any]) -> Trial:
    """What the disturbed process itself said: nothing, or one line."""
    kind = _kind(fault)
    said = [line for line in found["err"].splitlines() if line.startswith("elbax: ")]
    quiet = found["status"] in (0, -signal.SIGKILL, -signal.SIGTERM, -signal.SIGINT)
    right = (quiet or (len(said) == 1 and found["status"] in (1, 2, 130, 143))) and (
        "Traceback" not in found["err"]
    )
    # A name that is not a class of ours is no line for a user.
    right = right and not any("ELBAX_DEBUG" in line for line in said)
    detail = f"{json.dumps(fault)}: status {found['status']}, {found['err'][-600:]!r}"
    verdict = FAILED if not right else NAMED if said else SAME
    return Trial(kind, name, verdict, detail)


def _kind(fault: dict[str, Any]) -> str:
    if "signals" in fault:
        names = [signal.Signals(number).name for number, _ in fault["signals"]]
        return f"{names[0]} twice" if len(names) > 1 else names[0]
    if "errno" in fault:
        return f"{errno.errorcode[fault['errno']]} of {fault['call']}"
    if "call" in fault:
        return f"SIGKILL {'after' if fault['after'] else 'before'} {fault['call']}"
    return f"the folder {'removed' if 'remove' in fault else 'moved'}"


def _ended(
    nursery: Nursery, run: Path, words: list[str], trial: Trial, whole: dict[str, str]
) -> Trial:
    moved = run.with_name("run-moved")
    if moved.exists() and not run.exists():
        moved.rename(run)
    shutil.rmtree(moved, ignore_errors=True)
    if run.exists() and not (run / "config.json").exists():
        shutil.rmtree(run)  # as its owner would: it is no run
    found = nursery.run(_next(run, words))
    if found["status"] != 0:
        detail = f"{trial.detail}; then status {found['status']}: {found['err'][-400:]!r}"
        return Trial(trial.kind, trial.where, FAILED, detail)
    differing = [name for name, digest in _digests(run).items() if digest != whole.get(name)]
    left = [path.name for path in run.iterdir() if path.name.startswith(".")]
    if differing or left:
        detail = f"{trial.detail}; other bits in {differing}, left over {left}"
        return Trial(trial.kind, trial.where, FAILED, detail)
    return trial


def _undisturbed(nursery: Nursery, words: list[str]) -> dict[str, str]:
    name = "table-run" if "table.csv" in words else "image-run"
    found = nursery.run([*words, "--out", name])
    assert found["status"] == 0, found
    return _digests(nursery.folder / name)


def _digests(run: Path) -> dict[str, str]:
    """Of the models' arrays, the log, and the results without their times."""
    from safetensors.numpy import load_file

    results = json.loads((run / "results.json").read_text())
    for name in ("seconds", "compile_seconds", "ms_per_step", "sha256"):
        results.pop(name)
    found = {"results.json": json.dumps(results).encode()}
    found["metrics.jsonl"] = (run / "metrics.jsonl").read_bytes()
    for name in ("model.safetensors", "best.safetensors"):
        arrays = sorted(load_file(run / name).items())
        found[name] = b"".join(key.encode() + array.tobytes() for key, array in arrays)
    return {name: hashlib.sha256(content).hexdigest() for name, content in found.items()}


def _of_use(
    nursery: Nursery, name: str, whole: dict[str, dict[str, Any]], fault: dict[str, Any]
) -> Trial:
    """A command that writes a file: disturbed, and then again."""
    if "remove" in fault or "rename" in fault:
        fault = {"call": "replace", "nth": 1, "errno": errno.ENOSPC}
    found = _use(nursery, USES[name], fault)
    trial = _judged(name, fault, found)
    half = {k: v for k, v in found["files"].items() if v != whole[name]["files"].get(k)}
    if trial.verdict != FAILED and half:
        return Trial(trial.kind, name, FAILED, f"{trial.detail}; half-written {sorted(half)}")
    again = _use(nursery, USES[name])
    if again["files"] != whole[name]["files"] or again["status"] != 0:
        return Trial(trial.kind, name, FAILED, f"{trial.detail}; another result afterwards")
    return trial


def _use(nursery: Nursery, words: list[str], fault: dict[str, Any] | None = None) -> dict[str, Any]:
    outputs = ["filled.csv", "filled.csv.intervals.csv", "drawn.csv"]
    for name in outputs:
        (nursery.folder / name).unlink(missing_ok=True)
    run = "table-run"
    found = nursery.run([run if word == "RUN" else word for word in words], fault)
    there = [path for name in outputs if (path := nursery.folder / name).exists()]
    return {**found, "files": {path.name: path.read_text() for path in there}}


def _table(path: Path) -> None:
    own = random.Random(5)
    rows = ["size,kind,n"]
    for i in range(80):
        size = "" if i % 7 == 0 else f"{own.gauss(3, 1):.3f}"
        rows.append(f"{size},{own.choice(['ash', 'elm', 'oak'])},{own.randint(0, 9)}")
    path.write_text("\n".join(rows) + "\n")
