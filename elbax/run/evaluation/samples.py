"""What samples are like beside data, in a feature space."""

from __future__ import annotations

import hashlib
import json
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import numpy as np

from elbax.evaluate import bounds, preprocess
from elbax.evaluate.tiles import stored
from elbax.run.evaluation.task import PROBE_ROWS, Task, number, plain
from elbax.run.use import apply
from elbax.util import environment
from elbax.util.keys import stream

if TYPE_CHECKING:
    from elbax.data.source import Split
    from elbax.evaluate.samples.features import Features

SAMPLE_ROWS = 2000  # samples, and rows, that distances and coverage compare


def quality(task: Task, _: str, __: Any, ___: Any) -> dict[str, Any]:
    """Distances, precision and recall, density and coverage, and copies of training rows."""
    from elbax.evaluate.samples import distances

    model, key = task.run.model, task.key
    rows = stored(task.rows)[:SAMPLE_ROWS]
    if np.isnan(rows).any():
        raise ValueError(
            "the estimator samples compares whole rows, and these have missing cells: leave it "
            "out, or give --data without any"
        )
    # 0/1 data are compared with draws, grey and real-valued ones with means: a draw of every pixel
    # by itself would be told from them by its grain alone.
    binary = bounds.quantity(model, rows) == "log-mass"
    drawn = apply.sample(model, len(rows), seed=task.seed, draw=binary)["x"]
    train, label = _whole(task.run.dataset.train)
    if len(train) == 0:
        raise ValueError(
            "the estimator samples compares whole rows, and every training row has missing cells: "
            "leave it out"
        )
    train = preprocess(model, train, stream(key, "training rows"))
    space = _feature_space(task, train, label)
    real, generated = space(preprocess(model, rows, key)), space(drawn)
    shares = distances.precision_recall_density_coverage(real, generated)
    copies = distances.memorisation(space(train), real, generated)
    return {
        "generated": len(drawn),
        "compared": len(rows),
        "samples_are": f"{'draws from' if binary else 'means of'} p(x|z) at z from the prior",
        "feature_space": space.name,
        "frechet_distance": number(distances.frechet_distance(real, generated)),
        "kernel_distance": plain(distances.kernel_distance(real, generated, seed=task.seed)),
        **{
            name: plain(getattr(shares, name))
            for name in ("precision", "recall", "density", "coverage")
        },
        "memorisation": {
            "training_rows": len(train),
            "share": plain(copies.share),
            "held_out_share": number(copies.held_out_share),
            "z_score": number(copies.z_score),
        },
    }


def _whole(split: Split) -> tuple[np.ndarray, np.ndarray | None]:
    """The first training rows, but for those with missing cells, and the labels of these."""
    x = split.x[:PROBE_ROWS]
    whole = ~np.isnan(x).reshape(len(x), -1).any(axis=1)
    return x[whole], None if split.label is None else split.label[:PROBE_ROWS][whole]


def _feature_space(task: Task, train: np.ndarray, label: np.ndarray | None) -> Features:
    from elbax.evaluate.samples import features

    chosen = task.features or ("pca" if label is None else "classifier")
    if chosen == "raw":
        return features.raw()
    if chosen == "pca":
        return features.pca(train)
    if label is None:
        raise ValueError(
            f"features (--features) is classifier, and {task.run.dataset.name} has no labels to "
            "train one on: give --features pca"
        )
    return _cached_classifier(task, train, label)


def _cached_classifier(task: Task, train: np.ndarray, label: np.ndarray) -> Features:
    """The classifier of these very data, trained once and kept in the user's cache."""
    from elbax.evaluate.samples import features

    folder = environment.cache_folder() / "features"
    # All that its weights follow from: the seed is that of binary draws of grey rows.
    versions = {**environment.versions(), "scikit-learn": version("scikit-learn")}
    made_of = [
        *(task.run.dataset.fingerprint, task.run.binarize, len(train), task.seed),
        *(f"{name} {found}" for name, found in sorted(versions.items())),
    ]
    name = hashlib.sha256(json.dumps(made_of).encode()).hexdigest()
    path = folder / f"{name[:32]}.safetensors"
    try:
        return features.load(path)
    except (OSError, ValueError):  # not there yet, or damaged: it is made anew
        made = features.classifier(train, label)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        features.save(made, path)  # which appears whole or not at all
    except OSError:  # a cache that can't be written costs seconds, no more
        return made
    return made
