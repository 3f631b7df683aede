"""The bound of held-out data, its uncertainty, and what a row's result depends on."""

import dataclasses
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

from elbax.evaluate import (
    active,
    bits_per_dimension,
    elbo,
    map_rows,
    mean,
    quantity,
    share,
)
from elbax.evaluate.tiles import TILE
from elbax.model import AbstractDecoder, Preprocessing
from tests.laws import Composition, in_float64
from tests.linear_gaussian import example

ORACLE = example()
ROWS = ORACLE.draw(np.random.default_rng(1), rows=TILE + 30)


@pytest.mark.parametrize("oracle", [ORACLE, ORACLE.exact()], ids=["wrong", "exact"])
def test_elbo_is_the_log_evidence_less_the_kl_to_the_posterior(oracle):
    samples = 300
    found = elbo(oracle.model(), ROWS, key=jax.random.key(2), samples=samples)
    expected = oracle.log_evidence(ROWS) - oracle.kl_to_posterior(ROWS)
    # The variance of log p(x|z) over z ~ q: a quadratic form in normal noise (moments by draws).
    noise = np.random.default_rng(3).normal(size=(20_000, 2)) @ oracle.cholesky.T
    z = (ROWS[:50] @ oracle.encoder_weight.T + oracle.encoder_bias)[:, None] + noise
    residual = (ROWS[:50, None] - oracle.bias - z @ oracle.weight.T) / oracle.scale
    spread = np.std(-0.5 * (residual**2).sum(axis=-1), axis=1)

    scores = (found.elbo - expected)[:50] / (spread / np.sqrt(samples))
    assert np.abs(scores).max() < 5
    assert scipy.stats.kstest(scores, scipy.stats.norm.cdf).pvalue > 1e-3
    # On the whole: the same, with the errors of 280 rows averaged away.
    assert abs(np.mean(found.elbo - expected)) < 5 * spread.mean() / np.sqrt(samples * len(ROWS))


def test_parts_of_the_bound_add_up():
    model = Composition().model(4)
    found = elbo(model, np.ones((7, 2, 2, 1), np.float32), key=jax.random.key(3), samples=2)
    assert np.allclose(found.elbo, found.reconstruction - found.kl, rtol=1e-5)
    assert found.kl_per_latent is not None
    assert np.allclose(found.kl_per_latent.sum(axis=1), found.kl, rtol=1e-5)
    full = elbo(ORACLE.model(), ROWS[:3], key=jax.random.key(3), samples=2)
    assert full.kl_per_latent is None


def test_means_have_their_standard_errors():
    found = elbo(ORACLE.model(), ROWS[:40], key=jax.random.key(3), samples=1)
    means = found.means()
    assert list(means) == ["elbo", "reconstruction", "kl"]
    for name, summary in means.items():
        values = getattr(found, name).astype(np.float64)
        assert summary.mean == pytest.approx(values.mean())
        assert summary.standard_error == pytest.approx(scipy.stats.sem(values))


def test_mean_at_the_edges():
    assert np.isnan(mean(np.array([3.0])).standard_error)
    assert dataclasses.astuple(mean(np.full(9, 2.5))) == (2.5, 0.0)
    # A sum in float32 would stop growing at 2²⁴.
    assert mean(np.full(30_000_001, 1.0, np.float32)).mean == 1.0


@pytest.mark.parametrize(("rows", "true"), [(60, 0.97), (200, 0.99), (200, 0.7)])
def test_twice_the_error_of_a_share_holds_it_as_often_as_it_says(rows, true):
    """By all numbers of hits and their probabilities; without the two more it is 45 to 90 %."""
    counts = np.arange(rows + 1)
    found = [share(np.arange(rows) < count) for count in counts]
    inside = [abs(one.mean - true) <= 1.96 * one.standard_error for one in found]
    held = scipy.stats.binom.pmf(counts, rows, true) @ np.array(inside)
    assert held > 0.935
    assert found[-1].mean == 1
    assert found[-1].standard_error > 0


