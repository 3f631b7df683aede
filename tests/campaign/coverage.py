"""Every ± that elbax prints, over 200 seeds: how often it holds what it is about.

An average over rows is to hold the average over all rows that there could be, one over draws that
over all draws. Where that is known in closed form it is taken from there; where not, it is the
average of the 200 estimates, which excludes bias, as elbax says of each ±. A ± by a jackknife over
ten groups, or over five seeds, is as good as Student's t of so many degrees of freedom.
"""

import dataclasses
import math
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jax
import numpy as np
import scipy.stats

from elbax import evaluate
from elbax.evaluate.annealed import Sandwich
from elbax.evaluate.latents.disentangle import (
    attribute_predictability,
    beta_vae_score,
    dci,
    explicitness,
    factor_vae_score,
    modularity,
    mutual_information_gap,
)
from elbax.evaluate.pooling import pool
from elbax.evaluate.samples import distances
from elbax.report import comparison
from elbax.sweep import choose
from tests.campaign.trials import FAILED, SAME, Trial
from tests.linear_gaussian import LinearGaussian, aggregate, example

SEEDS, ROWS = 200, 100
LEVELS = (0.6827, 0.95)
# Two-sided, of each count: of some hundred counts fewer than one in a hundred campaigns fails one.
SMALL = 1e-4
# Whose ± may be larger than it need be, and not smaller: of shares near 0 and 1 (Agresti & Coull),
# of scores of votes that are fitted, and of a jackknife of squares, whose variance is too large in
# expectation (Efron & Stein 1981).
GENEROUS = (
    "a linear probe that is nearly always right",
    "precision",
    "recall",
    "coverage",
    "share of copies",
    "FactorVAE's score",
    "β-VAE's score",
    "modularity",
)


@dataclasses.dataclass(frozen=True)
class Found:
    """Estimates of one quantity, one a seed.

    Attributes:
        mean: The estimates.
        error: Their standard errors, as printed.
        truth: What they are of; None is the average of them.
        degrees: Of Student's t; infinite where an error is over many rows.
    """

    mean: np.ndarray
    error: np.ndarray
    truth: float | np.ndarray | None = None
    degrees: float = math.inf

    def inside(self, level: float) -> int:
        """Of how many seeds the interval of this level holds the truth."""
        reach = scipy.stats.t.ppf(0.5 + level / 2, self.degrees) * self.error
        truth = self.mean.mean() if self.truth is None else self.truth
        return int(np.sum(np.abs(self.mean - truth) <= reach))

    def right(self, place: str, level: float) -> bool:
        """Whether that is as many as the level says, within binomial error."""
        sides = "less" if place in GENEROUS else "two-sided"
        test = scipy.stats.binomtest(self.inside(level), len(self.mean), level, sides)
        return bool(test.pvalue > SMALL)


def of(values: Any, truth: Any = None, degrees: float = math.inf) -> Found:
    """From `elbax.evaluate.Mean`s."""
    found = list(values)
    means, errors = ([getattr(v, name) for v in found] for name in ("mean", "standard_error"))
    return Found(np.array(means), np.array(errors), truth, degrees)


def trials(chance: random.Random, folder: Path) -> Iterator[Trial]:
    """A trial for each ± and level."""
    del folder
    for group in GROUPS:
        for place, found in group(chance.randrange(2**31)).items():
            shares = [found.inside(level) / len(found.mean) for level in LEVELS]
            wide = "" if math.isinf(found.degrees) else f", t of {found.degrees:g}"
            said = f"{place}: {shares[0]:.1%} at 68 %, {shares[1]:.1%} at 95 %{wide}"
            for level in LEVELS:
                verdict = SAME if found.right(place, level) else FAILED
                yield Trial("a ± over 200 seeds", said, verdict, f"at {level:.0%}")


def _slices(seeds: int = SEEDS, rows: int = ROWS) -> list[slice]:
    return [slice(i * rows, (i + 1) * rows) for i in range(seeds)]


def _parts(estimate: Any, rows: int = ROWS) -> list[Any]:
    """An estimate of all seeds' rows, seed by seed: a row's result depends on no other row."""
    parts = {
        field.name: getattr(estimate, field.name)
        for field in dataclasses.fields(estimate)
        if isinstance(getattr(estimate, field.name), np.ndarray)
    }
    count = len(next(iter(parts.values()))) // rows
    return [
        dataclasses.replace(estimate, **{name: array[one] for name, array in parts.items()})
        for one in _slices(count, rows)
    ]


