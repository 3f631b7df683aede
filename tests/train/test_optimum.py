"""Training reaches what theory says it should: principal components, and nothing from noise."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from elbax import evaluate
from elbax.model import (
    MLP,
    Batch,
    Bernoulli,
    Decoder,
    DiagonalNormal,
    Encoder,
    FullNormal,
    LatentVariableModel,
    NegativeELBO,
    Normal,
    StandardNormal,
)
from elbax.train import fit, init_state, merge
from tests.linear_gaussian import example, log_normal, pca_optimum, untrained


def trained(model, x, steps, rate, batch_size=100):
    """The model after its steps, with Adam and a cosine schedule."""
    objective, optimizer = NegativeELBO(), optax.adam(optax.cosine_decay_schedule(rate, steps))
    state = init_state(model, objective, optimizer, jax.random.key(1))
    run = fit(
        model,
        objective,
        Batch(jnp.asarray(x), data_size=len(x)),
        optimizer=optimizer,
        batch_size=batch_size,
        steps=steps,
        state=state,
    )
    reports = list(run)
    metrics = {n: np.concatenate([r.metrics[n] for r in reports]) for n in reports[0].metrics}
    return merge(reports[-1].state.parameters, model, objective)[0], metrics


DATA = example(seed=3, data=6).draw(np.random.default_rng(4), rows=1000).astype(np.float32)


def log_likelihood(model, x):
    """The mean of log p(x) of a linear model with a shared scale, by scipy."""
    layer = model.decoder.network.layers[0]
    weight, bias = np.asarray(layer.weight, np.float64), np.asarray(layer.bias, np.float64)
    scale = float(model.decode(jnp.zeros(weight.shape[1])).scale[0])
    covariance = weight @ weight.T + scale**2 * np.eye(len(bias))
    return log_normal(x, bias, covariance).mean()


def test_the_oracle_is_the_maximum_of_the_likelihood():
    # The closed-form value is that of the closed-form parameters, and every step from them is down.
    x, (d, k) = DATA.astype(np.float64), (6, 2)
    values, vectors = np.linalg.eigh(np.cov(x.T, bias=True))
    noise = values[: d - k].mean()
    weight = vectors[:, d - k :] * np.sqrt(values[d - k :] - noise)

    def mean_log_density(weight, mean, noise):
        covariance = weight @ weight.T + noise * np.eye(d)
        return log_normal(x, mean, covariance).mean()

    best = mean_log_density(weight, x.mean(0), noise)
    assert best == pytest.approx(pca_optimum(x, k), rel=1e-10)
    rng = np.random.default_rng(5)
    for _ in range(20):
        moved = weight + 0.01 * rng.normal(size=(d, k)), x.mean(0) + 0.01 * rng.normal(size=d)
        assert mean_log_density(*moved, noise * np.exp(0.01 * rng.normal())) < best


@pytest.mark.parametrize(
    "family", [DiagonalNormal, pytest.param(FullNormal, marks=pytest.mark.slow)]
)
def test_a_linear_model_reaches_the_optimum_of_principal_components(family):
    optimum = pca_optimum(DATA.astype(np.float64), 2)
    model = untrained(6, family(2), Normal((6,), "shared"), seed=6)
    start = log_likelihood(model, DATA)
    model, _ = trained(model, DATA, steps=4000, rate=0.03)
    found = log_likelihood(model, DATA)
    assert start < optimum - 1  # there was something to learn
    assert optimum - 0.05 < found <= optimum + 1e-4
    # The posterior is exact there (for the diagonal one: rotated to the principal axes).
    bound = evaluate.elbo(model, DATA, key=jax.random.key(7), samples=100).means()["elbo"].mean
    assert optimum - 0.05 < bound < optimum + 0.01
    # And the learned scale is the square root of the mean of the eigenvalues that are left over.
    noise = np.linalg.eigvalsh(np.cov(DATA.T, bias=True))[:4].mean()
    scale = float(model.decode(jnp.zeros(2)).scale[0])  # pyright: ignore[reportAttributeAccessIssue]
    assert scale == pytest.approx(np.sqrt(noise), rel=0.02)


def small_vae(data, latents):
    keys = jax.random.split(jax.random.key(8))
    return LatentVariableModel(
        StandardNormal(latents),
        Encoder(MLP(data, (16,), 2 * latents, key=keys[0]), DiagonalNormal(latents)),
        Decoder(MLP(latents, (16,), data, key=keys[1]), Bernoulli((data,))),
    )


def test_on_pure_noise_the_kl_goes_to_zero_and_on_structure_it_does_not():
    # The summary: a KL of 0 means that there is no structure, "or, the data is almost random".
    rng = np.random.default_rng(9)
    noise = (rng.random((20_000, 10)) < 0.5).astype(np.float32)
    model, metrics = trained(small_vae(10, 2), noise, steps=2000, rate=3e-3)
    found = evaluate.elbo(model, noise[:2000], key=jax.random.key(10), samples=5).means()
    assert metrics["kl"][:100].max() > 0.05
    assert found["kl"].mean < 0.01
    assert found["elbo"].mean == pytest.approx(-10 * np.log(2), abs=0.02)  # its entropy

    # Ten copies of one coin: ln 2 nats of information, which the latent has to carry.
    structure = np.repeat((rng.random((20_000, 1)) < 0.5), 10, axis=1).astype(np.float32)
    model, _ = trained(small_vae(10, 2), structure, steps=1500, rate=3e-3)
    found = evaluate.elbo(model, structure[:2000], key=jax.random.key(11), samples=5).means()
    assert found["kl"].mean > np.log(2)
    assert -1.5 < found["elbo"].mean < -np.log(2)


@pytest.mark.slow
def test_kl_and_reconstruction_both_improve_at_first_then_trade_off():
    # The summary: on structured data the KL falls, then rises while the total still falls.
    rng = np.random.default_rng(12)
    centres = rng.random((8, 30)) < 0.5
    x = np.where(rng.random((4000, 30)) < 0.95, centres[rng.integers(8, size=4000)], 0.5)
    model = small_vae(30, 4)
    _, metrics = trained(model, x.astype(np.float32), steps=2000, rate=3e-3)
    kl, loss = (np.convolve(metrics[n], np.ones(20) / 20, "valid") for n in ("kl", "loss"))
    turn = int(kl[:1000].argmin())
    assert kl[turn] < 0.7 * kl[0]
    assert kl[-1] > 1.5 * kl[turn]
    assert loss[-1] < loss[turn] < loss[0]
