"""Cells that were not observed: log p(x_observed), its estimators and its gradients."""

import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from elbax.evaluate import annealed, elbo, importance, prior
from elbax.model import (
    MLP,
    Batch,
    Bernoulli,
    ColumnFeatures,
    ColumnNetwork,
    Decoder,
    DiagonalNormal,
    Encoder,
    HoledNetwork,
    LatentVariableModel,
    Mixed,
    NegativeELBO,
    StandardNormal,
    load_model,
    save_model,
)
from tests.linear_gaussian import example, log_normal

KINDS = ("normal", "log-normal", "binary", "negative-binomial", "categorical-3", "ordinal-4")


def rows(count: int, missing: float, seed: int = 0) -> np.ndarray:
    """Rows of every kind, some cells NaN."""
    rng = np.random.default_rng(seed)
    x = np.stack(
        [
            rng.normal(size=count),
            np.exp(rng.normal(size=count)),
            rng.integers(0, 2, count),
            rng.poisson(5, count),
            rng.integers(0, 3, count),
            rng.integers(0, 4, count),
        ],
        axis=1,
    ).astype(np.float32)
    x[rng.random(x.shape) < missing] = np.nan
    return x


def mixed_model(x: np.ndarray) -> LatentVariableModel:
    features = ColumnFeatures(KINDS, x)
    family = Mixed((len(KINDS),), KINDS)
    keys = jax.random.split(jax.random.key(1))
    network = MLP(features.size, (8,), 4, "tanh", key=keys[0])
    return LatentVariableModel(
        StandardNormal(2),
        Encoder(ColumnNetwork(features, network), DiagonalNormal(2)),
        Decoder(MLP(2, (8,), family.parameter_count, "tanh", key=keys[1]), family),
    )


class Filled(eqx.Module):
    """A linear encoder's network that takes a missing cell for 0."""

    network: MLP

    def __call__(self, x: jax.Array) -> jax.Array:
        return self.network(jnp.where(jnp.isnan(x), 0.0, x))


def holed() -> tuple[LatentVariableModel, np.ndarray, np.ndarray]:
    """A linear-Gaussian model, rows with missing cells, and log N of the observed cells."""
    oracle = example()
    x = oracle.draw(np.random.default_rng(3), 6)
    x[0, 1] = x[1, :3] = x[2, 2:] = x[3] = np.nan
    covariance = oracle.weight @ oracle.weight.T + oracle.scale**2 * np.eye(4)
    exact = []
    for row in x:
        seen = ~np.isnan(row)
        exact.append(
            log_normal(row[seen], oracle.bias[seen], covariance[np.ix_(seen, seen)])
            if seen.any()
            else 0.0
        )
    model = oracle.model()
    assert isinstance(model.encoder, Encoder)
    encoder = Encoder(Filled(model.encoder.network), model.encoder.posterior)
    return dataclasses.replace(model, encoder=encoder), x.astype(np.float32), np.array(exact)


def test_estimators_agree_with_the_exact_density_of_the_observed_cells():
    model, x, exact = holed()
    key = jax.random.key(0)
    for estimator in (importance, prior):
        found = estimator(model, x, key=key, samples=5000)
        np.testing.assert_array_less(
            np.abs(found.log_likelihood - exact), 5 * found.monte_carlo_error + 1e-3
        )
    by_annealing = annealed(model, x, key=key, chains=16, temperatures=20)
    np.testing.assert_array_less(
        np.abs(by_annealing.log_likelihood - exact), 5 * by_annealing.monte_carlo_error + 0.05
    )
    assert found.log_likelihood[3] == pytest.approx(0.0, abs=1e-5)  # nothing was observed of it


def test_the_bound_of_the_observed_cells_is_below_their_density():
    model, x, exact = holed()
    bound = elbo(model, x, key=jax.random.key(0), samples=500)
    assert np.all(bound.elbo < exact + 0.05)


def test_with_nothing_missing_the_masked_bound_is_the_bound():
    x = rows(6, 0.0)
    model = mixed_model(x)

    @eqx.filter_jit
    def loss(mask):
        batch = Batch(jnp.asarray(x), mask=mask)
        step = jnp.zeros((), jnp.int32)
        return NegativeELBO()(model, batch, state=None, step=step, key=jax.random.key(2))[0]

    np.testing.assert_allclose(loss(None), loss(jnp.ones(x.shape, bool)), rtol=1e-6)


def test_gradients_do_not_know_what_was_written_into_missing_cells():
    x = rows(6, 0.4)
    model = mixed_model(x)
    mask = jnp.asarray(~np.isnan(x))
    likelihood = eqx.filter_jit(
        eqx.filter_grad(
            lambda decoder, x: jnp.sum(
                jax.vmap(
                    lambda x, mask: dataclasses.replace(model, decoder=decoder).log_likelihood(
                        x, jnp.ones(2), mask
                    )
                )(x, mask)
            )
        )
    )
    gradients = [
        jax.tree.leaves(likelihood(model.decoder, jnp.where(mask, x, filler)))
        for filler in (jnp.nan, 0.0, 1.0, 3.0)
    ]
    for others in gradients[1:]:
        for a, b in zip(gradients[0], others, strict=True):
            assert np.isfinite(a).all()
            np.testing.assert_array_equal(a, b)


