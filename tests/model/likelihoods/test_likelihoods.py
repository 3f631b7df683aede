"""Every likelihood against scipy, brute-force sums or adaptive quadrature; supports; extremes."""

import functools

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.integrate
import scipy.special
import scipy.stats

from elbax.model import (
    Bernoulli,
    Categorical,
    ContinuousBernoulli,
    DiscretizedLogistic,
    DiscretizedLogisticMixture,
    Laplace,
    LogNormal,
    Mixed,
    NegativeBinomial,
    Normal,
    Ordinal,
    Poisson,
    Preprocessing,
    StudentT,
    check_support,
)
from elbax.model.likelihoods.special import log_rising_factorial, log_sinhc
from tests.laws import in_float64, numbers

LEVELS = np.arange(256) / 255


def close(found, expected, rtol=1e-12):
    assert np.allclose(found, expected, rtol=rtol, atol=1e-13)


@eqx.filter_jit
def _at(family, parameters, x):
    p = family(parameters)
    return p.log_prob(x), p.mean, p.variance


def at(family, parameters, x):
    """Log-densities, means and variances, compiled in one piece."""
    x = jnp.asarray(x).reshape(family.shape)
    return [np.asarray(a) for a in _at(family, jnp.asarray(parameters), x)]


# --- special functions ---------------------------------------------------------------------


@in_float64
def test_log_sinhc_keeps_its_digits_through_zero_and_far_away():
    x = jnp.array([0.0, 1e-9, 1e-3, 0.3, 0.499999, 0.500001, 2.0, 50.0, 1e4])
    with np.errstate(over="ignore"):
        direct = np.log(np.sinh(np.asarray(x[3:8])) / x[3:8])
    close(log_sinhc(x), [0.0, 1e-18 / 6, 1e-6 / 6 - 1e-12 / 180, *direct, 1e4 - np.log(2e4)])
    close(log_sinhc(-x), log_sinhc(x))


def test_log_rising_factorial_keeps_its_digits_in_float32():
    a = np.array([1e-3, 1.0, 29.0, 31.0, 1e3, 1e6, 1e9])
    for x in (0.0, 0.5, 3.0, 400.0):
        exact = np.log(scipy.special.poch(a, x)) if x < 20 else np.sum(
            np.log(a[:, None] + np.arange(x)), axis=1
        )  # fmt: skip
        found = log_rising_factorial(jnp.asarray(a, jnp.float32), jnp.asarray(x, jnp.float32))
        assert np.allclose(found, exact, rtol=2e-6, atol=2e-5), x


# --- densities -----------------------------------------------------------------------------


@in_float64
def test_continuous_bernoulli_is_the_bernoulli_over_its_integral():
    logits = np.array([-30.0, -5.0, -1e-3, 0.0, 1e-7, 0.3, 4.0, 30.0])
    family = ContinuousBernoulli(logits.shape)
    found = {x: at(family, logits, np.full(8, x)) for x in (0.0, 0.2, 0.9, 1.0)}
    for i, logit in enumerate(logits):

        def bernoulli(x, logit=logit):
            return np.exp(x * logit - np.logaddexp(0.0, logit))

        integral, mean, square = (
            scipy.integrate.quad(lambda x, k=k: x**k * bernoulli(x), 0, 1, epsabs=0, epsrel=1e-13)[
                0
            ]
            for k in range(3)
        )
        for x, (log_prob, expected, variance) in found.items():
            assert log_prob[i] == pytest.approx(np.log(bernoulli(x) / integral), 1e-12, 1e-12)
            assert expected[i] == pytest.approx(mean / integral, 1e-12)
            assert variance[i] == pytest.approx(square / integral - (mean / integral) ** 2, 1e-9)


@in_float64
def test_continuous_bernoulli_is_scipys_truncated_exponential_in_draws_too():
    for logit in (-12.0, -2.0, 1e-5, 7.0):
        p = ContinuousBernoulli((4000,))(jnp.full(4000, logit))
        # On [0, 1] the density falls as e^(−|l| x), or rises as its mirror image.
        oracle = scipy.stats.truncexpon(b=abs(logit), scale=1 / abs(logit))
        draws = np.asarray(eqx.filter_jit(p.sample)(jax.random.key(1)))
        draws = draws if logit < 0 else 1 - draws
        assert scipy.stats.kstest(draws, oracle.cdf).pvalue > 1e-3


