"""Models of which cells are missing: p(s|x) against quadrature, sums and finite differences."""

import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.integrate import quad
from scipy.special import expit
from scipy.stats import norm, sem

from elbax.evaluate import elbo
from elbax.evaluate.imputation import impute
from elbax.model import (
    MLP,
    AbstractMechanism,
    AtRandom,
    Batch,
    ColumnFeatures,
    ColumnNetwork,
    Decoder,
    DiagonalNormal,
    DoublyReparameterised,
    Encoder,
    ImportanceWeightedELBO,
    LatentVariableModel,
    Mixed,
    NegativeELBO,
    SelfMasking,
    StandardNormal,
    load_model,
    save_model,
)
from tests.laws import OBJECTIVES, STEP, Composition, call, filled, in_float64, numbers
from tests.linear_gaussian import log_normal

KINDS = (
    "normal", "log-normal", "laplace", "student-t", "continuous-bernoulli", "binary", "poisson",
    "negative-binomial", "categorical-3", "ordinal-4",
)  # fmt: skip


def rows(count: int = 400) -> np.ndarray:
    """Rows of every kind, a third of the cells NaN."""
    rng = np.random.default_rng(0)
    x = np.stack(
        [
            2.0 + 3.0 * rng.normal(size=count),
            np.exp(rng.normal(size=count)),
            rng.laplace(size=count),
            rng.standard_t(5, size=count),
            rng.beta(2.0, 1.0, count),
            rng.integers(0, 2, count),
            rng.poisson(4.0, count),
            rng.negative_binomial(2, 0.05, count),
            rng.integers(0, 3, count),
            rng.integers(0, 4, count),
        ],
        axis=1,
    )
    return np.where(rng.random(x.shape) < 1 / 3, np.nan, x)


def mechanism(**options) -> SelfMasking:
    """One of every kind, with no parameter where it starts."""
    x = rows()
    holes = np.isnan(x).mean(axis=0)
    return filled(lambda: SelfMasking(ColumnFeatures(KINDS, x), holes.tolist(), **options), seed=1)


def model(missing: SelfMasking | AtRandom, seed: int = 2) -> LatentVariableModel:
    features, family = ColumnFeatures(KINDS, rows()), Mixed((len(KINDS),), KINDS)

    def make() -> LatentVariableModel:
        key = jax.random.key(0)
        encoder = ColumnNetwork(features, MLP(features.size, (5,), 4, "tanh", key=key))
        decoder = MLP(2, (5,), family.parameter_count, "tanh", key=key)
        return LatentVariableModel(
            StandardNormal(2), Encoder(encoder, DiagonalNormal(2)), Decoder(decoder, family)
        )

    return dataclasses.replace(filled(make, seed), missing=missing)


# --- one cell, given the latent ------------------------------------------------------------


@in_float64
def test_the_probability_that_a_cell_is_missing_is_the_average_over_its_values():
    missing = mechanism(draws=200_000)
    whole = model(missing)
    p = whole.decode(jnp.asarray([0.3, -0.4]))
    everything = jnp.zeros(len(KINDS), bool)
    found = np.asarray(missing.of_missing(p, jax.random.key(1)).log_missing)
    total = missing.log_prob(p, jnp.full(len(KINDS), jnp.nan), everything, jax.random.key(1))
    assert float(total) == pytest.approx(found.sum(), abs=1e-12)
    chance = jax.jit(lambda j, x: missing.probability(jnp.ones(len(KINDS)).at[j].set(x))[j])
    density = jax.jit(lambda j, x: p.log_prob(jnp.full(len(KINDS), 0.5).at[j].set(x))[j])
    centre, spread = np.asarray(p.mean), np.sqrt(np.asarray(p.variance))
    for j, kind in enumerate(KINDS):
        if kind in ("normal", "log-normal", "laplace", "student-t", "continuous-bernoulli"):
            low, high = centre[j] - 30 * spread[j], centre[j] + 60 * spread[j]
            low, high = {"log-normal": (1e-9, high), "continuous-bernoulli": (0.0, 1.0)}.get(
                kind, (low, high)
            )
            exact = quad(
                lambda x, j=j: np.exp(density(j, x)) * chance(j, x),
                low, high, points=[centre[j]], limit=500,
            )[0]  # fmt: skip
            assert found[j] == pytest.approx(np.log(exact), abs=5e-3), kind
            continue
        last = {"binary": 1, "categorical-3": 2, "ordinal-4": 3}.get(kind, 3000)
        x = np.arange(last + 1.0)
        mass = np.exp([float(density(j, value)) for value in x])
        assert mass.sum() == pytest.approx(1.0, abs=1e-6)
        exact = np.sum(mass * [float(chance(j, value)) for value in x])
        # Large counts stand in cells.
        assert found[j] == pytest.approx(np.log(exact), abs=2e-3 if last == 3000 else 1e-10), kind


