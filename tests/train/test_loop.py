"""The loop: what a run computes does not depend on how it was cut, stopped or looked at."""

import dataclasses
import itertools

import equinox as eqx
import jax
import jax.monitoring
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from elbax import evaluate
from elbax.model import (
    AbstractObjective,
    Batch,
    DiagonalNormal,
    NegativeELBO,
    Normal,
    Preprocessing,
)
from elbax.train import Outcome, fit, init_state, loop, merge
from tests.linear_gaussian import untrained
from tests.train.probes import (
    BATCH,
    DATA,
    ROWS,
    Centre,
    Distance,
    content,
    elbo_run,
    gathered,
    probe_run,
)


@pytest.fixture
def chunks_of(monkeypatch):
    """Fixes the length of all chunks (but for those that end at a validation, or the run's end)."""

    def fix(length):
        monkeypatch.setattr(loop, "FIRST_CHUNK", length)
        monkeypatch.setattr(loop, "next_length", lambda *_: length)

    return fix


# --- one program ---------------------------------------------------------------------------


def test_a_run_is_compiled_once(chunks_of):
    chunks_of(7)
    compilations = []

    def listen(event, duration_secs, **_):
        if event == "/jax/core/compile/backend_compile_duration":
            compilations.append(duration_secs)

    model = untrained(3, DiagonalNormal(2), Normal((3,), "shared"), seed=1)
    objective, optimizer = NegativeELBO(), optax.adam(1e-2)
    run = fit(
        model,
        objective,
        Batch(jnp.asarray(DATA)),
        optimizer=optimizer,
        batch_size=BATCH,
        steps=110,
        state=init_state(model, objective, optimizer, jax.random.key(2)),
        validation=Batch(jnp.asarray(DATA[:11])),
        validate_every=10,
    )
    jax.monitoring.register_event_duration_secs_listener(listen)
    try:
        counts = [(report.step, len(compilations)) for report in run]
    finally:
        jax.monitoring.unregister_event_duration_listener(listen)
    assert counts[0][1] > 0
    assert counts[-1][0] == 110
    # Once there was an epoch and two validations nothing is left to compile.
    later = [count for step, count in counts if step >= 20]
    assert len(later) > 10
    assert len(set(later)) == 1


@pytest.mark.parametrize("length", [1, 7, 333])
def test_the_objective_is_traced_as_often_for_many_chunks_as_for_one(length, chunks_of):
    traces = []

    class Counted(Distance):
        def __call__(self, *args, **kwargs):
            traces.append(1)
            return Distance.__call__(self, *args, **kwargs)

    chunks_of(length)
    probe_run(40, DATA, objective=Counted())
    many = len(traces)
    traces.clear()
    chunks_of(40)
    reports = probe_run(40, DATA, objective=Counted())
    assert len(reports) == 1
    assert many == len(traces)


def test_compilation_is_accounted_apart_from_the_steps(chunks_of):
    chunks_of(10)
    reports = elbo_run(40)
    assert reports[0].compile_seconds > 10 * max(report.seconds for report in reports)
    assert all(report.compile_seconds == 0 for report in reports[1:])


# --- a run does not depend on how it is cut ------------------------------------------------

STEPS = 200


@pytest.fixture(scope="module")
def whole():
    return elbo_run(STEPS, validation=Batch(jnp.asarray(DATA[:11])), validate_every=90)[-1].state


@pytest.mark.parametrize("length", [1, 7, 333])
def test_parameters_are_the_same_whatever_the_chunks(length, whole, chunks_of):
    chunks_of(length)
    reports = elbo_run(STEPS, validation=Batch(jnp.asarray(DATA[:11])), validate_every=90)
    assert max(report.step - report.first_step for report in reports) == min(length, 90)
    assert [r.first_step for r in reports] == [0, *(r.step for r in reports[:-1])]
    assert len(gathered(reports, "loss")) == STEPS
    assert content(reports[-1].state) == content(whole)


