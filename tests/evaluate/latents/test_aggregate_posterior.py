"""The aggregate posterior against quadrature, and the two readings of it against each other."""

import dataclasses
import functools
import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest
import scipy.special
import scipy.stats
from jaxtyping import Array, Float

from elbax.evaluate import elbo, elbo_split, total_correlation
from elbax.evaluate.tiles import Conditioned
from elbax.model import MLP, Decoder, Encoder, Normal, PlanarFlow, Preprocessing
from elbax.model.interfaces import AbstractEncoder
from tests.evaluate.latents.posteriors import ROWS, identity, with_posterior
from tests.laws import Composition
from tests.linear_gaussian import LinearGaussian, example, linear

# --- Hoffman & Johnson's split -------------------------------------------------------------

COUNT, DRAWS = 30, 80  # more than one group of rows, and of latents
LINE = np.random.default_rng(6).normal(size=(COUNT, 1))


def on_a_line(slope, shift, scale):
    """One latent: q(z|x) = N(slope x + shift, scale²)."""
    return LinearGaussian(
        weight=np.array([[0.8]]),
        bias=np.array([0.1]),
        scale=0.7,
        encoder_weight=np.array([[slope]]),
        encoder_bias=np.array([shift]),
        cholesky=np.array([[scale]]),
    ).model()


def split(model, seed, rows=LINE):
    with jax.enable_x64(True):
        return elbo_split(model, rows, key=jax.random.key(seed), samples=DRAWS)


def line_in_float64(*numbers):
    with jax.enable_x64(True):
        return on_a_line(*numbers)


def test_the_parts_add_up_to_the_bound_at_the_same_draws():
    model = line_in_float64(0.9, 0.2, 0.4)
    found = split(model, 7)
    with jax.enable_x64(True):
        bound = elbo(model, LINE, key=jax.random.key(7), samples=DRAWS, kl="monte-carlo").elbo
    assert found.elbo == pytest.approx(np.mean(bound), rel=1e-12)
    assert (found.count, found.ceiling) == (COUNT, math.log(COUNT))


def test_identical_posteriors_share_nothing():
    found = split(line_in_float64(0.0, 0.5, 0.6), 8)
    assert abs(found.mutual_information) < 1e-10
    # Then the aggregate is any one of them.
    kl = 0.5 * (0.5**2 + 0.6**2 - 1) - math.log(0.6)
    assert found.aggregate_kl == pytest.approx(kl, abs=4 * 0.7 / math.sqrt(COUNT * DRAWS))


def test_separate_posteriors_reach_the_ceiling():
    rows = np.arange(COUNT, dtype=float)[:, None]
    found = split(line_in_float64(1.0, 0.0, 0.01), 9, rows)
    assert found.mutual_information == pytest.approx(math.log(COUNT), abs=1e-9)


def test_the_split_against_quadrature():
    numbers = (0.9, 0.2, 0.4)
    model = line_in_float64(*numbers)
    z = np.linspace(-7, 7, 5001)[:, None]
    log_q = scipy.stats.norm.logpdf(z, numbers[0] * LINE[:, 0] + numbers[1], numbers[2])
    log_aggregate = np.log(np.exp(log_q).mean(axis=1, keepdims=True))
    step = z[1, 0] - z[0, 0]
    information = np.sum(np.exp(log_q) * (log_q - log_aggregate)) * step / COUNT
    log_ratio = log_aggregate - scipy.stats.norm.logpdf(z)
    aggregate = np.sum(np.exp(log_aggregate) * log_ratio) * step
    found = [split(model, seed) for seed in range(20)]
    for name, expected in (("mutual_information", information), ("aggregate_kl", aggregate)):
        values = [getattr(one, name) for one in found]
        assert abs(np.mean(values) - expected) < 4 * scipy.stats.sem(values)
        assert scipy.stats.sem(values) < 0.02 * expected + 0.002


def test_binarised_data_is_drawn_once_for_each_row():
    # With grey levels of 0 and 255 there is nothing to draw, so that both are the same.
    model = Composition(likelihood="bernoulli, binary").model(10)
    rows = np.random.default_rng(11).integers(0, 2, (9, 2, 2, 1)).astype(np.uint8) * 255
    kinds = (Preprocessing(1 / 255), Preprocessing(1 / 255, "dynamic"))
    found = [
        elbo_split(
            dataclasses.replace(model, preprocessing=kind), rows, key=jax.random.key(12), samples=3
        )
        for kind in kinds
    ]
    assert dataclasses.astuple(found[0]) == pytest.approx(dataclasses.astuple(found[1]), rel=1e-5)


