"""Runs in one program against the same runs alone."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from elbax.model import Batch, DiagonalNormal, NegativeELBO, Normal
from elbax.train import Diverged, Outcome, Trainer, init_state
from elbax.train.abreast import Abreast, shape_of
from elbax.train.schedules import kl_weight
from tests.linear_gaussian import untrained
from tests.train.probes import BATCH, DATA, ROWS, content

STEPS, EVERY, PATIENCE = 120, 10, 3
# (seed, β, learning rate): two seeds, another β, a rate that stops early, one that diverges. Above
# a rate of 1 the steps are chaotic: they multiply what float32 rounds away.
RUNS = ((0, 1.0, 1e-2), (1, 1.0, 1e-2), (1, 0.25, 3e-2), (3, 1.0, 0.3), (3, 1.0, 3e38))
FIT: dict[str, Any] = {
    "batch_size": BATCH,
    "steps": STEPS,
    "validate_every": EVERY,
    "patience": PATIENCE,
}


def rows():
    return Batch(jnp.asarray(DATA), data_size=ROWS)


def trainer(seed, beta, rate, warm_up=5):
    model = untrained(3, DiagonalNormal(2), Normal((3,), "shared"), seed=seed)
    objective, optimizer = NegativeELBO(kl_weight(beta, warm_up=warm_up)), optax.adam(rate)
    state = init_state(model, objective, optimizer, jax.random.key(seed))
    return Trainer(model, objective, optimizer, state)


def abreast():
    rates = [rate for *_, rate in RUNS]
    return Abreast([trainer(*run) for run in RUNS], rates, optax.adam)


def joined(parts):
    """The metrics of several reports of one run."""
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


class Course:
    """All of a training abreast, and what was said of each."""

    def __init__(self, **options):
        self.them = abreast()
        self.reports = [[] for _ in RUNS]
        self.joints = []
        given: dict[str, Any] = {"state": self.them.state, "validation": rows()}
        for joint in self.them.fit(rows(), **(given | FIT | options)):
            self.joints.append(joint)
            for told, report in zip(self.reports, joint.reports, strict=True):
                told.extend([report] if report is not None else [])
        self.ended = [told[-1].outcome if told else None for told in self.reports]


@functools.cache
def whole():
    return Course()


@functools.cache
def alone(i):
    reports = []
    try:
        end, outcome = trainer(*RUNS[i]).fit(
            rows(), validation=rows(), callback=reports.append, **FIT
        )
    except Diverged as error:
        return error.report.state, Outcome.DIVERGED, reports
    return end.state, outcome, reports


@pytest.mark.parametrize("i", range(len(RUNS)))
def test_each_run_is_the_one_alone(i):
    state, outcome, reports = alone(i)
    course = whole()
    assert course.ended[i] is outcome
    mine = course.them.at(course.joints[-1].state)[i].state
    assert int(mine.step) == int(state.step)
    assert mine.best is not None
    assert state.best is not None
    assert int(mine.best.step) == int(state.best.step)
    for ours, theirs in zip(jax.tree.leaves(mine), jax.tree.leaves(state), strict=True):
        if not jnp.issubdtype(ours.dtype, jax.dtypes.prng_key):
            np.testing.assert_allclose(ours, theirs, rtol=2e-4, atol=2e-5)
    metrics = joined([report.metrics for report in course.reports[i]])
    expected = joined([report.metrics for report in reports])
    assert metrics.keys() == expected.keys()
    for name, values in expected.items():
        np.testing.assert_allclose(metrics[name], values, rtol=1e-3, atol=1e-4)
    validated = [r.validation["loss"] for r in course.reports[i] if r.validation]
    np.testing.assert_allclose(
        validated, [r.validation["loss"] for r in reports if r.validation], rtol=1e-3
    )


def test_the_runs_end_each_in_its_own_way():
    assert whole().ended == [
        Outcome.FINISHED,
        Outcome.FINISHED,
        Outcome.FINISHED,
        Outcome.STOPPED_EARLY,
        Outcome.DIVERGED,
    ]
    assert whole().reports[4][-1].message == alone(4)[2][-1].message


def test_what_has_ended_stays_as_it_was():
    course = whole()
    stopped = int(course.reports[3][-1].step)
    at_its_end = next(joint for joint in course.joints if joint.reports[3] is course.reports[3][-1])
    for i in (3, 4):
        last = course.them.at(course.joints[-1].state)[i].state
        assert content(last) == content(course.reports[i][-1].state)
    assert int(course.them.at(at_its_end.state)[3].state.step) == stopped < STEPS


def test_cut_and_taken_up_it_ends_in_the_same_bits():
    course = whole()
    middle = next(j for j in course.joints if j.reports[0] and j.reports[0].step == 60)
    ended = [
        None if report is None or report.outcome is None else report.outcome
        for report in middle.reports
    ]
    before = [report is None for report in middle.reports]
    ended = [Outcome.DIVERGED if gone else out for gone, out in zip(before, ended, strict=True)]
    again = Course(state=middle.state, ended=ended)
    assert content(again.joints[-1].state) == content(course.joints[-1].state)


def test_runs_that_differ_by_numbers_have_one_shape_and_by_structure_not():
    kind = shape_of(trainer(0, 1.0, 1e-2))
    assert kind == shape_of(trainer(5, 0.25, 1e-2))
    assert kind != shape_of(trainer(0, 1.0, 1e-2, warm_up=6))
    assert kind != shape_of(trainer(0, 1.0, 1e-2, warm_up=0))
    assert hash(kind) == hash(shape_of(trainer(1, 2.0, 1e-2)))
