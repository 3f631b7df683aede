"""Laws that every part keeps, over the registries of `tests/laws.py`."""

import dataclasses
import functools
import itertools

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

import elbax.model
from elbax import evaluate
from elbax.model import (
    AbstractLikelihood,
    AbstractObjective,
    AbstractPosterior,
    AbstractPrior,
    LowRankNormal,
    has_closed_form,
    kl_divergence,
    load_model,
    location,
    save_model,
)
from elbax.model.codes.families import Codebook
from elbax.model.compatibility import unsuited_posterior, unsuited_prior
from elbax.model.distributions.basic import sample, sample_and_log_prob
from elbax.model.distributions.flows import NeuralFlow
from tests.laws import (
    LATENT_DIM,
    LIKELIHOODS,
    OBJECTIVES,
    POSTERIORS,
    PRIORS,
    SHAPE,
    VARIANTS,
    Composition,
    compositions,
    condition_for,
    data_for,
    densities,
    each,
    filled,
    fits,
    in_float64,
    latents,
    made,
    models,
    numbers,
    traits,
)
from tests.tiers import mostly_slow

DRAWS = 20_000
DIRECTIONS = 8
BLOCK, BLOCKS = 20, 24  # a grid of 20 × 24 cells each way: 24 standard deviations
CELLS = BLOCK * BLOCKS
PLAIN = Composition()
SIGNIFICANCE = 1e-3  # of a test of fit; the seeds are fixed, so it fails always or never


def test_every_part_is_registered():
    def parts(kind):
        for part in kind.__subclasses__():
            if part.__module__.startswith("elbax."):
                # One without a name cannot be chosen: it is abstract, or wraps another.
                yield from ([part] if "name" in part.__dict__ else [])
                yield from parts(part)

    registered = {
        AbstractPrior: [traits(make) for make in PRIORS.values()],
        AbstractPosterior: [traits(make) for make in POSTERIORS.values()],
        AbstractLikelihood: [made(lambda make=make: make(SHAPE)) for make in LIKELIHOODS.values()],
        AbstractObjective: [made(make) for make in OBJECTIVES.values()],
    }
    for kind, examples in registered.items():
        assert set(parts(kind)) == {type(example) for example in examples}, kind.__name__


# --- densities -----------------------------------------------------------------------------


def draws_of(sample):
    keys = jax.random.split(jax.random.key(0), DRAWS)
    return np.asarray(jax.jit(jax.vmap(sample))(keys))


def grid(draws):
    """Midpoints of a grid that holds all of the mass, a cell's volume, the edges of its blocks."""
    centre, spread = draws.mean(0), draws.std(0)
    edges = (centre + np.outer(np.arange(CELLS + 1) / BLOCK - BLOCKS / 2, spread)).T
    points = np.stack(np.meshgrid(*(edges[:, 1:] + edges[:, :-1]) / 2, indexing="ij"), axis=-1)
    return points.reshape(-1, len(spread)), np.prod(spread / BLOCK), edges[:, ::BLOCK]


def circle_or_sphere(dim):
    """Points of a quadrature of the circle (dim 2) or the sphere (dim 3), and their weights."""
    around = 2 * np.pi * (np.arange(CELLS) + 0.5) / CELLS - np.pi
    width = 2 * np.pi / CELLS
    if dim == 2:
        return np.stack([np.cos(around), np.sin(around)], axis=-1), np.full(CELLS, width)
    # Archimedes: equal heights have equal surfaces. Gauss's rule in each block of heights.
    nodes, weights = np.polynomial.legendre.leggauss(BLOCK)
    height = ((2 * np.arange(BLOCKS)[:, None] + 1 + nodes) / BLOCKS - 1).ravel()
    flat = np.sqrt(1 - height**2)[:, None]
    ring = np.stack([flat * np.cos(around), flat * np.sin(around)], axis=-1)
    tall = np.broadcast_to(height[:, None, None], (CELLS, CELLS, 1))
    surfaces = np.repeat(np.tile(weights / BLOCKS, BLOCKS) * width, CELLS)
    return np.concatenate([ring, tall], axis=-1).reshape(-1, 3), surfaces


