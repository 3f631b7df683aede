"""Estimates of log p(x) against a model whose evidence is known exactly."""

import dataclasses
import math
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest
import scipy.special
import scipy.stats
from scipy.integrate import quad

from elbax.evaluate import (
    LogLikelihoodEstimate,
    conditional_log_likelihoods,
    elbo,
    importance,
    likelihoods,
    log_weights,
    prior,
    running,
    samples_needed,
)
from elbax.evaluate.likelihoods import CHUNK, ROWS
from elbax.evaluate.tiles import _compiled
from elbax.model import (
    AbstractEncoder,
    AbstractPrior,
    Decoder,
    DiagonalNormal,
    Encoder,
    LatentVariableModel,
    Normal,
    Preprocessing,
    StandardNormal,
)
from elbax.run.evaluation import density
from tests.laws import Composition, in_float64
from tests.linear_gaussian import example

# An encoder that is somewhat wrong, but whose weights have a finite variance.
EXACT = example().exact()
ORACLE = dataclasses.replace(
    EXACT, encoder_bias=EXACT.encoder_bias + 0.1, cholesky=1.3 * EXACT.cholesky
)
NARROW = dataclasses.replace(EXACT, cholesky=0.1 * EXACT.cholesky)
ROWS_OF_DATA = ORACLE.draw(np.random.default_rng(1), rows=300)
ESTIMATORS = {"importance": importance, "prior": prior}
FEW, MANY = 40, 2 * CHUNK + 7  # samples; everywhere the same, because each number is compiled


def kl_of_normals(oracle, x):
    """KL(p(z|x) ‖ p(z)) of each row, in closed form."""
    mean, covariance = oracle.posterior(x)
    constant = np.trace(covariance) - len(covariance) - np.linalg.slogdet(covariance)[1]
    return 0.5 * ((mean**2).sum(axis=1) + constant)


@in_float64
@pytest.mark.parametrize(("name", "samples"), [("importance", FEW), ("prior", MANY)])
def test_estimates_are_unbiased_for_the_evidence(name, samples):
    # E[p̂(x) / p(x)] = 1, whatever the number of samples: pooled over rows, which are independent.
    x = ROWS_OF_DATA[kl_of_normals(ORACLE, ROWS_OF_DATA) < 3]  # the ratio has a usable variance
    found = ESTIMATORS[name](ORACLE.model(), x, key=jax.random.key(2), samples=samples)
    ratio = np.exp(found.log_likelihood - ORACLE.log_evidence(x))
    assert abs(ratio.mean() - 1) < 4 * ratio.std(ddof=1) / math.sqrt(len(x))


@in_float64
@pytest.mark.parametrize("name", ESTIMATORS)
def test_estimates_and_their_errors_are_calibrated(name):
    # On the log scale, where the effective sample size is above a tenth of the samples.
    x = ROWS_OF_DATA
    found = ESTIMATORS[name](ORACLE.model(), x, key=jax.random.key(3), samples=MANY)
    good = found.effective_sample_size > MANY / 10
    assert good.sum() > 30
    z = (found.log_likelihood - ORACLE.log_evidence(x))[good] / found.monte_carlo_error[good]
    # Ten groups: a t variable of nine degrees, whose square has mean 9/7 and this variance.
    spread = math.sqrt(scipy.stats.f(1, 9).var() / good.sum())
    assert abs(np.mean(z**2) - 9 / 7) < 4 * spread
    if name == "importance":  # whose rows are all good
        total = abs(np.mean(found.log_likelihood - ORACLE.log_evidence(x)))
        assert total < 4 * found.mean_monte_carlo_error()


