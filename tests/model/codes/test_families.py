"""Codes against brute force: nearest by scipy, levels by enumeration, gradients by differences."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.spatial.distance
import scipy.stats

from elbax.model import (
    MLP,
    DiagonalNormal,
    Encoder,
    FiniteScalar,
    ResidualQuantised,
    UniformCodes,
    VectorQuantised,
    has_closed_form,
    kl_divergence,
    sample_and_log_prob,
)
from elbax.model.codes.families import SummedCodes
from tests.laws import filled, in_float64, numbers

FAMILIES = {
    "vq": lambda: VectorQuantised(12, 7, 3, key=jax.random.key(0)),
    "residual-vq": lambda: ResidualQuantised(24, 5, 3, 2, key=jax.random.key(0)),
    "fsq": lambda: FiniteScalar(12, (4, 3, 2)),
}


def family_of(name):
    """The family, its codes at seeded numbers: none lies on another."""
    return filled(FAMILIES[name], seed=1)


def encoder_of(family):
    return Encoder(lambda x: x, family)


def nearest_of_all(points, codes):
    return scipy.spatial.distance.cdist(points, codes).argmin(axis=1)


@in_float64
def test_each_place_gets_the_nearest_code():
    family = family_of("vq")
    points = numbers((4, 3), seed=2)
    chosen = family(jnp.asarray(points.ravel()))
    codes = np.asarray(family.codes.vectors[0])
    expected = nearest_of_all(points, codes)
    assert np.array_equal(chosen.indices[:, 0], expected)
    assert np.array_equal(np.reshape(chosen.z, (4, 3)), codes[expected])
    squares = np.square(points - codes[expected]).sum(axis=1)
    assert np.allclose(chosen.distances[:, 0], squares, rtol=1e-12)


@in_float64
def test_a_level_chooses_for_what_those_before_leave():
    family = family_of("residual-vq")
    left = numbers((4, 3), seed=2)
    chosen = family(jnp.asarray(left.ravel()))
    for level, codes in enumerate(np.asarray(family.codes.vectors)):
        assert np.allclose(chosen.seen[:, level], left, rtol=1e-12)
        expected = nearest_of_all(left, codes)
        assert np.array_equal(chosen.indices[:, level], expected)
        left = left - codes[expected]
    assert np.allclose(chosen.distances[:, -1], np.square(left).sum(axis=1), rtol=1e-12)


@in_float64
@pytest.mark.parametrize("levels", [(2,), (3,), (8, 5), (4, 3, 2), (7, 2)])
def test_levels_are_those_of_the_enumerated_grid(levels):
    family = FiniteScalar(len(levels), levels)
    halves = [level // 2 for level in levels]
    # Their §3.1: the whole numbers of a level, over ⌊levels / 2⌋.
    axes = [(np.arange(n) - half) / half for n, half in zip(levels, halves, strict=True)]
    grid = np.array(list(itertools.product(*axes)))
    indices = jnp.arange(family.count)[:, None, None]
    listed = jax.vmap(family.vectors)(indices)
    found = np.round(np.asarray(listed), 9)
    assert {tuple(row) for row in found} == {tuple(row) for row in grid.round(9)}
    assert np.array_equal(jax.vmap(family.nearest)(listed), indices)

    # Numbers far and near: every level is reached, each by the numbers that are bounded near it.
    points = 3 * numbers((4000, len(levels)), seed=3)
    chosen = jax.vmap(family)(jnp.asarray(points))
    bounded = jax.vmap(lambda p: family.bound(p[None])[0])(jnp.asarray(points)) / np.array(halves)
    assert np.allclose(chosen.z, grid[nearest_of_all(bounded, grid)], atol=1e-12)
    assert len(np.unique(chosen.indices)) == family.count
    assert np.array_equal(jax.vmap(family.vectors)(chosen.indices), chosen.z)


@pytest.mark.parametrize("name", FAMILIES)
def test_a_latent_is_made_of_its_codes_bit_for_bit(name):
    family = family_of(name)
    parameters = jnp.asarray(numbers((50, family.parameter_count), seed=4))
    chosen = jax.vmap(family)(parameters)
    assert chosen.z.shape == (50, family.latent_dim)
    assert chosen.indices.shape == (50, family.sites, family.depth)
    assert np.array_equal(jax.vmap(family.vectors)(chosen.indices), chosen.z)
    assert np.array_equal(jax.vmap(family.nearest)(chosen.z), chosen.indices)
    z, log_q = sample_and_log_prob(family(parameters[0]), jax.random.key(0))
    assert np.array_equal(z, chosen.z[0])
    assert float(log_q) == 0.0


@in_float64
@pytest.mark.parametrize("name", FAMILIES)
def test_the_derivative_is_that_of_what_the_codes_stand_for(name):
    family = family_of(name)
    start = numbers(family.parameter_count, seed=5)
    read = SummedCodes(lambda z: z, family.sites, family.depth, family.width)

    def loss(z):
        return jnp.sum(jnp.sin(z) * jnp.arange(1.0, 1 + z.size))

    def smooth(e):
        """What e stands for: itself, or its bound in units of a level."""
        if not isinstance(family, FiniteScalar):
            return e
        places = e.reshape(family.sites, family.width)
        return (family.bound(places) / np.array([2, 1, 1])).ravel()

    gradient = jax.grad(lambda e: loss(read(family(e).z)))(start)
    offset = read(family(jnp.asarray(start)).z) - smooth(jnp.asarray(start))
    surrogate = jax.jit(lambda e: loss(smooth(e) + offset))
    steps = 1e-6 * np.eye(len(start))
    expected = [(surrogate(start + s) - surrogate(start - s)) / 2e-6 for s in steps]
    assert np.allclose(gradient, expected, rtol=1e-6, atol=1e-7)


@in_float64
@pytest.mark.parametrize("make", [
    lambda: VectorQuantised(2, 3, 1, key=jax.random.key(0)),
    lambda: ResidualQuantised(2, 3, 1, 2, key=jax.random.key(0)),
    lambda: FiniteScalar(4, (3, 2)),
])  # fmt: skip
def test_the_uniform_prior_is_uniform_over_all_latents(make):
    family = filled(make, seed=6)
    p = UniformCodes(family.latent_dim)(encoder_of(family))
    positions = family.sites * family.depth
    every = list(itertools.product(range(family.count), repeat=positions))
    indices = jnp.asarray(every).reshape(-1, family.sites, family.depth)
    latents = jax.vmap(family.vectors)(indices)
    assert len(np.unique(latents, axis=0)) == family.count**positions
    masses = np.exp(jax.vmap(p.log_prob)(latents))
    assert masses.sum() == pytest.approx(1, abs=1e-12)
    draws = np.asarray(jax.vmap(p.sample)(jax.random.split(jax.random.key(7), 20_000)))
    counts = np.array([(draws == latent).all(axis=1).sum() for latent in latents])
    assert counts.sum() == len(draws)
    assert scipy.stats.chisquare(counts, len(draws) * masses).pvalue > 1e-3


@pytest.mark.parametrize("name", FAMILIES)
def test_a_choice_costs_the_logarithm_of_how_many_there_are(name):
    family = family_of(name)
    q = family(jnp.asarray(numbers(family.parameter_count, seed=8)))
    p = UniformCodes(family.latent_dim)(encoder_of(family))
    assert has_closed_form(q, p)
    exact = family.sites * family.depth * np.log(family.count)
    assert float(kl_divergence(q, p)) == pytest.approx(exact, rel=1e-6)
    assert -float(p.log_prob(q.z)) == pytest.approx(exact, rel=1e-6)


def test_a_decoder_reads_the_sum_of_a_places_codes():
    z = numbers(2 * 3 * 4 + 5, seed=9)
    read = SummedCodes(lambda z: z, 2, 3, 4)(jnp.asarray(z))
    assert np.allclose(read[:8], z[:24].reshape(2, 3, 4).sum(axis=1).ravel(), rtol=1e-6)
    assert np.array_equal(read[8:], z[24:])


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: VectorQuantised(10, 4, 3, key=jax.random.key(0)), "a multiple of 3$"),
        (lambda: VectorQuantised(9, 1, 3, key=jax.random.key(0)), "count is 1; give at least 2"),
        (lambda: VectorQuantised(9, 2, 0, key=jax.random.key(0)), "width is 0"),
        (lambda: ResidualQuantised(9, 4, 3, 2, key=jax.random.key(0)), "a multiple of 6$"),
        (lambda: ResidualQuantised(9, 4, 3, 0, key=jax.random.key(0)), "depth is 0"),
        (lambda: FiniteScalar(9, (3, 1)), r"levels are \(3, 1\)"),
        (lambda: FiniteScalar(9, ()), r"levels are \(\)"),
        (lambda: FiniteScalar(9, (3, 3)), "a multiple of 2$"),
    ],
)
def test_codes_that_do_not_fill_a_latent_are_refused(make, words):
    with pytest.raises(ValueError, match=words):
        make()


def test_a_prior_over_codes_needs_some():
    encoder = Encoder(MLP(3, (), 4, key=jax.random.key(0)), DiagonalNormal(2))
    with pytest.raises(ValueError, match="needs an encoder that gives some"):
        UniformCodes(2)(encoder)