@pytest.mark.parametrize(("seconds", "longest"), [(1e-9, 20), (1e9, loop.MAX_CHUNK)])
def test_chunks_grow_and_shrink_with_the_time_they_may_take(seconds, longest):
    reports = probe_run(2500, DATA, chunk_seconds=seconds)
    lengths = [report.step - report.first_step for report in reports]
    assert max(lengths) == longest
    if seconds < 1:
        assert set(lengths[1:]) == {1}
    else:
        assert lengths == [20, 80, 320, 1000, 1000, 80]


def test_metrics_are_the_same_whatever_the_chunks(chunks_of):
    found = []
    for length in (3, 20):
        chunks_of(length)
        reports = elbo_run(50)
        found.append({name: gathered(reports, name).tobytes() for name in reports[0].metrics})
    assert found[0] == found[1]
    assert set(found[0]) == {"loss", "elbo", "reconstruction", "kl", "kl_per_latent"}


@pytest.mark.parametrize("cut", [1, 90])
def test_a_run_resumed_from_a_state_ends_as_the_whole_one(cut, whole, chunks_of):
    options = {"validation": Batch(jnp.asarray(DATA[:11])), "validate_every": 90}
    chunks_of(cut)
    model = untrained(3, DiagonalNormal(2), Normal((3,), "shared"), seed=1)
    optimizer = optax.adam(1e-2)
    state = init_state(model, NegativeELBO(), optimizer, jax.random.key(2))
    run = fit(
        model,
        NegativeELBO(),
        Batch(jnp.asarray(DATA), data_size=ROWS),
        optimizer=optimizer,
        batch_size=BATCH,
        steps=STEPS,
        state=state,
        **options,
    )
    report = next(itertools.dropwhile(lambda report: report.step < cut, run))
    assert 0 < report.step < STEPS
    chunks_of(50)
    # The model is not the one that was trained: all that matters is in the state.
    other = untrained(3, DiagonalNormal(2), Normal((3,), "shared"), seed=99)
    last = elbo_run(STEPS, state=report.state, model=other, **options)[-1]
    assert last.outcome is Outcome.FINISHED
    assert content(last.state) == content(whole)


def test_a_finished_run_can_go_on(whole):
    options = {"validation": Batch(jnp.asarray(DATA[:11])), "validate_every": 90}
    assert elbo_run(STEPS, state=whole, **options) == []
    longer = elbo_run(STEPS + 50, state=whole, **options)[-1].state
    # The last step validates too: the whole run did so at 200, one straight to 250 does not.
    straight = elbo_run(STEPS + 50, **options)[-1].state
    assert content((longer.parameters, longer.optimizer_state, longer.step)) == content(
        (straight.parameters, straight.optimizer_state, straight.step)
    )


def test_another_key_is_another_run(whole):
    model = untrained(3, DiagonalNormal(2), Normal((3,), "shared"), seed=1)
    state = init_state(model, NegativeELBO(), optax.adam(1e-2), jax.random.key(4))
    other = elbo_run(STEPS, state=state)[-1].state
    assert content(other.parameters) != content(whole.parameters)


# --- what a step sees ----------------------------------------------------------------------


def test_each_epoch_visits_each_row_once_in_whole_batches_and_in_a_new_order(chunks_of):
    chunks_of(4)  # not a divisor of an epoch
    rows = gathered(probe_run(60, np.zeros((40, 1)), objective=Distance(("rows",))), "rows")
    epochs = rows.reshape(12, 40)
    assert np.array_equal(np.sort(epochs, axis=1), np.tile(np.arange(40), (12, 1)))
    assert len(np.unique(epochs, axis=0)) == 12
    # A uniform order puts each row anywhere: its mean place over epochs is 19.5 ± 11.5/√12.
    places = np.argsort(epochs, axis=1).mean(axis=0)
    assert np.abs(places - 19.5).max() < 4 * np.sqrt((40**2 - 1) / 12 / 12)