@in_float64
def test_bounds_are_ordered_and_rise_with_the_samples():
    wrong = example()
    x = wrong.draw(np.random.default_rng(17), rows=300)
    model, exact, key = wrong.model(), wrong.log_evidence(x), jax.random.key(4)
    counts = (1, 2, 5, 20, MANY)
    bounds = running(model, x, key=key, samples=MANY, counts=counts)
    elbo_exact = np.mean(exact - wrong.kl_to_posterior(x))
    means = bounds.mean(axis=0)
    # The same draws at every count, so that differences have small errors.
    rises = np.diff(bounds, axis=1)
    errors = rises.std(axis=0, ddof=1) / math.sqrt(len(x))
    log_w = log_weights(model, x, key=key, samples=MANY)
    sums = np.logaddexp.accumulate(log_w, axis=1)[:, np.asarray(counts) - 1]
    assert np.allclose(bounds, sums - np.log(counts), rtol=0, atol=1e-10)
    assert np.all(rises.mean(axis=0) > 3 * errors)
    below = (exact[:, None] - bounds)[:, :-1]
    assert np.all(below.mean(axis=0) > 3 * below.std(axis=0) / math.sqrt(len(x)))
    # One sample: the evidence lower bound, in expectation.
    assert abs(means[0] - elbo_exact) < 4 * (bounds[:, 0] - exact).std() / math.sqrt(len(x))


@in_float64
def test_every_weight_is_the_evidence_at_the_exact_posterior():
    x = ROWS_OF_DATA[:6]
    found = importance(EXACT.model(), x, key=jax.random.key(5), samples=FEW)
    assert np.allclose(found.log_likelihood, EXACT.log_evidence(x), rtol=0, atol=1e-6)
    assert np.allclose(found.effective_sample_size, FEW, atol=1e-6)
    assert np.allclose(found.monte_carlo_error, 0, atol=1e-6)
    # So is every draw of the bound, where the KL is taken at the same draw.
    bound = elbo(EXACT.model(), x, key=jax.random.key(5), samples=4, kl="monte-carlo").elbo
    assert np.allclose(bound, EXACT.log_evidence(x), rtol=0, atol=1e-6)


@in_float64
@pytest.mark.parametrize("proposal", ["posterior", "prior"])
def test_streamed_is_unstreamed(proposal):
    x, key = ROWS_OF_DATA[: ROWS + 1], jax.random.key(6)
    model = ORACLE.model()
    found = {"posterior": importance, "prior": prior}[proposal](model, x, key=key, samples=MANY)
    log_w = log_weights(model, x, key=key, samples=MANY, proposal=proposal)
    expected = np.logaddexp.reduce(log_w, axis=1) - math.log(MANY)
    assert np.allclose(found.log_likelihood, expected, rtol=0, atol=1e-10)
    w = scipy.special.softmax(log_w, axis=1)
    assert np.allclose(found.effective_sample_size, 1 / np.sum(w**2, axis=1), rtol=1e-9)
    given_z = conditional_log_likelihoods(model, x, key=key, samples=MANY, proposal=proposal)
    if proposal == "prior":
        assert np.array_equal(given_z, log_w)
        assert found.kl_posterior_prior is None
    else:
        mean = np.sum(w * given_z, axis=1) - expected
        assert found.kl_posterior_prior is not None
        assert np.allclose(found.kl_posterior_prior, mean, rtol=0, atol=1e-9)


@in_float64
def test_a_result_depends_on_no_other_row_and_the_first_samples_stay():
    model, key = ORACLE.model(), jax.random.key(7)
    every = importance(model, ROWS_OF_DATA[:9], key=key, samples=MANY)
    few = importance(model, ROWS_OF_DATA[: ROWS - 1], key=key, samples=MANY)
    for name in ("log_likelihood", "monte_carlo_error", "effective_sample_size", "pareto_k"):
        assert getattr(few, name).tobytes() == getattr(every, name)[: ROWS - 1].tobytes()


@in_float64
def test_noise_is_of_the_row_and_the_sample():
    model, key = ORACLE.model(), jax.random.key(7)
    same = np.repeat(ROWS_OF_DATA[:1], 6, axis=0)
    long = log_weights(model, same, key=key, samples=MANY)
    assert len(np.unique(long)) == long.size
    # The first samples of more are those of fewer.
    short = importance(model, same[:2], key=key, samples=FEW).log_likelihood
    first = np.logaddexp.reduce(long[:2, :FEW], axis=1) - math.log(FEW)
    assert np.allclose(short, first, rtol=0, atol=1e-10)
    other = log_weights(model, same[:2], key=jax.random.key(8), samples=MANY)
    assert not np.any(np.isin(other, long))