@in_float64
def test_a_missing_cell_has_the_values_that_are_missing():
    missing = mechanism(draws=4000)
    p = model(missing).decode(jnp.asarray([0.3, -0.4]))
    cells = missing.of_missing(p, jax.random.key(1))
    drawn = jax.lax.map(cells.sample, jax.random.split(jax.random.key(2), 4000))
    plain = jax.vmap(p.sample)(jax.random.split(jax.random.key(3), 200_000))
    weights = jax.vmap(missing.probability)(plain)
    exact = np.sum(weights * plain, axis=0) / np.sum(weights, axis=0)
    error = np.std(drawn, axis=0) / np.sqrt(1500)
    np.testing.assert_array_less(np.abs(np.mean(drawn, axis=0) - exact), 5 * error)
    assert np.any(np.abs(exact - p.mean) > 10 * error)
    means = [np.asarray(e) for e in cells.expectations()]
    for where, mean in zip(p.positions, means, strict=True):
        places = np.asarray(where)
        expected = np.arange(len(mean)) @ mean if mean.ndim == 2 else mean  # of levels the masses
        np.testing.assert_array_less(np.abs(expected - exact[places]), 5 * error[places])


@pytest.mark.parametrize(("direction", "sign"), [("high", 1), ("low", -1)])
def test_a_known_direction_is_kept_and_columns_without_holes_have_no_mechanism(direction, sign):
    x = rows()
    x[:, 0] = 1.0 + np.arange(len(x))
    holes = np.isnan(x).mean(axis=0).tolist()
    made = filled(lambda: SelfMasking(ColumnFeatures(KINDS, x), holes, direction), seed=3)
    low, high = (np.asarray(made.probability(jnp.full(len(KINDS), v))) for v in (0.1, 0.9))
    assert low[0] == high[0] == 0.0
    numeric = list(range(1, 8))
    assert np.all(sign * (high - low)[numeric] > 0)
    start = SelfMasking(ColumnFeatures(KINDS, x), holes)
    np.testing.assert_allclose(start.probability(jnp.ones(len(KINDS))), holes, atol=1e-6)


@pytest.mark.parametrize(
    ("features", "holes", "options", "said"),
    [
        (None, [0.5], {}, "no columns of a table: leave it out"),
        (True, [0.0] * len(KINDS), {}, "no cell is missing: leave it out"),
        (True, [0.5] * len(KINDS), {"draws": 0}, "at least one draw"),
    ],
)
def test_what_has_no_mechanism_is_refused(features, holes, options, said):
    with pytest.raises(ValueError, match=said):
        SelfMasking(ColumnFeatures(KINDS, rows()) if features else None, holes, **options)


# --- the bound -----------------------------------------------------------------------------

WEIGHT, BIAS, SCALE = np.array([[1.2], [0.7]]), np.array([0.5, -0.3]), 0.6
SLOPE, INTERCEPT = 2.0, -0.4
X = np.array([[np.nan, 0.8], [0.1, -0.2], [np.nan, -1.5], [1.7, 0.4]])


class Filled(eqx.Module):
    """A network that takes a missing cell for 0."""

    network: MLP

    def __call__(self, x: jax.Array) -> jax.Array:
        return self.network(jnp.where(jnp.isnan(x), 0.0, x))


