"""A rate or a distortion that is prescribed: the arithmetic of a step, and where training ends."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from elbax.model import (
    GECO,
    Batch,
    Decoder,
    DiagonalNormal,
    Encoder,
    LatentVariableModel,
    NegativeELBO,
    Normal,
    StandardNormal,
    TargetRate,
)
from elbax.model.objectives.geco import GecoState
from elbax.train import fit, init_state
from tests.laws import Composition, call, in_float64
from tests.linear_gaussian import linear


@in_float64
def test_the_target_rate_is_charged_on_both_sides():
    model, batch = Composition().model(2), Composition().batch(3)
    _, (_, plain) = call(NegativeELBO(), model, batch)
    kl, reconstruction = float(plain["kl"]), float(plain["reconstruction"])
    for rate in (kl - 0.5, kl + 0.25):
        loss, (_, found) = call(TargetRate(rate, 40.0), model, batch)
        assert float(loss) == pytest.approx(40.0 * abs(kl - rate) - reconstruction, rel=1e-12)
        assert float(found["kl"]) == pytest.approx(kl, rel=1e-12)
    # Above the target it is the β-VAE's loss and a constant.
    beta, _ = call(NegativeELBO(40.0), model, batch)
    loss, _ = call(TargetRate(0.0, 40.0), model, batch)
    assert float(loss) == pytest.approx(float(beta), rel=1e-12)
    growing = TargetRate(optax.linear_schedule(0.0, 8.0, 100), 40.0)
    assert float(call(growing, model, batch, step=25)[1][1]["target_rate"]) == 2.0
    with pytest.raises(ValueError, match="rate is -1"):
        TargetRate(-1.0)
    with pytest.raises(ValueError, match="gamma is -1"):
        TargetRate(gamma=-1.0)


@in_float64
def test_a_step_of_geco_is_that_of_the_algorithm():
    model, batch = Composition().model(2), Composition().batch(3)
    _, (_, plain) = call(NegativeELBO(), model, batch)
    objective = GECO(tolerance=0.8, speed=0.2, smoothing=0.9)
    start = objective.init(model)
    assert (float(start.log_multiplier), float(start.average)) == (0.0, 0.0)
    for mask, elements in ((None, 4), (jnp.arange(4).reshape(batch.x.shape[1:]) < 3, 3)):
        seen = mask if mask is None else jnp.broadcast_to(mask, batch.x.shape)
        part = dataclasses.replace(batch, mask=seen)
        _, (_, plain) = call(NegativeELBO(), model, part)
        constraint = float(-plain["reconstruction"]) / elements - 0.8
        before = GecoState(jnp.asarray(np.log(3.0)), jnp.asarray(0.5))
        loss, (after, found) = call(objective, model, part, 0, before, step=9)
        expected = float(plain["kl"]) + 3.0 * elements * constraint
        assert float(loss) == pytest.approx(expected, rel=1e-12)
        assert float(found["multiplier"]) == pytest.approx(3.0, rel=1e-12)
        assert float(found["constraint"]) == pytest.approx(constraint, rel=1e-12)
        average = 0.9 * 0.5 + 0.1 * constraint
        assert float(after.average) == pytest.approx(average, rel=1e-12)
        assert float(after.log_multiplier) == pytest.approx(np.log(3) + 0.2 * average, rel=1e-12)
        # The first step has no past.
        first = call(objective, model, part, 0, start, step=0)[1][0]
        assert float(first.average) == pytest.approx(constraint, rel=1e-12)
    # A constraint that nothing meets leaves a number, not an overflow.
    far = dataclasses.replace(before, log_multiplier=jnp.asarray(13.8155))
    moved = call(GECO(-1e9), model, batch, 0, far, step=1)[1][0]
    assert float(jnp.exp(moved.log_multiplier)) == pytest.approx(1e6)


def test_geco_refuses_impossible_settings():
    with pytest.raises(ValueError, match="smoothing is 1"):
        GECO(smoothing=1.0)
    with pytest.raises(ValueError, match="speed is -1"):
        GECO(speed=-1.0)


def test_geco_ends_on_the_rate_distortion_function_of_a_normal():
    # x ~ N(0, 1), one latent, a normal likelihood of scale s: −log p(x|z) is a squared error in
    # units of 2 s², and the least rate at squared error D is ½ log(1/D) nats. The multiplier of
    # ½ E (x − x̂)² / s² there is s²/D, for d rate / dD = −1 / 2D.
    scale, error = 0.3, 0.2
    model = LatentVariableModel(
        StandardNormal(1),
        Encoder(linear(np.array([[0.5], [0.0]]), np.array([0.0, -1.0])), DiagonalNormal(1)),
        Decoder(linear(np.array([[0.5]]), np.array([0.0])), Normal((1,), scale)),
    )
    x = np.random.default_rng(0).normal(size=(1000, 1)).astype(np.float32)
    x = (x - x.mean()) / x.std()
    tolerance = 0.5 * error / scale**2 + np.log(scale) + 0.5 * np.log(2 * np.pi)
    objective = GECO(float(tolerance), speed=0.01, smoothing=0.9, samples=4)
    optimizer = optax.adam(optax.exponential_decay(0.02, 1000, 0.4))
    start = init_state(model, objective, optimizer, jax.random.key(1), keep_best=False)
    reports = list(
        fit(
            model,
            objective,
            Batch(jnp.asarray(x)),
            optimizer=optimizer,
            batch_size=250,
            steps=4000,
            state=start,
        )
    )
    late = {
        name: np.concatenate([report.metrics[name] for report in reports])[-1000:].mean()
        for name in ("kl", "constraint", "multiplier")
    }
    assert abs(late["constraint"]) < 0.01
    assert late["kl"] == pytest.approx(0.5 * np.log(1 / error), abs=0.02)
    assert late["multiplier"] == pytest.approx(scale**2 / error, rel=0.05)
