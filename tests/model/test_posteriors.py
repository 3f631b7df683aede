"""Posteriors against scipy, quadrature and closed forms; what stands for a posterior; traits."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.integrate
import scipy.special
import scipy.stats

from elbax.model import (
    Deterministic,
    DiagonalNormal,
    DiagonalStudentT,
    FullNormal,
    GumbelSoftmax,
    InverseAutoregressiveFlow,
    PlanarFlow,
    PowerSpherical,
    UniformCategorical,
    UniformHypersphere,
    kl_divergence,
    location,
)
from tests.laws import POSTERIORS, each, filled, in_float64, made, numbers, traits

KEY = jax.random.key(0)


@in_float64
def test_student_t_is_scipys():
    place, log_square, z = numbers((3, 4), seed=1)
    q = DiagonalStudentT(4, 3.5)(jnp.concatenate([place, log_square]))
    scale = np.exp(0.5 * log_square)
    expected = scipy.stats.t.logpdf(z, 3.5, place, scale).sum()
    assert np.allclose(q.log_prob(z), expected, rtol=1e-10)
    assert np.allclose(q.mean, place)
    assert np.allclose(q.variance, scipy.stats.t.var(3.5, place, scale), rtol=1e-10)


# --- on the sphere -------------------------------------------------------------------------


def along(dim, concentration):
    """μᵀz of the power spherical distribution: its density on [−1, 1], by scipy's quadrature."""

    def raw(t):
        return (1 + t) ** concentration * (1 - t**2) ** ((dim - 3) / 2)

    total = scipy.integrate.quad(raw, -1, 1, epsabs=0, epsrel=1e-12)[0]

    def expected(function):
        value = scipy.integrate.quad(
            lambda t: raw(t) * function(t), -1, 1, epsabs=1e-14 * total, epsrel=1e-11
        )
        return value[0] / total

    return expected, raw, total


@pytest.mark.parametrize("dim", [3, 4, 7])
@pytest.mark.parametrize("raw_concentration", [-3.0, 2.0, 30.0])
@in_float64
def test_power_spherical_is_its_quadrature_along_its_direction(dim, raw_concentration):
    direction = numbers(dim, seed=2)
    mu = direction / np.linalg.norm(direction)
    kappa = 1 + np.log1p(np.exp(raw_concentration))
    q = PowerSpherical(dim)(jnp.asarray(np.append(direction, raw_concentration)))
    expected, _, total = along(dim, kappa)
    # The surface measure is (surface of the sphere one lower) · (1 − t²)^((d − 3) / 2) dt.
    ring = 2 * np.pi ** ((dim - 1) / 2) / scipy.special.gamma((dim - 1) / 2)
    z = numbers(dim, seed=3)
    z = z / np.linalg.norm(z)
    log_prob = kappa * np.log1p(mu @ z) - np.log(ring * total)
    assert np.allclose(q.direction, mu, rtol=1e-12)
    assert float(q.log_prob(jnp.asarray(z))) == pytest.approx(log_prob, rel=1e-8)

    first, second = expected(lambda t: t), expected(lambda t: t**2)
    assert np.allclose(q.mean, first * mu, rtol=1e-8)
    variance = second * mu**2 + (1 - second) / (dim - 1) * (1 - mu**2) - (first * mu) ** 2
    assert np.allclose(q.variance, variance, rtol=1e-6)

    surface = 2 * np.pi ** (dim / 2) / scipy.special.gamma(dim / 2)
    log_ratio = expected(lambda t: kappa * np.log1p(t)) - np.log(ring * total) + np.log(surface)
    found = float(kl_divergence(q, UniformHypersphere(dim)()))
    assert found == pytest.approx(log_ratio, rel=1e-7)


@in_float64
def test_power_spherical_draws_have_its_marginal_and_are_symmetric_round_its_direction():
    dim = 4
    direction = numbers(dim, seed=4)
    q = PowerSpherical(dim)(jnp.asarray(np.append(direction, 1.0)))
    z = np.asarray(jax.jit(jax.vmap(q.sample))(jax.random.split(KEY, 5000)))
    mu = np.asarray(q.direction)
    below = (dim - 1) / 2
    beta = scipy.stats.beta(below + float(q.concentration), below)
    assert scipy.stats.kstest((z @ mu + 1) / 2, beta.cdf).pvalue > 1e-3
    # What is left, at length one, is uniform on the sphere round μ: each coordinate is a beta.
    basis = np.linalg.svd(mu[None])[2][1:]
    rest = z @ basis.T
    rest = rest / np.linalg.norm(rest, axis=1, keepdims=True)
    uniform = scipy.stats.beta((dim - 2) / 2, (dim - 2) / 2)
    for column in rest.T:
        assert scipy.stats.kstest((column + 1) / 2, uniform.cdf).pvalue > 1e-3


