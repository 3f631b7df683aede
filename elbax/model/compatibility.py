"""Which priors, posteriors and objectives suit one another, judged by the traits of their classes.

This is the one place that judges. A trait can be read from a class, so a choice is refused before
anything is made (`elbax.recipes.compatibility`, which says what would suit); `check_objective`
judges a model that is there, before its loss is traced.
"""

from typing import Any

import equinox as eqx
import jax

from elbax.model.interfaces import AbstractObjective, AbstractPosterior, AbstractPrior, LatentKind
from elbax.model.latent_variable_model import LatentVariableModel

Objective = AbstractObjective | type[AbstractObjective]
Posterior = AbstractPosterior | type[AbstractPosterior]
Prior = AbstractPrior | type[AbstractPrior]

_SPACES = {
    "real": "real vectors",
    "point": "real vectors",
    "sphere": "vectors of length one",
    "categorical": "one-hot vectors",
    "codes": "codes",
}


def unsuited_posterior(objective: Objective, posterior: Posterior) -> str | None:
    """Why a posterior does not suit an objective; None where it does."""
    suits, needed = {
        "any": (True, ""),
        "density": (posterior.has_density, "a posterior with a density"),
        "log-prob": (posterior.has_log_prob, "a posterior that has a log_prob at any z"),
        "independent": (posterior.independent, "a posterior of independent latents"),
        "point": (posterior.latent == "point", "the deterministic posterior"),
        "codes": (posterior.latent == "codes", "a posterior that chooses codes"),
    }[objective.posterior]
    if not suits:
        reason = f"it needs {needed}"
    elif posterior.latent == "codes" and objective.posterior != "codes":
        reason = "it would not train the codes"
    elif objective.pathwise and posterior.gradient == "relaxed":
        reason = "it needs reparameterised draws, and those of this posterior are relaxed"
    else:
        return None
    pair = f"the posterior {_name(posterior)} does not suit the objective {_name(objective)}"
    return f"{pair}: {reason}"


def unsuited_prior(objective: Objective, prior: Prior, *, learned: bool) -> str | None:
    """Why a prior does not suit an objective; None where it does.

    Args:
        objective: An objective, or its class.
        prior: A prior, or its class.
        learned: Whether the prior has parameters.
    """
    if not (objective.fixed_prior and learned):
        return None
    return (
        f"the prior {_name(prior)} does not suit the objective {_name(objective)}: it compares "
        "draws with draws of the prior, and would not train the prior's parameters rightly"
    )


def unsuited_shape(objective: Objective, shape: tuple[int, ...]) -> str | None:
    """Why a datum of a shape does not suit an objective; None where it does."""
    if not objective.images_only or len(shape) == 3:
        return None
    return f"the objective {_name(objective)} is for images, and a datum here has the shape {shape}"


def unsuited_latents(prior: Prior, posterior: Posterior) -> str | None:
    """Why draws of a posterior do not lie where a prior has its density; None where they do."""
    if prior.latent == "any":
        if posterior.has_log_prob:
            return None
        return (
            f"the prior {_name(prior)} is made of posteriors and needs q(z|x) at any z, which "
            f"{_name(posterior)} does not give"
        )
    if _SPACES[prior.latent] == _SPACES[posterior.latent]:
        return None
    return (
        f"the prior {_name(prior)} is over {_SPACES[prior.latent]}, and the posterior "
        f"{_name(posterior)} over {_SPACES[posterior.latent]}"
    )


def check_objective(objective: AbstractObjective, model: LatentVariableModel) -> None:
    """Refuses a model that an objective is not defined for.

    An encoder without a posterior family (the caller's own) is not judged.

    Raises:
        ValueError: One line: what does not suit the objective, and why.
    """
    learned = bool(jax.tree.leaves(eqx.filter(model.prior, eqx.is_inexact_array)))
    problem = unsuited_prior(objective, model.prior, learned=learned)
    if model.posterior is not None:
        problem = unsuited_posterior(objective, model.posterior) or problem
    if problem is not None:
        raise ValueError(problem)


def has_density(model: LatentVariableModel) -> bool:
    """Whether q(z|x) has a density, and so the model an evidence lower bound."""
    return model.posterior is None or model.posterior.has_density


def latent_kind(model: LatentVariableModel) -> LatentKind:
    """What a latent of the model is; of a prior made of posteriors, what their draws are."""
    kind = model.prior.latent
    return model.posterior.latent if kind == "any" and model.posterior is not None else kind


def _name(part: Any) -> str:
    """What a part is called; one without a name by its class."""
    kind = part if isinstance(part, type) else type(part)
    return getattr(part, "name", kind.__name__)