def test_gradients_of_rows_with_holes_agree_with_finite_differences():
    x = rows(5, 0.4)
    model = mixed_model(x)
    arrays, static = eqx.partition(model, eqx.is_inexact_array)
    leaves, tree = jax.tree.flatten(arrays)
    sizes = np.cumsum([leaf.size for leaf in leaves])[:-1]

    @jax.jit
    def loss(flat):
        parts = [p.reshape(a.shape) for p, a in zip(jnp.split(flat, sizes), leaves, strict=True)]
        built = eqx.combine(jax.tree.unflatten(tree, parts), static)
        step = jnp.zeros((), jnp.int32)
        key = jax.random.key(4)
        return NegativeELBO()(built, Batch(jnp.asarray(x)), state=None, step=step, key=key)[0]

    start = jnp.concatenate([leaf.ravel() for leaf in leaves])
    direction = jax.random.normal(jax.random.key(5), start.shape)
    along = jnp.vdot(jax.grad(loss)(start), direction)
    step = 1e-3
    numeric = (loss(start + step * direction) - loss(start - step * direction)) / (2 * step)
    np.testing.assert_allclose(along, numeric, rtol=2e-2)


def test_features_of_each_kind():
    x = np.array([[1.0, np.e, 1, 3, 2, 0], [3.0, 1 / np.e, 0, 1, 0, 3]], np.float32)
    nothing = np.full(6, np.nan, np.float32)
    features = ColumnFeatures(KINDS, np.vstack([x, nothing]))
    assert features.size == 5 + 3 + 6
    first, second, none = (np.asarray(features(jnp.asarray(row))) for row in (*x, nothing))
    # Five numbers: of two values, standardised, one is −1 and the other 1.
    np.testing.assert_allclose(first[:5], [-1, 1, 1, 1, -1], atol=1e-5)
    np.testing.assert_allclose(second[:5], [1, -1, -1, -1, 1], atol=1e-5)
    np.testing.assert_array_equal(first[5:8], [0, 0, 1])
    np.testing.assert_array_equal(first[8:], np.ones(6))
    np.testing.assert_array_equal(none, np.zeros(14))


def test_the_mask_is_left_out_where_nothing_is_missing():
    assert ColumnFeatures(KINDS, rows(9, 0.0)).size == 8
    with pytest.raises(ValueError, match="6 kinds for rows of 5 columns"):
        ColumnFeatures(KINDS, rows(9, 0.0)[:, :5])


def test_a_model_of_columns_is_saved_and_loaded(tmp_path):
    x = rows(20, 0.3)
    model = mixed_model(x)
    save_model(tmp_path / "m.safetensors", model)
    again = load_model(tmp_path / "m.safetensors")
    assert again.encoder.network.features == ColumnFeatures(KINDS, x)
    key = jax.random.key(0)
    np.testing.assert_array_equal(elbo(again, x, key=key).elbo, elbo(model, x, key=key).elbo)


# --- images ------------------------------------------------------------------------------------


def test_a_network_sees_zeros_in_the_holes_and_where_they_are(tmp_path):
    shape = (2, 3, 2)
    assert HoledNetwork.seen_shape(shape) == (2, 3, 4)
    inner = MLP(24, (8,), 4, "tanh", key=jax.random.key(0))
    network = HoledNetwork(shape, inner)
    x = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    holes = np.random.default_rng(1).random(shape) < 0.4
    seen = np.concatenate([np.where(holes, 0, x), ~holes], axis=-1).astype(np.float32)
    holed = jnp.asarray(np.where(holes, np.nan, x))
    np.testing.assert_array_equal(network(holed), inner(jnp.asarray(seen)))
    gradients = eqx.filter_grad(lambda network: jnp.sum(network(holed)))(network)
    assert all(np.isfinite(g).all() for g in jax.tree.leaves(eqx.filter(gradients, eqx.is_array)))
    # A condition follows the flattened datum.
    conditional = HoledNetwork(shape, MLP(27, (8,), 4, "tanh", key=jax.random.key(0)))
    label = jnp.asarray([0.0, 1.0, 0.0])
    np.testing.assert_array_equal(
        conditional(jnp.concatenate([holed.ravel(), label])),
        conditional.network(jnp.concatenate([seen.ravel(), label])),
    )


def test_a_model_of_images_with_holes_is_saved_and_bounds_the_observed_alone(tmp_path):
    shape, keys = (2, 2, 1), jax.random.split(jax.random.key(0))
    family = Bernoulli(shape)
    model = LatentVariableModel(
        StandardNormal(2),
        Encoder(HoledNetwork(shape, MLP(8, (8,), 4, "tanh", key=keys[0])), DiagonalNormal(2)),
        Decoder(MLP(2, (8,), family.parameter_count, "tanh", key=keys[1]), family),
    )
    x = np.array([0.0, np.nan, 1.0, np.nan], np.float32).reshape(1, *shape)
    save_model(tmp_path / "m.safetensors", model)
    again = load_model(tmp_path / "m.safetensors")
    noise = {"key": jax.random.key(1), "samples": 100_000}
    found = importance(model, x, **noise).log_likelihood[0]
    assert importance(again, x, **noise).log_likelihood[0] == found
    # log p(x1 = 0, x3 = 1) by quadrature over z.
    nodes, weights = np.polynomial.hermite_e.hermegauss(40)
    grid = np.stack(np.meshgrid(nodes, nodes), axis=-1).reshape(-1, 2).astype(np.float32)
    p = np.asarray(jax.vmap(lambda z: model.decode(z).mean)(jnp.asarray(grid))).reshape(-1, 4)
    mass = np.outer(weights, weights).ravel() / weights.sum() ** 2
    assert found == pytest.approx(np.log(np.sum(mass * (1 - p[:, 0]) * p[:, 2])), abs=0.01)
