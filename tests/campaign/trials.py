"""What a trial of the campaign found, and what a line of trials has come to."""

import json
import random
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

RECORDS = Path(__file__).parent / "records"

# What may come of a trial. The first two are as they should be; the last is none at all: this
# machine could not do to the command what the trial is about.
SAME, NAMED, FAILED, NOT_TRIED = "the same result", "one line", "failed", "not tried"


@dataclass(frozen=True)
class Trial:
    """One trial.

    Attributes:
        kind: What was done, such as "bit flipped".
        where: What to, of few: a file of a run, a command.
        verdict: `SAME`, `NAMED`, `FAILED` or `NOT_TRIED`.
        detail: What was seen, in one line; of a failure enough to do it again.
    """

    kind: str
    where: str
    verdict: str
    detail: str = ""


@dataclass
class Line:
    """A line of the campaign: its trials, counted.

    Attributes:
        name: Its name.
        seed: Of its random choices.
        counts: How many trials of each kind, done where, had which verdict.
        failures: The failures, at most twenty in words, and why a trial could not be.
        seconds: How long it took.
    """

    name: str
    seed: int
    counts: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)
    seconds: float = 0.0

    def add(self, trial: Trial) -> None:
        """Counts a trial."""
        self.counts[trial.kind, trial.where, trial.verdict] += 1
        if trial.verdict in (FAILED, NOT_TRIED) and len(self.failures) < 20:
            self.failures.append(f"{trial.kind}, {trial.where}: {trial.detail}")
            print(f"{self.name}: {self.failures[-1]}", file=sys.stderr, flush=True)

    @property
    def tried(self) -> int:
        """How many trials there were."""
        return sum(n for (*_, verdict), n in self.counts.items() if verdict != NOT_TRIED)

    @property
    def failed(self) -> int:
        """How many of them failed."""
        return sum(n for (*_, verdict), n in self.counts.items() if verdict == FAILED)

    def record(self) -> None:
        """Writes this piece of the line down, beside those of other seeds."""
        RECORDS.mkdir(exist_ok=True)
        content = {
            "name": self.name,
            "seed": self.seed,
            "seconds": round(self.seconds),
            "counts": [[*key, n] for key, n in sorted(self.counts.items())],
            "failures": self.failures,
        }
        (RECORDS / f"{self.name}-{self.seed}.json").write_text(json.dumps(content, indent=1) + "\n")


Trials = Callable[[random.Random, Path], Iterator[Trial]]


def run(
    name: str, trials: Trials, folder: Path, *, seed: int, seconds: float, most: int | None = None
) -> Line:
    """Runs a line until its trials, its time, or so many of them are over."""
    line, started = Line(name, seed), time.monotonic()
    for trial in trials(random.Random(f"{name} {seed}"), folder):
        line.add(trial)
        if time.monotonic() - started > seconds or sum(line.counts.values()) == most:
            break
    line.seconds = time.monotonic() - started
    return line