def test_rows_over_whole_batches_are_left_out_of_an_epoch_at_random():
    rows = gathered(probe_run(5 * 60, np.zeros((ROWS, 1)), objective=Distance(("rows",))), "rows")
    epochs = rows.reshape(60, 40)
    assert all(len(np.unique(epoch)) == 40 for epoch in epochs)
    # Each of 45 rows is missed by an epoch with chance 1/9.
    missed = 60 - np.bincount(rows.ravel(), minlength=ROWS)
    assert missed.sum() == 60 * 5
    assert 0 < missed.max() < 60 / 9 + 5 * np.sqrt(60 * 8 / 81)


def test_rows_come_whole_and_step_and_key_are_new_each_time():
    x = np.arange(ROWS, dtype=np.float32)[:, None] * np.ones(2, np.float32)
    reports = probe_run(30, x, objective=Distance(("rows", "x", "step", "key")))
    rows = gathered(reports, "rows")
    assert np.array_equal(gathered(reports, "x"), x[rows])
    assert gathered(reports, "step").tolist() == list(range(30))
    assert len(np.unique(gathered(reports, "key"), axis=0)) == 30


def test_a_transform_gives_each_row_of_each_step_its_own_noise():
    grey = np.full((16, 200), 128, np.uint8)
    reports = probe_run(
        6, grey, objective=Distance(("x",)), transform=Preprocessing(1 / 255, "dynamic")
    )
    drawn = gathered(reports, "x").reshape(-1, 200)
    assert set(np.unique(drawn)) == {0.0, 1.0}
    assert len(np.unique(drawn, axis=0)) == 6 * BATCH
    assert abs(drawn.mean() - 128 / 255) < 4 * 0.5 / np.sqrt(drawn.size)


def test_the_kl_weight_warms_up_with_the_steps():
    objective = NegativeELBO(optax.linear_schedule(0.0, 2.0, 10))
    reports = elbo_run(20, objective=objective)
    weight = 2.0 * np.minimum(np.arange(20) / 10, 1)
    expected = weight * gathered(reports, "kl") - gathered(reports, "reconstruction")
    assert np.allclose(gathered(reports, "loss"), expected, rtol=1e-5)
    assert np.all(gathered(reports, "kl") > 0)


def test_an_objectives_own_parameters_and_state_are_trained_and_carried():
    class Shifted(AbstractObjective):
        shift: jax.Array

        def init(self, model):
            return jnp.zeros((), jnp.int32)

        def __call__(self, model, batch, *, state, step, key):
            loss = 0.5 * (model.centre - 3.0) ** 2 + 0.5 * (self.shift + 2.0) ** 2
            return loss, (state + 2, {"loss": loss, "state": state})

    model, objective, optimizer = (
        Centre(jnp.asarray(0.0)),
        Shifted(jnp.asarray(0.0)),
        optax.sgd(0.5),
    )
    state = init_state(model, objective, optimizer, jax.random.key(0))
    data = Batch(jnp.asarray(DATA))
    options = {"optimizer": optimizer, "batch_size": BATCH, "steps": 30, "state": state}
    reports = list(fit(model, objective, data, **options))
    assert gathered(reports, "state").tolist() == list(range(0, 60, 2))
    assert int(reports[-1].state.objective_state) == 60
    trained, trained_objective = merge(reports[-1].state.parameters, model, objective)
    assert float(trained.centre) == pytest.approx(3.0, abs=1e-6)
    assert float(trained_objective.shift) == pytest.approx(-2.0, abs=1e-6)
    assert float(model.centre) == 0.0


# --- optimisers ----------------------------------------------------------------------------


def test_a_step_is_the_optimisers_step():
    # Full batches of equal rows: the loop must do what a plain loop of optax does.
    optimizer = optax.adam(0.1)
    reports = probe_run(25, np.full((BATCH, 1), 2.0), optimizer=optimizer)
    centre = jnp.asarray(0.0)
    state = optimizer.init(centre)
    for _ in range(25):
        updates, state = optimizer.update(jnp.asarray(centre) - 2.0, state, centre)
        centre = optax.apply_updates(centre, updates)
    assert np.allclose(reports[-1].state.parameters[0].centre, jnp.asarray(centre), rtol=1e-6)


