"""Codes in training: their moving averages, their restarts, and a run that goes on."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import scipy.stats

from elbax.model import (
    MLP,
    Batch,
    Decoder,
    Encoder,
    FiniteScalar,
    LatentVariableModel,
    NegativeELBO,
    Normal,
    QuantisedELBO,
    ResidualQuantised,
    UniformCodes,
    VectorQuantised,
)
from elbax.model.codes.families import SummedCodes, codes_of
from elbax.model.objectives.quantised import CodebookState, perplexity
from elbax.train import Trainer
from elbax.train.members import together
from elbax.train.state import init_state
from tests.laws import call, in_float64, numbers
from tests.product import same

SIZE = 6


def model_of(family, seed=0):
    keys = jax.random.split(jax.random.key(seed))
    width = family.read_dim
    network = MLP(width, (5,), SIZE, key=keys[1])
    if family.depth > 1:
        network = SummedCodes(network, family.sites, family.depth, family.width)
    return LatentVariableModel(
        UniformCodes(family.latent_dim),
        Encoder(MLP(SIZE, (5,), family.parameter_count, key=keys[0]), family),
        Decoder(network, Normal((SIZE,), 0.5)),
    )


def vq(count=5):
    return VectorQuantised(6, count, 2, key=jax.random.key(1))


def codes_in(model):
    codebook = codes_of(model.encoder).codebook
    assert codebook is not None
    return codebook.vectors


def batch_of(rows, seed):
    return Batch(jnp.asarray(numbers((rows, SIZE), seed)), data_size=rows)


@in_float64
@pytest.mark.parametrize(
    "family", [vq, lambda: ResidualQuantised(12, 4, 2, 2, key=jax.random.key(1))]
)
def test_codes_are_moving_averages_as_numpy_has_them(family):
    objective, model = QuantisedELBO(0.3, 0.9, restart=0.0), model_of(family())
    state = objective.init(model)
    codes = np.asarray(codes_in(model), np.float64)
    counts, sums = np.ones(codes.shape[:2]), codes.copy()
    for seed in range(4):
        batch = batch_of(7, seed)
        chosen = jax.vmap(model.encode)(batch.x)
        loss, (state, metrics) = call(objective, model, batch, seed, state)
        for level in range(codes.shape[0]):
            for code in range(codes.shape[1]):
                mine = chosen.seen[:, :, level][chosen.indices[:, :, level] == code]
                counts[level, code] = 0.9 * counts[level, code] + 0.1 * len(mine)
                sums[level, code] = 0.9 * sums[level, code] + 0.1 * np.sum(mine, axis=0)
        assert np.allclose(state.counts, counts, rtol=1e-12)
        assert np.allclose(state.sums, sums, rtol=1e-9)
        # Equation 3 on this batch, every term by itself.
        z = chosen.z.reshape(chosen.seen.shape)
        distance = np.mean(np.sum(np.square(chosen.seen - z), axis=(1, 2, 3)))
        assert float(metrics["commitment"]) == pytest.approx(distance, rel=1e-9)
        assert float(loss) == pytest.approx(0.3 * distance - float(metrics["elbo"]), rel=1e-9)
        kl = chosen.indices[0].size * np.log(codes.shape[1])
        assert float(metrics["kl"]) == pytest.approx(kl, rel=1e-9)
        use = [np.bincount(np.ravel(chosen.indices[:, :, k]), minlength=codes.shape[1])
               for k in range(codes.shape[0])]  # fmt: skip
        expected = np.exp(scipy.stats.entropy(use, axis=1)).mean()
        assert float(metrics["perplexity"]) == pytest.approx(expected, rel=1e-6)

        model = objective.moved(model, state)
        found = codes_in(model)
        assert np.allclose(found, sums / counts[..., None], rtol=1e-9)


def test_a_code_that_nothing_chooses_starts_anew_at_one_of_the_batch():
    objective, model = QuantisedELBO(restart=0.05), model_of(vq(3))
    # One code far from all that the encoder gives, one next to it, and one that all take.
    vectors = jnp.asarray([[[0.0, 0.0], [1e3, 0.0], [0.0, 1e3]]])
    model = eqx.tree_at(lambda m: m.encoder.posterior.codes.vectors, model, vectors)
    state = CodebookState(jnp.asarray([[1.0, 1e-3, 0.9]]), vectors)
    batch = batch_of(8, seed=3)
    points = np.asarray(jax.vmap(model.encode)(batch.x).seen).reshape(-1, 2)
    _, (moved, _) = call(objective, model, batch, 0, state)
    average = len(points) / 3
    # 8 rows × 3 places to 3 codes: 8 each on average, and a twentieth of that is 0.4.
    assert float(moved.counts[0, 1]) == pytest.approx(average)
    restarted = np.asarray(codes_in(objective.moved(model, moved)))[0, 1]
    assert np.isclose(points, restarted, rtol=1e-5).all(axis=1).any()
    assert float(moved.counts[0, 2]) == pytest.approx(0.99 * 0.9)
    # Without restarts it stays where it is.
    _, (still, _) = call(QuantisedELBO(restart=0.0), model, batch, 0, state)
    stays = np.asarray(state.sums / state.counts[..., None])[0, 1]
    assert np.allclose(still.sums[0, 1] / still.counts[0, 1], stays, rtol=1e-5)


def test_a_code_that_is_never_chosen_keeps_its_place_for_ever():
    objective, model = QuantisedELBO(decay=0.5, restart=0.0), model_of(vq(2))
    vectors = jnp.asarray([[[0.0, 0.0], [1e3, -1e3]]])
    model = eqx.tree_at(lambda m: m.encoder.posterior.codes.vectors, model, vectors)
    state, batch = objective.init(model), batch_of(4, seed=3)
    for _ in range(200):  # 2⁻²⁰⁰ is no float32
        _, (state, _) = call(objective, model, batch, 0, state)
    found = codes_in(objective.moved(model, state))
    assert np.allclose(found[0, 1], [1e3, -1e3], rtol=1e-5)


def test_perplexity_counts_codes_that_are_used_alike():
    assert float(perplexity(jnp.full(16, 1 / 16))) == pytest.approx(16, rel=1e-6)
    assert float(perplexity(jnp.eye(16)[3])) == 1.0
    share = np.array([[0.5, 0.25, 0.25, 0.0], [0.1, 0.2, 0.3, 0.4]])
    expected = np.exp(scipy.stats.entropy(share, axis=1))
    assert np.allclose(perplexity(jnp.asarray(share)), expected, rtol=1e-6)


def trainer_of(seed=0, family=vq):
    model, objective = model_of(family(), seed), QuantisedELBO()
    optimizer = optax.adamw(1e-2)  # whose decay would shrink codes that it moved
    key = jax.random.key(seed)
    state = init_state(model, objective, optimizer, key, keep_best=False)
    return Trainer(model, objective, optimizer, state, {})


def test_training_puts_the_codes_where_its_state_has_them():
    data = batch_of(32, seed=5)
    trainer, _ = trainer_of().fit(data, batch_size=8, steps=20)
    model, state = trainer.trained[0], trainer.state.objective_state
    codes = np.asarray(codes_in(model))
    assert np.allclose(codes, state.sums / state.counts[..., None], rtol=1e-6)
    # Goes on as if it had not stopped, restarts and all.
    half, _ = trainer_of().fit(data, batch_size=8, steps=10)
    rest, _ = half.fit(data, batch_size=8, steps=20)
    same(rest.state.parameters, trainer.state.parameters)
    same(rest.state.objective_state, state)


def test_training_finds_the_clusters_that_data_are_of():
    rng = np.random.default_rng(0)
    centres = 3 * rng.standard_normal((4, SIZE))
    x = (centres[np.arange(256) % 4] + 0.05 * rng.standard_normal((256, SIZE))).astype(np.float32)
    family = VectorQuantised(2, 4, 2, key=jax.random.key(1))
    model, objective = model_of(family), QuantisedELBO()
    state = init_state(model, objective, optax.adam(1e-2), jax.random.key(0), keep_best=False)
    trainer = Trainer(model, objective, optax.adam(1e-2), state, {})
    trainer, _ = trainer.fit(Batch(jnp.asarray(x), data_size=256), batch_size=64, steps=400)
    chosen = np.asarray(jax.vmap(trainer.trained[0].encode)(x).indices).ravel()
    # Each cluster has a code of its own.
    assert sorted(np.unique(chosen[:4])) == [0, 1, 2, 3]
    assert np.array_equal(chosen, np.tile(chosen[:4], 64))


def test_members_have_codes_of_their_own():
    data = batch_of(32, seed=5)
    alone = [trainer_of(seed) for seed in (0, 1)]
    ensemble, _ = together(alone).fit(data, batch_size=8, steps=5)
    model, state = ensemble.trained[0], ensemble.state.objective_state
    codes = np.asarray(model.stacked.encoder.posterior.codes.vectors)
    assert np.allclose(codes, state.sums / state.counts[..., None], rtol=1e-6)
    assert not np.allclose(codes[0], codes[1])


def test_codes_without_a_codebook_have_no_state_and_no_commitment():
    model, objective = model_of(FiniteScalar(6, (3, 2))), QuantisedELBO()
    assert objective.init(model) is None
    loss, (state, metrics) = call(objective, model, batch_of(4, seed=0))
    assert state is None
    assert float(metrics["commitment"]) == 0.0
    assert float(loss) == pytest.approx(-float(metrics["elbo"]), rel=1e-6)
    assert objective.moved(model, None) is model


def test_other_objectives_and_settings_are_refused():
    model = model_of(vq())
    with pytest.raises(ValueError, match="it would not train the codes"):
        call(NegativeELBO(), model, batch_of(4, seed=0))
    for words, options in {
        "commitment is -1": {"commitment": -1.0},
        "decay is 1.0": {"decay": 1.0},
        "restart is -0.1": {"restart": -0.1},
    }.items():
        with pytest.raises(ValueError, match=words):
            QuantisedELBO(**options)
