"""Every recipe trains on tiny data, goes on from a checkpoint, and comes back from its file."""

from typing import Any

import jax
import numpy as np
import pytest

from elbax.data.source import Dataset, Split
from elbax.model import load_model, save_model
from elbax.recipes import RECIPES, find, parts
from elbax.recipes import options as option_tools
from elbax.run import measure as measuring
from elbax.run import settle as plans
from elbax.run import training
from elbax.run.fitting import batch_of
from elbax.train import Checkpoints, Trainer
from tests.product import SMALL, same
from tests.tiers import mostly_slow

ROWS, STEPS = 24, 4
# A bound in the usual way, one of labels, and none.
# Of a place, of which there are four: the length of its codes.
CODES = {"vq": 3, "fsq": 4, "residual-vq": 12}
FAST = ("vae", "semi-supervised", "wae-mmd")


def images() -> Dataset:
    """Grey images of two kinds, with labels."""
    rng = np.random.default_rng(0)
    label = np.arange(ROWS) % 3
    x = rng.integers(0, 200, (ROWS, 4, 4, 1)).astype(np.uint8)
    x[label == 1, :2] += 55
    part = Split(x, label)
    return Dataset("tiny", "images", "made here", part, part, part, "one", "0" * 64)


def tiny(name: str) -> dict[str, Any]:
    """The recipe's sizes, small."""
    recipe = find(name)
    changes: dict[str, Any] = {"hidden": (3,), "batch_size": 8, "iterations": STEPS}
    if not parts.find("network", recipe.model.network.name).wants("hidden"):
        del changes["hidden"]
    categorical = recipe.model.posterior.name == "categorical"
    changes["latent_dim"] = 4 if categorical else 3
    if recipe.model.posterior.name in CODES:
        changes["latent_dim"] = 4 * CODES[recipe.model.posterior.name]
    small = {**SMALL, "samples": 2}
    for kind in (*option_tools.MODEL_PARTS, "objective"):
        section = recipe.training if kind == "objective" else recipe.model
        choice = getattr(section, kind)
        if choice is None:
            continue
        own = parts.find(kind, choice.name).options
        changes |= {
            f"{kind}.{n}": v
            for n, v in small.items()
            if n in own and n not in ("levels", "columns")
        }
    if recipe.data.labelled is not None:
        changes["labelled"] = 6
    return changes


def steps(trainer: Trainer, plan: plans.Plan, until: int) -> Trainer:
    batch_size = plan.options.training.batch_size
    return trainer.fit(batch_of(plan, "train"), batch_size=batch_size, steps=until)[0]


@pytest.mark.parametrize("name", mostly_slow(RECIPES, FAST.__contains__))
def test_a_recipe_trains_goes_on_and_comes_back(name, tmp_path):
    plan = plans.settle(images(), option_tools.replace(find(name).options(), tiny(name)))
    built = training.build(plan)
    middle = steps(built, plan, STEPS // 2)
    with Checkpoints(tmp_path / "checkpoints") as checkpoints:
        checkpoints.save(middle.state, {})
        restored = checkpoints.restore(built.state)
    assert restored.state is not None
    same(restored.state.parameters, middle.state.parameters)
    end = steps(built.with_state(restored.state), plan, STEPS)
    assert int(end.state.step) == STEPS
    for one, other in ((built, middle), (middle, end)):
        moved = [
            np.any(np.asarray(a) != np.asarray(b))
            for a, b in zip(
                jax.tree.leaves(one.state.parameters),
                jax.tree.leaves(other.state.parameters),
                strict=True,
            )
        ]
        assert np.mean(moved) > 0.5  # the rest are units that no row of so few wakes

    model = training.finished_model(end.trained[0], plan)
    save_model(tmp_path / "model.safetensors", model)
    loaded = load_model(tmp_path / "model.safetensors")
    same(loaded, model)
    found = measuring.measure(loaded, plan.dataset.test, 0, 1)
    assert found == measuring.measure(model, plan.dataset.test, 0, 1)
    assert found is not None
    bounded = find(name).model.posterior.name != "deterministic"
    assert ("elbo" in found) == bounded
    if bounded:
        assert found["elbo"] == pytest.approx(found["reconstruction"] - found["kl"], abs=1e-3)
    assert ("labels" in found) == (name == "semi-supervised")
    assert (found.get("given") == "label") == (name == "conditional")


def test_recipes_are_found_by_their_files():
    from pathlib import Path

    from elbax.recipes import papers

    files = {path.stem for path in Path(papers.__path__[0]).glob("*/*.py")} - {"__init__"}
    assert {name.replace("-", "_") for name in RECIPES} == files
    assert next(iter(RECIPES)) == "vae"