def test_clipping_bounds_the_length_of_a_step():
    optimizer = optax.chain(optax.clip_by_global_norm(0.5), optax.sgd(0.1))
    centres = [
        float(report.state.parameters[0].centre)
        for report in probe_run(
            30, np.full((BATCH, 1), 2.0), optimizer=optimizer, chunk_seconds=1e-9
        )
    ]
    clipped = [0.0]
    for _ in range(30):
        clipped.append(clipped[-1] + 0.1 * min(2.0 - clipped[-1], 0.5))
    steps = [report + 1 for report in range(30)]
    assert np.allclose(
        centres, [clipped[s] for s in steps if s >= 30 - len(centres) + 1], rtol=1e-5
    )


# --- validation ----------------------------------------------------------------------------


@pytest.mark.parametrize("size", [3, BATCH, 3 * BATCH, 3 * BATCH + 5])
def test_validation_is_the_mean_over_all_rows(size):
    x = np.random.default_rng(5).normal(size=(size, 2)).astype(np.float32)
    reports = probe_run(20, DATA[:, :2], validation=Batch(jnp.asarray(x)), validate_every=10)
    judged = [report for report in reports if report.validation is not None]
    assert [report.step for report in judged] == [10, 20]
    for report in judged:
        centre = float(report.state.parameters[0].centre)
        expected = 0.5 * np.mean((x.astype(np.float64) - centre) ** 2)
        assert report.validation is not None
        assert float(report.validation["loss"]) == pytest.approx(expected, rel=1e-5)


def test_validation_falls_on_multiples_and_on_the_last_step():
    validation = Batch(jnp.asarray(DATA))
    reports = probe_run(25, DATA, validation=validation, validate_every=10, chunk_seconds=1e-9)
    assert [report.step for report in reports if report.validation is not None] == [10, 20, 25]


def test_validation_uses_the_same_noise_every_time_and_the_final_schedule():
    # With a learning rate of 0 nothing changes, so neither may the judgement.
    objective = NegativeELBO(optax.linear_schedule(0.0, 1.0, 1000))
    reports = elbo_run(
        60,
        objective=objective,
        optimizer=optax.sgd(0.0),
        validation=Batch(jnp.asarray(DATA)),
        validate_every=20,
    )
    judged = [report.validation for report in reports if report.validation is not None]
    assert len(judged) == 3
    assert all(content(found) == content(judged[0]) for found in judged)
    weight = 60 / 1000
    expected = weight * judged[0]["kl"] - judged[0]["reconstruction"]
    assert float(judged[0]["loss"]) == pytest.approx(float(expected), rel=1e-5)


def test_validation_agrees_with_evaluation():
    x = np.random.default_rng(6).normal(size=(2000, 3)).astype(np.float32)
    (report,) = (
        report
        for report in elbo_run(50, validation=Batch(jnp.asarray(x)), validate_every=50)
        if report.validation is not None
    )
    model = untrained(3, DiagonalNormal(2), Normal((3,), "shared"), seed=1)
    trained, _ = merge(report.state.parameters, model, NegativeELBO())
    found = evaluate.elbo(trained, x, key=jax.random.key(7), samples=50)
    assert report.validation is not None
    assert float(report.validation["kl"]) == pytest.approx(found.means()["kl"].mean, rel=1e-4)
    assert np.allclose(report.validation["kl_per_latent"], found.kl_per_latent.mean(0), rtol=1e-4)  # pyright: ignore[reportOptionalMemberAccess]
    # One draw a row here, fifty there: the difference is the noise of 2,000 draws.
    one = evaluate.elbo(trained, x, key=jax.random.key(8), samples=1)
    error = np.std(one.reconstruction - found.reconstruction) / np.sqrt(2000)
    difference = float(report.validation["elbo"]) - found.means()["elbo"].mean
    assert abs(difference) < 4 * error


# --- the best parameters, and stopping early -----------------------------------------------


