"""Which parts fit together: judged by the traits of their classes, before anything is made.

`elbax.model.compatibility` says what does not fit; here stands what would. (Nothing here knows a
part by its name.)
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import equinox as eqx
import jax

from elbax.model.compatibility import (
    unsuited_latents,
    unsuited_posterior,
    unsuited_prior,
    unsuited_shape,
)
from elbax.recipes import parts
from elbax.recipes.choice import Choice
from elbax.recipes.options import ModelOptions
from elbax.recipes.parts import Part


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
    yield from _latents(prior, posterior, objective)
    if objective is not None:
        yield from _objective(objective, prior, posterior, options, shape)
    labelled = options.condition == "label" or getattr(objective, "needs_labels", False)
    if prior.constructor.conditional and not labelled:
        yield (
            f"the prior {prior.name} must be given a condition, and there is none: give "
            f"--condition label, or choose --prior {_priors(posterior)}"
        )
    for part in (prior, posterior):
        least = part.constructor.least_latent_dim
        if options.latent_dim < least:
            yield (
                f"the {part.kind} {part.name} needs at least {least} latents, and latent_dim "
                f"(--latent-dim) is {options.latent_dim}: give more, or choose another {part.kind}"
            )
    if options.links and options.missing.name != "at-random":
        yield (
            f"links (--links) is {options.links}, and the mechanism {options.missing.name} takes "
            "columns that are independent given z: give --links 0"
        )
    yield from _categories(prior, posterior, options)
    if network.constructor.images_only and len(shape) != 3:
        names = _names("network", lambda part: not part.images_only)
        yield (
            f"the network {network.name} is for images, and a datum here has the shape {shape}: "
            f"choose --network {names}"
        )
    if network.constructor.latent == "codes" != posterior.constructor.latent:
        names = _names("posterior", lambda part: part.latent == "codes")
        others = _names("network", lambda part: part.latent == "any")
        yield (
            f"the network {network.name} gives each place codes of its own: choose --posterior "
            f"{names}, or --network {others}"
        )


def _latents(prior: Part, posterior: Part, objective: Any) -> Iterator[str]:
    """Where draws of the posterior lie, the prior must have a density."""
    p, q = prior.constructor, posterior.constructor
    problem = unsuited_latents(p, q)
    if problem is not None:

        def fits(part: Any) -> bool:
            return not unsuited_latents(p, part) and part.has_density

        def suits(part: Any) -> bool:
            return fits(part) and not (objective and unsuited_posterior(objective, part))

        names = _names("posterior", suits)
        if not names:  # they are trained by another objective
            first = next(
                one.constructor
                for one in parts.catalogue("posterior").values()
                if fits(one.constructor)
            )
            goals = _names("objective", lambda part: not unsuited_posterior(part, first))
            names = f"{_names('posterior', fits)} with --objective {goals}"
        others = "" if p.latent == "any" else f", or --prior {_priors(posterior)}"
        yield f"{problem}: choose --posterior {names}{others}"


def _objective(
    objective: Any, prior: Part, posterior: Part, options: ModelOptions, shape: tuple[int, ...]
) -> Iterator[str]:
    """What the objective asks of the posterior, of the prior and of a datum."""
    p, q = prior.constructor, posterior.constructor
    problem = unsuited_posterior(objective, q)
    if problem is not None:
        names = _names(
            "posterior",
            lambda part: not (unsuited_posterior(objective, part) or unsuited_latents(p, part)),
        )
        others = _names(
            "objective", lambda part: not (unsuited_posterior(part, q) or part.needs_labels)
        )
        either = f"--posterior {names}, or " if names else ""
        yield f"{problem}; choose {either}--objective {others}"

    def unsuited(part: Part) -> str | None:
        learned = objective.fixed_prior and _has_parameters(part, options, shape)
        return unsuited_prior(objective, part.constructor, learned=learned)

    problem = unsuited(prior)
    if problem is not None:
        yield f"{problem}; choose --prior {_priors(posterior, unsuited)}"
    problem = unsuited_shape(objective, shape)
    if problem is not None:
        names = _names(
            "objective",
            lambda part: (
                not (
                    unsuited_shape(part, shape) or unsuited_posterior(part, q) or part.needs_labels
                )
            ),
        )
        yield f"{problem}: choose --objective {names}"


def _has_parameters(prior: Part, options: ModelOptions, shape: tuple[int, ...]) -> bool:
    """Whether a prior has parameters, by what it would be made of."""
    own = options.prior if options.prior.name == prior.name else Choice(prior.name)
    context = {"latent_dim": options.latent_dim, "shape": shape, "condition_dim": 1}
    made = eqx.filter_eval_shape(lambda: prior.build(own, {**context, "key": jax.random.key(0)}))
    return bool(jax.tree.leaves(made))


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


def _priors(posterior: Part, refused: Callable[[Part], Any] | None = None) -> str:
    """The priors over the latents of a posterior that need no condition."""
    q = posterior.constructor

    def fits(part: Any) -> bool:
        if part.conditional or unsuited_latents(part, q):
            return False
        return refused is None or not refused(parts.find("prior", part.name))

    return _names("prior", fits)


def _names(kind: str, fits: Callable[[Any], bool]) -> str:
    return ", ".join(name for name, part in parts.catalogue(kind).items() if fits(part.constructor))
