"""Whether estimates that are wrong on purpose are called trustworthy.

Of a model whose log p(x) is known, an encoder is made wrong, draws are made few, and rows are put
far off. An estimate is wrong where its average is more than a quarter of a nat and four of its
Monte Carlo errors from the truth; where it is, and is called trustworthy, the trial fails.
A mode of p(z|x) that draws of q never meet is not planted: their weights cannot show it, as
docs/guide-evaluate.md says.
"""

import dataclasses
import random
from collections.abc import Callable, Iterator
from pathlib import Path

import jax
import numpy as np

from elbax import evaluate
from elbax.evaluate.likelihoods import LogLikelihoodEstimate
from tests.campaign.trials import FAILED, NAMED, SAME, Trial
from tests.evaluate.test_imputation import of_cells
from tests.linear_gaussian import LinearGaussian, example, log_normal

ROWS, WRONG, ERRORS = 20, 0.25, 4.0
TIMES = 60  # of each kind


def trials(chance: random.Random, folder: Path) -> Iterator[Trial]:
    """Each kind of failure, in turn."""
    del folder
    for number in range(TIMES):
        for name, planted in PLANTED.items():
            seed = chance.randrange(2**31)
            found = planted(np.random.default_rng(seed), number)
            detail = f"seed {seed}: {found.off:.2f} nats off, {found.verdict}: {found.why}"
            if not found.off <= max(WRONG, ERRORS * found.error):
                said = FAILED if found.verdict == "yes" else NAMED
                yield Trial("a wrong estimate", name, said, detail)
            else:
                yield Trial("a right estimate", name, SAME, detail)


@dataclasses.dataclass(frozen=True)
class Planted:
    """What became of an estimate.

    Attributes:
        off: How far it is from the truth, in nats.
        error: Its Monte Carlo error.
        verdict: Whether it is called trustworthy.
        why: The reason given.
    """

    off: float
    error: float
    verdict: str
    why: str


def _held(found: LogLikelihoodEstimate, exact: np.ndarray) -> Planted:
    off = abs(float(found.log_likelihood.mean()) - float(exact.mean()))
    return Planted(off, found.mean_monte_carlo_error(), *found.trust())


def _oracle(rng: np.random.Generator) -> LinearGaussian:
    oracle = example(int(rng.integers(1000)))
    return dataclasses.replace(oracle, scale=float(np.exp(rng.uniform(-2.0, 0.0)))).exact()


def _weighed(
    oracle: LinearGaussian, wrong: LinearGaussian, rng: np.random.Generator, number: int,
    x: np.ndarray | None = None,
) -> Planted:  # fmt: skip
    x = oracle.draw(rng, ROWS) if x is None else x
    samples = (50, 200, 1000)[number % 3]
    key = jax.random.key(int(rng.integers(2**31)))
    found = evaluate.importance(wrong.model("shared"), x, key=key, samples=samples)
    return _held(found, oracle.log_evidence(x))


def shifted(rng: np.random.Generator, number: int) -> Planted:
    """A posterior beside the right one, by up to six of its deviations."""
    oracle = _oracle(rng)
    shift = oracle.cholesky @ rng.normal(size=2) * rng.uniform(0.5, 4.0)
    return _weighed(
        oracle, dataclasses.replace(oracle, encoder_bias=oracle.encoder_bias + shift), rng, number
    )


def narrow(rng: np.random.Generator, number: int) -> Planted:
    """A posterior that is too narrow, whose weights have heavy tails."""
    oracle = _oracle(rng)
    factor = float(np.exp(rng.uniform(-2.5, -0.2)))
    wrong = dataclasses.replace(oracle, cholesky=factor * oracle.cholesky)
    return _weighed(oracle, wrong, rng, number)


def narrow_and_shifted(rng: np.random.Generator, number: int) -> Planted:
    """Both."""
    oracle = _oracle(rng)
    shift = oracle.cholesky @ rng.normal(size=2) * rng.uniform(0.5, 3.0)
    wrong = dataclasses.replace(
        oracle,
        cholesky=float(np.exp(rng.uniform(-1.5, -0.2))) * oracle.cholesky,
        encoder_bias=oracle.encoder_bias + shift,
    )
    return _weighed(oracle, wrong, rng, number)


def unlearned(rng: np.random.Generator, number: int) -> Planted:
    """An encoder that says of each row what is true of others."""
    oracle = _oracle(rng)
    wrong = dataclasses.replace(oracle, encoder_weight=rng.uniform() * oracle.encoder_weight)
    return _weighed(oracle, wrong, rng, number)


def far(rng: np.random.Generator, number: int) -> Planted:
    """Rows that lie where the model never was, of which the encoder is a little wrong."""
    oracle = _oracle(rng)
    x = oracle.draw(rng, ROWS)
    x[: 1 + number % ROWS] *= 10.0 ** rng.uniform(0, 6)
    wrong = dataclasses.replace(oracle, encoder_weight=0.99 * oracle.encoder_weight)
    return _weighed(oracle, wrong, rng, number, x)


def few(rng: np.random.Generator, number: int) -> Planted:
    """Draws of the prior, too few to meet the posterior."""
    oracle = _oracle(rng)
    x = oracle.draw(rng, ROWS)
    key = jax.random.key(int(rng.integers(2**31)))
    samples = (50, 200, 1000)[number % 3]
    found = evaluate.prior(oracle.model("shared"), x, key=key, samples=samples)
    return _held(found, oracle.log_evidence(x))


def hasty(rng: np.random.Generator, number: int) -> Planted:
    """Annealing by two temperatures."""
    del number
    oracle = _oracle(rng)
    x = oracle.draw(rng, ROWS)
    key = jax.random.key(int(rng.integers(2**31)))
    model = oracle.model("shared")
    found = evaluate.annealed(model, x, key=key, chains=16, temperatures=2, leapfrog_steps=2)
    return _held(found, oracle.log_evidence(x))


def rare(rng: np.random.Generator, number: int) -> Planted:
    """Two of four elements given, up to a hundred deviations off, few latents, a wrong encoder."""
    oracle = _oracle(rng)
    x = oracle.draw(rng, 1)[0] * 10.0 ** rng.uniform(0, 2)
    covariance = oracle.weight @ oracle.weight.T + oracle.scale**2 * np.eye(4)
    exact = log_normal(x[:2], oracle.bias[:2], covariance[:2, :2])
    wrong = dataclasses.replace(oracle, encoder_weight=rng.uniform() * oracle.encoder_weight)
    given = np.where(np.arange(4) < 2, x, np.nan).astype(np.float32)
    key = jax.random.key(int(rng.integers(2**31)))
    proposals = (200, 1000, 5000)[number % 3]
    found = evaluate.conditional_draws(
        of_cells(wrong), given, count=1, key=key, proposals=proposals
    )
    size = found.effective_sample_size
    why = f"{size:.1f} effective latents of {proposals}, Pareto k {found.pareto_k:.2f}"
    error = float(np.sqrt(max(1 / size - 1 / proposals, 0.0)))
    return Planted(abs(found.log_given - float(exact)), error, found.trust(), why)


PLANTED: dict[str, Callable[[np.random.Generator, int], Planted]] = {
    "a posterior beside the right one": shifted,
    "a posterior too narrow, heavy tails": narrow,
    "a posterior too narrow and beside": narrow_and_shifted,
    "an encoder that has not learned": unlearned,
    "rows far off": far,
    "too few draws of the prior": few,
    "too few temperatures": hasty,
    "rare cells given": rare,
}
