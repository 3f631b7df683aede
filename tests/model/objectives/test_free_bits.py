"""Free bits: what a latent holds up to λ costs nothing, what it holds beyond costs as before."""

import dataclasses

import equinox as eqx
import jax
import numpy as np
import pytest

from elbax.model import FullNormal, NegativeELBO
from tests.laws import Composition, call, in_float64


def loss_of(objective, model, batch):
    return jax.device_get(call(objective, model, batch, seed=1))


@in_float64
def test_free_bits_bind_where_they_should():
    model, batch = Composition().model(2), Composition().batch(3)
    plain, (_, metrics) = loss_of(NegativeELBO(2.0), model, batch)
    kl = np.sort(metrics["kl_per_latent"])
    assert kl[0] < kl[1]
    for free in (kl[0] / 2, (kl[0] + kl[1]) / 2, 2 * kl[1]):
        loss, (_, found) = loss_of(NegativeELBO(2.0, free_bits=float(free)), model, batch)
        assert loss - plain == pytest.approx(2.0 * np.maximum(free - kl, 0).sum(), abs=1e-12)
        assert found["kl"] == metrics["kl"]


@in_float64
def test_a_latent_within_its_free_bits_is_not_pushed_to_the_prior():
    model, batch = Composition().model(2), Composition().batch(3)
    parameters, static = eqx.partition(model, eqx.is_inexact_array)

    def gradient(objective):
        def loss(parameters):
            return call(objective, eqx.combine(parameters, static), batch, seed=1)[0]

        return jax.tree.leaves(jax.device_get(jax.jit(jax.grad(loss))(parameters)))

    # All within: the gradient is that of the reconstruction alone.
    for a, b in zip(
        gradient(NegativeELBO(free_bits=1e3)), gradient(NegativeELBO(0.0)), strict=True
    ):
        assert np.allclose(a, b, rtol=1e-12, atol=1e-12)


def test_free_bits_need_latents_that_factorise():
    model = Composition(posterior="full-normal").model(2)
    assert isinstance(model.encoder.posterior, FullNormal)  # pyright: ignore[reportAttributeAccessIssue]
    with pytest.raises(ValueError, match="free bits need the KL of each latent"):
        loss_of(NegativeELBO(free_bits=0.1), model, Composition().batch(3))
    with pytest.raises(ValueError, match="free_bits is -1"):
        dataclasses.replace(NegativeELBO(), free_bits=-1.0)