def test_the_standard_error_covers():
    # Over many data sets the mean lies within 1.96 errors of the truth about 95 times in 100.
    truth = np.mean(ORACLE.log_evidence(ORACLE.draw(np.random.default_rng(4), rows=400_000)))
    exact = ORACLE.exact()
    rows = exact.draw(np.random.default_rng(5), rows=50 * 200)
    found = elbo(exact.model(), rows, key=jax.random.key(6), samples=20).elbo.reshape(200, 50)
    summaries = [mean(values) for values in found]
    inside = sum(abs(s.mean - truth) < 1.96 * s.standard_error for s in summaries)
    assert scipy.stats.binomtest(inside, 200, 0.95).pvalue > 1e-3


@pytest.mark.parametrize("rows", [1, 2, TILE - 1, TILE, TILE + 1])
def test_a_rows_result_does_not_depend_on_how_many_others_there_are(rows):
    key = jax.random.key(7)
    all_rows = elbo(ORACLE.model(), ROWS, key=key, samples=2)
    some = elbo(ORACLE.model(), ROWS[:rows], key=key, samples=2)
    for name in ("elbo", "reconstruction", "kl"):
        assert getattr(some, name).tobytes() == getattr(all_rows, name)[:rows].tobytes()


def test_a_rows_result_does_not_depend_on_the_others_values():
    key, other = jax.random.key(7), ROWS.copy()
    kept = np.arange(0, len(ROWS), 3)
    other[np.setdiff1d(np.arange(len(ROWS)), kept)] = 1e3
    found = [elbo(ORACLE.model(), rows, key=key, samples=2).elbo[kept] for rows in (ROWS, other)]
    assert found[0].tobytes() == found[1].tobytes()


def test_noise_is_keyed_by_the_row_and_the_draw():
    # The same row at two places, and two numbers of draws: other noise, the same noise.
    model = ORACLE.model()
    rows = np.repeat(ROWS[:1], TILE + 2, axis=0)
    one = elbo(model, rows, key=jax.random.key(8), samples=1).reconstruction
    assert len(np.unique(one)) == TILE + 2
    again = elbo(model, rows, key=jax.random.key(8), samples=1).reconstruction
    assert one.tobytes() == again.tobytes()
    other = elbo(model, rows, key=jax.random.key(9), samples=1).reconstruction
    assert not np.any(one == other)
    three = elbo(model, rows, key=jax.random.key(8), samples=3).reconstruction
    assert abs(np.corrcoef(one, three)[0, 1] - np.sqrt(1 / 3)) < 0.2


def test_data_that_the_model_binarises_is_drawn_anew_for_each_sample():
    composition = Composition(likelihood="bernoulli, binary")
    model = composition.model(10)
    grey = np.full((40, 2, 2, 1), 128, np.uint8)
    kinds: dict[str, Preprocessing] = {
        "none": Preprocessing(1 / 255), "dynamic": Preprocessing(1 / 255, "dynamic")
    }  # fmt: skip
    found = {
        name: elbo(
            dataclasses.replace(model, preprocessing=kind),
            grey,
            key=jax.random.key(11),
            samples=500,
        )
        for name, kind in kinds.items()
    }
    # KL(q(z|b) ‖ p) varies with the draw b; on the grey image it is one number.
    assert np.ptp(found["none"].kl) < 1e-5 < np.std(found["dynamic"].kl)
    images = jnp.asarray(list(itertools.product([0.0, 1.0], repeat=4))).reshape(-1, 2, 2, 1)
    level = 128 / 255
    chances = np.prod(np.where(images.reshape(16, 4) == 1, level, 1 - level), axis=1)
    still = dataclasses.replace(model, preprocessing=Preprocessing())
    kl = elbo(still, np.asarray(images), key=jax.random.key(12), samples=1).kl
    dynamic = found["dynamic"].kl
    assert abs(dynamic.mean() - chances @ kl) < 4 * scipy.stats.sem(dynamic)


