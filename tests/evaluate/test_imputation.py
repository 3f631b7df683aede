"""Missing cells by importance sampling, against the conditional normal of the exact model."""

import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import norm

from elbax.evaluate import imputation
from elbax.evaluate.equations import Equations
from elbax.evaluate.imputation import DRAWS, impute, impute_means
from elbax.model import (
    MLP,
    Decoder,
    DiagonalNormal,
    Encoder,
    LatentVariableModel,
    Mixed,
    Preprocessing,
    StandardNormal,
)
from tests.linear_gaussian import LinearGaussian, example


class Filled(eqx.Module):
    """A linear encoder's network that takes a missing cell for 0."""

    network: MLP

    def __call__(self, x: jax.Array) -> jax.Array:
        return self.network(jnp.where(jnp.isnan(x), 0.0, x))


def of_cells(oracle: LinearGaussian) -> LatentVariableModel:
    """The same model with a product of normals, one a cell, and an encoder that takes holes."""
    model = oracle.model()
    assert isinstance(model.encoder, Encoder)
    assert isinstance(model.decoder, Decoder)
    family = Mixed((4,), ("normal",) * 4)
    log_scale = jnp.full(4, np.log(oracle.scale - 1e-3))
    family = eqx.tree_at(lambda f: f.families[0].log_scale, family, log_scale)
    return dataclasses.replace(
        model,
        encoder=Encoder(Filled(model.encoder.network), model.encoder.posterior),
        decoder=Decoder(model.decoder.network, family),
    )


def holed() -> tuple[LinearGaussian, LatentVariableModel, np.ndarray]:
    """The exact model, the same with a product of normals, and rows with holes."""
    oracle = example().exact()
    # Where cells are missing p(z|x) is wider than of a whole row: the proposal has to cover it.
    oracle = dataclasses.replace(oracle, cholesky=2.0 * oracle.cholesky)
    x = oracle.draw(np.random.default_rng(3), 4)
    x[0, 1] = x[1, :3] = x[2, 2:] = np.nan
    return oracle, of_cells(oracle), x.astype(np.float32)


