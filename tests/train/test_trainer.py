"""The driver: it adds to the loop when to stop, what to keep and what to raise, and no number."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from elbax.model import Batch, DiagonalNormal, NegativeELBO, Normal
from elbax.train import Diverged, History, Outcome, Trainer, init_state
from elbax.train.state import from_arrays, to_arrays
from tests.linear_gaussian import untrained
from tests.train.probes import BATCH, DATA, ROWS, content, elbo_run, gathered

STEPS = 30


@pytest.fixture(scope="module")
def trainer():
    model = untrained(3, DiagonalNormal(2), Normal((3,), "shared"), seed=1)
    objective, optimizer = NegativeELBO(), optax.adam(1e-2)
    state = init_state(model, objective, optimizer, jax.random.key(2))
    return Trainer(model, objective, optimizer, state)


def rows(x=DATA):
    return Batch(jnp.asarray(x), data_size=ROWS)


@pytest.fixture(scope="module")
def reports(trainer):
    """What the loop alone says of the same training."""
    options = {"validation": rows(), "validate_every": 10, "model": trainer.model}
    return elbo_run(STEPS, transform=trainer.model.preprocessing, **options)


def fitted(trainer, steps=STEPS, **options):
    options = {"validation": rows(), "validate_every": 10} | options
    return trainer.fit(rows(), batch_size=BATCH, steps=steps, **options)


def test_it_ends_where_the_loop_does_and_keeps_every_metric(trainer, reports):
    history = History()
    end, outcome = fitted(trainer, callback=history)
    assert outcome is Outcome.FINISHED
    assert content(end.state) == content(reports[-1].state)
    assert history.steps == STEPS
    assert history.validation_steps == [10, 20, 30]
    np.testing.assert_array_equal(history.metrics["loss"], gathered(reports, "loss"))
    expected = [report.validation["loss"] for report in reports if report.validation]
    np.testing.assert_array_equal(history.validation["loss"], expected)
    assert content(end.trained[0]) != content(trainer.model)
    assert trainer.parameter_count == sum(a.size for a in jax.tree.leaves(trainer.state.parameters))


def test_interrupted_it_stops_after_the_chunk_and_ends_the_same_when_resumed(trainer, reports):
    seen = []
    middle, outcome = fitted(
        trainer, callback=lambda report: seen.append(report.step), interrupted=lambda: len(seen) > 1
    )
    assert outcome is Outcome.INTERRUPTED
    assert seen == [10, 20]
    assert int(middle.state.step) == 20
    end, outcome = fitted(middle)
    assert outcome is Outcome.FINISHED
    assert content(end.state) == content(reports[-1].state)


@pytest.mark.parametrize("more", [0, -10])
def test_with_no_step_left_nothing_is_compiled_reported_or_changed(trainer, more):
    end, _ = fitted(dataclasses.replace(trainer, programs={}))
    history, bare = History(), dataclasses.replace(end, programs={})
    again, outcome = fitted(bare, steps=STEPS + more, callback=history)
    assert outcome is Outcome.FINISHED
    assert bare.programs == {}
    assert content(again.state) == content(end.state)
    assert (history.steps, history.metrics, history.validation) == (0, {}, {})
    # A mistake is told all the same.
    with pytest.raises(ValueError, match="larger than the training data"):
        bare.fit(rows(), batch_size=ROWS + 1, steps=STEPS)


def test_patience_ends_it_early_and_the_best_is_where_validation_said(trainer):
    # A step length that overshoots: after some validations no other is better.
    eager = dataclasses.replace(trainer, optimizer=optax.adam(3.0), programs={})
    history = History()
    end, outcome = fitted(eager, steps=2000, patience=3, callback=history)
    assert outcome is Outcome.STOPPED_EARLY
    losses = history.validation["loss"]
    best = history.validation_steps[int(losses.argmin())]
    assert end.best is not None
    assert int(end.best.step) == best
    assert history.steps == best + 30
    kept = end.at_best()
    assert content(kept.state.parameters) == content(end.best.parameters)
    assert int(kept.state.step) == history.steps
    assert kept.state.best is None


def test_room_for_the_best_forgets_the_one_before(trainer):
    end, _ = fitted(trainer)
    assert end.best is not None
    again = end.with_room_for_best()
    assert again.best is None
    assert content(again.at_best().state.parameters) == content(end.state.parameters)


def test_divergence_is_raised_after_the_callback_with_the_last_good_state(trainer):
    seen = []
    poisoned = DATA.copy()
    poisoned[7] = np.inf
    with pytest.raises(Diverged, match=r"was (nan|inf|-inf) at step \d+") as caught:
        trainer.fit(rows(poisoned), batch_size=BATCH, steps=STEPS, callback=seen.append)
    report = caught.value.report
    assert seen[-1] is report
    assert report.outcome is Outcome.DIVERGED
    assert all(bool(jnp.isfinite(a).all()) for a in jax.tree.leaves(report.state.parameters))
    assert f"at step {report.step + 1}" in str(caught.value)


def test_a_state_is_a_flat_dictionary_of_named_arrays_and_back(trainer):
    end, _ = fitted(trainer, steps=10)
    arrays = to_arrays(end.state)
    assert arrays["step"] == 10
    assert arrays["key"].tolist() == jax.random.key_data(end.state.key).tolist()
    assert {name.split(".")[0].split("[")[0] for name in arrays} == {
        "parameters", "optimizer_state", "step", "key", "best",
    }  # fmt: skip
    assert content(from_arrays(trainer.state, arrays)) == content(end.state)
    name = next(name for name in arrays if name.startswith("parameters"))
    for wrong in (
        {**arrays, name: arrays[name].astype(np.float64)},
        {**arrays, name: arrays[name][None]},
        {other: array for other, array in arrays.items() if other != name},
    ):
        with pytest.raises(ValueError, match="of another model or optimiser"):
            from_arrays(trainer.state, wrong)
