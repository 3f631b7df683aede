"""The registries that the law tests run over: a new part is tested by one line here.

`tests/model/test_laws.py` states the laws. A constructor is called inside the test, so that it
makes arrays of the test's precision; `test_every_part_is_registered` finds the forgotten part.
"""

import dataclasses
import functools
import math
from collections.abc import Callable
from typing import Any, TypeVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from elbax.model import (
    MLP,
    AbstractLikelihood,
    AbstractObjective,
    AbstractPosterior,
    AbstractPrior,
    Batch,
    Bernoulli,
    Decoder,
    DiagonalNormal,
    Encoder,
    FullNormal,
    LatentVariableModel,
    NegativeELBO,
    Normal,
    StandardNormal,
)

# --- one line a part -----------------------------------------------------------------------

# From the number of latents.
PRIORS: dict[str, Callable[[int], AbstractPrior]] = {
    "standard-normal": StandardNormal,
}
POSTERIORS: dict[str, Callable[[int], AbstractPosterior]] = {
    "diagonal-normal": DiagonalNormal,
    "full-normal": FullNormal,
}

# From the shape of a datum; the name ends in what a datum is: "binary" or "real".
LIKELIHOODS: dict[str, Callable[[tuple[int, ...]], AbstractLikelihood]] = {
    "bernoulli, binary": Bernoulli,
    "normal of fixed scale, real": lambda shape: Normal(shape, 0.5),
    "normal of shared scale, real": lambda shape: Normal(shape, "shared"),
    "normal of predicted scale, real": lambda shape: Normal(shape, "predicted"),
}

# From the sizes of the input and the output, and a key.
NETWORKS: dict[str, Callable[[int, int, jax.Array], Any]] = {
    "linear": lambda m, n, key: MLP(m, (), n, key=key),
    "tanh": lambda m, n, key: MLP(m, (6, 4), n, "tanh", key=key),
    "relu": lambda m, n, key: MLP(m, (9,), n, "relu", key=key),
}

OBJECTIVES: dict[str, Callable[[], AbstractObjective]] = {
    "negative-elbo": NegativeELBO,
    "negative-elbo, beta 4": lambda: NegativeELBO(4.0),
    "negative-elbo, warm-up": lambda: NegativeELBO(optax.linear_schedule(0.0, 1.0, 10)),
}

# --- what the laws are stated about --------------------------------------------------------

SHAPE = (2, 2, 1)  # of a datum: an image, so that flattening is part of every composition
LATENT_DIM = 2
STEP = 3  # of an objective: past the start of a warm-up

T = TypeVar("T")


def each(registry: dict[str, Any], name: str) -> pytest.MarkDecorator:
    """Runs a test once for every entry, which it takes as the argument `name`."""
    return pytest.mark.parametrize(name, list(registry.values()), ids=list(registry))


def in_float64(test: Callable[..., T]) -> Callable[..., T]:
    """Runs a test in double precision, where an oracle is compared beyond seven digits."""

    @functools.wraps(test)
    def wrapped(*args: Any, **kwargs: Any) -> T:
        with jax.enable_x64(True):
            return test(*args, **kwargs)

    return wrapped


@dataclasses.dataclass(frozen=True)
class Density:
    """A distribution over a vector of `dim` numbers, as one joint log-density.

    Attributes:
        sample: From a key to a vector.
        log_prob: From a vector to nats.
        binary: Whether the vector is of zeros and ones.
    """

    sample: Callable[[jax.Array], jax.Array]
    log_prob: Callable[[jax.Array], jax.Array]
    binary: bool