@in_float64
def test_families_of_location_and_scale_are_scipys():
    location, log_scale, x = numbers((3, 4), seed=1)
    x[0] = 30.0  # far out
    both, positive = np.append(location, log_scale), np.exp(x / 3)
    scale, shape = 1e-3 + np.exp(log_scale), (2, 2)
    check = functools.partial(check_against, shape=shape)
    check(Laplace(shape, "predicted"), both, x, scipy.stats.laplace(location, scale))
    check(Laplace(shape), location, x, scipy.stats.laplace(location, 1.001))
    t = StudentT(shape, "predicted", degrees_of_freedom=3.5)
    check(t, both, x, scipy.stats.t(3.5, location, scale))
    check(StudentT(shape, 0.4), location, x, scipy.stats.t(10.0, location, 0.4))
    check(StudentT(shape, "element"), location, x, scipy.stats.t(10.0, location, 1.001))
    oracle = scipy.stats.lognorm(scale, scale=np.exp(location))
    check(LogNormal(shape, "predicted"), both, positive, oracle)


def check_against(family, parameters, x, oracle, shape):
    log_prob, mean, variance = at(family, parameters, x)
    close(log_prob, oracle.logpdf(x).reshape(shape))
    close(mean, oracle.mean().reshape(shape))
    close(variance, oracle.var().reshape(shape), rtol=1e-10)


def test_student_t_keeps_its_digits_near_the_normal_in_float32():
    p = StudentT((1,), 1.0, degrees_of_freedom=1e6)(jnp.zeros(1))
    assert np.allclose(p.log_prob(jnp.ones(1)), scipy.stats.norm.logpdf(1), atol=1e-5)


@in_float64
def test_draws_of_families_of_location_and_scale_follow_scipy():
    parameters = np.repeat([0.3, -0.5], 2000)
    scale = 1e-3 + np.exp(-0.5)
    for family, oracle in [
        (Laplace, scipy.stats.laplace(0.3, scale)),
        (StudentT, scipy.stats.t(10.0, 0.3, scale)),
        (LogNormal, scipy.stats.lognorm(scale, scale=np.exp(0.3))),
    ]:
        p = family((2000,), "predicted")(jnp.asarray(parameters))
        draws = eqx.filter_jit(p.sample)(jax.random.key(2))
        assert scipy.stats.kstest(np.asarray(draws), oracle.cdf).pvalue > 1e-3


@pytest.mark.parametrize(
    ("family", "bound"),
    [
        (Laplace, scipy.stats.laplace.logpdf(0, 0, 0.01)),
        (functools.partial(StudentT, degrees_of_freedom=5.0), scipy.stats.t.logpdf(0, 5, 0, 0.01)),
        (LogNormal, scipy.stats.lognorm.logpdf(1, 0.01)),
    ],
)  # fmt: skip
def test_a_floor_bounds_the_density_of_a_constant_element(family, bound):
    made = family((1,), "predicted", minimum_scale=0.01)
    x = jnp.ones(1) if family is LogNormal else jnp.zeros(1)
    assert np.allclose(made(jnp.asarray([0.0, -1e3])).log_prob(x), bound, rtol=1e-6)


# --- levels --------------------------------------------------------------------------------


def masses(family, parameters, values):
    p = family(jnp.asarray(parameters))
    log_prob = jax.jit(jax.vmap(p.log_prob))
    return np.exp(log_prob(jnp.asarray(values)[:, None] * jnp.ones(family.shape)))


@in_float64
def test_categorical_is_a_softmax_over_levels_of_each_element():
    logits = numbers((256, 3), seed=3)
    found = masses(Categorical((3,)), logits.ravel(), LEVELS)
    close(found, scipy.special.softmax(logits, axis=0))
    _, mean, variance = at(Categorical((3,)), logits.ravel(), np.zeros(3))
    close(mean, LEVELS @ found)
    close(variance, LEVELS**2 @ found - (LEVELS @ found) ** 2)


@in_float64
def test_categorical_of_codes_counts_them_from_nought():
    logits = numbers((4, 1), seed=3)
    found = masses(Categorical((1,), 4, 3.0), logits.ravel(), np.arange(4.0))
    close(found, scipy.special.softmax(logits, axis=0))


