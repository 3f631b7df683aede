"""Maximum mean discrepancy against closed forms and quadrature, and the objectives with it."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.integrate
import scipy.stats

from elbax.model import (
    InfoVAE,
    RegularisedL2,
    WassersteinMMD,
    maximum_mean_discrepancy,
)
from elbax.model.objectives.discrepancy import Kernel, check_kernel, prior_draws
from elbax.model.objectives.terms import batch_terms
from tests import laws
from tests.laws import Composition, in_float64

KERNELS: dict[Kernel, Any] = {
    "gaussian": lambda squares, d: np.exp(-squares / (2 * d)),
    "inverse-multiquadratic": lambda squares, d: sum(
        2 * d * s / (2 * d * s + squares) for s in (0.1, 0.2, 0.5, 1, 2, 5, 10)
    ),
}


def call(objective, model, batch, seed=0):
    loss, (_, found) = laws.call(objective, model, batch, seed)
    return float(loss), found


def estimates(kernel, shift, repetitions, rows, d):
    """Many estimates of MMD² between N(0, I) and N(shift, I)."""

    @jax.jit
    def all_of(keys):
        def one(key):
            a, b = jax.random.normal(key, (2, rows, d))
            return maximum_mean_discrepancy(a + jnp.asarray(shift), b, kernel)

        return jax.lax.map(one, keys, batch_size=100)

    return np.asarray(all_of(jax.random.split(jax.random.key(1), repetitions)))


@pytest.mark.parametrize("kernel", KERNELS)
@in_float64
def test_it_is_the_average_over_pairs(kernel):
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(5, 3)), rng.normal(size=(4, 3)) + 1
    k = lambda u, v: KERNELS[kernel](np.sum((u - v) ** 2), 3)  # noqa: E731
    expected = np.mean([k(u, v) for i, u in enumerate(a) for j, v in enumerate(a) if i != j])
    expected += np.mean([k(u, v) for i, u in enumerate(b) for j, v in enumerate(b) if i != j])
    expected -= 2 * np.mean([k(u, v) for u in a for v in b])
    estimate = jax.jit(lambda a, b: maximum_mean_discrepancy(a, b, kernel))
    assert float(estimate(a, b)) == pytest.approx(expected, rel=1e-12)
    assert float(estimate(a[:1], b)) == 0


@pytest.mark.parametrize("kernel", KERNELS)
@in_float64
def test_of_shifted_normals_it_is_the_known_value_and_of_equal_ones_zero(kernel):
    # a − b ~ N(μ, 2 I): by quadrature in one dimension, for both kernels.
    def expected(shift):
        def mean_of_kernel(mean):
            def weighted(t):
                return KERNELS[kernel](t**2, 1) * scipy.stats.norm.pdf(t, mean, np.sqrt(2))

            return scipy.integrate.quad(weighted, -20, 20)[0]

        return 2 * (mean_of_kernel(0.0) - mean_of_kernel(shift))

    for shift in (0.0, 1.5):
        found = estimates(kernel, shift, 1000, 20, 1)
        assert abs(found.mean() - expected(shift)) < 4 * scipy.stats.sem(found)
        assert shift or np.min(found) < 0  # without bias, so below zero at times
    if kernel == "gaussian":
        # In closed form, in several dimensions: with s² = d, E k = (s² / (s² + 2))^(d/2) exp(…).
        d, shift = 3, np.array([1.0, -0.5, 2.0])
        closed = 2 * (d / (d + 2)) ** (d / 2) * (1 - np.exp(-np.sum(shift**2) / (2 * (d + 2))))
        found = estimates(kernel, shift, 1000, 20, d)
        assert abs(found.mean() - closed) < 4 * scipy.stats.sem(found)


@in_float64
def test_info_vae_is_the_bound_with_part_of_its_kl_and_a_discrepancy():
    model, batch = Composition().model(2), Composition().batch(3, rows=10)
    noise, other = jax.random.split(jax.random.key(6))

    def parts(keys):
        q = lambda x, key: model.encode(x).sample(key)  # noqa: E731
        prior = prior_draws(model, batch, other)
        z = jax.vmap(q)(batch.x, keys)
        mmds = {kernel: maximum_mean_discrepancy(z, prior, kernel) for kernel in KERNELS}
        return batch_terms(model, batch, noise), mmds

    terms, mmds = jax.jit(parts)(jax.random.split(noise, 10))
    for kernel in KERNELS:
        mmd = mmds[kernel]
        loss, found = call(InfoVAE(0.4, 5.0, kernel), model, batch, 6)
        assert float(found["mmd"]) == pytest.approx(float(mmd), rel=1e-12)
        expected = 0.6 * terms.kl - terms.reconstruction + 4.4 * mmd
        assert loss == pytest.approx(float(expected), rel=1e-12)
    # α = 0, λ = 1: the evidence lower bound.
    assert call(InfoVAE(0.0, 1.0), model, batch, 6)[0] == pytest.approx(
        float(-terms.elbo), rel=1e-12
    )


@in_float64
def test_wasserstein_is_the_cost_of_the_point_and_a_discrepancy():
    composition = Composition(posterior="deterministic")
    model, batch = composition.model(2), composition.batch(3, rows=10)

    @jax.jit
    def parts(key):
        z = jax.vmap(lambda x: model.encode(x).mean)(batch.x)
        cost = -jnp.mean(jax.vmap(model.log_likelihood)(batch.x, z))
        prior = prior_draws(model, batch, key)
        return cost, prior, maximum_mean_discrepancy(z, prior, "gaussian")

    cost, prior, mmd = jax.device_get(parts(jax.random.key(6)))
    loss, found = call(WassersteinMMD(7.0, "gaussian"), model, batch, 6)
    assert len(np.unique(prior)) == prior.size  # its own draw for each row
    assert loss == pytest.approx(cost + 7.0 * mmd, rel=1e-12)
    assert float(found["reconstruction"]) == pytest.approx(-cost, rel=1e-12)
    assert "kl" not in found
    assert "elbo" not in found


@in_float64
def test_rae_pays_for_the_latent_and_for_the_decoders_weights():
    composition = Composition(posterior="deterministic", likelihood="normal of shared scale, real")
    model, batch = composition.model(2), composition.batch(3, rows=10)

    @jax.jit
    @jax.vmap
    def parts(x):
        z = model.encode(x).mean
        return z, model.log_likelihood(x, z)

    z, log_likelihood = jax.device_get(parts(batch.x))
    cost = -np.mean(log_likelihood)
    layers = jax.device_get(model.decoder.network.layers)  # pyright: ignore[reportAttributeAccessIssue]
    squares = float(sum(np.sum(layer.weight**2) + np.sum(layer.bias**2) for layer in layers))
    half = 0.5 * np.mean(np.sum(z**2, axis=1))
    loss, found = call(RegularisedL2(0.3, 0.02), model, batch)
    assert loss == pytest.approx(cost + 0.3 * half + 0.02 * squares, rel=1e-12)
    assert set(found) == {"loss", "reconstruction", "latent_square", "weight_square"}
    # What was not observed costs nothing, and the scale of the likelihood is no weight.
    mask = jnp.zeros_like(batch.x, bool)
    hidden = call(RegularisedL2(0.3, 0.02), model, dataclasses.replace(batch, mask=mask))[0]
    assert hidden == pytest.approx(0.3 * half + 0.02 * squares, rel=1e-12)


def test_what_they_need_is_refused_by_name():
    plain = Composition()
    batch = plain.batch(3, rows=4)
    for objective in (WassersteinMMD(), RegularisedL2()):
        with pytest.raises(ValueError, match=f"{objective.name}: it needs the determ"):
            call(objective, plain.model(2), batch)
    for name in ("mixture", "vamp"):
        learned = Composition(prior=name).model(2)
        with pytest.raises(ValueError, match=f"prior {name} does not suit .* info: it compares"):
            call(InfoVAE(), learned, batch)
    with pytest.raises(ValueError, match="alpha is 2"):
        InfoVAE(2.0)
    with pytest.raises(ValueError, match=r"scale is 0\.1; with this alpha give 0\.5 or more"):
        InfoVAE(0.5, 0.1)
    with pytest.raises(ValueError, match="kernel is 'linear'"):
        check_kernel("linear")
    with pytest.raises(ValueError, match="decay is -1"):
        RegularisedL2(decay=-1.0)