def linear(draws: int = 5) -> LatentVariableModel:
    """x = W z + b + noise of two columns, whose first is missing by its own value."""
    fitted = np.array([[1.0, np.nan], [3.0, 0.0], [np.nan, 2.0]])  # centre 2, spread 1
    features = ColumnFeatures(("normal", "normal"), fitted)
    masking = SelfMasking(features, (0.4, 0.0), draws=draws)
    masking = eqx.tree_at(lambda m: m.slope, masking, jnp.asarray([SLOPE]))
    masking = eqx.tree_at(lambda m: m.intercept, masking, jnp.asarray([INTERCEPT]))
    family = Mixed((2,), ("normal", "normal"))
    family = eqx.tree_at(
        lambda f: f.families[0].log_scale, family, jnp.full(2, np.log(SCALE - 1e-3))
    )
    key = jax.random.key(0)
    network = MLP(1, (), 2, key=key)
    layer = lambda m: (m.layers[0].weight, m.layers[0].bias)  # noqa: E731
    network = eqx.tree_at(layer, network, (jnp.asarray(WEIGHT), jnp.asarray(BIAS)))
    encoder = filled(lambda: MLP(2, (), 2, key=key), seed=4)
    encoder = jax.tree.map(lambda a: 0.3 * a, encoder)
    return LatentVariableModel(
        StandardNormal(1),
        Encoder(Filled(encoder), DiagonalNormal(1)),
        Decoder(network, family),
        missing=masking,
    )


def odds(x: float) -> float:
    return SLOPE * (x - 2.0) + INTERCEPT


def exact(row: np.ndarray) -> tuple[float, float]:
    """log p(x_observed, s) by quadrature, and E[x_1 | x_observed, s]."""
    covariance = WEIGHT @ WEIGHT.T + SCALE**2 * np.eye(2)
    if not np.isnan(row[0]):
        joint = log_normal(row, BIAS, covariance)
        return float(joint + np.log(expit(-odds(row[0])))), float(row[0])
    gain = covariance[0, 1] / covariance[1, 1]
    mean = BIAS[0] + gain * (row[1] - BIAS[1])
    deviation = np.sqrt(covariance[0, 0] - gain * covariance[0, 1])
    second = log_normal(row[1:], BIAS[1:], covariance[1:, 1:])

    def weighted(x: float, power: int) -> float:
        return x**power * norm.pdf(x, mean, deviation) * expit(odds(x))

    ends = mean - 12 * deviation, mean + 12 * deviation
    mass, first = (quad(weighted, *ends, args=(power,), limit=200)[0] for power in (0, 1))
    return float(second + np.log(mass)), first / mass


@pytest.mark.parametrize("draws", [1, 8])
@in_float64
def test_the_bound_rises_to_log_p_of_the_observed_cells_and_of_which_they_are(draws):
    whole, batch = linear(draws), Batch(jnp.asarray(X))
    evidence = np.mean([exact(row)[0] for row in X])
    means, errors = [], []
    for k in (1, 10, 200):
        for goal in (ImportanceWeightedELBO(k), DoublyReparameterised(k)):
            bound = jax.jit(
                lambda key, goal=goal: (
                    -goal(whole, batch, state=None, step=jnp.asarray(0), key=key)[0]
                )
            )
            values = jax.lax.map(bound, jax.random.split(jax.random.key(k), 1000))
            means.append(float(jnp.mean(values)))
            errors.append(float(sem(values)))
    assert abs(means[-1] - evidence) < 4 * errors[-1] + 5e-3
    assert abs(means[-2] - evidence) < 4 * errors[-2] + 5e-3
    assert means[0] < means[2] - 4 * errors[0] < means[4] < evidence + 4 * errors[4]
    if draws == 1:  # a single latent and value: the mean of a plain lower bound
        terms = np.mean(elbo(whole, X, key=jax.random.key(0), samples=4000).elbo)
        assert means[0] < terms  # log p(s|x) < 0 is no part of the reported bound


