"""``elbax evaluate RUN``."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from elbax.cli.parsing import POSITIONAL
from elbax.cli.runs import opened, say
from elbax.cli.runs.together import ProcessesOptions, sharing_rows
from elbax.recipes.convert import REPEATED, Checked, Count, Seed
from elbax.run.folder import SCHEMA

_ESTIMATORS = Literal[
    "elbo", "importance", "prior", "annealed", "gap", "latents", "samples", "disentanglement"
]
_LONG = 1_000_000  # draws in all, above which a line says what is being waited for


@dataclass(frozen=True)
class Arguments(Checked):
    """How good a model is: bounds and estimates of log p(x), its latents, its samples.

    All in nats per datum, with standard errors over the rows and, beside them, the error of the
    Monte Carlo draws alone. Neither covers bias.

    elbo: the evidence lower bound (with the run's own seed, split and draws, what training
    printed). importance: log p(x) by importance sampling from q(z|x). prior: by plain Monte Carlo
    over the prior, and how many samples would be enough. annealed: by annealed importance sampling.
    gap: what the ELBO loses to the posterior's family and to the encoder, rate and distortion, and
    the split of the bound. latents: active units, KL of each, total correlation, collapse, accuracy
    of neighbours and of a linear probe. samples: distances, precision, recall, density, coverage
    and memorisation of generated data. disentanglement: whether each known factor of the data
    (shapes) is in a latent of its own, by four published scores from 0 to 1.
    """

    run: Annotated[Path, POSITIONAL]
    """The run's folder."""
    estimator: Annotated[tuple[_ESTIMATORS, ...], REPEATED] = ()
    """What to measure; give it several times for several. Without it: elbo and importance
    (latents and samples, of a model without a bound)."""
    samples: Count | None = None
    """Draws z per datum, or chains (annealed). Without it: 1,000 of importance, prior and gap (200
    above 2,000 rows), 16 of annealed, 10 of elbo (1 above 10,000 rows). Beside others, elbo keeps
    its own."""
    limit: Count | None = None
    """The first so many rows. Without it: all, and 100 where annealed or gap is asked for."""
    data: str | None = None
    """Other data of the same shape: a name or a path. Without it: those of the run."""
    split: Literal["train", "validation", "test", "all"] = "test"
    """Which rows."""
    binarize: Literal["as-trained", "dynamic", "static", "none"] = "as-trained"
    """Grey data to 0/1 for a Bernoulli likelihood: dynamic draws by the seed, static is the same
    for everybody."""
    features: Literal["raw", "pca", "classifier"] | None = None
    """The space in which samples are compared. Without it: classifier where there are labels, else
    pca."""
    seed: Seed | None = None
    """Seed of the draws. Without it: the run's own."""
    devices: Count | None = None
    """Devices of each process that share the rows. Without it: one; of several processes all."""
    processes: ProcessesOptions = dataclasses.field(default_factory=ProcessesOptions)
    json: bool = False
    """Print one JSON object; of several estimators, the objects stand under "estimates"."""


def main(arguments: Arguments) -> None:
    """Runs the command."""
    run = opened(arguments.run)
    arguments.processes.join()
    from elbax.run import evaluation
    from elbax.run.use import other_data

    binarize = None if arguments.binarize == "as-trained" else arguments.binarize
    run = other_data.on(run, arguments.data, binarize)
    names = tuple(dict.fromkeys(arguments.estimator)) or evaluation.default(run.model)
    task = evaluation.make_task(
        run,
        arguments.split,
        estimators=names,
        limit=arguments.limit,
        seed=run.seed if arguments.seed is None else arguments.seed,
        samples=arguments.samples,
        features=arguments.features,
    )
    evaluation.check(task, names)
    with sharing_rows(
        run, arguments.devices, vars(arguments), lambda: run.dataset.fingerprint
    ) as first:
        if first:
            _announce(task, names)
        measured = evaluation.measure(task, names)
        if arguments.json:
            print(json.dumps(_object(list(measured))))
        else:
            _print(measured)


def _object(found: list[dict[str, Any]]) -> dict[str, Any]:
    """One estimator's object, or several with what they share."""
    if len(found) == 1:
        return found[0]
    shared = ("schema", "run", "data", "split", "binarize", "count", "seed")
    bound = next((one for one in found if one["estimator"] == "elbo"), {})
    terms = ("rows", "elbo", "reconstruction", "kl", "standard_error")
    head = {name: found[0][name] for name in shared} | {"schema": SCHEMA}
    return {
        **head,
        **{name: bound[name] for name in terms if name in bound},
        "estimates": found,
    }


def _print(measured: Any) -> None:
    from elbax.report import evaluation_words
    from elbax.run import evaluation

    estimated = False
    for number, found in enumerate(measured):
        if number == 0:
            print(evaluation_words.heading(found))
        for line in evaluation_words.in_words(found):
            print(line, flush=True)
        estimated = estimated or found["estimator"] in evaluation.LIKELIHOODS
    if estimated:
        print(evaluation_words.BIAS)


def _announce(task: Any, names: Sequence[str]) -> None:
    """Says on stderr what takes long, before it does."""
    from elbax.run import evaluation

    for name in names:
        estimator = evaluation.ESTIMATORS[name]
        draws = task.samples or estimator.draws(len(task.rows)) or 1
        work = draws * len(task.rows) * (1000 if estimator.slow else 1)
        if work > _LONG:
            unit = "chains" if name == "annealed" else "samples"
            say(f"{name}: {len(task.rows):,} rows × {draws:,} {unit} …")
