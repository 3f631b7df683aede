"""One row: a recipe trained for so many steps, measured before and after on the same test rows."""

import math
import time
from pathlib import Path
from typing import Any

import numpy as np

from elbax.evaluate import has_bound, importance
from elbax.model.latent_variable_model import ClassifyingEncoder, LatentVariableModel
from elbax.recipes import Recipe
from elbax.recipes import options as option_tools
from elbax.run import labels, training
from elbax.run import measure as measuring
from elbax.run import settle as plans
from elbax.run.fitting import batch_of
from elbax.run.settle import Plan
from elbax.train import State, Trainer
from elbax.util.keys import evaluation_key

ROWS = 1000  # test rows that bounds are measured on, …
WEIGHED, SAMPLES = 100, 500  # … and of these, rows and draws a row of the log-likelihood
MISSING = 0.3  # share of the table's cells that are removed


def data_for(recipe: Recipe, folder: Path) -> str:
    """The name of the data that a recipe is meant for, or the path of the table."""
    return str(_table(folder)) if recipe.meant_for == "table" else recipe.meant_for


def plan_for(recipe: Recipe, data: str, iterations: int, seed: int) -> Plan:
    """The recipe's own settings, its warm-up as long a share of the run as it has of its own."""
    changes: dict[str, Any] = {"seed": seed}
    if recipe.meant_for == "table":
        # By the number of rows, and an end by validation: the command's own.
        return plans.settle(data, option_tools.replace(recipe.options(), changes))
    changes["iterations"] = iterations
    asked = dict(recipe.training.objective.options)
    if asked.get("warm_up"):
        share = iterations / recipe.training.iterations
        changes["objective.warm_up"] = max(1, round(asked["warm_up"] * share))
    return plans.settle(data, option_tools.replace(recipe.options(), changes))


def train(plan: Plan, iterations: int, seconds: float) -> dict[str, Any]:
    """The row: numbers before and after, the steps that were taken, and how long they took.

    Training ends early where it would last longer than `seconds`; the row has the steps.
    """
    trainer = training.build(plan)
    before = measure(plan, trainer.model)
    started = time.perf_counter()
    model, state = run(plan, trainer, iterations, seconds)
    model = training.finished_model(model, plan)
    took = time.perf_counter() - started
    after = measure(plan, model)
    log_likelihood = None
    codes = measuring.codes_in_use(model, plan.dataset.test.x[:ROWS], plan.options.run.seed)
    weighs = has_bound(model) and codes is None  # of codes all mass is on one choice
    if weighs and not isinstance(model.encoder, ClassifyingEncoder):
        rows = labels.conditioned(model, plan.dataset.test)[:WEIGHED]
        key = evaluation_key(plan.options.run.seed)
        found = importance(model, rows, key=key, samples=SAMPLES)
        mean, (trust, _) = found.mean(), found.trust()
        log_likelihood = {
            "mean": mean.mean,
            "standard_error": mean.standard_error,
            "trust": trust,
        }
    return {
        "data": plan.dataset.name,
        "likelihood": str(plan.likelihood),
        "binarize": plan.options.data.binarize,
        "batch_size": plan.options.training.batch_size,
        "seed": plan.options.run.seed,
        "parameters": trainer.parameter_count,
        "iterations": int(state.step),
        "asked": iterations,
        "seconds": round(took, 1),
        "before": before,
        "after": after,
        "log_likelihood": log_likelihood,
        "active": _active(plan, model),
        "latent_dim": model.latent_dim,
        "codes": codes,
        "classified": _classified(plan, model),
    }


def run(
    plan: Plan, trainer: Trainer, iterations: int, seconds: float = math.inf
) -> tuple[LatentVariableModel, State]:
    """The model after so many steps, or when training has lasted so many seconds."""
    started = time.perf_counter()
    trainer, _ = trainer.fit(
        batch_of(plan, "train"),
        batch_size=plan.options.training.batch_size,
        steps=iterations,
        interrupted=lambda: time.perf_counter() - started > seconds,
    )
    return trainer.trained[0], trainer.state


def _classified(plan: Plan, model: Any) -> dict[str, Any] | None:
    """Test accuracy of q(y|x), and of a classifier that sees the labelled rows alone."""
    if not isinstance(model.encoder, ClassifyingEncoder):
        return None
    from sklearn.linear_model import LogisticRegression

    train, test = plan.dataset.train, plan.dataset.test
    assert train.label is not None
    assert test.label is not None
    shown = labels.shown(train.label, plan.options.data.labelled, plan.options.run.seed)
    known = shown >= 0
    flat = lambda x: x.reshape(len(x), -1) * plan.preprocessing.scale  # noqa: E731
    alone = LogisticRegression(max_iter=5000).fit(flat(train.x[known]), shown[known])
    right = labels.predicted(model, test.x) == test.label
    return {
        "labels": int(known.sum()),
        "rows": len(test),
        "accuracy": float(right.mean()),
        "logistic_regression": float(alone.score(flat(test.x), test.label)),
    }


def measure(plan: Plan, model: Any) -> dict[str, Any]:
    """The bound (or the reconstruction alone) on the first test rows."""
    found = measuring.measure(model, plan.dataset.test, plan.options.run.seed, 1, limit=ROWS)
    assert found is not None
    return found


def _table(folder: Path) -> Path:
    """The breast-cancer table of scikit-learn, with cells removed at random."""
    from sklearn.datasets import load_breast_cancer

    path = folder / "breast-cancer-missing.csv"
    found: Any = load_breast_cancer()
    rng = np.random.default_rng(0)
    hidden = rng.random(found.data.shape) < MISSING
    lines = [",".join(name.replace(" ", "-") for name in found.feature_names)]
    for row, gone in zip(found.data, hidden, strict=True):
        lines.append(",".join("" if g else f"{v:.6g}" for v, g in zip(row, gone, strict=True)))
    path.write_text("\n".join(lines) + "\n")
    return path


def _active(plan: Plan, model: LatentVariableModel) -> int | None:
    return measuring.count_active(model, labels.conditioned(model, plan.dataset.test)[:ROWS])
