"""Three objectives at several seeds on `shapes`, judged by the mutual information gap."""

from typing import Any

import numpy as np

from benchmarks.recipes import work
from elbax.data import shapes
from elbax.evaluate import mutual_information_gap, posterior_moments
from elbax.recipes import find
from elbax.recipes import options as option_tools
from elbax.run import settle as plans
from elbax.run import training

OBJECTIVES = ("vae", "beta-tcvae", "factor-vae")
# One network and one optimiser for all, so that nothing but the objective differs; smaller than the
# recipes' own, for the time it takes. The discriminator is narrower for the same reason.
HIDDEN, BATCH, ROWS = (400, 400), 128, 10_000


def gap(name: str, seed: int, steps: int) -> float:
    """The mutual information gap of a short run with the recipe's objective."""
    changes: dict[str, Any] = {
        "latent_dim": 10,
        "hidden": HIDDEN,
        "batch_size": BATCH,
        "iterations": steps,
        "learning_rate": 1e-3,
        "seed": seed,
        "objective": find(name).training.objective,
    }
    if name == "factor-vae":
        changes |= {"objective.width": 256, "objective.layers": 4}
    plan = plans.settle("shapes", option_tools.replace(find("vae").options(), changes))
    model, _ = work.run(plan, training.build(plan), steps)
    means = posterior_moments(model, plan.dataset.train.x[:ROWS])["mean"]
    return float(mutual_information_gap(np.asarray(means), shapes.factors()[:ROWS]).mean)