def block_of(points):
    """The number of the block of cells that each point of the circle or the sphere lies in."""
    number = np.floor((np.arctan2(points[:, 1], points[:, 0]) + np.pi) / (2 * np.pi) * BLOCKS)
    number = np.minimum(number, BLOCKS - 1)
    if points.shape[1] == 3:
        rows = np.minimum(np.floor((points[:, 2] + 1) / 2 * BLOCKS), BLOCKS - 1)
        number = number + BLOCKS * rows
    return number.astype(int)


@each(densities(), "make", fast=lambda name: name.removeprefix("p: ") not in VARIANTS)
@pytest.mark.parametrize("dim", mostly_slow([1, 2], lambda dim: dim == 2))
@in_float64
def test_density_integrates_to_one_and_draws_follow_it(make, dim):
    density = make(dim)
    draws = draws_of(density.sample)
    log_prob = jax.jit(jax.vmap(density.log_prob))
    if density.latent == "categorical":
        points = np.array([np.ravel(p) for p in itertools.product(np.eye(2), repeat=dim)])
        masses = np.exp(log_prob(points))
        counts = np.array([(draws == point).all(1).sum() for point in points])
    elif density.latent == "sphere":
        assert np.allclose(np.linalg.norm(draws, axis=1), 1, rtol=1e-12)
        points, surfaces = circle_or_sphere(dim + 1)
        blocks = BLOCKS**dim
        masses = np.exp(log_prob(points)) * surfaces
        masses = np.bincount(block_of(points), masses, minlength=blocks)
        counts = np.bincount(block_of(draws), minlength=blocks)
    elif density.values is not None:
        points = np.array(list(itertools.product(*density.values)))
        masses = np.exp(log_prob(points))
        sizes = [len(values) for values in density.values]
        places = [
            np.abs(values[None] - column[:, None]).argmin(1)
            for values, column in zip(density.values, draws.T, strict=True)
        ]
        assert np.allclose(points[np.ravel_multi_index(places, sizes)], draws, atol=1e-12)
        counts = np.bincount(np.ravel_multi_index(places, sizes), minlength=len(points))
    else:
        points, volume, blocks = grid(draws)
        masses = np.exp(log_prob(points)) * volume
        if draws.shape[1] == 1:
            cdf = np.cumsum(masses) - masses / 2
            fit = scipy.stats.kstest(draws[:, 0], lambda x: np.interp(x, points[:, 0], cdf))
            assert fit.pvalue > SIGNIFICANCE
        counts = np.histogramdd(draws, bins=list(blocks))[0].ravel()
        axes = draws.shape[1]
        masses = masses.reshape((BLOCKS, BLOCK) * axes)
        masses = masses.sum(axis=tuple(range(1, 2 * axes, 2))).ravel()
    assert masses.sum() == pytest.approx(1.0, abs=1e-9)
    assert counts.sum() == DRAWS

    expected = DRAWS * masses
    rare = expected < 10  # the χ² approximation wants some draws in each: these go together
    if rare.any():
        counts = np.append(counts[~rare], counts[rare].sum())
        expected = np.append(expected[~rare], expected[rare].sum())
    assert scipy.stats.chisquare(counts, expected, sum_check=False).pvalue > SIGNIFICANCE


def pairs():
    """Each posterior with each prior that it fits."""
    priors = {name: (make, traits(make)) for name, make in PRIORS.items()}
    return {
        f"{q_name}, {p_name}": (q, p)
        for q_name, q in POSTERIORS.items()
        for p_name, (p, prior) in priors.items()
        if fits(prior, traits(q)) and traits(q).latent != "codes"  # tests/model/codes has these
    }


@functools.cache
def plain_encoder(x64):
    return Composition().model(5).encoder


