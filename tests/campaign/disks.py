"""Disk: a run whose disk fails, goes, fills up or moves ends in one line, and then where it should.

What root may do is done really: a small tmpfs fills up or becomes read-only under the run. Without
root a limit on the size of files stands for the full one, and the record says so.
"""

import contextlib
import errno
import random
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

from tests.campaign.nurse import Nursery
from tests.campaign.runs import (
    RUNS,
    USES,
    Fault,
    Undisturbed,
    begun,
    ended,
    fresh,
    judged,
    next_words,
    of_use,
)
from tests.campaign.trials import FAILED, NAMED, NOT_TRIED, SAME, Trial

_ERRORS = [errno.ENOSPC, errno.EROFS, errno.EIO, errno.EACCES, errno.EDQUOT]
_CALLS = ["replace", "fsync", "rename", "mkdir", "open", "unlink"]


def trials(chance: random.Random, folder: Path) -> Iterator[Trial]:
    """Trials without end: each kind in turn, of a run or a use that chance chooses."""
    kinds: list[_Kind] = [
        *(_failing, _full, _read_only, _no_permission, _removed, _moved, _copied),
        *(_slow, _two, _set_back),
    ]
    with Nursery(folder) as nursery:
        whole = Undisturbed(nursery)
        while True:
            chance.shuffle(kinds)
            for kind in kinds:
                name = chance.choice(list(RUNS))
                yield from kind(nursery, chance, name, whole)


_Kind = Callable[[Nursery, random.Random, str, Undisturbed], Iterator[Trial]]


def _failing(
    nursery: Nursery, chance: random.Random, name: str, whole: Undisturbed
) -> Iterator[Trial]:
    """Calls of the disk that fail, of a run and of a use."""
    for of_run in (True, True, False):
        fault: Fault = {
            "call": chance.choice(_CALLS),
            "nth": chance.choice([1, 1, 2, 3, 5, 8, 13]),
            "errno": chance.choice(_ERRORS),
        }
        kind = f"{errno.errorcode[fault['errno']]} of a call"
        if of_run:
            yield _disturbed(nursery, kind, fresh(nursery), name, fault, whole)
        else:
            yield of_use(nursery, kind, chance.choice(list(USES)), whole.uses, fault)


def _full(
    nursery: Nursery, chance: random.Random, name: str, whole: Undisturbed
) -> Iterator[Trial]:
    """No room at some point, and then there is."""
    with _mounted(nursery.folder / "disk", chance.randint(8, 400)) as disk:
        if disk is not None:
            more = _mount("-o", "remount,size=256m", str(disk))
            run = disk / "run"
            yield _disturbed(nursery, "a full disk (tmpfs)", run, name, {}, whole, more)
    fault = {"limit": int(10 ** chance.uniform(3.6, 5))}  # of what is printed too
    kind = "a full disk (a limit of files' sizes)"
    yield _disturbed(nursery, kind, fresh(nursery), name, fault, whole)
    yield of_use(nursery, kind, chance.choice(list(USES)), whole.uses, fault)


def _read_only(
    nursery: Nursery, chance: random.Random, name: str, whole: Undisturbed
) -> Iterator[Trial]:
    """A disk that becomes read-only at some point, as one with errors does."""
    with _mounted(nursery.folder / "disk", 256 * 1024) as disk:
        if disk is None:
            yield Trial("a read-only disk", name, NOT_TRIED, "nothing can be mounted here")
            return
        # As long as a file is open for writing it cannot: so a few tries.
        remount = ["mount", "-o", "remount,ro", str(disk)]
        at = chance.choice([0.0, chance.uniform(0.0, 2.5)])
        acts = [[at + 0.01 * i, remount] for i in range(20)]
        more = _mount("-o", "remount,rw", str(disk))
        run = disk / "run"
        yield _disturbed(nursery, "a read-only disk", run, name, {"acts": acts}, whole, more)


def _no_permission(
    nursery: Nursery, chance: random.Random, name: str, whole: Undisturbed
) -> Iterator[Trial]:
    """The run's folder may no longer be written, or read."""
    run, mode = fresh(nursery), chance.choice(["0", "500", "100", "300"])
    what, at = chance.choice(["run", "run", "run/checkpoints"]), chance.uniform(0.2, 2.5)
    fault = {"bound": True, "acts": [[at, ["chmod", mode, what]]]}

    def allow() -> None:
        for path in (run, run / "checkpoints"):
            if path.exists():
                path.chmod(0o700)

    yield _disturbed(nursery, "permission lost", run, name, fault, whole, allow)


def _removed(
    nursery: Nursery, chance: random.Random, name: str, whole: Undisturbed
) -> Iterator[Trial]:
    run, at = fresh(nursery), chance.uniform(0.2, 2.5)
    what = chance.choice(["run", "run", "run/checkpoints"])
    fault = {"acts": [[at, ["rm", "-rf", what]]]}
    yield _disturbed(nursery, "removed under the process", run, name, fault, whole)