def test_a_posterior_that_knows_its_own_draws_only_is_refused():
    posterior = PlanarFlow(2)
    network = MLP(4, (), posterior.parameter_count, key=jax.random.key(0))
    model = dataclasses.replace(Composition().model(0), encoder=Encoder(network, posterior))
    with pytest.raises(ValueError, match=r"the posterior .* has no log-density at a given point"):
        elbo_split(model, np.zeros((2, 2, 2, 1), np.float32), key=jax.random.key(0))


# --- total correlation ---


def test_a_product_of_mixtures_has_no_total_correlation():
    # Means on a grid: q(z) is the product of its marginals, at every z.
    a, b = np.linspace(-2, 2, 9), np.array([-1.0, 0.3, 0.5])
    grid = np.stack(np.meshgrid(a, b), axis=-1).reshape(-1, 2)
    found = total_correlation(identity(np.array([0.3, 0.7])), grid, key=jax.random.key(0))
    assert abs(found.estimate.mean) < 1e-12
    assert found.estimate.standard_error < 1e-12
    assert found.count == 27
    assert found.ceiling == pytest.approx(math.log(27))


def log_mixture(z: Float[np.ndarray, "... d"], means: np.ndarray, scale: float) -> np.ndarray:
    """The log-density of 1/N Σ N(means, scale² I) by scipy, last axis the latent."""
    terms = scipy.stats.norm.logpdf(z[..., None, :], means, scale).sum(axis=-1)
    return np.asarray(scipy.special.logsumexp(terms, axis=-1)) - math.log(len(means))


def test_total_correlation_and_information_on_a_diagonal_are_the_quadratures():
    t, scale = np.linspace(-2, 2, 12), 0.4
    axis, step = np.linspace(-4.5, 4.5, 181, retstep=True)
    z = np.stack(np.meshgrid(axis, axis, indexing="ij"), axis=-1)
    joint = log_mixture(z, np.stack([t, t], axis=-1), scale)
    marginal = log_mixture(axis[:, None], t[:, None], scale)
    integrand = np.exp(joint) * (joint - marginal[:, None] - marginal)
    exact = integrand.sum() * step**2
    assert np.exp(joint).sum() * step**2 == pytest.approx(1, abs=1e-9)
    # I(x; z) = H(q(z)) − H(q(z|x)).
    entropy = -(np.exp(joint) * joint).sum() * step**2
    information = entropy - (math.log(2 * math.pi * math.e) + 2 * math.log(scale))

    found = total_correlation(
        identity(np.full(2, scale)), np.stack([t, t], axis=-1), key=jax.random.key(1), samples=500
    )
    # The draws are 500 for each of the 12 components; the spread of the integrand bounds the error.
    variance = (np.exp(joint) * (joint - marginal[:, None] - marginal) ** 2).sum() * step**2
    error = math.sqrt((variance - exact**2) / 6000)
    assert abs(found.estimate.mean - exact) < 4 * error
    assert found.mutual_information.mean == pytest.approx(information, abs=4 / math.sqrt(6000))
    assert 0.3 < exact < found.ceiling


def test_total_correlation_of_a_gaussian_aggregate_is_the_closed_form():
    # Means spread as N(0, C), evenly; then q(z) is about N(0, C + s² I).
    normal = scipy.stats.norm.ppf(scipy.stats.qmc.Sobol(2, rng=2).random(2048))
    covariance = np.array([[1.0, 0.8], [0.8, 1.0]])
    rows = normal @ np.linalg.cholesky(covariance).T
    found = total_correlation(identity(np.full(2, 0.5)), rows, key=jax.random.key(3))
    correlation = 0.8 / 1.25
    exact = -0.5 * math.log(1 - correlation**2)
    assert abs(found.estimate.mean - exact) < 4 * found.estimate.standard_error
    assert found.estimate.standard_error < 0.02
    assert not found.saturated


def test_total_correlation_saturates_where_no_posteriors_overlap():
    # Independent factors; yet with posteriors as narrow as this it comes out at (d − 1) log N.
    rows = np.random.default_rng(4).normal(size=(200, 3))
    found = total_correlation(identity(np.full(3, 1e-6)), rows, key=jax.random.key(5))
    assert found.saturated
    assert found.mutual_information.mean == pytest.approx(found.ceiling, abs=1e-6)
    assert found.estimate.mean == pytest.approx(2 * found.ceiling, abs=0.05)