@each(pairs(), "pair")
@in_float64
def test_kl_is_its_monte_carlo_estimate_and_its_quadrature(pair):
    family, prior = (filled(lambda make=make: make(2), seed=3) for make in pair)
    parameters = 0.7 * numbers(family.parameter_count, seed=4)

    def two():  # made where they are used, to be compiled with it
        return family(jnp.asarray(parameters)), prior(plain_encoder(x64=True), condition_for(prior))

    if not made(lambda: has_closed_form(*two())):
        with pytest.raises(NotImplementedError, match="average log q"):
            made(lambda: kl_divergence(*two()))
        return
    exact = float(jax.jit(lambda: kl_divergence(*two()))())
    both = jax.jit(jax.vmap(lambda z: tuple(one.log_prob(z) for one in two())))

    draws = draws_of(two()[0].sample)
    ratio = np.subtract(*both(draws))
    assert abs(ratio.mean() - exact) < 4 * scipy.stats.sem(ratio)

    if prior.latent == "categorical":
        points, volume = np.eye(2), 1.0
    elif prior.latent == "sphere":
        points, volume = circle_or_sphere(2)
    else:
        points, volume, _ = grid(draws)
    log_q, log_p = both(points)
    assert np.sum(np.exp(log_q) * (log_q - log_p)) * volume == pytest.approx(exact, rel=1e-9)


# --- families ------------------------------------------------------------------------------


@each(POSTERIORS, "make")
@pytest.mark.parametrize("dim", mostly_slow([1, 2, 5], lambda dim: dim == 2))
@in_float64
def test_a_posterior_uses_each_of_its_parameters(make, dim):
    dim = latents(traits(make), dim)
    family = filled(lambda: make(dim), seed=6)
    parameters = numbers(family.parameter_count, seed=7)

    def use(numbers):
        q, key = family(numbers), jax.random.key(8)
        if not family.has_density:
            return jnp.sum(sample(q, key))
        z, log_q = sample_and_log_prob(q, key)
        return jnp.sum((z + 0.3) ** 3) + log_q

    gradient = jax.device_get(jax.jit(jax.grad(use))(parameters))
    assert gradient.shape == (family.parameter_count,)
    assert np.all(gradient != 0)


@each(LIKELIHOODS, "make")
@in_float64
def test_a_likelihood_is_elementwise_and_uses_each_of_its_parameters(make):
    family = filled(lambda: make(SHAPE), seed=2)
    parameters = numbers(family.parameter_count, seed=7)
    rows = data_for(family, 50, seed=8).reshape(50, 4)
    x = rows[0]
    other = rows[np.argmax(rows != x, axis=0), range(4)]  # each element is another than that of x
    changed = np.where(np.eye(4, dtype=bool), other, x)

    def log_prob(parameters, x):
        return family(parameters).log_prob(x.reshape(SHAPE)).ravel()

    @jax.jit
    def found(parameters, x, changed):
        moved = jax.vmap(log_prob, (None, 0))(parameters, changed)
        return log_prob(parameters, x), moved, jax.jacobian(log_prob)(parameters, x)

    plain, moved, by_parameter = jax.device_get(found(parameters, x, changed))
    # Element i of the log-density depends on element i of x alone; of linked ones on all.
    alone = np.ones((4, 4)) if isinstance(family, LowRankNormal) else np.eye(4)
    assert np.array_equal(np.abs(moved - plain[None]) > 1e-9, alone > 0)
    assert np.all(by_parameter.sum(0) != 0)


@each(LIKELIHOODS, "make")
def test_a_likelihoods_mean_is_the_mean_of_its_draws(make):
    family = filled(lambda: make(SHAPE), seed=2)
    parameters = numbers(family.parameter_count, seed=7)

    @jax.jit
    def found(keys):
        distribution = family(jnp.asarray(parameters))
        return jax.vmap(distribution.sample)(keys), distribution.mean, distribution.variance

    draws, mean, variance = jax.device_get(found(jax.random.split(jax.random.key(1), DRAWS)))
    assert np.all(np.abs(draws.mean(0) - mean) < 4 * scipy.stats.sem(draws))
    squares = (draws - draws.mean(0)) ** 2
    assert np.all(np.abs(squares.mean(0) - variance) < 4 * scipy.stats.sem(squares))