def _oracle(seed: int) -> LinearGaussian:
    """An encoder that is somewhat wider than the posterior, so that weights have a variance."""
    exact = example(seed).exact()
    return dataclasses.replace(exact, cholesky=1.3 * exact.cholesky)


# --- the bound and log p -------------------------------------------------------------------------


def bounds(seed: int) -> dict[str, Found]:
    """The averages over rows that `train`, `evaluate`, `compare` and the pictures show."""
    oracle, rng, key = _oracle(seed), np.random.default_rng(seed), jax.random.key(seed)
    other = dataclasses.replace(oracle, bias=oracle.bias + 0.3, scale=0.9)
    x = oracle.draw(rng, SEEDS * ROWS)
    many = oracle.draw(rng, 400_000)
    log_p, behind = (float(one.log_evidence(many).mean()) for one in (oracle, other))
    lost = float(oracle.kl_to_posterior(many).mean())
    shift = many @ oracle.encoder_weight.T + oracle.encoder_bias
    covariance = oracle.cholesky @ oracle.cholesky.T
    kl = 0.5 * float(
        np.mean(np.sum(shift**2, axis=1))
        + np.trace(covariance) - len(covariance) - np.linalg.slogdet(covariance)[1]
    )  # fmt: skip
    model = oracle.model()
    elbo = [one.means() for one in _parts(evaluate.elbo(model, x, key=key, samples=10))]
    weighed = evaluate.importance(model, x, key=key, samples=200)
    theirs = evaluate.importance(other.model(), x, key=key, samples=200)
    runs = [
        (_measured(ours), _measured(others))
        for ours, others in zip(_parts(weighed), _parts(theirs), strict=True)
    ]
    compared = [_compared(*pair)["log_likelihood"] for pair in runs]
    rates = [evaluate.rate_distortion(model, x[one], key=key, samples=10) for one in _slices()]
    spread = rng.normal(size=(SEEDS, ROWS, 2))
    per_latent = [evaluate.kl_by_latent(model_of(), z, key=key)[0] for z in spread]
    return {
        "ELBO": of([one["elbo"] for one in elbo], log_p - lost),
        "reconstruction": of([one["reconstruction"] for one in elbo], log_p - lost + kl),
        "KL": of([one["kl"] for one in elbo], kl),
        "rate": of([one.rate for one in rates], kl),
        "distortion": of([one.distortion for one in rates], -kl - (log_p - lost)),
        "KL of a latent": of(per_latent),
        "log p by importance, over rows": of([one.mean() for one in _parts(weighed)], log_p),
        "Δ log p of two runs": of(
            [evaluate.Mean(one["mean"], one["standard_error"]) for one in compared], behind - log_p
        ),
    }


def _measured(part: Any) -> comparison.Measured:
    values: dict[str, np.ndarray] = dict.fromkeys(comparison.MEASURES, part.log_likelihood)
    return comparison.Measured("a run", _NO_RUN, {}, values, part, None)


def _compared(first: comparison.Measured, second: comparison.Measured) -> Any:
    both = comparison.Comparison((first, second), "test", ROWS, 200, 0, "log-density")
    return comparison.differences(both, second)


_NO_RUN: Any = comparison.Run("nowhere", config={})


def draws(seed: int) -> dict[str, Found]:
    """Monte Carlo alone: the same rows, with other noise each time."""
    oracle, rng, key = _oracle(seed), np.random.default_rng(seed), jax.random.key(seed)
    few = oracle.draw(rng, 20)
    x, exact = np.tile(few, (SEEDS, 1)), oracle.log_evidence(few)
    model = oracle.model()
    found: dict[str, Found] = {}
    for name, estimate in (
        ("importance", evaluate.importance(model, x, key=key, samples=400)),
        ("the prior's draws", evaluate.prior(model, x, key=key, samples=20_000)),
        ("score", evaluate.score(model, x, key=key, samples=400).estimate),
    ):
        parts = _parts(estimate, len(few))
        total = np.array([one.log_likelihood.mean() for one in parts])
        error = np.array([one.mean_monte_carlo_error() for one in parts])
        found[f"draws of {name}, of all rows"] = Found(total, error, exact.mean())
        rows = [one.log_likelihood[0] for one in parts]
        errors = [one.monte_carlo_error[0] for one in parts]
        found[f"draws of {name}, of a row"] = Found(np.array(rows), np.array(errors), exact[0], 9)
    annealed = evaluate.annealed(
        model, np.tile(few[:4], (SEEDS, 1)), key=key, chains=16, temperatures=30, leapfrog_steps=4
    )
    parts = _parts(annealed, 4)
    total = np.array([one.log_likelihood.mean() for one in parts])
    error = np.array([one.mean_monte_carlo_error() for one in parts])
    # Four rows of 15 degrees of freedom each.
    found["chains of annealing, of all rows"] = Found(total, error, None, 60)
    return found