@in_float64
def test_discretized_logistic_is_a_difference_of_scipys_distribution_function():
    location, log_scale = np.array([-1.5, -0.3, 0.0, 0.9]), np.array([-3.0, 0.5, -8.0, -1.0])
    family = DiscretizedLogistic((4,), scale="predicted")
    found = masses(family, np.append(location, log_scale), LEVELS)
    cdf = scipy.stats.logistic(location, np.exp(-7) + np.exp(log_scale)).cdf
    edges = (2 * np.arange(1, 256) - 1)[:, None] / 255 - 1
    below = np.concatenate([np.zeros((1, 4)), cdf(edges), np.ones((1, 4))])
    assert np.allclose(found, np.diff(below, axis=0), rtol=1e-9, atol=1e-15)
    assert np.allclose(found.sum(0), 1.0, atol=1e-12)
    _, mean, variance = at(family, np.append(location, log_scale), np.zeros(4))
    close(mean, LEVELS @ found, rtol=1e-10)
    assert np.allclose(variance, LEVELS**2 @ found - (LEVELS @ found) ** 2, rtol=1e-6)


@in_float64
def test_discretized_logistic_mixture_sums_its_components():
    logits, location, log_scale = numbers((3, 5, 2), seed=4)
    log_scale -= 2
    parameters = np.concatenate([logits, location, log_scale]).ravel()
    found = masses(DiscretizedLogisticMixture((2,)), parameters, LEVELS)
    each = [
        masses(DiscretizedLogistic((2,), scale="predicted"), np.append(m, s), LEVELS)
        for m, s in zip(location, log_scale, strict=True)
    ]
    close(found, np.einsum("cd,cld->ld", scipy.special.softmax(logits, axis=0), each))
    assert np.allclose(found.sum(0), 1.0, atol=1e-12)


@in_float64
def test_ordinal_is_cumulative_logits():
    family = Ordinal((2,), 4)
    # At the start the levels are equally likely.
    assert np.allclose(masses(family, np.zeros(2), np.arange(4.0)), 0.25)
    found = masses(family, [0.7, -40.0], np.arange(4.0))
    below = scipy.special.expit(np.log([1 / 3, 1, 3]) - 0.7)
    close(found[:, 0], np.diff([0, *below, 1]))
    assert np.allclose(found.sum(0), 1.0, atol=1e-12)
    assert len(Ordinal((2,), 2).log_steps) == 0  # two levels: a binary element
    close(masses(Ordinal((1,), 2), [0.3], [0.0, 1.0])[:, 0], scipy.special.expit([-0.3, 0.3]))


def test_draws_over_levels_follow_their_masses():
    family = DiscretizedLogisticMixture((1,))
    parameters = 0.5 * numbers(family.parameter_count, seed=5)
    expected = masses(family, parameters, LEVELS).ravel()
    p = family(jnp.asarray(parameters))
    draws = jax.jit(jax.vmap(p.sample))(jax.random.split(jax.random.key(6), 5000))
    check_support(family.support, np.asarray(draws), family.name)
    counts = np.bincount(np.rint(np.asarray(draws).ravel() * 255).astype(int), minlength=256)
    blocks = lambda a: a.reshape(16, 16).sum(1)  # noqa: E731
    expected = 5000 * blocks(expected.astype(float))
    fit = scipy.stats.chisquare(blocks(counts), expected * (5000 / expected.sum()))
    assert fit.pvalue > 1e-3


# --- counts --------------------------------------------------------------------------------


@in_float64
def test_counts_are_scipys():
    log_mean, log_concentration = np.array([-3.0, 0.5, 8.0]), np.array([-2.0, 1.0, 0.0])
    mean, n = np.exp(log_mean), np.exp(log_concentration)
    family = NegativeBinomial((3,), "predicted")
    oracle = scipy.stats.nbinom(n, n / (n + mean))
    for x in (0, 1, 7, 150, 3000):
        value = np.full(3, float(x))
        found = at(Poisson((3,)), log_mean, value)
        close(found[0], scipy.stats.poisson.logpmf(x, mean))
        found = at(family, np.append(log_mean, log_concentration), value)
        assert np.allclose(found[0], scipy.stats.nbinom.logpmf(x, n, n / (n + mean)), rtol=1e-9)
    close(found[1], oracle.mean(), rtol=1e-9)
    close(found[2], oracle.var(), rtol=1e-9)