# --- compositions --------------------------------------------------------------------------


def entries_used(model):
    """True for each entry that a gradient moves: not of masked weights, nor of codebooks."""

    def used(part):
        if isinstance(part, Codebook):
            return np.zeros(part.vectors.shape, bool)
        return part.used() if isinstance(part, NeuralFlow) else np.ones(part.shape, bool)

    return jax.tree.map(used, model, is_leaf=lambda part: isinstance(part, NeuralFlow | Codebook))


def kinds(registry, key):
    """The names of the first of each kind."""
    first = {}
    for name, make in registry.items():
        first.setdefault(key(make), name)
    return list(first.values())


def posterior_traits(make):
    part = traits(make)
    return part.latent, part.has_density, part.has_log_prob, part.independent, part.gradient


@pytest.mark.parametrize("posterior", kinds(POSTERIORS, posterior_traits))
@pytest.mark.parametrize("name", kinds(OBJECTIVES, lambda make: type(made(make))))
def test_an_objective_takes_the_posteriors_that_its_traits_say(name, posterior):
    composition, objective = Composition(posterior=posterior, objective=name), OBJECTIVES[name]()
    # The plain posterior gives way to another that suits the objective: here it must not.
    model = (composition if objective.needs_labels else Composition(posterior=posterior)).model(24)
    batch = composition.batch(24, rows=3)

    def loss():
        return composition.loss(model, batch, jax.random.key(25))

    # The first prior over such latents may be one with parameters.
    learned = bool(jax.tree.leaves(eqx.filter(model.prior, eqx.is_inexact_array)))
    problems = (
        unsuited_posterior(objective, POSTERIORS[posterior](LATENT_DIM)),
        unsuited_prior(objective, model.prior, learned=learned),
    )
    if problems == (None, None):
        assert jax.eval_shape(loss).shape == ()
    else:
        with pytest.raises(ValueError, match=r"posterior|prior"):
            jax.eval_shape(loss)


@each(compositions(), "composition", fast=lambda name: name.split(": ")[-1] not in VARIANTS)
@in_float64
def test_gradients_are_finite_differences_and_reach_every_parameter(composition):
    model, batch = composition.model(16), composition.batch(17, rows=100)
    parameters, static = eqx.partition(model, eqx.is_inexact_array)
    leaves, structure = jax.tree.flatten(jax.device_get(parameters))
    flat = np.concatenate([np.ravel(leaf) for leaf in leaves])
    ends = np.cumsum([leaf.size for leaf in leaves])

    def unravel(numbers):
        parts = [
            numbers[end - leaf.size : end].reshape(leaf.shape)
            for leaf, end in zip(leaves, ends, strict=True)
        ]
        return structure.unflatten(parts)

    def loss(numbers):
        return composition.loss(eqx.combine(unravel(numbers), static), batch, jax.random.key(12))

    # Beside a classifier it is one level down.
    posterior = getattr(model.encoder, "encoder", model.encoder).posterior
    # Along random directions, in which every parameter has its share: a few tell of all of them.
    directions = np.random.default_rng(13).standard_normal((DIRECTIONS, len(flat)))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    steps = 1e-6 * directions
    places = np.concatenate([np.zeros((1, len(flat))), steps, -steps]) + flat
    losses, gradients = jax.device_get(
        jax.jit(lambda many: jax.lax.map(jax.value_and_grad(loss), many))(places)
    )
    differences, gradient = np.subtract(*np.split(losses[1:], 2)) / 2e-6, gradients[0]
    if posterior.gradient == "pathwise" and OBJECTIVES[composition.objective]().true_gradient:
        assert np.allclose(directions @ gradient, differences, rtol=1e-6, atol=1e-6)
    assert len(flat) > 0
    expected = jax.tree.leaves(entries_used(parameters))
    found = jax.tree_util.tree_leaves_with_path(unravel(gradient))
    for (path, leaf), used in zip(found, expected, strict=True):
        assert np.array_equal(leaf != 0, used), jax.tree_util.keystr(path)