def overfitting(steps, **options):
    """Training pulls the centre to 10, past the 3 where validation is best."""
    validation = Batch(jnp.full((4, 1), 3.0))
    options = {"validation": validation, "validate_every": 5, "chunk_seconds": 1e-9} | options
    optimizer = optax.sgd(0.01, momentum=0.5)
    return probe_run(steps, np.full((16, 1), 10.0), optimizer=optimizer, **options)


def centres(steps):
    """The same in numpy."""
    centre, momentum, found = 0.0, 0.0, [0.0]
    for _ in range(steps):
        momentum = (centre - 10.0) + 0.5 * momentum
        centre -= 0.01 * momentum
        found.append(centre)
    return np.array(found)


def test_the_best_parameters_are_kept_with_their_own_optimiser_state():
    reports = overfitting(60)
    best = reports[-1].state.best
    judged = {r.step: r for r in reports if r.validation is not None}
    expected = min(judged, key=lambda step: abs(centres(60)[step] - 3.0))
    assert best is not None
    assert int(best.step) == expected < 40
    assert content(best.parameters) == content(judged[expected].state.parameters)
    assert content(best.optimizer_state) == content(judged[expected].state.optimizer_state)
    assert content(best.optimizer_state) != content(reports[-1].state.optimizer_state)
    assert float(best.loss) == judged[expected].validation["loss"]  # pyright: ignore[reportOptionalSubscript]
    assert [step for step, r in judged.items() if r.improved] == list(range(5, expected + 1, 5))
    # Without early stopping the run goes on, and its last parameters are the overfitted ones.
    assert reports[-1].outcome is Outcome.FINISHED
    assert float(reports[-1].state.parameters[0].centre) == pytest.approx(centres(60)[60], rel=1e-5)


@pytest.mark.parametrize("patience", [1, 3])
def test_early_stopping_waits_as_long_as_its_patience(patience):
    best = 5 * int(np.argmin(np.abs(centres(60)[::5] - 3.0)))
    reports = overfitting(60, patience=patience)
    assert reports[-1].outcome is Outcome.STOPPED_EARLY
    assert reports[-1].step == best + 5 * patience
    assert all(report.outcome is None for report in reports[:-1])
    assert int(reports[-1].state.best.step) == best  # pyright: ignore[reportOptionalMemberAccess]


def test_early_stopping_waits_as_long_in_a_resumed_run():
    reports = overfitting(60, patience=3)
    middle = next(report.state for report in reports if report.step == 22)
    again = overfitting(60, patience=3, state=middle)
    assert again[-1].step == reports[-1].step
    assert content(again[-1].state) == content(reports[-1].state)


def test_patience_that_never_runs_out_stops_nothing():
    reports = overfitting(60, patience=100)
    assert reports[-1].outcome is Outcome.FINISHED
    assert reports[-1].step == 60


def test_no_room_for_the_best_is_no_best():
    model, optimizer = Centre(jnp.asarray(0.0)), optax.sgd(0.01)
    state = init_state(model, Distance(), optimizer, jax.random.key(3), keep_best=False)
    validation = Batch(jnp.asarray(DATA))
    reports = probe_run(20, DATA, state=state, validation=validation, validate_every=10)
    assert reports[-1].state.best is None
    assert not any(report.improved for report in reports)
    assert sum(report.validation is not None for report in reports) == 2


# --- a run that goes wrong -----------------------------------------------------------------


class Poisoned(AbstractObjective):
    """`Distance`, wrong at the rows with a label: in a term of the loss, or in its gradient."""

    where: str = eqx.field(static=True)

    def init(self, model):
        return None

    def __call__(self, model, batch, *, state, step, key):
        poisoned = jnp.any(batch.label == 1)
        reconstruction = -0.5 * jnp.mean((batch.x - model.centre) ** 2)
        # The square root's slope is infinite at 0, and 0 · ∞ is NaN: a fair value, a lost gradient.
        nothing = jnp.sqrt(jnp.where(poisoned, 0.0, 1.0) * model.centre**2)
        kl = nothing if self.where == "gradient" else jnp.where(poisoned, jnp.inf, 0.0)
        loss = kl - reconstruction
        metrics = {"loss": loss, "elbo": -loss, "reconstruction": reconstruction, "kl": kl}
        return loss, (state, metrics)


