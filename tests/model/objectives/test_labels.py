"""Labels as a condition and in part, where log p(x|y), log p(x, y) and log p(x) are known.

p(y) is uniform, p(z) = N(0, I) and p(x|z, y) = N(W z + b_y, s² I): given y a linear-Gaussian model,
whose posterior depends linearly on (x, y) and q(y|x) on x, for the covariance of x is the same for
all y. So networks of one layer hold the exact posterior, and all bounds are equalities.
"""

import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special

from elbax.model import (
    Batch,
    ClassifyingEncoder,
    ConditionalNormal,
    Decoder,
    Encoder,
    FullNormal,
    ImportanceWeightedELBO,
    LatentVariableModel,
    NegativeELBO,
    Normal,
    SemiSupervised,
    StandardNormal,
    conditioned,
    elbo_terms,
    load_model,
    save_model,
)
from tests import laws
from tests.laws import LATENT_DIM, Composition, in_float64
from tests.linear_gaussian import example, linear

CLASSES, ROWS = 3, 12
ORACLE = example().exact()
SHIFTS = np.random.default_rng(1).normal(size=(CLASSES, 4))  # b_y
LABEL = np.arange(ROWS) % CLASSES
X = ORACLE.draw(np.random.default_rng(2), ROWS) + SHIFTS[LABEL]


def log_joint():
    """log p(x, y), one row a datum, one column a y."""
    given = [ORACLE.log_evidence(X - shift) for shift in SHIFTS]
    return np.stack(given, axis=1) - np.log(CLASSES)


def exact_model():
    plain = ORACLE.model()
    # The encoder sees x − b_y, the decoder adds b_y: the condition is one-hot.
    first = plain.encoder.network.layers[0]  # pyright: ignore[reportAttributeAccessIssue]
    weight = np.hstack([first.weight, -np.asarray(first.weight) @ SHIFTS.T])
    encoder = Encoder(linear(weight, np.asarray(first.bias)), FullNormal(2))
    decoder = Decoder(
        linear(np.hstack([ORACLE.weight, SHIFTS.T]), ORACLE.bias), Normal((4,), ORACLE.scale)
    )
    precision = np.linalg.inv(ORACLE.weight @ ORACLE.weight.T + ORACLE.scale**2 * np.eye(4))
    means = SHIFTS + ORACLE.bias
    constant = -0.5 * np.einsum("ki,ij,kj->k", means, precision, means)
    classifier = linear(means @ precision, constant)
    return LatentVariableModel(
        StandardNormal(2), ClassifyingEncoder(classifier, encoder, CLASSES), decoder
    )


def call(objective, model, batch, seed=3):
    loss, (_, found) = laws.call(objective, model, batch, seed)
    return float(loss), {name: np.asarray(value) for name, value in found.items()}


@in_float64
def test_conditioned_on_its_label_a_row_has_the_evidence_given_it():
    batch = conditioned(Batch(jnp.asarray(X), jnp.asarray(LABEL)), CLASSES)
    expected = (log_joint()[np.arange(ROWS), LABEL] + np.log(CLASSES)).mean()
    assert expected != pytest.approx(ORACLE.log_evidence(X).mean(), abs=0.1)
    for objective in (NegativeELBO(kl="monte-carlo"), ImportanceWeightedELBO(3)):
        assert -call(objective, exact_model(), batch)[0] == pytest.approx(expected, rel=1e-10)