@in_float64
def test_a_missing_cell_is_filled_with_its_mean_given_that_it_is_missing():
    whole = linear()
    found = impute(whole, X, key=jax.random.key(0), samples=20_000)
    blind = impute(
        dataclasses.replace(whole, missing=AtRandom()), X, key=jax.random.key(0), samples=20_000
    )
    for i, row in enumerate(X):
        expected = exact(row)[1]
        error = 5 * SCALE * 2 / np.sqrt(found.effective_sample_size[i])
        assert abs(found.value[i, 0] - expected) < max(error, 1e-12)
        if np.isnan(row[0]):
            assert found.value[i, 0] - blind.value[i, 0] > 4 * error
            assert found.lower[i, 0] < expected < found.upper[i, 0]
    np.testing.assert_array_equal(found.value[:, 1], X[:, 1])


@in_float64
def test_the_reported_bound_stays_that_of_the_observed_cells():
    whole = linear()
    blind = dataclasses.replace(whole, missing=AtRandom())
    for one in (elbo(whole, X, key=jax.random.key(1), samples=50),):
        other = elbo(blind, X, key=jax.random.key(1), samples=50)
        np.testing.assert_array_equal(one.elbo, other.elbo)


@pytest.mark.parametrize("goal", [NegativeELBO(), ImportanceWeightedELBO(3)], ids=type)
@in_float64
def test_gradients_are_those_of_finite_differences(goal):
    whole, batch = model(mechanism(draws=3)), Batch(jnp.asarray(rows()[:6]))
    parameters, static = eqx.partition(whole, eqx.is_inexact_array)

    @jax.jit
    def loss(parameters):
        one, step = eqx.combine(parameters, static), jnp.asarray(0)
        return goal(one, batch, state=None, step=step, key=jax.random.key(5))[0]

    gradient = jax.grad(loss)(parameters)
    for leaf in jax.tree.leaves(gradient.missing):
        assert np.all(leaf != 0)
    for seed in range(3):
        way = jax.tree.map(lambda a, seed=seed: jnp.asarray(numbers(a.shape, seed)), parameters)
        slope = sum(jax.tree.leaves(jax.tree.map(lambda a, b: jnp.sum(a * b), gradient, way)))
        ends = [
            loss(jax.tree.map(lambda a, b, h=h: a + h * b, parameters, way)) for h in (1e-6, -1e-6)
        ]
        assert float(slope) == pytest.approx(float(ends[0] - ends[1]) / 2e-6, rel=1e-5)


# --- every objective trains it -------------------------------------------------------------


class Coin(AbstractMechanism):
    """Each cell is missing with one probability, whatever it holds."""

    probability_missing: float = eqx.field(static=True, default=0.3)

    def log_prob(self, p, x, observed, key):
        del p, x, key
        chance = self.probability_missing
        return jnp.sum(jnp.where(observed, np.log1p(-chance), np.log(chance)))

    def of_missing(self, p, key):
        return p

    def probability(self, x):
        return jnp.full(x.shape, self.probability_missing)


@pytest.mark.parametrize("name", OBJECTIVES)
def test_every_objective_raises_log_p_of_the_mask_too(name):
    composition, objective = Composition(objective=name), OBJECTIVES[name]()
    whole, batch = composition.model(2), composition.batch(3)
    mask = numbers(batch.x.shape, 4) > -0.5
    batch = dataclasses.replace(batch, mask=jnp.asarray(mask))
    state = objective.init(whole)
    blind, (_, without) = call(objective, whole, batch, 1, state, STEP)
    aware = dataclasses.replace(whole, missing=Coin())
    loss, (_, metrics) = call(objective, aware, batch, 1, state, STEP)
    mean = np.mean(np.sum(np.where(mask, np.log(0.7), np.log(0.3)), axis=(1, 2, 3)))
    assert float(loss - blind) == pytest.approx(-mean, rel=1e-4)
    for metric in ("elbo", "reconstruction", "kl"):
        if metric in metrics:
            assert float(metrics[metric]) == pytest.approx(float(without[metric]), rel=1e-6)


def test_it_is_saved_with_the_model(tmp_path):
    whole = model(mechanism(direction="low"))
    save_model(tmp_path / "model.safetensors", whole)
    again = load_model(tmp_path / "model.safetensors")
    assert eqx.tree_equal(again, whole)
    assert again.mechanism is not None
    assert again.missing.direction == "low"
