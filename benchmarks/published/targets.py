"""What was published, with the settings that it was obtained with.

Figures are nats per datum, lower is better. Each row is a recipe of elbax with the options that the
paper (and the authors' code, where it says more) changes in it.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any, Literal

from elbax import recipes
from elbax.recipes import options as option_tools
from elbax.recipes.options import Options


@dataclasses.dataclass(frozen=True)
class Target:
    """One published figure.

    Attributes:
        name: What the run is called.
        what: What the row is, in a few words.
        figure: The published figure, in nats.
        active: The published number of active units, where there is one.
        source: Where the figure stands.
        estimator: What the paper reports: "elbo" is −ELBO; "importance" is −L_k, importance
            sampling with `samples` draws.
        samples: Draws a datum of that estimator.
        recipe: The recipe of elbax.
        changes: The options that differ from the recipe's, by name.
        output_bias: Whether the decoder's last bias starts at the logit of the training mean.
        deviations: Where the settings are not the published ones, beyond the length of the run.
    """

    name: str
    what: str
    figure: float
    active: int | None
    source: str
    estimator: Literal["elbo", "importance"]
    samples: int
    recipe: str
    changes: Mapping[str, Any]
    output_bias: bool
    deviations: str

    def options(self, seed: int) -> Options:
        """Every option of the run, its published length among them."""
        base = recipes.find(self.recipe).options()
        return option_tools.replace(base, {**self.changes, "seed": seed})

    def steps(self, rows: int) -> int:
        """The published length in steps, over so many training rows."""
        training = self.options(0).training
        assert training.epochs is not None
        return training.epochs * (rows // training.batch_size)


_AEVB_SOURCE = "a secondary reproduction of Kingma & Welling 2013, who give curves only"
_AEVB_DEVIATIONS = (
    "Glorot-uniform weights and no weight decay; the reproduction's own choice of training rows is "
    "not known: here all 60,000"
)
_BURDA_SOURCE = "Burda et al. 2015, table 1"
_BURDA_DEVIATIONS = (
    "β₁ = 0.9, as the paper says (its code: 0.99); Glorot-uniform weights; active units from the "
    "grey levels of the first 500 training images"
)


def _aevb(latents: int, figure: float) -> Target:
    # Also: one hidden layer of 500 tanh units, batches of 100 (the recipe's).
    return Target(
        name=f"aevb-{latents}",
        what=f"VAE, {latents} latents, static MNIST",
        figure=figure,
        active=None,
        source=_AEVB_SOURCE,
        estimator="elbo",
        samples=10,
        recipe="aevb",
        changes={
            "latent_dim": latents,
            "binarize": "static",
            "validation": 0,
            "learning_rate": 0.01,
            "epochs": 300,
        },
        output_bias=False,
        deviations=_AEVB_DEVIATIONS,
    )


def _burda(kind: Literal["vae", "iwae"], k: int, figure: float, active: int) -> Target:
    # The recipe holds the rest. The VAE with k > 1 averages the k log-weights, with no closed form.
    objective: dict[str, Any] = {"objective": "importance-weighted"}
    if kind == "vae":
        objective = {"objective": "elbo", "kl_estimate": "monte-carlo"}
    return Target(
        name=f"{kind}-{k}",
        what=f"{kind.upper()}, k = {k}, one layer, dynamic MNIST",
        figure=figure,
        active=active,
        source=_BURDA_SOURCE,
        estimator="importance",
        samples=5000,
        recipe="iwae",
        changes={
            "samples": k,
            "epochs": sum(3**i for i in range(8)),
            "validation": 400,
            **objective,
        },
        output_bias=True,
        deviations=_BURDA_DEVIATIONS,
    )


_ALL = (
    _aevb(3, 141.30),
    _aevb(5, 124.41),
    _aevb(10, 107.57),
    _aevb(20, 100.61),
    _aevb(200, 99.23),
    _burda("vae", 1, 86.76, 19),
    _burda("vae", 5, 86.47, 20),
    _burda("vae", 50, 86.35, 20),
    _burda("iwae", 1, 86.76, 19),
    _burda("iwae", 5, 85.54, 22),
    _burda("iwae", 50, 84.78, 25),
)
TARGETS: Mapping[str, Target] = {target.name: target for target in _ALL}