def _moved(
    nursery: Nursery, chance: random.Random, name: str, whole: Undisturbed
) -> Iterator[Trial]:
    """What was moved is resumed where it is, and nothing is left where it was."""
    run, moved = fresh(nursery, "moved"), nursery.folder / "moved"
    fault = {"acts": [[chance.uniform(0.2, 2.5), ["mv", "run", "moved"]]]}
    found = nursery.run(next_words(nursery, run, name), fault)
    trial = judged("moved during a run", name, fault, found)
    if trial.verdict != FAILED and moved.exists():
        if run.exists():
            there = sorted(str(path.relative_to(run)) for path in run.rglob("*"))
            trial = Trial(trial.kind, name, FAILED, f"{trial.detail}; made anew: {there}")
        elif begun(moved):
            trial = ended(nursery, moved, name, trial, whole.runs[name])
    yield trial


def _copied(
    nursery: Nursery, chance: random.Random, name: str, whole: Undisturbed
) -> Iterator[Trial]:
    """The run does not notice, and the copy can be resumed as well."""
    run, copy = fresh(nursery, "copy"), nursery.folder / "copy"
    fault = {"acts": [[chance.uniform(0.2, 2.5), ["cp", "-r", "run", "copy"]]]}
    trial = _disturbed(nursery, "copied during a run", run, name, fault, whole)
    if trial.verdict != FAILED and begun(copy):
        trial = ended(nursery, copy, name, trial, whole.runs[name])
    yield trial


def _slow(
    nursery: Nursery, chance: random.Random, name: str, whole: Undisturbed
) -> Iterator[Trial]:
    fault = {"slow": chance.choice([0.005, 0.02, 0.05])}
    yield _disturbed(nursery, "a slow disk", fresh(nursery), name, fault, whole)


def _two(nursery: Nursery, chance: random.Random, name: str, whole: Undisturbed) -> Iterator[Trial]:
    """The second is refused in one line, or finds the run at its end, and harms nothing."""
    run, kind = fresh(nursery), "two processes in one folder"
    first = [*RUNS[name], "--out", "run"]
    second = chance.choice([first, ["resume", "run"], [*first, "--force"]])
    fault = {"second": second, "at": chance.choice([0.0, chance.uniform(0, 2.5)])}
    found = nursery.run(first, fault)
    trial = judged(kind, name, fault, found)
    if trial.verdict != FAILED and found["second"] is not None:
        other = judged(kind, name, fault, {"status": found["second"], "err": found["err2"]})
        # Which of two that start together is the one that trains is nobody's to say.
        if other.verdict == FAILED or found["status"] != 0 != found["second"]:
            detail = f"{trial.detail}; the second {found['second']}: {found['err2'][-400:]!r}"
            trial = Trial(kind, name, FAILED, detail)
        elif trial.verdict == SAME:
            trial = other
    yield trial if trial.verdict == FAILED else ended(nursery, run, name, trial, whole.runs[name])


def _set_back(
    nursery: Nursery, chance: random.Random, name: str, whole: Undisturbed
) -> Iterator[Trial]:
    """What Python takes for the time goes back by an hour or by years while a run is on.

    (libfaketime, which would set it back for all libraries, has XLA's threads wait without end.)
    """
    back, at = chance.choice([3600, 86400, 10**9]), chance.uniform(0, 2.5)
    fault: Fault = {"back": back, "at": at}
    kind = "the clock set back (in Python)"
    yield _disturbed(nursery, kind, fresh(nursery), name, fault, whole)


def _disturbed(
    nursery: Nursery,
    kind: str,
    run: Path,
    name: str,
    fault: Fault,
    whole: Undisturbed,
    mended: Callable[[], None] = lambda: None,
) -> Trial:
    """A run under a fault, and then to its end without it."""
    found = nursery.run(next_words(nursery, run, name), fault)
    mended()
    trial = judged(kind, name, fault, found)
    if trial.verdict == FAILED:
        return trial
    if trial.verdict == NAMED and not begun(run) and run.exists() and any(run.iterdir()):
        shutil.rmtree(run)  # as its owner would: the line says that it holds no run
    return ended(nursery, run, name, trial, whole.runs[name])


@contextlib.contextmanager
def _mounted(place: Path, kilobytes: int) -> Iterator[Path | None]:
    """A disk of its own in memory; None where there can be none."""
    place.mkdir(exist_ok=True)
    mount = ["mount", "-t", "tmpfs", "-o", f"size={kilobytes}k,mode=700", "tmpfs", str(place)]
    done = shutil.which("mount") and subprocess.run(mount, capture_output=True, check=False)
    if not done or done.returncode:
        yield None
        return
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)


def _mount(*words: str) -> Callable[[], None]:
    def mount() -> None:
        subprocess.run(["mount", *words], check=True)

    return mount