@in_float64
def test_the_implicit_gradient_of_power_spherical_is_that_of_its_mean():
    # E μᵀz = (α − β) / (α + β) with α = β + κ: its derivative by κ is 2β / (α + β)².
    dim, key = 3, jax.random.key(5)
    first = jnp.zeros(dim).at[0].set(1.0)

    def draw(raw, key):
        return PowerSpherical(dim)(jnp.append(first, raw)).sample(key)[0]

    raw = jnp.asarray(0.4)
    slopes = jax.jit(jax.vmap(jax.grad(draw), (None, 0)))(raw, jax.random.split(key, 20_000))
    below, kappa = (dim - 1) / 2, 1 + np.log1p(np.exp(0.4))
    exact = 2 * below / (2 * below + kappa) ** 2 * scipy.special.expit(0.4)
    assert abs(np.mean(slopes) - exact) < 4 * scipy.stats.sem(slopes)
    assert scipy.stats.sem(slopes) < 0.02 * exact


@pytest.mark.parametrize("raw_concentration", [-30.0, 1e4])
def test_power_spherical_at_its_ends_in_single_precision(raw_concentration):
    q = PowerSpherical(5)(jnp.append(jnp.asarray(numbers(5, seed=6)), raw_concentration))
    z = np.asarray(jax.jit(jax.vmap(q.sample))(jax.random.split(KEY, 200)))
    assert np.allclose(np.linalg.norm(z, axis=1), 1, atol=1e-5)
    total, below = float(q.concentration) + 4, 2.0
    mean = 1 - 2 * below / total  # (α − β) / (α + β)
    t = z @ np.asarray(q.direction)
    assert abs(t.mean() - mean) < 4 * scipy.stats.sem(t)


def test_power_spherical_of_zeros_points_along_the_first_axis():
    q = PowerSpherical(3)(jnp.zeros(4))
    assert np.array_equal(q.direction, [1, 0, 0])
    assert float(q.concentration) == pytest.approx(1 + np.log(2), rel=1e-6)


# --- categories ----------------------------------------------------------------------------


@in_float64
def test_gumbel_softmax_has_the_kl_of_the_exact_variables():
    family = GumbelSoftmax(6, 3)
    logits = numbers((2, 3), seed=7)
    q = family(jnp.asarray(logits.ravel()))
    chances = scipy.special.softmax(logits, axis=-1)
    exact = sum(scipy.stats.entropy(row, np.full(3, 1 / 3)) for row in chances)
    assert float(kl_divergence(q, UniformCategorical(6, 3)())) == pytest.approx(exact, rel=1e-12)
    assert np.allclose(q.mean, chances.ravel(), rtol=1e-12)
    counts = (
        np.asarray(jax.jit(jax.vmap(q.sample))(jax.random.split(KEY, 4000))).sum(0).reshape(2, 3)
    )
    for row, chance in zip(counts, chances, strict=True):
        assert scipy.stats.chisquare(row, 4000 * chance).pvalue > 1e-3


@in_float64
def test_straight_through_draws_are_one_hot_with_the_relaxations_gradient():
    logits = numbers(6, seed=8)
    keys = jax.random.split(KEY, 50)

    def draws(logits, straight_through):
        q = GumbelSoftmax(6, 3, 0.5, straight_through)(logits)
        return jax.vmap(q.sample)(keys)

    def hard_and_soft(logits):
        return draws(logits, True), draws(logits, False)

    compiled = jax.jit(hard_and_soft)
    hard, soft = jax.device_get(compiled(logits))
    assert set(np.unique(hard)) == {0.0, 1.0}
    assert np.array_equal(
        np.argmax(soft.reshape(-1, 2, 3), -1), np.argmax(hard.reshape(-1, 2, 3), -1)
    )
    slopes = jax.device_get(jax.jit(jax.jacobian(hard_and_soft))(logits))
    assert np.allclose(*slopes, rtol=1e-12)
    # The relaxed draws are smooth in the logits: softmax of (logits + Gumbel noise) / temperature.
    h = 1e-6
    steps = np.eye(6) * h
    ends = [np.asarray(compiled(logits + s)[1]) for s in (*steps, *-steps)]
    differences = (np.stack(ends[:6]) - np.stack(ends[6:])) / (2 * h)
    assert np.allclose(np.moveaxis(differences, 0, -1), slopes[1], atol=1e-8)


