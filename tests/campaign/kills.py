"""Kills: a run that is killed ends as one that nobody disturbed, and a use leaves nothing half.

Signals come at random moments, SIGKILL also just before and after calls of `os.replace`, `os.fsync`
and others by which files get their names.
"""

import random
import signal
from collections.abc import Iterator, Sequence
from pathlib import Path

from tests.campaign.nurse import Nursery
from tests.campaign.runs import (
    RUNS,
    USES,
    Fault,
    Undisturbed,
    ended,
    fresh,
    judged,
    next_words,
    of_use,
)
from tests.campaign.trials import FAILED, Trial

_CALLS = ["replace", "fsync", "rename", "unlink", "mkdir"]


def trials(chance: random.Random, folder: Path) -> Iterator[Trial]:
    """Trials without end: a third are uses of a run, the others runs and sweeps."""
    with Nursery(folder) as nursery:
        whole = Undisturbed(nursery)
        while True:
            if chance.random() < 0.3:
                fault = _kill(chance, 1.2, [1, 1, 1, 2, 3])
                yield of_use(nursery, _kind(fault), chance.choice(list(USES)), whole.uses, fault)
            else:
                name = chance.choice(list(RUNS))
                yield from _of_run(nursery, chance, name, whole.runs[name])


def _kill(chance: random.Random, seconds: float, calls: Sequence[int]) -> Fault:
    if chance.random() < 0.4:
        call, after = chance.choice(_CALLS), chance.random() < 0.5
        return {"call": call, "nth": chance.choice(calls), "after": after}
    at, number = chance.uniform(0, seconds), chance.choice([9, 9, 9, 15, 2])
    signals = [[number, at]]
    if number == 2 and chance.random() < 0.5:
        signals.append([2, at + chance.choice([0.0, 0.01, 0.2])])
    return {"signals": signals}


def _kind(fault: Fault) -> str:
    if "call" in fault:
        return f"SIGKILL {'after' if fault['after'] else 'before'} {fault['call']}"
    names = [signal.Signals(number).name for number, _ in fault["signals"]]
    return f"{names[0]} twice" if len(names) > 1 else names[0]


def _of_run(
    nursery: Nursery, chance: random.Random, name: str, whole: dict[str, str]
) -> Iterator[Trial]:
    """One to three kills of one run, each a trial, then to its end without any."""
    run, count = fresh(nursery), chance.choice([1, 1, 2, 3])
    for i in range(count):
        fault, words = _kill(chance, 3.0, [1, 1, 2, 3, 5, 8, 13]), next_words(nursery, run, name)
        where = words[0] if words[0] == "resume" else name
        trial = judged(_kind(fault), where, fault, nursery.run(words, fault))
        if i == count - 1 and trial.verdict != FAILED:
            trial = ended(nursery, run, name, trial, whole)
        yield trial
        if trial.verdict == FAILED:
            return
