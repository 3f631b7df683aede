"""The KL taken apart: weights by enumeration, parts by scipy, total correlation in closed form."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

from elbax.model import Batch, BetaTC, NegativeELBO, elbo_terms, minibatch_weights
from elbax.model.distributions.basic import sample
from tests import laws
from tests.laws import Composition, in_float64
from tests.linear_gaussian import aggregate

PARTS = ("mutual_information", "total_correlation", "dimension_wise_kl")


def call(objective, model, batch, seed=0):
    loss, (_, found) = laws.call(objective, model, batch, seed)
    return loss, found


@in_float64
@pytest.mark.parametrize(("size", "rows"), [(5, 3), (5, 2), (4, 4), (6, 5)])
def test_stratified_weights_give_the_whole_datas_average_on_average(size, rows):
    # Over every batch that there is, in every order, for every row and every place of it.
    weights = np.asarray(minibatch_weights(rows, size))
    others = rows - 1
    assert np.array_equal(np.diag(weights), np.full(rows, 1 / size))
    for row in range(rows):
        rest = np.sort(np.delete(weights[row], row))
        expected = [(size - others) / (size * others), *[1 / others] * (others - 1)]
        assert np.allclose(rest, np.sort(expected), rtol=1e-14)
    assert np.allclose(weights.sum(1), 1, rtol=1e-14)

    values = np.random.default_rng(0).random((size, size))  # q(z at row n | row m), say
    found = {}
    for batch in itertools.permutations(range(size), rows):
        estimates = np.einsum("ij,ij->i", weights, values[np.ix_(batch, batch)])
        for place, row in enumerate(batch):
            found.setdefault((row, place), []).append(estimates[place])
    assert len(found) == size * rows
    for (row, _), estimates in found.items():
        assert np.mean(estimates) == pytest.approx(values[row].mean(), rel=1e-12)


@in_float64
def test_weighted_weights_are_all_the_same():
    assert np.allclose(minibatch_weights(3, 7, "weighted"), 1 / 21, rtol=1e-15)
    assert np.array_equal(minibatch_weights(1, 7), [[1.0]])


@in_float64
@pytest.mark.parametrize("weighting", ["stratified", "weighted"])
def test_the_parts_are_those_by_scipy(weighting):
    model, rows, size = Composition().model(2), 5, 12
    x = Composition().batch(3, rows=rows).x
    loss, found = call(BetaTC(0.5, 4.0, 2.0, weighting), model, Batch(x, data_size=size), seed=4)

    keys = jax.random.split(jax.random.key(4), rows)
    z = np.stack([sample(model.encode(row), key) for row, key in zip(x, keys, strict=True)])
    q = [model.encode(row).base_dist for row in x]
    log_q = np.stack([scipy.stats.norm.logpdf(z, one.loc, one.scale) for one in q], axis=1)
    weights = np.asarray(minibatch_weights(rows, size, weighting))
    joint = np.log(np.sum(weights * np.exp(log_q.sum(-1)), axis=1))
    marginals = np.log(np.sum(weights[:, :, None] * np.exp(log_q), axis=1)).sum(-1)
    own = np.array([log_q[i, i].sum() for i in range(rows)])
    expected = [own - joint, joint - marginals, marginals - scipy.stats.norm.logpdf(z).sum(-1)]
    for name, values in zip(PARTS, expected, strict=True):
        assert float(found[name]) == pytest.approx(values.mean(), rel=1e-12), name
    priced = sum(p * e.mean() for p, e in zip((0.5, 4.0, 2.0), expected, strict=True))
    assert float(loss) == pytest.approx(priced - float(found["reconstruction"]), rel=1e-12)


@in_float64
def test_with_all_weights_one_it_is_the_negative_elbo():
    model, batch = Composition().model(2), Composition().batch(3, rows=6)
    keys = jax.random.split(jax.random.key(5), 6)
    terms = [elbo_terms(model, x, k, kl="monte-carlo") for x, k in zip(batch.x, keys, strict=True)]
    for weighting in ("stratified", "weighted"):
        loss, found = call(BetaTC(1.0, 1.0, 1.0, weighting), model, batch, seed=5)
        assert float(loss) == pytest.approx(-np.mean([t.elbo for t in terms]), rel=1e-12)
    # What is reported as the bound has the KL in closed form, as the plain objective's.
    plain = call(NegativeELBO(), model, batch, seed=5)[1]
    assert float(found["elbo"]) == pytest.approx(float(plain["elbo"]), rel=1e-12)


@in_float64
def test_total_correlation_of_a_gaussian_is_the_closed_form_at_full_batch():
    model, x, covariance, scale = aggregate(rows=1024)
    batch = Batch(jnp.asarray(x), data_size=len(x))
    spread = np.linalg.slogdet(covariance)[1]
    closed = 0.5 * (np.log(np.diag(covariance)).sum() - spread)
    information = 0.5 * (spread - 4 * np.log(scale))
    found = [call(BetaTC(), model, batch, seed)[1] for seed in range(4)]
    assert np.mean([f["total_correlation"] for f in found]) == pytest.approx(closed, abs=0.02)
    assert np.mean([f["mutual_information"] for f in found]) == pytest.approx(information, abs=0.02)
    assert closed > 0.1


def test_what_it_needs_is_refused_by_name():
    model, x = Composition().model(2), Composition().batch(3, rows=4).x
    for size in (0, 3):
        with pytest.raises(ValueError, match=f"said to have {size} rows, and the batch has 4"):
            call(BetaTC(), model, Batch(x, data_size=size))
    with pytest.raises(ValueError, match=r"full-normal does not suit .* independent latents"):
        call(BetaTC(), Composition(posterior="full-normal").model(2), Batch(x, data_size=9))
    with pytest.raises(ValueError, match="beta is -1"):
        BetaTC(beta=-1.0)