@in_float64
def test_the_kl_that_says_how_many_prior_samples_are_needed():
    x = ROWS_OF_DATA[:40]
    found = importance(ORACLE.model(), x, key=jax.random.key(8), samples=MANY)
    expected = kl_of_normals(ORACLE, x)
    assert found.kl_posterior_prior is not None
    error = (found.kl_posterior_prior - expected).std() / math.sqrt(len(x))
    assert abs(np.mean(found.kl_posterior_prior - expected)) < 4 * error + 1e-3
    assert np.corrcoef(found.kl_posterior_prior, expected)[0, 1] > 0.99
    assert np.allclose(samples_needed(expected), np.log10(np.exp(expected)))


@in_float64
def test_a_bad_proposal_is_seen_and_a_good_one_trusted():
    x, key = ROWS_OF_DATA[:60], jax.random.key(9)
    bad = importance(NARROW.model(), x, key=key, samples=MANY)
    good = importance(ORACLE.model(), x, key=key, samples=MANY)
    assert bad.pareto_k is not None
    assert good.pareto_k is not None
    assert np.median(bad.pareto_k) > 0.7
    assert bad.trust()[0] == "no"
    assert np.median(good.pareto_k) < 0.5
    assert good.trust()[0] == "yes"


def test_a_mode_that_the_posterior_does_not_know_is_met_from_the_prior_alone():
    # The limit that docs/guide-evaluate.md tells of: x = z² and noise, and q is at +√x alone.
    model = LatentVariableModel(
        StandardNormal(1),
        Encoder(OneRoot(), DiagonalNormal(1)),
        Decoder(Square(), Normal((1,), 0.3)),
    )
    x = np.linspace(1, 3, 20)[:, None]

    def joint(z: float, of: float) -> float:
        return float(scipy.stats.norm.pdf(z) * scipy.stats.norm.pdf(of, z**2, 0.3))

    roots = [(row, [-math.sqrt(row), math.sqrt(row)]) for row in x[:, 0]]
    exact = np.log([quad(joint, -6, 6, args=(row,), points=at)[0] for row, at in roots])
    found = importance(model, x, key=jax.random.key(0), samples=1000)
    assert np.mean(found.log_likelihood - exact) == pytest.approx(-math.log(2), abs=0.02)
    assert found.trust()[0] == "yes"
    found = prior(model, x, key=jax.random.key(0), samples=5000)
    assert np.mean(found.log_likelihood - exact) == pytest.approx(0.0, abs=0.05)


class Square(eqx.Module):
    def __call__(self, z):
        return z**2


class OneRoot(eqx.Module):
    def __call__(self, x):
        return jnp.concatenate([jnp.sqrt(x), 2 * jnp.log(0.15 / jnp.sqrt(x))])


def test_the_verdict_follows_its_rule():
    def verdict(few=0, heavy=0, broken=0):
        ess, k, values = np.full(100, 50.0), np.full(100, 0.2), np.zeros(100)
        ess[:few], k[:heavy], values[:broken] = 4.9, 0.71, -np.inf
        return LogLikelihoodEstimate("importance", 10_000, values, ess, ess, k).trust()[0]

    assert [verdict(few=n) for n in (0, 5, 6, 25, 26)] == ["yes"] * 2 + ["doubtful"] * 2 + ["no"]
    assert [verdict(heavy=n) for n in (5, 6, 25, 26)] == ["yes", "doubtful", "doubtful", "no"]
    assert verdict(broken=30) == "no"
    ess = np.full(10, 8.0)
    annealed = LogLikelihoodEstimate("annealed", 16, ess, ess, ess, None)
    assert annealed.trust()[0] == "yes"
    assert "Pareto" not in annealed.trust()[1]