def densities() -> dict[str, Callable[[int], Density]]:
    """Every registered distribution, at random parameters, from its number of dimensions."""

    def prior(make: Callable[[int], AbstractPrior], dim: int) -> Density:
        encoder = Encoder(MLP(3, (), 2 * dim, key=jax.random.key(1)), DiagonalNormal(dim))
        return of(make(dim)(encoder), binary=False)

    def family(make: Callable[[int], Any], binary: bool, dim: int) -> Density:
        made = filled(lambda: make(dim), seed=2)
        return of(made(jnp.asarray(numbers(made.parameter_count, seed=3))), binary)

    def of(distribution: Any, binary: bool) -> Density:
        # A likelihood is elementwise: its joint log-density is the sum.
        return Density(
            sample=distribution.sample,
            log_prob=lambda value: jnp.sum(distribution.log_prob(value)),
            binary=binary,
        )

    def of_shape(make: Callable[[tuple[int, ...]], Any]) -> Callable[[int], Any]:
        return lambda dim: make((dim,))

    found = {name: functools.partial(prior, make) for name, make in PRIORS.items()}
    for name, make in POSTERIORS.items():
        found[name] = functools.partial(family, make, False)
    for name, make in LIKELIHOODS.items():
        found[name] = functools.partial(family, of_shape(make), name.endswith("binary"))
    return found


@dataclasses.dataclass(frozen=True)
class Composition:
    """One model and its objective, in which one part is the one under test and the others plain."""

    prior: str = "standard-normal"
    posterior: str = "diagonal-normal"
    likelihood: str = "normal of fixed scale, real"
    network: str = "tanh"
    objective: str = "negative-elbo"

    def model(self, seed: int) -> LatentVariableModel:
        """The model, with no parameter left where its initialisation put it."""

        def make() -> LatentVariableModel:
            posterior = POSTERIORS[self.posterior](LATENT_DIM)
            likelihood = LIKELIHOODS[self.likelihood](SHAPE)
            sizes = (
                (math.prod(SHAPE), posterior.parameter_count),
                (LATENT_DIM, likelihood.parameter_count),
            )
            encoder, decoder = (NETWORKS[self.network](m, n, jax.random.key(0)) for m, n in sizes)
            return LatentVariableModel(
                prior=PRIORS[self.prior](LATENT_DIM),
                encoder=Encoder(encoder, posterior),
                decoder=Decoder(decoder, likelihood),
            )

        return filled(make, seed)

    def batch(self, seed: int, rows: int = 8) -> Batch:
        """Rows that the likelihood allows: zeros and ones, or any numbers."""
        x = numbers((rows, *SHAPE), seed)
        if self.likelihood.endswith("binary"):
            x = (x > 0).astype(x.dtype)
        return Batch(jnp.asarray(x), data_size=rows)

    def loss(self, model: LatentVariableModel, batch: Batch, key: jax.Array) -> jax.Array:
        """The objective on a batch, a function of the model's parameters."""
        objective = OBJECTIVES[self.objective]()
        state = objective.init(model)
        return objective(model, batch, state=state, step=jnp.asarray(STEP), key=key)[0]


def compositions() -> dict[str, Composition]:
    """For each registered part a composition with it; the plain one appears once."""
    registries = {
        "prior": PRIORS,
        "posterior": POSTERIORS,
        "likelihood": LIKELIHOODS,
        "network": NETWORKS,
        "objective": OBJECTIVES,
    }
    found = {"plain": Composition()}
    for place, registry in registries.items():
        for name in registry:
            composition = Composition(**{place: name})
            if composition != found["plain"]:
                found[f"{place}: {name}"] = composition
    return found


def filled(make: Callable[[], T], seed: int) -> T:
    """What `make` makes, with seeded numbers for parameters: no law may hold only at the start.

    (Nothing of the initialisation is run, so nothing is compiled for it.)
    """
    rng = np.random.default_rng(seed)

    def fill(leaf: Any) -> Any:
        if not isinstance(leaf, jax.ShapeDtypeStruct):
            return leaf
        return jnp.asarray(0.6 * rng.standard_normal(leaf.shape), leaf.dtype)

    return jax.tree.map(fill, eqx.filter_eval_shape(make))


def numbers(shape: int | tuple[int, ...], seed: int) -> np.ndarray:
    """Seeded normal numbers, of the test's precision."""
    dtype = jax.dtypes.canonicalize_dtype(float)
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)