@in_float64
def test_counts_sum_to_one():
    for family, parameters in [
        (Poisson((1,)), [1.3]),
        (NegativeBinomial((1,)), [1.3]),
        (NegativeBinomial((1,), "predicted"), [1.3, -0.8]),
    ]:
        found = masses(family, parameters, np.arange(400.0))
        assert found.sum() == pytest.approx(1.0, abs=1e-12)


def test_negative_binomial_goes_to_the_poisson_in_float32():
    family = NegativeBinomial((1,), "predicted")
    expected = scipy.stats.poisson.logpmf(25, np.exp(3))
    assert np.allclose(at(family, [3.0, 16.0], [25.0])[0], expected, atol=1e-4)


# --- a product over columns ----------------------------------------------------------------

KINDS = (
    "normal", "binary", "categorical-3", "poisson", "normal", "ordinal-4", "log-normal",
    "negative-binomial", "laplace", "categorical-3", "student-t", "continuous-bernoulli",
)  # fmt: skip
ROW = np.array([0.3, 1, 2, 4, -1.2, 3, 2.5, 7, 0.1, 0, 5.0, 0.4])


@in_float64
def test_mixed_is_each_columns_own_family():
    family = Mixed((12,), KINDS)
    assert Mixed((12,), ", ".join(KINDS)).columns == KINDS
    eta = numbers(family.parameter_count, seed=8)
    found = at(family, eta, ROW)[0]
    # By family, in the order in which they appear: the network's output.
    pieces = iter(eta)
    take = lambda n: np.array([next(pieces) for _ in range(n)])  # noqa: E731
    normal, binary, categorical = take(2), take(1), take(6).reshape(3, 2)
    poisson, ordinal, log_normal, negative, laplace, t, continuous = (take(1)[0] for _ in range(7))
    assert next(pieces, None) is None
    below = np.array([0, *scipy.special.expit(np.log([1 / 3, 1, 3]) - ordinal), 1])
    by_column = [
        scipy.stats.norm.logpdf(0.3, normal[0], 1.001),
        scipy.stats.bernoulli.logpmf(1, scipy.special.expit(binary[0])),
        scipy.special.log_softmax(categorical[:, 0])[2],
        scipy.stats.poisson.logpmf(4, np.exp(poisson)),
        scipy.stats.norm.logpdf(-1.2, normal[1], 1.001),
        np.log(np.diff(below))[3],
        scipy.stats.lognorm.logpdf(2.5, 1.001, scale=np.exp(log_normal)),
        scipy.stats.nbinom.logpmf(7, 1.0, 1 / (1 + np.exp(negative))),
        scipy.stats.laplace.logpdf(0.1, laplace, 1.001),
        scipy.special.log_softmax(categorical[:, 1])[0],
        scipy.stats.t.logpdf(5.0, 10.0, t, 1.001),
        continuous * 0.4 - np.log(np.expm1(continuous) / continuous),
    ]
    close(found, by_column)


def test_mixed_is_a_mass_only_where_every_column_is():
    assert Mixed((2,), "binary,poisson").discrete
    assert not Mixed((2,), "binary,normal").discrete


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ("normal", "1 kinds of columns for 2 columns; name one for each: normal, laplace"),
        ("normal,gauss", "a column is 'gauss'; it can be normal"),
        ("normal,categorical", "a column is 'categorical'"),
        ("normal,ordinal-1", "levels is 1; give at least 2"),
    ],
)
def test_mixed_refuses_columns_by_name(columns, words):
    with pytest.raises(ValueError, match=words):
        Mixed((2,), columns)