def step_of_the_row(row):
    rows = gathered(probe_run(20, DATA, objective=Distance(("rows",))), "rows")
    return 1 + int(np.argmax((rows == row).any(axis=1)))


ROW = 20
BAD = 4  # the step that visits it: asserted below


def poisoned_run(where, steps):
    label = (np.arange(ROWS) == ROW).astype(np.int32)
    return probe_run(steps, DATA, objective=Poisoned(where), centre=1.0, label=label)


@pytest.mark.parametrize("where", ["kl", "gradient"])
@pytest.mark.parametrize("length", [1, BAD - 1, BAD, BAD + 1, 30])
@pytest.mark.parametrize("steps", [BAD, 20])
def test_a_run_stops_where_it_goes_wrong_with_the_last_good_state(where, length, steps, chunks_of):
    good = poisoned_run(where, BAD - 1)[-1]
    assert good.outcome is Outcome.FINISHED
    chunks_of(length)
    reports = poisoned_run(where, steps)
    last = reports[-1]
    assert last.outcome is Outcome.DIVERGED
    assert last.step == int(last.state.step) == BAD - 1
    assert content(last.state) == content(good.state)
    assert all(report.outcome is None for report in reports[:-1])
    # What is reported of the run is what led to that state.
    assert gathered(reports, "loss").tobytes() == good.metrics["loss"].tobytes()
    assert where in last.message
    assert f"step {BAD}" in last.message


def test_the_row_that_poisons_is_visited_when_it_should_be():
    assert step_of_the_row(ROW) == BAD


def test_a_run_that_goes_wrong_keeps_its_best(chunks_of):
    chunks_of(3)
    label = (np.arange(ROWS) == ROW).astype(np.int32)
    validation = Batch(jnp.asarray(DATA), label=jnp.zeros(ROWS, jnp.int32))
    options = {"objective": Poisoned("kl"), "centre": 1.0, "label": label, "validation": validation}
    last = probe_run(20, DATA, validate_every=1, **options)[-1]
    assert last.outcome is Outcome.DIVERGED
    assert int(last.state.best.step) == BAD - 1  # pyright: ignore[reportOptionalMemberAccess]


def test_a_step_too_long_is_named_by_its_term():
    last = elbo_run(500, optimizer=optax.sgd(1e3))[-1]
    assert last.outcome is Outcome.DIVERGED
    assert all(bool(jnp.isfinite(a).all()) for a in jax.tree.leaves(last.state.parameters))
    words = ("reconstruction", "kl", "gradient")
    assert any(word in last.message for word in words)
    assert f"step {last.step + 1:,}" in last.message


# --- words and numbers that are refused ----------------------------------------------------


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (
            {"batch_size": ROWS + 1},
            f"a batch of {ROWS + 1} is larger than the training data, {ROWS}",
        ),
        ({"batch_size": 0}, "the batch size is 0"),
        ({"batch_size": -3}, "the batch size is -3"),
        ({"validate_every": 0}, "between validations is 0"),
        ({"patience": 0}, "the patience is 0"),
    ],
)
def test_numbers_that_cannot_be_are_refused_before_anything_is_compiled(options, words):
    with pytest.raises(ValueError, match=words):
        probe_run(10, DATA, **options)


def test_a_batch_may_be_all_of_the_data():
    rows = gathered(probe_run(3, DATA, batch_size=ROWS, objective=Distance(("rows",))), "rows")
    assert np.array_equal(np.sort(rows, axis=1), np.tile(np.arange(ROWS), (3, 1)))


def test_reports_are_plain_numbers_outside_the_state():
    report = elbo_run(3)[-1]
    assert all(type(rows) is np.ndarray for rows in report.metrics.values())
    assert {name: rows.shape for name, rows in report.metrics.items()} == {
        "loss": (3,), "elbo": (3,), "reconstruction": (3,), "kl": (3,), "kl_per_latent": (3, 2)
    }  # fmt: skip
    assert dataclasses.is_dataclass(report)
