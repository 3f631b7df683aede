"""Runs and uses of runs that are disturbed, and what an undisturbed one leaves."""

import hashlib
import json
import random
import re
import shutil
import signal
from pathlib import Path
from typing import Any

from tests.campaign.nurse import Nursery
from tests.campaign.trials import FAILED, NAMED, SAME, Trial

Fault = dict[str, Any]
Found = dict[str, Any]

SMALL = ["--hidden", "4", "--latent-dim", "2", "--batch-size", "20", "--no-report"]
OFTEN = ["--validate-every", "10", "--checkpoint-seconds", "0", "--seed", "3"]
RUNS = {
    "train digits": ["train", "digits", *SMALL, *OFTEN, "--iterations", "60"],
    "train table.csv": [
        "train",
        "table.csv",
        *SMALL,
        *OFTEN,
        "--iterations",
        "40",
        "--patience",
        "2",
    ],
    "sweep": ["sweep", "digits", *SMALL, *OFTEN, "--iterations", "20", "--objective.beta", "0.5,1"],
}
OF_TABLE = "table-run"  # the undisturbed run that the uses are of
USES = {
    "evaluate": ["evaluate", OF_TABLE, "--samples", "30", "--json"],
    "impute": ["impute", OF_TABLE, "--data", "table.csv", "--out", "filled.csv", "--draws", "20"],
    "score": ["score", OF_TABLE, "--data", "table.csv", "--out", "scores.csv", "--samples", "20"],
    "plot": ["plot", OF_TABLE, "train_process", "--out", "pictures"],
    "sample": ["sample", OF_TABLE, "--count", "20", "--out", "drawn.csv"],
}
_OUTPUTS = ["filled.csv", "filled.csv.intervals.csv", "scores.csv", "drawn.csv"]
_OUTPUTS += ["pictures/train_process.png"]
_QUIET = (0, -signal.SIGKILL, -signal.SIGTERM, -signal.SIGINT)


class Undisturbed:
    """What the runs and the uses come to where nothing happens to them."""

    def __init__(self, nursery: Nursery) -> None:
        table(nursery.folder / "table.csv")
        self.runs: dict[str, dict[str, str]] = {}
        for name, words in RUNS.items():
            place = OF_TABLE if "table.csv" in words else f"{name.replace(' ', '-')}-run"
            found = nursery.run([*words, "--out", place])
            assert found["status"] == 0, found
            self.runs[name] = digests(nursery.folder / place)
        self.uses = {name: used(nursery, words) for name, words in USES.items()}
        assert all(use["status"] == 0 for use in self.uses.values()), self.uses


def begun(run: Path) -> bool:
    """Whether a folder has come so far that it can be resumed."""
    return any((run / name).exists() for name in ("config.json", "sweep.json"))


def next_words(nursery: Nursery, run: Path, name: str) -> list[str]:
    """The command that goes on with a run, wherever it was stopped."""
    place = str(run.relative_to(nursery.folder))
    return ["resume", place] if begun(run) else [*RUNS[name], "--out", place]


def judged(kind: str, name: str, fault: Fault, found: Found) -> Trial:
    """What the disturbed process itself said: nothing, or one line."""
    said = [line for line in found["err"].splitlines() if line.startswith("elbax: ")]
    quiet = found["status"] in _QUIET
    right = quiet or (len(said) == 1 and found["status"] in (1, 2, 130, 143))
    right = right and "Traceback" not in found["err"]
    # A name that is not a class of ours is no line for a user.
    right = right and not any("ELBAX_DEBUG" in line for line in said)
    detail = f"{json.dumps(fault)}: status {found['status']}, {found['err'][-600:]!r}"
    verdict = FAILED if not right else NAMED if said else SAME
    return Trial(kind, name, verdict, detail)