def gaps(seed: int) -> dict[str, Found]:
    """Averages over rows of what is searched for, simulated or compared."""
    oracle, rng, key = _oracle(seed), np.random.default_rng(seed), jax.random.key(seed)
    model, rows = oracle.model(), 40
    x = oracle.draw(rng, SEEDS * rows)
    searched = evaluate.inference_gap(model, x, key=key, steps=20, samples=50)
    names = ("log_likelihood", "best_elbo", "elbo", "approximation", "amortisation")
    means = [one.means() for one in _parts(searched, rows)]
    both = evaluate.sandwich(
        model, key=key, count=SEEDS * rows, chains=4, temperatures=10, leapfrog_steps=2
    )
    sandwiches: list[Sandwich] = _parts(both, rows)
    correlated = [
        evaluate.total_correlation(model_of(), z, key=key).estimate
        for z in rng.normal(size=(SEEDS, ROWS, 2))
    ]
    return {
        **{f"the gap's {name}": of([one[name] for one in means]) for name in names},
        "the sandwich's gap": of([one.gap() for one in sandwiches]),
        "total correlation": of(correlated),
    }


def model_of() -> Any:
    """A model of independent normal latents that depend on one another over the rows."""
    return aggregate(4)[0]


# --- shares and scores ---------------------------------------------------------------------------


def labels(seed: int) -> dict[str, Found]:
    """How well latents tell labels: over the test rows, with the classifier as it is."""
    rng = np.random.default_rng(seed)

    def rows(count: int) -> tuple[np.ndarray, np.ndarray]:
        label = rng.integers(0, 2, count)
        return rng.normal(size=(count, 2)) + 1.3 * label[:, None], label

    train = rows(400)
    tests = [rows(ROWS) for _ in range(SEEDS)]
    near, linear = evaluate.neighbour_accuracy, evaluate.linear_probe_accuracy
    easy = [(z + 6 * y[:, None], y) for z, y in tests]
    easy_train = train[0] + 6 * train[1][:, None], train[1]
    return {
        "5 neighbours classify": of([near(*train, *test) for test in tests]),
        "a linear probe classifies": of([linear(*train, *test) for test in tests]),
        "a linear probe that is nearly always right": of(
            [linear(*_nearly(rng, easy_train), *_nearly(rng, test)) for test in easy], 0.98
        ),
    }


def _nearly(rng: np.random.Generator, part: tuple[np.ndarray, np.ndarray]) -> Any:
    """One label in fifty is another's."""
    z, label = part
    return z, np.where(rng.random(len(label)) < 0.02, 1 - label, label)


def disentangled(seed: int) -> dict[str, Found]:
    """Scores of latents beside factors."""
    rng = np.random.default_rng(seed)

    def rows() -> tuple[np.ndarray, np.ndarray]:
        factors = rng.integers(0, 4, (400, 2))
        mixed = factors @ np.array([[1.0, 0.3], [0.1, 0.8]]) + 0.5 * rng.normal(size=(400, 2))
        return mixed, factors

    all_rows = [rows() for _ in range(SEEDS)]
    first = all_rows[0]
    blurred = first[0] + 3 * rng.normal(size=first[0].shape), first[1]
    votes = [factor_vae_score(*blurred, votes=200, rows=10, seed=s) for s in range(SEEDS)]
    # Of the draws, as FactorVAE's: the classifier is fitted anew for each.
    told = [beta_vae_score(*blurred, votes=200, rows=10, seed=s) for s in range(SEEDS)]
    # Its error is over the rows that are scored, every second one: those that are fitted stay.
    scored = [
        tuple(
            np.where(np.arange(400)[:, None] % 2, new, old)
            for new, old in zip(one, first, strict=True)
        )
        for one in all_rows
    ]
    return {
        "MIG": of([mutual_information_gap(*one) for one in all_rows], None, 9),
        "SAP": of([attribute_predictability(*one) for one in all_rows], None, 9),
        "DCI's informativeness": of([dci(*one, trees=3).informativeness for one in all_rows]),
        "FactorVAE's score": of(votes),
        "β-VAE's score": of(told),
        "modularity": of([modularity(*one) for one in all_rows], None, 9),
        "explicitness": of([explicitness(*one) for one in scored], None, 9),
    }