@in_float64
def test_labelled_rows_have_log_p_of_both_and_the_others_log_p_of_x():
    known = np.arange(ROWS) % 4 == 1
    label = np.where(known, LABEL, -1)
    joint = log_joint()
    with_label = np.where(known, joint[np.arange(ROWS), LABEL], 0)
    without = np.where(known, 0, np.logaddexp.reduce(joint, axis=1))
    log_q = joint - np.logaddexp.reduce(joint, axis=1, keepdims=True)
    classification = -np.where(known, log_q[np.arange(ROWS), LABEL], 0)

    # The KL of each label has a closed form, so one draw has noise: the bounds are expectations.
    model = exact_model()
    batch = Batch(jnp.asarray(X), jnp.asarray(label))
    objective = SemiSupervised(2.5)
    many = jax.jit(
        jax.vmap(
            lambda key: objective(model, batch, state=None, step=jnp.asarray(0), key=key)[1][1]
        )
    )(jax.random.split(jax.random.key(4), 60))
    for name, values in (("labelled_bound", with_label), ("unlabelled_bound", without)):
        found = np.asarray(many[name])
        error = found.std(ddof=1) / np.sqrt(len(found))
        assert abs(found.mean() - values.mean()) < 4 * error
        assert error < 0.1 * abs(values.mean())
    loss, found = call(objective, model, batch)
    assert found["labelled"] == pytest.approx(known.mean())
    assert found["classification"] == pytest.approx(classification.mean(), rel=1e-10)
    right = (log_q.argmax(1) == LABEL) & known
    assert found["correct"] == pytest.approx(right.mean())
    parts = found["labelled_bound"] + found["unlabelled_bound"]
    assert loss == pytest.approx(2.5 * found["classification"] - parts, rel=1e-12)


@in_float64
def test_an_unlabelled_bound_sums_over_labels_by_the_classifier():
    composition = Composition(objective="semi-supervised")
    model, batch = composition.model(4), composition.batch(5, rows=1)
    key = jax.random.split(jax.random.key(3), 1)[0]
    bounds = np.array(
        [elbo_terms(model, batch.x[0], key, condition=y).elbo for y in jnp.eye(CLASSES)]
    ) - np.log(CLASSES)
    logits = np.asarray(model.encoder.classifier(batch.x[0]))  # pyright: ignore[reportAttributeAccessIssue]
    q = scipy.special.softmax(logits)
    expected = np.sum(q * bounds) + scipy.special.entr(q).sum()
    hidden = dataclasses.replace(batch, label=jnp.asarray([-1]))
    loss, found = call(SemiSupervised(), model, hidden)
    assert -loss == pytest.approx(expected, rel=1e-12)
    assert found["labelled"] == found["labelled_bound"] == found["classification"] == 0
    assert expected < scipy.special.logsumexp(bounds)  # what the best q(y|x) would reach


def test_batches_with_and_without_labels_average():
    composition = Composition(objective="semi-supervised")
    model, batch = composition.model(4), composition.batch(5, rows=8)
    for label in (jnp.full(8, -1), jnp.arange(8) % CLASSES):
        _, found = call(SemiSupervised(), model, dataclasses.replace(batch, label=label))
        assert all(np.isfinite(value) for value in found.values())
        assert found["labelled"] == (label[0] >= 0)
        empty = "labelled_bound" if label[0] < 0 else "unlabelled_bound"
        assert found[empty] == 0


def test_a_model_with_a_classifier_comes_back_from_its_file(tmp_path):
    model = Composition(objective="semi-supervised").model(6)
    save_model(tmp_path / "model.safetensors", model)
    loaded = load_model(tmp_path / "model.safetensors")
    assert eqx.tree_equal(loaded, model)


def test_what_they_need_is_refused_by_name():
    plain, batch = Composition().model(1), Composition().batch(2, rows=4)
    with pytest.raises(ValueError, match="the data have no labels to condition on"):
        conditioned(batch, CLASSES)
    for label in ([0, 1, 2, 3], [0, -1, 2, 1]):
        with pytest.raises(ValueError, match="with 3 classes they must be from 0 to 2"):
            conditioned(dataclasses.replace(batch, label=jnp.asarray(label)), CLASSES)
    with pytest.raises(ValueError, match="needs labels, −1 for a row without one"):
        call(SemiSupervised(), plain, batch)
    labelled = dataclasses.replace(batch, label=jnp.zeros(4, int))
    with pytest.raises(ValueError, match=r"Encoder has none; use a ClassifyingEncoder"):
        call(SemiSupervised(), plain, labelled)
    model = Composition(objective="semi-supervised").model(1)
    with pytest.raises(ValueError, match="this encoder's latent depends on a label"):
        model.encode(batch.x[0])
    with pytest.raises(ValueError, match="alpha is -1"):
        SemiSupervised(-1.0)
    prior = ConditionalNormal(LATENT_DIM, CLASSES, 4, key=jax.random.key(0))
    unaware = eqx.tree_at(lambda m: m.prior, plain, prior)
    with pytest.raises(ValueError, match="the conditional prior needs a condition"):
        call(NegativeELBO(), unaware, batch)