def noisy():
    """The models whose posterior is more than one choice."""
    return {name: found for name, found in models().items() if found.objective == PLAIN.objective}


# Which network, likelihood or prior a model has makes no noise.
@pytest.mark.parametrize(
    "composition",
    mostly_slow(
        noisy().values(), lambda one: one == dataclasses.replace(PLAIN, posterior=one.posterior)
    ),
    ids=list(noisy()),
)
def test_two_equal_rows_get_different_noise(composition):
    rows = np.repeat(np.asarray(composition.batch(20, rows=1).x), 40, axis=0)
    model = composition.model(19)
    found = evaluate.elbo(model, rows, key=jax.random.key(21), samples=3)
    different = len(np.unique(found.reconstruction))
    assert different > 1 if model.encoder.posterior.latent == "categorical" else different == 40


def averages():
    """The objectives whose loss is an average over rows that have noise."""
    found = {name: made(make) for name, make in OBJECTIVES.items()}
    return [
        name
        for name, objective in found.items()
        if objective.posterior not in ("point", "codes") and not objective.compares_rows
    ]


@pytest.mark.parametrize("name", mostly_slow(averages(), lambda name: name not in VARIANTS))
def test_an_objective_gives_each_row_its_own_noise(name):
    # It says only the average: over n equal rows that has the spread of one row over √n.
    composition, objective = Composition(objective=name), OBJECTIVES[name]()
    model, one = composition.model(19), composition.batch(20, rows=1)

    def spread(rows):
        batch = jax.tree.map(lambda a: jax.device_put(np.repeat(a, rows, axis=0)), one)
        state = objective.init(model)

        def loss(key):
            return objective(model, batch, state=state, step=jnp.asarray(3), key=key)[0]

        return np.std(jax.jit(jax.vmap(loss))(jax.random.split(jax.random.key(22), 400)))

    assert spread(1) / spread(40) == pytest.approx(np.sqrt(40), rel=0.15)


@each(models(), "composition")
@pytest.mark.parametrize("x64", mostly_slow([False, True], lambda x64: not x64))
def test_a_saved_model_comes_back_bit_for_bit(composition, x64, tmp_path):
    with jax.enable_x64(x64):
        model = composition.model(23)
        save_model(tmp_path / "model.safetensors", model, {"seed": 23})
        loaded = load_model(tmp_path / "model.safetensors")
        assert jax.tree.structure(loaded) == jax.tree.structure(model)
        for a, b in zip(jax.tree.leaves(loaded), jax.tree.leaves(model), strict=True):
            assert a.dtype == b.dtype
            assert np.asarray(a).tobytes() == np.asarray(b).tobytes()


@each(models(), "composition")
def test_a_model_has_the_shapes_that_it_says(composition):
    model = composition.model(26)
    assert model.shape == composition.shape
    assert model.latent_dim == LATENT_DIM
    encoder, decoder = model.encoder, model.decoder
    assert isinstance(encoder, elbax.model.Encoder)
    assert isinstance(decoder, elbax.model.Decoder)

    def shapes(x, key):
        z, log_q = sample_and_log_prob(model.encode(x), key)
        prior, p = model.prior_distribution(), model.decode(z)
        log_probs = [log_q, prior.log_prob(z), model.log_likelihood(x, z)]
        networks = [encoder.network(x), decoder.network(z)]
        points = [z, prior.sample(key), sample(model.encode(x), key), location(model.encode(x))]
        return points, [p.mean, p.sample(key), p.log_prob(x)], log_probs, networks

    points, data, log_probs, networks = jax.tree.map(
        jnp.shape, jax.eval_shape(shapes, composition.batch(27).x[0], jax.random.key(28)),
    )  # fmt: skip
    assert points == [(LATENT_DIM,)] * 4
    assert data == [composition.shape] * 3
    assert log_probs == [()] * 3
    counts = encoder.posterior.parameter_count, decoder.likelihood.parameter_count
    assert networks == [(count,) for count in counts]