def conditional(oracle: LinearGaussian, row: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation of the missing cells given the observed ones."""
    gone = np.isnan(row)
    s = oracle.weight @ oracle.weight.T + oracle.scale**2 * np.eye(4)
    gain = s[np.ix_(gone, ~gone)] @ np.linalg.inv(s[np.ix_(~gone, ~gone)])
    mean = oracle.bias[gone] + gain @ (row[~gone] - oracle.bias[~gone])
    covariance = s[np.ix_(gone, gone)] - gain @ s[np.ix_(~gone, gone)]
    return mean, np.sqrt(np.diag(covariance))


def test_means_and_intervals_are_those_of_the_conditional_normal():
    oracle, model, x = holed()
    found = impute(model, x, key=jax.random.key(0), samples=5000, multiple=DRAWS)
    seen = ~np.isnan(x)
    for filled in (found.value, found.lower, found.upper, found.draws[:, 7]):
        np.testing.assert_array_equal(filled[seen], x[seen])
    for i in range(3):
        gone = ~seen[i]
        mean, deviation = conditional(oracle, x[i])
        error = 5 * deviation / np.sqrt(found.effective_sample_size[i])
        np.testing.assert_array_less(np.abs(found.value[i, gone] - mean), error)
        # A 5% quantile of 400 draws has a standard error of about 0.11 deviations.
        for end, quantile in ((found.lower, 0.05), (found.upper, 0.95)):
            wanted = mean + deviation * norm.ppf(quantile)
            np.testing.assert_array_less(np.abs(end[i, gone] - wanted), 0.45 * deviation)
        spread = found.draws[i][:, gone].std(axis=0)
        np.testing.assert_allclose(spread, deviation, rtol=0.2)


@pytest.mark.parametrize("far", [1e12, 1e25])
def test_draws_that_float32_cannot_weigh_count_alike_and_are_worth_nothing(far):
    # At 1e12 log p is 1e24, rounded by 1e17 nats; at 1e25 it is −∞.
    _, model, x = holed()
    x[0, 0] = far
    found = impute(model, x[:3], key=jax.random.key(0), samples=50)
    assert found.effective_sample_size[0] == 0
    assert found.effective_sample_size[1] > 5
    means = impute_means(model, x[:3], key=jax.random.key(0), samples=50)
    assert means.effective_sample_size[0] == 0
    log_w = np.array([1.0, np.nan, -np.inf, 3.0, -1e9])
    weights, worth = imputation._normalised(jnp.asarray(log_w))
    expected = np.exp([1.0, 3.0]) / np.exp([1.0, 3.0]).sum()
    np.testing.assert_allclose(weights, [expected[0], 0, 0, expected[1], 0], rtol=1e-6)
    np.testing.assert_allclose(worth, 1 / np.sum(expected**2), rtol=1e-6)
    np.testing.assert_allclose(imputation._normalised(jnp.asarray(log_w[1:3]))[0], 0.5)


def test_a_row_depends_on_no_other_and_numbers_are_checked():
    _, model, x = holed()
    key = jax.random.key(1)
    all_rows = impute(model, x, key=key, samples=20)
    np.testing.assert_array_equal(
        impute(model, x[:2], key=key, samples=20).value, all_rows.value[:2]
    )
    with pytest.raises(ValueError, match="at most 400"):
        impute(model, x, key=key, multiple=401)


def test_means_alone_are_those_of_impute_and_know_no_other_row():
    """In more rows than a compiled program takes at once; those without a hole stay as they are."""
    oracle, model, _ = holed()
    rng = np.random.default_rng(5)
    x = oracle.draw(rng, 70).astype(np.float32)
    x[rng.random(x.shape) < 0.2] = np.nan
    key = jax.random.key(2)
    means = impute_means(model, x, key=key, samples=50)
    drawn = impute(model, x, key=key, samples=50)
    np.testing.assert_allclose(means.value, drawn.value, rtol=1e-5)
    whole = ~np.isnan(x).any(axis=1)
    assert 10 < whole.sum() < 60
    np.testing.assert_array_equal(means.value[whole], x[whole])
    np.testing.assert_array_equal(drawn.draws[whole, 0], x[whole])
    assert (means.effective_sample_size[whole] == 50).all()
    assert (means.effective_sample_size[~whole] < 50).all()
    some = np.array([69, 3, 64])
    few = impute_means(model, x[some], key=key, samples=50, numbers=some)
    for field in ("value", "share", "effective_sample_size"):
        np.testing.assert_array_equal(getattr(few, field), getattr(means, field)[some])


def test_cells_that_an_equation_ties_are_those_of_the_conditional_normal():
    """Rows with the same two cells missing, of which one keeps to an equation and one does not."""
    oracle, model, x = holed()
    rows = np.stack([x[2], x[2]])
    factors, total = np.array([0.0, 0.0, 1.0, -2.0]), 0.7
    equations = Equations(
        jnp.tile(factors, (2, 1, 1)), jnp.array([[total], [np.nan]]), jnp.array([[2], [2]])
    )
    key = jax.random.key(0)
    found = impute(model, rows, key=key, samples=5000, multiple=DRAWS, equations=equations)
    np.testing.assert_allclose(found.draws[0] @ factors, total, atol=1e-5)
    assert found.value[0] @ factors == pytest.approx(total, abs=1e-5)
    seen = np.stack([np.eye(4)[0], np.eye(4)[1], factors])
    covariance = oracle.weight @ oracle.weight.T + oracle.scale**2 * np.eye(4)
    gain = covariance @ seen.T @ np.linalg.inv(seen @ covariance @ seen.T)
    mean = oracle.bias + gain @ (np.array([*rows[0, :2], total]) - seen @ oracle.bias)
    deviation = np.sqrt(np.diag(covariance - gain @ seen @ covariance))
    for j in (2, 3):
        error = 5 * deviation[j] / np.sqrt(found.effective_sample_size[0])
        assert abs(found.value[0, j] - mean[j]) < error
        for end, quantile in ((found.lower, 0.05), (found.upper, 0.95)):
            wanted = mean[j] + deviation[j] * norm.ppf(quantile)
            assert abs(end[0, j] - wanted) < 0.45 * deviation[j]
    free = impute(model, rows, key=key, samples=5000)
    np.testing.assert_allclose(found.value[1], free.value[1], atol=1e-6)


def test_the_code_filled_and_its_probability_are_of_one_estimate():
    """A yes/no column and one of three categories, against p(x_missing | x_observed) by a sum."""
    columns = ("normal", "binary", "categorical-3")
    family = Mixed((3,), columns)
    keys = jax.random.split(jax.random.key(5))
    posterior = DiagonalNormal(1)
    model = LatentVariableModel(
        prior=StandardNormal(1),
        encoder=Encoder(Filled(MLP(3, (), posterior.parameter_count, key=keys[0])), posterior),
        decoder=Decoder(MLP(1, (8,), family.parameter_count, key=keys[1]), family),
        preprocessing=Preprocessing(),
    )
    rng = np.random.default_rng(0)
    x = np.stack([rng.normal(size=60), rng.integers(0, 2, 60), rng.integers(0, 3, 60)], axis=1)
    x = x.astype(np.float32)
    x[:, 1] = np.nan
    x[::2, 2] = np.nan
    found = impute(model, x, key=jax.random.key(0), samples=2000)

    z = np.linspace(-8, 8, 1601)[:, None]
    means = jax.vmap(lambda z: model.decode(z).expectations())(jnp.asarray(z, jnp.float32))
    normal, yes, kinds = (np.asarray(part, np.float64) for part in means)
    scale = float(jnp.sqrt(model.decode(jnp.zeros(1)).variance[0]))
    masses = np.stack([1 - yes[:, 0], yes[:, 0]], axis=1), kinds.reshape(len(z), 3)
    for row, value, share in zip(x, found.value, found.share, strict=True):
        weight = norm.pdf(z[:, 0]) * norm.pdf(row[0], normal[:, 0], scale)
        if not np.isnan(row[2]):
            weight = weight * masses[1][:, int(row[2])]
        weight = weight / weight.sum()
        for j in (1, 2):
            if not np.isnan(row[j]):
                assert share[j] == 1.0
                continue
            exact = weight @ masses[j - 1]
            assert share[j] == pytest.approx(exact[int(value[j])], abs=0.04)
            # Never less probable than another: the value is the one that the share is the most of.
            assert share[j] >= 1 / len(exact) - 1e-6
            if np.ptp(np.sort(exact)[-2:]) > 0.08:
                assert value[j] == exact.argmax()
