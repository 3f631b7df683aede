"""Each closed form of the table, against quadrature and numpy."""

import itertools

import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest
import scipy.linalg
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from elbax.model import has_closed_form, kl_divergence, kl_per_dimension
from tests.laws import in_float64
from tests.linear_gaussian import log_normal

SCALES = [1.0, 1e-6, 1e3]
RNG_SEED = 11


def normal(rng, d, scale):
    """Independent normals, and their mean and Cholesky factor."""
    mean, spread = scale * rng.normal(size=d), scale * np.exp(0.5 * rng.normal(size=d))
    made = dist.Normal(jnp.asarray(mean), jnp.asarray(spread)).to_event(1)
    return made, mean, np.diag(spread)


def full(rng, d, scale):
    mean = scale * rng.normal(size=d)
    factor = scale * (
        np.tril(rng.normal(size=(d, d)), -1) + np.diag(np.exp(0.5 * rng.normal(size=d)))
    )
    made = dist.MultivariateNormal(jnp.asarray(mean), scale_tril=jnp.asarray(factor))
    return made, mean, factor


PAIRS = {f"{q.__name__}-{p.__name__}": (q, p) for q in (normal, full) for p in (normal, full)}


def log_density(mean, factor, z):
    """log N(z; mean, factor factorᵀ) by scipy, in coordinates where it is a standard normal."""
    white = scipy.linalg.solve_triangular(factor, (z - mean).T, lower=True).T
    return scipy.stats.norm.logpdf(white).sum(axis=1) - np.log(np.diag(factor)).sum()