def samples(seed: int) -> dict[str, Found]:
    """Samples beside data, both drawn anew; copies beside the same training rows."""
    rng = np.random.default_rng(seed)
    pairs = [
        (rng.normal(size=(400, 3)), 1.1 * rng.normal(size=(400, 3)) + 0.1) for _ in range(SEEDS)
    ]
    kernel = [distances.kernel_distance(a, b, seed=i) for i, (a, b) in enumerate(pairs)]
    near = [distances.precision_recall_density_coverage(a, b) for a, b in pairs]
    train, held = rng.normal(size=(400, 3)), rng.normal(size=(400, 3))
    copies = [
        distances.memorisation(
            train, held, np.where(rng.random((400, 1)) < 0.05, train, rng.normal(size=(400, 3)))
        ).share
        for _ in range(SEEDS)
    ]
    return {
        "kernel distance": of(kernel, None, 9),
        **{
            name: of([getattr(one, name) for one in near])
            for name in ("precision", "recall", "density", "coverage")
        },
        "share of copies": of(copies),
    }


# --- over seeds, and over tables -----------------------------------------------------------------


def runs(seed: int) -> dict[str, Found]:
    """Averages over runs that differ by their seed; and a sweep's distance from its best."""
    rng = np.random.default_rng(seed)
    groups = rng.normal(-10.0, 1.0, (SEEDS, 5))
    averages = [
        comparison.over_seeds([_seed_run(i, np.full(3, value)) for i, value in enumerate(group)])[
            "log_likelihood"
        ]
        for group in groups
    ]
    behind = []
    for _ in range(SEEDS):
        row = rng.normal(0.0, 2.0, ROWS)

        def log_p(level: float, row: np.ndarray = row) -> np.ndarray:
            of_seed, own = rng.normal(0.0, 0.3, (8, 1)), rng.normal(0.0, 1.0, (8, ROWS))
            return level + row + of_seed + own

        tables = {2: (log_p(-12.0), ("a",) * 8), 4: (log_p(-10.0), ("b",) * 8)}
        one = choose.fewest(tables).tried[0]
        behind.append(evaluate.Mean(one.difference, one.error))
    averaged = [evaluate.Mean(one["mean"], one["standard_error"]) for one in averages]
    return {
        "the average over 5 seeds": of(averaged, -10.0, 4),
        "latents behind the best of a sweep": of(behind, 2.0, 14),
    }


def _seed_run(seed: int, values: np.ndarray) -> comparison.Measured:
    nothing: Any = evaluate.LogLikelihoodEstimate("importance", 1, values, values, values, None)
    per_row: dict[str, np.ndarray] = dict.fromkeys(comparison.MEASURES, values)
    return comparison.Measured("a run", _NO_RUN, {"run.seed": seed}, per_row, nothing, None)


def tables(seed: int) -> dict[str, Found]:
    """Rubin's rules: the mean of a column of which a third is missing, drawn properly."""
    rng = np.random.default_rng(seed)
    means, errors, degrees = [], [], []
    for _ in range(SEEDS):
        x = rng.normal(size=60)
        kept = x[:40]
        estimates, variances = [], []
        for _ in range(20):
            variance = kept.var(ddof=1) * 39 / rng.chisquare(39)
            centre = rng.normal(kept.mean(), math.sqrt(variance / 40))
            whole = np.concatenate([kept, rng.normal(centre, math.sqrt(variance), 20)])
            estimates.append(whole.mean())
            variances.append(whole.var(ddof=1) / 60)
        one = pool(estimates, variances, complete=59.0)
        means.append(float(one.estimate))
        errors.append(float(one.standard_error))
        degrees.append(float(one.degrees_of_freedom))
    return {
        "pooled over drawn tables": Found(
            np.array(means), np.array(errors), 0.0, float(np.median(degrees))
        )
    }


GROUPS: tuple[Callable[[int], dict[str, Found]], ...] = (
    tables,
    runs,
    labels,
    samples,
    disentangled,
    bounds,
    draws,
    gaps,
)
