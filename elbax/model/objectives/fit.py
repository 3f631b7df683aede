"""Which objectives suit which priors and posteriors, by their traits."""

import equinox as eqx
import jax

from elbax.model.interfaces import AbstractObjective, AbstractPosterior, AbstractPrior


def unsuited(
    objective: AbstractObjective | type[AbstractObjective],
    posterior: AbstractPosterior | type[AbstractPosterior],
    prior: AbstractPrior | None = None,
) -> str | None:
    """Why an objective does not suit a posterior and a prior; None where it does.

    It is judged by traits alone, so that a choice can be refused before anything is made. (Whether
    prior and posterior suit each other is another question: do they have the same latents?)

    Args:
        objective: An objective, or its class.
        posterior: A family of q(z|x), or its class.
        prior: The prior; None does not judge it.
    """
    need = objective.posterior
    wants = {
        "any": (True, ""),
        "density": (posterior.has_density, "a posterior with a density"),
        "log-prob": (posterior.has_log_prob, "a posterior that has a log_prob at any z"),
        "independent": (posterior.independent, "a posterior of independent latents"),
        "point": (posterior.latent == "point", "the deterministic posterior"),
    }
    satisfied, wanted = wants[need]
    if not satisfied:
        return f"it needs {wanted}"
    if objective.follows_draws and posterior.gradient == "relaxed":
        return "it follows the draws as they move, and those of this posterior are relaxed"
    learned = prior is not None and jax.tree.leaves(eqx.filter(prior, eqx.is_inexact_array))
    if objective.fixed_prior and learned:
        return "it needs a prior without parameters"
    return None
