"""Encode, decode, reconstruct and generate, against the linear-Gaussian oracle."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from elbax.evaluate import decode, generate, posterior_moments, preprocess, reconstruct
from elbax.evaluate.generate import decode_mean, likelihood_location
from elbax.evaluate.tiles import TILE
from elbax.model import MLP, Decoder, Mixed, Preprocessing, VampPrior
from tests.figures.runs import make_data, make_model
from tests.laws import Composition
from tests.linear_gaussian import example

ORACLE = example()
ROWS = ORACLE.draw(np.random.default_rng(1), rows=TILE + 30)
KEY = jax.random.key(5)


def test_posterior_moments_are_those_of_the_oracle():
    found = posterior_moments(ORACLE.model(), ROWS)
    means = ROWS @ ORACLE.encoder_weight.T + ORACLE.encoder_bias
    scales = np.sqrt(np.diag(ORACLE.cholesky @ ORACLE.cholesky.T))
    assert np.allclose(found["mean"], means, rtol=1e-4, atol=1e-5)
    assert np.allclose(found["scale"], np.tile(scales, (len(ROWS), 1)), rtol=1e-5)


def test_posterior_moments_read_grey_levels_as_they_are():
    model = dataclasses.replace(
        Composition().model(14), preprocessing=Preprocessing(1 / 255, "dynamic")
    )
    rows = np.full((20, 2, 2, 1), 100, np.uint8)
    assert np.ptp(posterior_moments(model, rows)["mean"], axis=0).max() == 0


def test_numbers_are_reconstructed_by_their_means():
    x, found = reconstruct(ORACLE.model(), ROWS, KEY)
    means = ROWS @ ORACLE.encoder_weight.T + ORACLE.encoder_bias
    assert np.array_equal(x, ROWS.astype(np.float32))
    assert np.allclose(found, means @ ORACLE.weight.T + ORACLE.bias, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("prior", ["standard", "vamp"])
def test_generated_rows_have_the_covariance_of_the_joint(prior):
    """Vamp's one component is q(z|0); it splits the key, and x's noise must not be its noise."""
    model, mean, root = ORACLE.model(), np.zeros(2), np.eye(2)
    if prior == "vamp":
        vamp = VampPrior(2, (4,), 1, data=jnp.zeros((1, 4)), key=KEY)
        model = dataclasses.replace(model, prior=vamp)
        mean, root = ORACLE.encoder_bias, ORACLE.cholesky
    count = 20_000
    x, z = generate(model, count, KEY, draw=True)
    noise = np.linalg.solve(root, (z - mean).T).T
    residual = (x - z @ ORACLE.weight.T - ORACLE.bias) / ORACLE.scale
    found = np.cov(np.concatenate([noise, residual], axis=1), rowvar=False)
    assert np.allclose(found, np.eye(6), atol=5 / np.sqrt(count / 2))


def test_a_draw_and_a_location_are_at_the_same_latents():
    (location, z), (_, again) = (generate(ORACLE.model(), 40, KEY, draw=d) for d in (False, True))
    assert np.array_equal(z, again)
    assert np.array_equal(generate(ORACLE.model(), 7, KEY)[0], location[:7])
    assert np.allclose(location, z @ ORACLE.weight.T + ORACLE.bias, rtol=1e-4, atol=1e-4)


def test_a_rows_decoding_does_not_depend_on_its_company():
    z = np.random.default_rng(2).normal(size=(TILE + 3, 2)).astype(np.float32)
    assert np.array_equal(decode(ORACLE.model(), z)[:3], decode(ORACLE.model(), z[:3]))
    assert np.array_equal(decode(ORACLE.model(), z, KEY)[:3], decode(ORACLE.model(), z[:3], KEY))


def test_the_location_of_a_table_is_one_that_a_row_can_have():
    family = Mixed((4,), "normal, binary, categorical-3, ordinal-3")
    model = dataclasses.replace(
        ORACLE.model(),
        decoder=Decoder(MLP(2, (8,), family.parameter_count, key=jax.random.key(3)), family),
    )
    z = np.random.default_rng(4).normal(size=(200, 2)).astype(np.float32)
    found, mean = decode(model, z), decode_mean(model, z)
    assert np.array_equal(found[:, 0], mean[:, 0])
    assert np.array_equal(found[:, 1], mean[:, 1] > 0.5)
    # The most probable code, by the masses themselves.
    log_prob = jax.jit(lambda row: jax.vmap(lambda z: model.decode(z).log_prob(row))(z))
    for column in (2, 3):
        rows = np.eye(4, dtype=np.float32)[column] * np.arange(3, dtype=np.float32)[:, None]
        masses = np.stack([log_prob(row)[:, column] for row in rows])
        assert np.array_equal(found[:, column], masses.argmax(axis=0))


def test_pixels_are_located_by_their_probabilities():
    model = make_model((4, 3, 1), 2, scale=1 / 255)
    raw = make_data((4, 3, 1)).test.x
    p = model.decode(model.encode(model.preprocessing(jnp.asarray(raw[5]))).mean)
    found = reconstruct(model, raw, KEY)[1][5]
    assert np.allclose(found, jax.nn.sigmoid(p.logits), rtol=1e-5)
    assert np.array_equal(likelihood_location(p), p.mean)


def test_dynamic_binarisation_shows_what_the_encoder_saw():
    model = make_model((4, 3, 1), 2, scale=1 / 255, binarize="dynamic")
    raw = make_data((4, 3, 1)).test.x
    assert set(np.unique(reconstruct(model, raw, KEY)[0])) == {0.0, 1.0}
    assert np.array_equal(preprocess(model, raw, KEY), reconstruct(model, raw, KEY)[0])
    assert np.allclose(preprocess(model, raw), raw / np.float32(255), rtol=1e-6)