def test_total_correlation_of_a_collapsed_encoder_is_zero():
    rows = np.full((200, 3), 0.7)
    found = total_correlation(identity(np.ones(3)), rows, key=jax.random.key(6))
    assert abs(found.estimate.mean) < 1e-12
    assert abs(found.mutual_information.mean) < 1e-12
    assert not found.saturated


def test_total_correlation_does_not_depend_on_the_order_of_the_latents():
    # Nor on how its pairs are streamed: the mixture is summed in another order.
    rows = np.random.default_rng(7).normal(size=(40, 2)) @ np.array([[1.0, 0.9], [0.0, 0.4]])
    measure = functools.partial(total_correlation, key=jax.random.key(8), samples=3)
    found = measure(identity(np.array([0.3, 0.6])), rows)
    assert found == measure(identity(np.array([0.3, 0.6])), rows)
    padded = measure(identity(np.array([0.3, 0.6, 1.0])), np.c_[rows, np.zeros(40)])
    # A third latent that is the same for every row changes the draws, and nothing else.
    error = math.hypot(found.estimate.standard_error, padded.estimate.standard_error)
    assert abs(found.estimate.mean - padded.estimate.mean) < 4 * error


@pytest.mark.parametrize(
    ("make", "rows", "samples", "message"),
    [
        (lambda: with_posterior("discrete"), 30, 1, "Bernoulli"),
        (lambda: with_posterior("laplace"), 30, 1, "Laplace"),
        (lambda: with_posterior("one-hot"), 30, 1, "OneHotCategorical"),
        (lambda: identity(np.array([1.0, 1e-30])), 30, 1, "zero"),
        (lambda: identity(np.ones(2)), 1, 1, "1 rows"),
        (lambda: identity(np.ones(2)), 30, 0, "0 samples"),
    ],
)
def test_total_correlation_is_refused_where_it_is_not_defined(make, rows, samples, message):
    with pytest.raises(ValueError, match=message):
        total_correlation(make(), ROWS[:rows], key=jax.random.key(0), samples=samples)


def test_total_correlation_refuses_a_full_covariance():
    with pytest.raises(ValueError, match="MultivariateNormal"):
        total_correlation(example().model(), np.zeros((3, 4)), key=jax.random.key(0))


# --- the two readings ----------------------------------------------------------------------


def test_both_readings_give_the_quadratures_mutual_information_to_the_last_bit():
    """A mixture of 60 normals; the arithmetic is in double precision, so only draws are noise."""
    rows = np.random.default_rng(20).normal(size=(60, 1))
    scale, samples = 0.3, 400
    axis, step = np.linspace(-7, 7, 20_001, retstep=True)
    density = np.exp(log_mixture(axis[:, None], rows, scale))
    entropy = -np.sum(density * np.log(density)) * step
    exact = entropy - 0.5 * math.log(2 * math.pi * math.e * scale**2)

    model, key = identity(np.array([scale])), jax.random.key(21)
    by_split = elbo_split(model, rows, key=key, samples=samples).mutual_information
    by_correlation = total_correlation(model, rows, key=key, samples=samples).mutual_information
    assert by_split == by_correlation.mean
    assert by_split == pytest.approx(exact, abs=4 / math.sqrt(len(rows) * samples))


class OfCondition(AbstractEncoder):
    """q(z|x, c) = N(c, 0.3² I), whatever x is."""

    def __call__(self, x: Array, condition: Array | None = None) -> Any:
        del x
        assert condition is not None
        return dist.Normal(condition, jnp.full_like(condition, 0.3)).to_event(1)


def test_the_mixture_is_of_posteriors_under_their_own_conditions():
    decoder = Decoder(linear(np.eye(2, 4), np.zeros(2)), Normal((2,), 1.0))
    given = dataclasses.replace(identity(np.ones(2)), encoder=OfCondition(), decoder=decoder)
    rows = Conditioned(np.zeros_like(ROWS), ROWS)
    found, plain = (
        total_correlation(model, data, key=jax.random.key(23))
        for model, data in ((given, rows), (identity(np.full(2, 0.3)), ROWS))
    )
    assert found.estimate.mean == pytest.approx(plain.estimate.mean, rel=1e-4)
    assert found.mutual_information.mean == pytest.approx(plain.mutual_information.mean, rel=1e-5)


def test_the_aggregate_of_nothing_is_refused():
    with pytest.raises(ValueError, match="0 rows and 10 samples"):
        elbo_split(identity(np.ones(2)), ROWS[:0], key=jax.random.key(0))