def test_weights_without_a_tail_are_the_best_case_everywhere():
    # Flat weights have no k. One screen showed them as bad and called them trusted.
    ess, flat = np.full(10, 1000.0), np.full(10, np.nan)
    found = LogLikelihoodEstimate("importance", 1000, -ess, ess, ess, flat)
    assert found.trust()[0] == "yes"
    assert not found.heavy_tailed.any()
    shown = density._pareto(found)
    assert shown is not None
    assert shown["share_above"] == 0.0


def test_too_few_samples_for_a_tail_are_not_trusted():
    ess, unknown = np.full(10, 20.0), np.full(10, np.nan)
    verdict, why = LogLikelihoodEstimate("importance", 24, -ess, ess, ess, unknown).trust()
    assert verdict == "doubtful"
    assert "24 samples are too few" in why
    assert LogLikelihoodEstimate("importance", 25, -ess, ess, ess, unknown).trust()[0] == "yes"


def test_averages_keep_their_errors_apart():
    values, errors = np.arange(4.0), np.array([3.0, 0.0, 4.0, 0.0])
    found = LogLikelihoodEstimate("prior", 10, values, errors, errors, None)
    assert found.mean().mean == 1.5
    assert found.mean().standard_error == pytest.approx(np.std(values, ddof=1) / 2)
    assert found.mean_monte_carlo_error() == pytest.approx(5 / 4)


@pytest.mark.parametrize("proposal", ["posterior", "prior"])
def test_memory_does_not_depend_on_the_number_of_samples(proposal):
    def program(samples):
        given = (ORACLE.model(), jnp.asarray(samples))
        rows = ROWS_OF_DATA[:ROWS].astype(np.float32)
        function = likelihoods._streamed(100, proposal)
        lower: Any = _compiled().lower  # pyright: ignore[reportFunctionMemberAccess]
        block = (rows, None, np.arange(ROWS, dtype=np.int32))
        return lower(function, given, block, jax.random.key(0), ROWS, np.int32(1)).as_text()

    # The number is an argument of one program; only the length of the tail is a part of it.
    assert program(1000) == program(10_000_000)


@in_float64
def test_the_same_number_of_samples_is_compiled_once():
    model, key = ORACLE.model(), jax.random.key(10)
    importance(model, ROWS_OF_DATA[:2], key=key, samples=MANY)
    importance(model, ROWS_OF_DATA[:7], key=key, samples=MANY)  # joins three tiles
    compilations = []

    def listen(event, duration_secs, **_):
        if event == "/jax/core/compile/backend_compile_duration":
            compilations.append(duration_secs)

    jax.monitoring.register_event_duration_secs_listener(listen)
    try:
        importance(model, ROWS_OF_DATA[2:9], key=key, samples=MANY)
    finally:
        jax.monitoring.unregister_event_duration_listener(listen)
    assert not compilations


def test_binarised_data_is_one_draw_a_row():
    composition = Composition(likelihood="bernoulli, binary")
    model = dataclasses.replace(
        composition.model(11), preprocessing=Preprocessing(1 / 255, "dynamic")
    )
    grey = np.full((30, 2, 2, 1), 128, np.uint8)
    found = prior(model, grey, key=jax.random.key(12), samples=4000).log_likelihood
    # Sixteen images, each with its own log-mass: what was drawn is one of them, not their mixture.
    images = np.unpackbits(np.arange(16, dtype=np.uint8)[:, None], axis=1)[:, 4:]
    images = 255 * images.reshape(16, 2, 2, 1)
    masses = prior(model, images, key=jax.random.key(13), samples=4000).log_likelihood
    assert scipy.special.logsumexp(masses) == pytest.approx(0, abs=0.1)
    distance = np.abs(found[:, None] - masses).min(axis=1)
    assert distance.max() < 0.2
    assert len(np.unique(np.round(found, 1))) > 5


# --- what a model may lack -----------------------------------------------------------------


