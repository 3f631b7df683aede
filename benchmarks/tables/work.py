"""The tasks: one unit of work is one table, one seed, one fraction or outlying class."""

import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
from sklearn.metrics import roc_auc_score

from benchmarks.tables import ours, rivals, sets

TASKS = ("impute", "density", "ridges", "outliers")


class Unit(NamedTuple):
    """One thing to measure.

    Attributes:
        task: One of `TASKS`.
        table: One of `sets.NAMES`.
        what: The percentage of missing cells, the outlying class, or how many of `sets.RIDGES` are
            left out; 0 for densities.
        seed: Of the split, the holes and the models.
    """

    task: str
    table: str
    what: int
    seed: int

    @property
    def name(self) -> str:
        """What it is called in the record."""
        return f"{self.task}-{self.table}-{self.what}-{self.seed}"


def units(seeds: int) -> Iterator[Unit]:
    """All of them, seed by seed."""
    for seed in range(seeds):
        for name in sets.NAMES:
            for fraction in sets.FRACTIONS:
                yield Unit("impute", name, round(100 * fraction), seed)
            yield Unit("density", name, 0, seed)
        for left_out in (1, len(sets.RIDGES)):
            yield Unit("ridges", sets.RIDGED, left_out, seed)
        for name in sets.WITH_CLASSES:
            classes = sets.load(name).classes
            assert classes is not None
            for outlying in range(int(classes.max()) + 1):
                yield Unit("outliers", name, outlying, seed)


def measure(unit: Unit) -> dict[str, Any]:
    """The figures of one unit, by method, and how long each took."""
    return {**_MEASURES[unit.task](unit), "settings": settings(unit)}


def settings(unit: Unit) -> dict[str, Any]:
    """What elbax trains by default, as the record says it."""
    found = ours.settings(_rows(unit), linked=unit.task != "outliers")
    return {name: found[name] for name in ("hidden", "latent_dim", "links")}


def _rows(unit: Unit) -> sets.Rows:
    table = sets.load(unit.table)
    if unit.task == "impute":
        return sets.holed(table, unit.what / 100, unit.seed)
    if unit.task == "outliers":
        return sets.without(table, unit.what, unit.seed)[0]
    return sets.whole(sets.smoothed(table, unit.what), unit.seed)


def _impute(unit: Unit) -> dict[str, Any]:
    rows = _rows(unit)
    gone = np.isnan(rows.test)

    def error(filled: np.ndarray) -> float:
        return float(np.sqrt(np.mean((filled - rows.whole)[gone] ** 2)))

    def inside(lower: np.ndarray, upper: np.ndarray) -> float:
        return float(np.mean(((lower <= rows.whole) & (rows.whole <= upper))[gone]))

    started = time.monotonic()
    found = ours.impute(ours.train(rows, unit.seed, linked=True), rows, unit.seed)
    rmse, seconds = {"elbax": error(found.value)}, {"elbax": time.monotonic() - started}
    for name, imputer in rivals.imputers(unit.seed).items():
        started = time.monotonic()
        rmse[name] = error(rivals.impute(imputer, rows))
        seconds[name] = time.monotonic() - started
    return {
        "rmse": rmse,
        "coverage": inside(found.lower, found.upper),
        "cells": int(gone.sum()),
        "rows": len(rows.train),
        "seconds": seconds,
    }


def _density(unit: Unit) -> dict[str, Any]:
    rows = _rows(unit)
    methods: dict[str, Callable[[sets.Rows], np.ndarray]] = {
        "elbax": lambda rows: ours.log_p(
            ours.train(rows, unit.seed, linked=True), rows.test, unit.seed
        ),
        **rivals.densities(unit.seed),
    }
    nats, seconds = {}, {}
    for name, method in methods.items():
        started = time.monotonic()
        nats[name] = float(np.mean(method(rows)))
        seconds[name] = time.monotonic() - started
    return {"nats": nats, "rows": len(rows.train), "seconds": seconds}


def _outliers(unit: Unit) -> dict[str, Any]:
    rows, strange = sets.without(sets.load(unit.table), unit.what, unit.seed)
    started = time.monotonic()
    scores = ours.log_p(ours.train(rows, unit.seed, linked=False), rows.test, unit.seed)
    auc, seconds = {"elbax": _auc(strange, scores)}, {"elbax": time.monotonic() - started}
    for name, detector in rivals.detectors(unit.seed).items():
        started = time.monotonic()
        auc[name] = _auc(strange, detector.fit(rows.fitting).score_samples(rows.test))
        seconds[name] = time.monotonic() - started
    return {"auc": auc, "rows": len(rows.train), "seconds": seconds}


def _auc(strange: np.ndarray, scores: np.ndarray) -> float:
    """The area under the curve of a score that is low where a row is strange."""
    return float(roc_auc_score(strange, -scores))


_MEASURES = {"impute": _impute, "density": _density, "ridges": _density, "outliers": _outliers}
