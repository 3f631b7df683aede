"""The prior over codes: all its latents listed, its causality, and its draws one by one."""

import itertools

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

from elbax.evaluate.latents.expost import autoregressive
from elbax.model import (
    AutoregressiveCodes,
    Encoder,
    FiniteScalar,
    ResidualQuantised,
    UniformCodes,
    VectorQuantised,
    has_closed_form,
    kl_divergence,
)
from tests.laws import filled, in_float64, numbers

# Of three places of one code, and of two places of two codes.
FAMILIES = {
    "one level": lambda: VectorQuantised(3, 3, 1, key=jax.random.key(0)),
    "two levels": lambda: ResidualQuantised(4, 3, 1, 2, key=jax.random.key(0)),
    "levels": lambda: FiniteScalar(6, (2, 2)),
}


def prior_and_family(name):
    family = filled(FAMILIES[name], seed=1)
    sizes = (family.latent_dim, family.sites, family.depth, family.count)
    prior = filled(lambda: AutoregressiveCodes(*sizes, 8, 2, 2, key=jax.random.key(0)), seed=2)
    return prior, family


def every(family):
    positions = family.sites * family.depth
    listed = itertools.product(range(family.count), repeat=positions)
    return jnp.asarray(list(listed)).reshape(-1, family.sites, family.depth)


@pytest.mark.parametrize("name", FAMILIES)
@in_float64
def test_probabilities_of_all_latents_sum_to_one_and_draws_follow_them(name):
    prior, family = prior_and_family(name)
    p = prior(Encoder(lambda x: x, family))
    latents = np.asarray(jax.vmap(family.vectors)(every(family)))
    masses = np.exp(jax.jit(jax.vmap(p.log_prob))(latents))
    assert masses.sum() == pytest.approx(1, abs=1e-12)
    assert masses.max() > 2 * masses.min()
    draws = jax.jit(jax.vmap(p.sample))(jax.random.split(jax.random.key(7), 20_000))
    counts = np.array([(np.asarray(draws) == latent).all(axis=1).sum() for latent in latents])
    assert counts.sum() == len(draws)
    expected = len(draws) * masses
    rare = expected < 10
    if rare.any():
        counts = np.append(counts[~rare], counts[rare].sum())
        expected = np.append(expected[~rare], expected[rare].sum())
    assert scipy.stats.chisquare(counts, expected, sum_check=False).pvalue > 1e-3


@pytest.mark.parametrize("name", FAMILIES)
@in_float64
def test_what_is_said_of_a_code_depends_on_those_before_it_alone(name):
    prior, family = prior_and_family(name)
    length = family.sites * family.depth
    before = jnp.asarray(numbers((length, 8), seed=3))
    jacobian = np.asarray(jax.jacobian(prior.of_embedded)(before))  # (said, codes, read, width)
    depends = np.abs(jacobian).max(axis=(1, 3)) > 0
    assert np.array_equal(depends, np.tri(length, dtype=bool))
    # Position t reads code t − 1: another last code changes nothing that is said.
    codes = every(family)
    said = jax.vmap(prior.logits)(codes[:2])
    assert np.array_equal(said[0], said[1])


@in_float64
def test_a_choice_costs_what_the_prior_says():
    prior, family = prior_and_family("two levels")
    encoder = Encoder(lambda x: x, family)
    q, p = family(jnp.asarray(numbers(family.parameter_count, seed=8))), prior(encoder)
    assert has_closed_form(q, p)
    logits = np.asarray(prior.logits(q.indices))
    terms = scipy.special.log_softmax(logits, axis=1)[np.arange(4), np.ravel(q.indices)]
    assert float(kl_divergence(q, p)) == pytest.approx(-terms.sum(), rel=1e-9)
    assert float(p.log_prob(q.z)) == pytest.approx(terms.sum(), rel=1e-9)


def test_it_starts_as_the_uniform_prior():
    family = FAMILIES["one level"]()
    encoder = Encoder(lambda x: x, family)
    start = AutoregressiveCodes(3, 3, 1, 3, key=jax.random.key(0))(encoder)
    z = family.vectors(jnp.asarray([[0], [2], [1]]))
    assert float(start.log_prob(z)) == pytest.approx(
        float(UniformCodes(3)(encoder).log_prob(z)), rel=1e-6
    )


@pytest.mark.slow
def test_fitted_it_is_as_good_as_the_chain_that_codes_are_of():
    # A Markov chain over 4 codes: its entropy is what no prior can go below.
    rng = np.random.default_rng(0)
    step = rng.dirichlet(np.full(4, 0.3), size=4)
    codes = np.zeros((3000, 6, 1), int)
    codes[:, 0, 0] = rng.integers(4, size=3000)
    for t in range(1, 6):
        drawn = rng.random(3000)[:, None] > np.cumsum(step[codes[:, t - 1, 0]], axis=1)
        codes[:, t, 0] = np.minimum(drawn.sum(axis=1), 3)
    start = AutoregressiveCodes(6, 6, 1, 4, 16, 2, 1, key=jax.random.key(1))
    prior = autoregressive(codes[:2000], start, key=jax.random.key(2))
    logits = np.asarray(eqx.filter_vmap(prior.logits)(jnp.asarray(codes[2000:])))
    said = scipy.special.log_softmax(logits, axis=2)
    found = -np.take_along_axis(said, codes[2000:], axis=2).sum(axis=(1, 2))
    exact = np.log(4) - np.log(step[codes[2000:, :-1, 0], codes[2000:, 1:, 0]]).sum(axis=1)
    assert np.mean(found - exact) < 4 * scipy.stats.sem(found - exact) + 0.1
    assert found.mean() < 0.8 * 6 * np.log(4)


def test_what_cannot_be_is_refused():
    with pytest.raises(ValueError, match="a width that the heads can share"):
        AutoregressiveCodes(3, 3, 1, 3, width=10, heads=4, key=jax.random.key(0))
    start = AutoregressiveCodes(3, 3, 1, 3, key=jax.random.key(0))
    with pytest.raises(ValueError, match="there are 19 rows of codes"):
        autoregressive(np.zeros((19, 3, 1), int), start, key=jax.random.key(0))
