"""What ails a trained run: by which figure, beside which threshold, and what to try."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any

from elbax.figures.needs import held_out
from elbax.recipes.choice import to_word
from elbax.report import illnesses
from elbax.report.illnesses import Finding, Patient
from elbax.run.folder import SCHEMA
from elbax.run.labels import conditioned
from elbax.run.run import Run

ROWS = 1000  # held-out rows at most that the figures are of


@dataclasses.dataclass(frozen=True)
class Diagnosis:
    """All findings about a run.

    Attributes:
        run: The run.
        split: Which rows the figures are of: of the test part, else of the validation part, else of
            the training part.
        count: How many.
        findings: One for each illness that is looked for, found or not.
    """

    run: Run
    split: str
    count: int
    findings: tuple[Finding, ...]

    @property
    def ill(self) -> tuple[Finding, ...]:
        """What was found."""
        return tuple(one for one in self.findings if one.ill)

    def to_json(self) -> dict[str, Any]:
        """As an object for JSON."""
        return {
            "schema": SCHEMA,
            "run": str(self.run.path),
            "data": self.run.config["data"]["name"],
            "split": self.split,
            "count": self.count,
            "ill": [one.name for one in self.ill],
            "findings": [dataclasses.asdict(one) for one in self.findings],
        }

    def __str__(self) -> str:
        return "\n".join(self._lines())

    def _lines(self) -> Iterator[str]:
        rows = f"{self.count:,} {self.split} rows"
        yield f"{self.run.path}: {len(self.ill)} of {len(self.findings)} illnesses, by {rows}"
        for one in self.findings:
            state = {True: "ill", False: "well", None: "–"}[one.ill]
            yield f"{one.name:<17}{state:<5} {one.words}"
            if one.ill is not None:
                yield f"{'':<23}(ill if {one.threshold}; {one.source})"
            if one.ill and one.options:
                yield f"{'':<17}try   {flags(one.options)}"


def diagnose(run: Run) -> Diagnosis:
    """Looks for the usual illnesses of a trained run.

    Posterior collapse, a likelihood whose fixed scale weighs errors wrongly, scales at their floor,
    a prior that the latents do not match, over-fitting, an encoder that does not find the best
    posterior, and codes that nothing is encoded by. What a model does not have (a bound, a scale)
    cannot be ill: its `ill` is None, and the words say why.

    Args:
        run: A finished run.

    Raises:
        ValueError: The run has no trained model, or its data have changed.
    """
    model, dataset = run.model, run.dataset
    rows, split = held_out(dataset)
    patient = Patient(
        run,
        model,
        conditioned(model, rows)[:ROWS],
        conditioned(model, dataset.train),
    )
    found = tuple(check(patient) for check in illnesses.CHECKS)
    return Diagnosis(run, split, len(patient.rows), found)


def flags(options: Mapping[str, Any]) -> str:
    """Options of `elbax.train` as words of the command line."""
    return " ".join(
        f"--{name.replace('_', '-')} {to_word(value)}" for name, value in options.items()
    )