class Planar:
    """A posterior that can say how likely its own draws are, and nothing else."""

    def __init__(self, mean):
        self.mean = mean

    def sample_and_log_prob(self, key):
        noise = jax.random.normal(key, self.mean.shape)
        log_prob = dist.Normal().log_prob(noise).sum() - self.mean.size * jnp.log(1.5)
        return self.mean + 1.5 * noise, log_prob


class FixedEncoder(AbstractEncoder):
    """An encoder that gives what it is told, at any datum."""

    make: object = eqx.field(static=True)

    def __call__(self, x, condition=None):
        return self.make(jnp.zeros(2))  # pyright: ignore[reportCallIssue]


class DrawsOnly(AbstractPrior):
    """A normal prior of scale 1.5 that cannot say how likely a given point is."""

    latent_dim: int

    def __call__(self, encoder, condition=None):
        return Planar(jnp.zeros(2))


class _Silent:
    def __init__(self, mean):
        self.mean = mean

    def sample(self, key):
        return self.mean


@in_float64
def test_a_flow_without_an_inverse_is_a_proposal():
    model = dataclasses.replace(ORACLE.model(), encoder=FixedEncoder(Planar))
    near = ROWS_OF_DATA[np.argsort(kl_of_normals(ORACLE, ROWS_OF_DATA))[:50]]
    found = importance(model, near, key=jax.random.key(14), samples=MANY)
    ratio = np.exp(found.log_likelihood - ORACLE.log_evidence(near))
    assert abs(ratio.mean() - 1) < 4 * ratio.std(ddof=1) / math.sqrt(len(near))


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"encoder": FixedEncoder(lambda m: dist.Delta(m).to_event(1))}, "posterior is a point"),
        ({"encoder": FixedEncoder(lambda m: dist.Delta(m, event_dim=1))}, "posterior is a point"),
        ({"encoder": FixedEncoder(_Silent)}, "no log-density of its draws"),
        ({"prior": DrawsOnly(2)}, "no log-density at a given point"),
    ],
)
def test_a_model_without_densities_is_refused(change, reason):
    model = dataclasses.replace(ORACLE.model(), **change)
    with pytest.raises(ValueError, match=reason):
        importance(model, ROWS_OF_DATA[:2], key=jax.random.key(15), samples=FEW)


@in_float64
def test_the_prior_estimate_needs_neither_density():
    x, key = ROWS_OF_DATA[:5], jax.random.key(16)
    draws = lambda mean: dist.Delta(mean).to_event(1)  # noqa: E731
    model = dataclasses.replace(ORACLE.model(), encoder=FixedEncoder(draws), prior=DrawsOnly(2))
    ratio = np.exp(prior(model, np.repeat(x, 40, axis=0), key=key, samples=MANY).log_likelihood)
    ratio = ratio.reshape(5, 40) / np.exp(ORACLE.log_evidence(x))[:, None]
    # Its draws are of scale 1.5: the evidence is that of a model whose weight is larger by it.
    wider = dataclasses.replace(ORACLE, weight=1.5 * ORACLE.weight)
    ratio *= np.exp(ORACLE.log_evidence(x) - wider.log_evidence(x))[:, None]
    assert abs(ratio.mean() - 1) < 4 * ratio.std(ddof=1) / math.sqrt(200)


@pytest.mark.parametrize(("rows", "samples"), [(0, 10), (3, 0)])
def test_an_estimate_of_nothing_is_refused(rows, samples):
    for function in (importance, prior, log_weights):
        with pytest.raises(ValueError, match=f"{rows} rows and {samples} samples"):
            function(ORACLE.model(), ROWS_OF_DATA[:rows], key=jax.random.key(0), samples=samples)


@pytest.mark.parametrize("counts", [(), (0, 3), (3, 11)])
def test_counts_are_checked(counts):
    with pytest.raises(ValueError, match="between 1 and 10"):
        running(ORACLE.model(), ROWS_OF_DATA[:2], key=jax.random.key(0), samples=10, counts=counts)