@pytest.mark.parametrize(("rows", "samples"), [(0, 1), (3, 0)])
def test_elbo_of_nothing_is_refused(rows, samples):
    with pytest.raises(ValueError, match=f"{rows} rows and {samples} samples"):
        elbo(ORACLE.model(), ROWS[:rows], key=jax.random.key(0), samples=samples)


@in_float64
def test_the_monte_carlo_kl_is_the_closed_one_in_expectation():
    found = {
        kl: elbo(ORACLE.model(), ROWS, key=jax.random.key(16), samples=4, kl=kl)
        for kl in ("closed", "monte-carlo")
    }
    # The same draws: the reconstruction is the same number.
    assert np.array_equal(found["closed"].reconstruction, found["monte-carlo"].reconstruction)
    expected = ORACLE.log_evidence(ROWS) - ORACLE.kl_to_posterior(ROWS)
    difference = found["monte-carlo"].elbo - expected
    assert abs(difference.mean()) < 4 * scipy.stats.sem(difference)
    difference = found["monte-carlo"].kl - found["closed"].kl
    assert abs(difference.mean()) < 4 * scipy.stats.sem(difference)
    assert found["monte-carlo"].kl_per_latent is None


# --- what the number means -------------------------------------------------------------------


def test_a_quantity_is_called_what_it_is():
    binary, real = Composition(likelihood="bernoulli, binary").model(17), Composition().model(18)
    bits = np.array([0, 255], np.uint8).repeat(8).reshape(4, 2, 2, 1)
    grey = np.full((4, 2, 2, 1), 100, np.uint8)
    of_bytes = dataclasses.replace(binary, preprocessing=Preprocessing(1 / 255))
    dynamic = dataclasses.replace(binary, preprocessing=Preprocessing(1 / 255, "dynamic"))
    assert quantity(binary, np.round(bits / 255.0)) == "log-mass"
    assert quantity(of_bytes, bits) == "log-mass"
    assert quantity(of_bytes, grey) == "binarised-bound"
    assert quantity(dynamic, grey) == "log-mass"
    assert quantity(real, grey) == "log-density"


def test_a_likelihood_that_does_not_say_what_it_is_is_refused():
    class Silent(AbstractDecoder):
        def __call__(self, z, condition=None):
            raise NotImplementedError

    model = dataclasses.replace(Composition().model(19), decoder=Silent())
    with pytest.raises(ValueError, match="Silent does not say whether"):
        quantity(model, np.zeros((1, 2, 2, 1)))


def test_bits_per_dimension_of_fair_coins_is_one():
    model = Composition(likelihood="bernoulli, binary").model(20)
    assert bits_per_dimension(4 * np.log(0.5), model) == pytest.approx(1.0)


# --- rows and latents ----------------------------------------------------------------------


def _number_and_row(scale, row, key):
    return {"row": scale * row, "noise": jax.random.normal(key)}


def test_map_rows_keeps_the_order_and_keys_by_the_number():
    rows = np.arange(2 * TILE + 5, dtype=np.float32)
    found = map_rows(_number_and_row, 2.0, rows, jax.random.key(13))
    assert np.array_equal(found["row"], 2 * rows)
    chosen = [0, 1, TILE, len(rows) - 1]
    noise = [jax.random.normal(jax.random.fold_in(jax.random.key(13), i)) for i in chosen]
    assert np.allclose(found["noise"][chosen], noise)


def test_active_latents_are_those_whose_mean_varies():
    rng = np.random.default_rng(15)
    perfect, null = rng.normal(size=(1000, 3)), np.full((1000, 3), 7.0)
    assert active(perfect).tolist() == [True] * 3
    assert active(null).tolist() == [False] * 3
    # The threshold is a variance of 0.01: ±0.11 varies enough, ±0.09 does not; one row never does.
    signs = np.tile([1.0, -1.0], 500)[:, None]
    assert active(signs * np.array([0.11, 0.09])).tolist() == [True, False]
    assert active(perfect[:1]).tolist() == [False] * 3
