"""Which parts fit together: judged by the traits of their classes, before anything is made.

A refusal names the two that do not fit and what would. (Nothing here knows a part by its name.)
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import equinox as eqx
import jax

from elbax.model.objectives import unsuited
from elbax.recipes import parts
from elbax.recipes.choice import Choice
from elbax.recipes.options import ModelOptions
from elbax.recipes.parts import Part

_SPACES = {
    "real": "real vectors",
    "point": "real vectors",
    "sphere": "vectors of length one",
    "categorical": "one-hot vectors",
}


def check(
    options: ModelOptions, shape: tuple[int, ...], likelihood: Choice, objective: Any = None
) -> None:
    """Refuses parts that do not fit together, or not this datum.

    Args:
        options: The model's options, settled (`parts.settled`).
        shape: The shape of one datum.
        likelihood: The family of p(x|z), settled.
        objective: What is to be minimised (an `AbstractObjective`, or its class); None leaves it
            out.

    Raises:
        ValueError: One line: which do not fit, why, and what would.
    """
    problem = next(_problems(options, shape, likelihood, objective), None)
    if problem is not None:
        raise ValueError(problem)


def _problems(
    options: ModelOptions, shape: tuple[int, ...], likelihood: Choice, objective: Any
) -> Iterator[str]:
    prior = parts.find("prior", options.prior.name)
    posterior = parts.find("posterior", options.posterior.name)
    network = parts.find("network", options.network.name)
    parts.find("likelihood", likelihood.name)
    p, q = prior.constructor, posterior.constructor
    yield from _space(prior, posterior)
    reason = unsuited(objective, q) if objective is not None else None
    if objective is not None and reason is not None:
        names = _names(
            "posterior", lambda part: unsuited(objective, part) is None and _meet(p, part)
        )
        yield (
            f"the posterior {posterior.name} does not suit the objective {objective.name}: "
            f"{reason}; choose --posterior {names}, or --objective {_objectives(q)}"
        )
    if objective is not None and objective.fixed_prior and _learned(prior, options, shape):
        names = _names(
            "prior",
            lambda part: (
                _meet(part, q)
                and not part.conditional
                and not _learned(parts.find("prior", part.name), options, shape)
            ),
        )
        yield (
            f"the prior {prior.name} does not suit the objective {objective.name}, which compares "
            f"draws with draws of the prior and would not train it rightly: choose --prior {names}"
        )
    told = options.condition == "label" or getattr(objective, "needs_labels", False)
    if p.conditional and not told:
        names = _names("prior", lambda part: not part.conditional and _meet(part, q))
        yield (
            f"the prior {prior.name} must be told a condition, and nothing tells it one: give "
            f"--condition label, or choose --prior {names}"
        )
    for part in (prior, posterior):
        least = part.constructor.least_latent_dim
        if options.latent_dim < least:
            yield (
                f"the {part.kind} {part.name} needs at least {least} latents, and latent_dim "
                f"(--latent-dim) is {options.latent_dim}: give more, or choose another {part.kind}"
            )
    yield from _categories(prior, posterior, options)
    if network.constructor.images_only and len(shape) != 3:
        names = _names("network", lambda part: not part.images_only)
        yield (
            f"the network {network.name} is for images, and a datum here has the shape {shape}: "
            f"choose --network {names}"
        )


def _objectives(posterior: Any) -> str:
    """Those that suit a posterior and need no labels."""
    return _names(
        "objective", lambda part: unsuited(part, posterior) is None and not part.needs_labels
    )


def _learned(prior: Part, options: ModelOptions, shape: tuple[int, ...]) -> bool:
    """Whether a prior has parameters, by what it would be made of."""
    own = options.prior if options.prior.name == prior.name else Choice(prior.name)
    context = {"latent_dim": options.latent_dim, "shape": shape, "condition_dim": 1}
    made = eqx.filter_eval_shape(lambda: prior.build(own, {**context, "key": jax.random.key(0)}))
    return bool(jax.tree.leaves(made))


def _space(prior: Part, posterior: Part) -> Iterator[str]:
    """Where draws of the posterior lie, the prior must have a density."""
    p, q = prior.constructor, posterior.constructor
    if _meet(p, q):
        return
    posteriors = _names("posterior", lambda part: _meet(p, part) and part.has_density)
    if p.latent == "any":
        yield (
            f"the prior {prior.name} is made of posteriors and needs q(z|x) at any z, which "
            f"{posterior.name} does not give: choose --posterior {posteriors}"
        )
        return
    priors = _names("prior", lambda part: _meet(part, q) and not part.conditional)
    yield (
        f"the prior {prior.name} is over {_SPACES[p.latent]}, and the posterior {posterior.name} "
        f"over {_SPACES[q.latent]}: choose --posterior {posteriors}, or --prior {priors}"
    )


def _meet(prior: Any, posterior: Any) -> bool:
    """Whether draws of the posterior lie where the prior has its density."""
    if prior.latent == "any":
        return posterior.has_log_prob
    return _SPACES[prior.latent] == _SPACES[posterior.latent]


def _categories(prior: Part, posterior: Part, options: ModelOptions) -> Iterator[str]:
    """One-hot vectors of one length on both sides."""
    name = "categories"
    if not (name in prior.options and name in posterior.options):
        return
    ours, theirs = (
        dict(choice.options).get(name, part.options[name].default)
        for part, choice in ((prior, options.prior), (posterior, options.posterior))
    )
    if ours != theirs:
        yield (
            f"the prior has {ours} categories and the posterior {theirs}: give both the same by "
            f"--prior.{name} and --posterior.{name}"
        )


def _names(kind: str, fits: Callable[[Any], bool]) -> str:
    return ", ".join(name for name, part in parts.catalogue(kind).items() if fits(part.constructor))