def ended(nursery: Nursery, run: Path, name: str, trial: Trial, whole: dict[str, str]) -> Trial:
    """The trial, where the command that goes on brings the run to the undisturbed end."""
    found = nursery.run(next_words(nursery, run, name))
    if found["status"] != 0:
        detail = f"{trial.detail}; then status {found['status']}: {found['err'][-400:]!r}"
        return Trial(trial.kind, trial.where, FAILED, detail)
    here = digests(run)
    differing = [part for part in {*here, *whole} if here.get(part) != whole.get(part)]
    left = [path.name for path in run.rglob("*") if path.name.startswith(".")]
    if differing or left:
        detail = f"{trial.detail}; other bits in {sorted(differing)}, left over {left}"
        return Trial(trial.kind, trial.where, FAILED, detail)
    return trial


def digests(run: Path) -> dict[str, str]:
    """Of each run in a folder: the models' arrays, the log, and the results without their times."""
    from safetensors.numpy import load_file

    found: dict[str, bytes] = {}
    for config in sorted(run.rglob("config.json")):
        place, name = config.parent, str(config.parent.relative_to(run))
        results = json.loads((place / "results.json").read_text())
        for part in ("seconds", "compile_seconds", "ms_per_step", "sha256"):
            results.pop(part)
        found[f"{name}/results.json"] = json.dumps(results).encode()
        found[f"{name}/metrics.jsonl"] = (place / "metrics.jsonl").read_bytes()
        for model in ("model.safetensors", "best.safetensors"):
            arrays = sorted(load_file(place / model).items())
            content = b"".join(key.encode() + array.tobytes() for key, array in arrays)
            found[f"{name}/{model}"] = content
    return {name: hashlib.sha256(content).hexdigest() for name, content in found.items()}


def of_use(nursery: Nursery, kind: str, name: str, whole: dict[str, Found], fault: Fault) -> Trial:
    """A command that prints or writes a file: disturbed, and then again."""
    found = used(nursery, USES[name], fault)
    trial = judged(kind, name, fault, found)
    half = {k: v for k, v in found["files"].items() if v != whole[name]["files"].get(k)}
    if trial.verdict != FAILED and half:
        return Trial(kind, name, FAILED, f"{trial.detail}; half-written {sorted(half)}")
    again = used(nursery, USES[name])
    same = again["files"] == whole[name]["files"] and again["out"] == whole[name]["out"]
    left = [path.name for path in nursery.folder.rglob(".elbax-*")]
    if again["status"] != 0 or not same or left:
        detail = f"{trial.detail}; afterwards {again['status']}, {again['err'][-200:]}, {left}"
        return Trial(kind, name, FAILED, detail)
    return trial


def used(nursery: Nursery, words: list[str], fault: Fault | None = None) -> Found:
    """What a use says, and the files that it leaves."""
    for name in _OUTPUTS:
        (nursery.folder / name).unlink(missing_ok=True)
    found = nursery.run(words, fault)
    there = [path for name in _OUTPUTS if (path := nursery.folder / name).exists()]
    files = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in there}
    return {**found, "out": timeless(found["out"]), "files": files}


def timeless(printed: str) -> str:
    """What a command printed but for the time that it took."""
    return re.sub(r'"seconds": [\d.]+', '"seconds": 0', printed)


def fresh(nursery: Nursery, *names: str) -> Path:
    """The folder of the next run, which is not there; nor are these."""
    for name in ("run", *names):
        shutil.rmtree(nursery.folder / name, ignore_errors=True)
    return nursery.folder / "run"


def table(path: Path) -> None:
    """Writes a small table with missing cells, always the same."""
    own = random.Random(5)
    rows = ["size,kind,n"]
    for i in range(80):
        size = "" if i % 7 == 0 else f"{own.gauss(3, 1):.3f}"
        rows.append(f"{size},{own.choice(['ash', 'elm', 'oak'])},{own.randint(0, 9)}")
    path.write_text("\n".join(rows) + "\n")