def kl_by_quadrature(q_mean, q_factor, p_mean, p_factor):
    """E_q[log q − log p] by Gauss–Hermite: exact, for the log-ratio is a quadratic."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(5)
    d = len(q_mean)
    grid = np.array(list(itertools.product(nodes, repeat=d)))
    chances = np.prod(list(itertools.product(weights / weights.sum(), repeat=d)), axis=1)
    z = q_mean + grid @ q_factor.T
    return chances @ (log_density(q_mean, q_factor, z) - log_density(p_mean, p_factor, z))


@pytest.mark.parametrize("kinds", list(PAIRS.values()), ids=list(PAIRS))
@pytest.mark.parametrize("d", [1, 2, 3])
@pytest.mark.parametrize("q_scale", SCALES)
@pytest.mark.parametrize("p_scale", SCALES)
def test_closed_form_is_the_quadrature(kinds, d, q_scale, p_scale):
    rng = np.random.default_rng(RNG_SEED)
    make_q, make_p = kinds

    @in_float64
    def in_double():
        q, p = make_q(rng, d, q_scale), make_p(rng, d, p_scale)
        assert has_closed_form(q[0], p[0])
        return q, p, float(kl_divergence(q[0], p[0]))

    q, p, found = in_double()
    exact = kl_by_quadrature(*q[1:], *p[1:])
    assert exact > 0
    assert found == pytest.approx(exact, rel=1e-9)


def test_the_oracle_is_scipys_density():
    rng = np.random.default_rng(RNG_SEED)
    _, mean, factor = full(rng, 3, 1.0)
    z = rng.normal(size=(7, 3))
    expected = log_normal(z, mean, factor @ factor.T)
    assert np.allclose(log_density(mean, factor, z), expected, rtol=1e-10)


@pytest.mark.parametrize("d", [1, 2, 6])
@in_float64
def test_kl_of_a_full_normal_is_the_summarys_formula(d):
    # ½ (tr Σ + μᵀμ − k − log det Σ)
    rng = np.random.default_rng(RNG_SEED)
    q, mean, factor = full(rng, d, 1.0)
    covariance = factor @ factor.T
    sign, log_determinant = np.linalg.slogdet(covariance)
    expected = 0.5 * (np.trace(covariance) + mean @ mean - d - log_determinant)
    assert sign == 1
    standard = dist.Normal(jnp.zeros(d), jnp.ones(d)).to_event(1)
    full_standard = dist.MultivariateNormal(jnp.zeros(d), scale_tril=jnp.eye(d))
    assert float(kl_divergence(q, standard)) == pytest.approx(expected, rel=1e-12)
    assert float(kl_divergence(q, full_standard)) == pytest.approx(expected, rel=1e-12)


@in_float64
def test_kl_of_a_diagonal_normal_is_the_summarys_code():
    # 0.5 * reduce_sum(exp(log_sigma) + square(mu) - 1 - log_sigma), log_sigma a log-variance
    rng = np.random.default_rng(RNG_SEED)
    mu, log_sigma = rng.normal(size=5), rng.normal(size=5)
    q = dist.Normal(jnp.asarray(mu), jnp.exp(0.5 * log_sigma)).to_event(1)
    standard = dist.Normal(jnp.zeros(5), jnp.ones(5)).to_event(1)
    terms = 0.5 * (np.exp(log_sigma) + np.square(mu) - 1.0 - log_sigma)
    found = kl_per_dimension(q, standard)
    assert found is not None
    assert np.allclose(found, terms, rtol=1e-12)
    assert float(kl_divergence(q, standard)) == pytest.approx(terms.sum(), rel=1e-12)


@pytest.mark.parametrize("kinds", list(PAIRS.values()), ids=list(PAIRS))
def test_in_float32_the_digits_of_float32_are_right(kinds):
    rng = np.random.default_rng(RNG_SEED)
    for scale in SCALES:
        q, p = kinds[0](rng, 3, scale), kinds[1](rng, 3, 1.0)
        exact = kl_by_quadrature(*q[1:], *p[1:])
        assert float(kl_divergence(q[0], p[0])) == pytest.approx(exact, rel=2e-5)


@given(
    mean=st.lists(st.floats(-1e3, 1e3), min_size=2, max_size=2),
    log_scale=st.lists(st.floats(-7, 7), min_size=2, max_size=2),
    below=st.floats(-1e2, 1e2),
)
def test_kl_is_never_negative_and_zero_between_equals(mean, log_scale, below):
    @in_float64
    def in_double():
        scale, location = np.exp(log_scale), jnp.asarray(mean)
        factor = np.diag(scale)
        factor[1, 0] = below
        one = dist.Normal(location, jnp.asarray(scale)).to_event(1)
        other = dist.MultivariateNormal(location, scale_tril=jnp.asarray(factor))
        assert kl_divergence(one, one) == 0
        assert abs(kl_divergence(other, other)) < 1e-9
        assert kl_divergence(one, other) >= -1e-9
        assert kl_divergence(other, one) >= -1e-9

    in_double()


def test_kl_per_dimension_is_the_closed_form_one_dimension_at_a_time():
    @in_float64
    def in_double():
        rng = np.random.default_rng(RNG_SEED)
        (q, *_), (p, *_) = normal(rng, 4, 1.0), normal(rng, 4, 2.0)
        alone = [
            kl_divergence(
                dist.Normal(q.base_dist.loc[i : i + 1], q.base_dist.scale[i : i + 1]).to_event(1),
                dist.Normal(p.base_dist.loc[i : i + 1], p.base_dist.scale[i : i + 1]).to_event(1),
            )
            for i in range(4)
        ]
        found = kl_per_dimension(q, p)
        assert found is not None
        assert np.allclose(found, alone, rtol=1e-12)
        assert float(kl_divergence(q, p)) == pytest.approx(float(sum(alone)), rel=1e-12)

    in_double()


def test_there_is_no_kl_per_dimension_where_latents_depend_on_each_other():
    rng = np.random.default_rng(RNG_SEED)
    (q, *_), (p, *_) = full(rng, 2, 1.0), normal(rng, 2, 1.0)
    assert kl_per_dimension(q, p) is None
    assert kl_per_dimension(p, q) is None


@pytest.mark.parametrize(
    ("q", "p", "names"),
    [
        # numpyro's registry answers −log p(z) for this pair, which is no divergence.
        (
            dist.Delta(jnp.ones(2)).to_event(1),
            dist.Normal(jnp.zeros(2)).to_event(1),
            "Delta and Normal",
        ),
        (dist.Normal(jnp.zeros(2)), dist.Laplace(jnp.zeros(2)), "Normal and Laplace"),
        (dist.StudentT(3.0), dist.Normal(jnp.zeros(2)), "StudentT and Normal"),
    ],
)
def test_a_pair_that_is_not_in_the_table_is_refused_by_name(q, p, names):
    assert not has_closed_form(q, p)
    assert kl_per_dimension(q, p) is None
    with pytest.raises(NotImplementedError, match=f"no closed-form KL divergence between {names}"):
        kl_divergence(q, p)