# --- what the data must be -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("family", "right", "wrong", "words"),
    [
        (Bernoulli, [0, 0.3, 1], 1.1, "numbers from 0 to 1"),
        (ContinuousBernoulli, [0, 0.3, 1], -0.1, "numbers from 0 to 1"),
        (Normal, [-5, 0.3, 1e9], np.inf, "real numbers"),
        (StudentT, [-5, 0.3, 1e9], -np.inf, "real numbers"),
        (LogNormal, [1e-9, 2, 7], 0.0, "positive numbers"),
        (Categorical, [0, 51 / 255, 1], 0.5, "the 256 levels k/255"),
        (DiscretizedLogistic, [0, 51 / 255, 1], 256 / 255, "the 256 levels k/255"),
        (lambda shape: Categorical(shape, 3, 2.0), [0, 1, 2], 3.0, "whole numbers from 0 to 2"),
        (Poisson, [0, 1, 1e6], -1.0, "whole numbers from 0 on"),
        (NegativeBinomial, [0, 1, 1e6], 0.5, "whole numbers from 0 on"),
        (Ordinal, [0, 2, 4], 5.0, "whole numbers from 0 to 4"),
    ],
)
def test_support_names_the_first_value_outside(family, right, wrong, words):
    made = family((3, 1))
    rows = np.tile(np.reshape(right, (1, 3, 1)).astype(float), (2000, 1, 1))
    rows[3, 0] = np.nan  # a missing cell
    check_support(made.support, rows, made.name)
    rows[1500, 2, 0] = wrong
    with pytest.raises(ValueError, match=rf"row 1500, element \(2, 0\).* {made.name} .*{words}"):
        check_support(made.support, rows, made.name)


def test_support_of_mixed_is_a_columns_own():
    family = Mixed((12,), KINDS)
    rows = np.tile(ROW, (5, 1))
    check_support(family.support, rows, family.name)
    for column, wrong in [(1, 0.5), (2, 3.0), (3, -1.0), (6, 0.0), (11, 1.5)]:
        rows = np.tile(ROW, (5, 1))
        rows[2, column] = wrong
        with pytest.raises(ValueError, match=rf"row 2, element \({column}\)"):
            check_support(family.support, rows, family.name)


def test_every_byte_is_a_level_after_preprocessing():
    rows = np.asarray(Preprocessing(1 / 255)(jnp.arange(256, dtype=jnp.uint8)))[:, None]
    check_support(Categorical((1,)).support, rows, "categorical")
    # And each is found as itself, in float32.
    log_prob = at(Categorical((256,)), np.eye(256).ravel(), rows)[0]
    assert np.allclose(log_prob, 1 - np.log(np.e + 255))


# --- extremes ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("family", "values"),
    [
        (ContinuousBernoulli((1,)), (0.0, 1.0)),
        (Laplace((1,), "predicted"), (0.0, 1.0, -50.0)),
        (StudentT((1,), "predicted"), (0.0, 1.0, -50.0)),
        (LogNormal((1,), "predicted"), (1e-6, 1.0, 1e6)),
        (Categorical((1,), 4), (0.0, 1.0)),
        (DiscretizedLogistic((1,), scale="predicted"), (0.0, 127 / 255, 1.0)),
        (DiscretizedLogisticMixture((1,), 2), (0.0, 127 / 255, 1.0)),
        (Ordinal((1,), 4), (0.0, 1.0, 3.0)),
        (Poisson((1,)), (0.0, 1.0, 1e4)),
        (NegativeBinomial((1,), "predicted"), (0.0, 1.0, 1e4)),
    ],
)
def test_log_prob_and_its_gradient_hold_at_extremes_in_float32(family, values):
    # The same in float64 is the oracle: digits lost on the way would show.
    rng = np.random.default_rng(9)
    count = family.parameter_count
    corners = rng.choice([-30.0, 0.0, 30.0], size=(12, count))
    corners = np.concatenate([corners, [[0.0] * count]]).astype(np.float32)

    def both(eta, x):
        return jax.value_and_grad(lambda eta: family(eta).log_prob(x[None])[0])(eta)

    every = jax.jit(jax.vmap(jax.vmap(both, (0, None)), (None, 0)))
    value, gradient = every(corners, np.float32(values))
    with jax.enable_x64(True):
        wide, wide_gradient = every(corners.astype(float), np.float64(values))
    assert np.allclose(value, wide, rtol=1e-4, atol=2e-3)
    assert np.allclose(gradient, wide_gradient, rtol=1e-3, atol=2e-3)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Laplace((1,), 0.0), "scale is 0.0"),
        (lambda: StudentT((1,), degrees_of_freedom=2.0), "degrees_of_freedom is 2.0"),
        (lambda: Categorical((1,), 1), "levels is 1"),
        (lambda: DiscretizedLogistic((1,), highest=0.0), "highest is 0.0"),
        (lambda: DiscretizedLogisticMixture((1,), 0), "components is 0"),
    ],
)
def test_impossible_families_are_refused(make, words):
    with pytest.raises(ValueError, match=words):
        make()