# --- points, and what stands for a posterior -----------------------------------------------


def test_a_deterministic_posterior_is_a_point_without_a_density():
    q = Deterministic(3)(jnp.asarray([1.0, 2.0, 3.0]))
    assert np.array_equal(q.sample(KEY), [1, 2, 3])
    assert np.array_equal(q.mean, [1, 2, 3])
    assert np.array_equal(q.variance, np.zeros(3))
    with pytest.raises(NotImplementedError, match="no closed-form"):
        kl_divergence(q, UniformHypersphere(3)())


@in_float64
def test_the_location_of_a_posterior_is_a_latent():
    normal = FullNormal(2)(jnp.asarray(numbers(5, seed=9)))
    assert np.array_equal(location(normal), normal.mean)
    sphere = PowerSpherical(3)(jnp.asarray(numbers(4, seed=10)))
    assert np.allclose(location(sphere), sphere.mean / np.linalg.norm(sphere.mean), rtol=1e-12)
    categories = GumbelSoftmax(4, 2)(jnp.asarray([0.0, 1.0, 3.0, 2.0]))
    assert np.array_equal(location(categories), [0, 1, 1, 0])
    point = Deterministic(2)(jnp.asarray([4.0, 5.0]))
    assert np.array_equal(location(point), [4, 5])


@pytest.mark.parametrize(
    "make", [lambda: PlanarFlow(2), lambda: InverseAutoregressiveFlow(2, 2, 4, 3, key=KEY)]
)
@in_float64
def test_the_location_of_a_flow_is_the_image_of_the_normals_mean(make):
    family = filled(make, seed=11)
    parameters = jnp.asarray(numbers(family.parameter_count, seed=12))
    # A normal that is nearly a point there: its draws are all at that image.
    narrow = parameters.at[2:4].set(-40.0)
    draw = family(narrow).sample_and_log_prob(KEY)[0]
    assert np.allclose(location(family(parameters)), draw, atol=1e-6)


# --- traits, and what is refused -----------------------------------------------------------


@each(POSTERIORS, "make")
def test_a_posterior_has_what_its_traits_say(make):
    family = filled(lambda: make(4), seed=13)

    def found():
        q = family(jnp.asarray(numbers(family.parameter_count, seed=14)))
        return hasattr(q, "log_prob"), hasattr(q, "sample_and_log_prob"), location(q)

    has_log_prob, has_both, place = made(found)
    assert has_log_prob == family.has_log_prob
    assert (has_log_prob or has_both) == family.has_density
    assert place.shape == (4,)


@each(POSTERIORS, "make")
def test_the_fewest_latents_are_what_a_posterior_says(make):
    least = traits(make).least_latent_dim
    eqx.filter_eval_shape(lambda: make(least))
    if least > 1:
        with pytest.raises(ValueError, match="latent"):
            eqx.filter_eval_shape(lambda: make(least - 1))


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: DiagonalStudentT(2, 2.0), "degrees is 2.0"),
        (lambda: PowerSpherical(1), "at least two"),
        (lambda: GumbelSoftmax(5, 2), "5 latents in variables of 2"),
        (lambda: GumbelSoftmax(4, 2, 0.0), "temperature is 0.0"),
    ],
)
def test_a_posterior_that_cannot_be_is_refused(make, words):
    with pytest.raises(ValueError, match=words):
        make()


def test_a_flow_starts_as_a_family_that_the_normal_is_in():
    # With the maps' coefficients at zero the planar flow is the normal of its first numbers.
    head = jnp.asarray(numbers(4, seed=15))
    family = PlanarFlow(2, 3)
    q = family(jnp.concatenate([head, jnp.zeros(family.parameter_count - 4)]))
    z, log_q = q.sample_and_log_prob(KEY)
    normal = DiagonalNormal(2)(head)
    assert np.allclose(z, normal.sample(KEY))
    assert np.allclose(log_q, normal.log_prob(z), rtol=1e-5)
