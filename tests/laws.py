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
    GECO,
    MLP,
    AbstractLikelihood,
    AbstractObjective,
    AbstractPosterior,
    AbstractPrior,
    Batch,
    Bernoulli,
    BetaTC,
    Categorical,
    ClassifyingEncoder,
    CombinedImportanceWeighted,
    ConditionalNormal,
    ContinuousBernoulli,
    ConvDecoder,
    ConvEncoder,
    CouplingFlow,
    Decoder,
    Deterministic,
    DiagonalNormal,
    DiagonalStudentT,
    DiscretizedLogistic,
    DiscretizedLogisticMixture,
    DisentangledInferredPrior,
    DoublyReparameterised,
    Encoder,
    FactorVAE,
    FiniteScalar,
    FlowPrior,
    FullNormal,
    GatedMLP,
    GumbelSoftmax,
    ImportanceWeightedELBO,
    InfoVAE,
    InverseAutoregressiveFlow,
    Laplace,
    LatentVariableModel,
    LogNormal,
    LowRankNormal,
    Mixed,
    MixtureOfNormals,
    MultiplyImportanceWeighted,
    NegativeBinomial,
    NegativeELBO,
    Normal,
    NormalizedMLP,
    Ordinal,
    PartiallyImportanceWeighted,
    PlanarFlow,
    Poisson,
    PowerSpherical,
    QuantisedELBO,
    RegularisedL2,
    RenyiBound,
    ResidualMLP,
    ResidualQuantised,
    SemiSupervised,
    StandardNormal,
    StickingTheLanding,
    StructuralSimilarity,
    StudentT,
    SylvesterFlow,
    TargetRate,
    ThermodynamicObjective,
    UniformCategorical,
    UniformCodes,
    UniformHypersphere,
    VampPrior,
    VectorQuantised,
    WassersteinMMD,
)
from elbax.model.compatibility import unsuited_posterior
from elbax.model.interfaces import LatentKind
from elbax.model.support import Support

# --- one line a part -----------------------------------------------------------------------

KEY = 0  # the seed of every constructor's key: parameters are filled afterwards

# From the number of latents.
PRIORS: dict[str, Callable[[int], AbstractPrior]] = {
    "standard-normal": StandardNormal,
    "mixture": lambda d: MixtureOfNormals(d, 3, key=jax.random.key(KEY)),
    "mixture, full": lambda d: MixtureOfNormals(d, 2, "full", key=jax.random.key(KEY)),
    "vamp": lambda d: VampPrior(d, SHAPE, 3, key=jax.random.key(KEY)),
    "vamp, bounded": lambda d: VampPrior(d, SHAPE, 2, bounds=(-1.0, 2.0), key=jax.random.key(KEY)),
    "flow": lambda d: FlowPrior(d, layers=2, width=3, key=jax.random.key(KEY)),
    "flow, coupling": lambda d: FlowPrior(d, "coupling", 2, 3, key=jax.random.key(KEY)),
    "hypersphere": UniformHypersphere,
    "categorical": lambda d: UniformCategorical(d, 2),
    "codes": UniformCodes,
    "conditional": lambda d: ConditionalNormal(d, 3, 4, key=jax.random.key(KEY)),
}
POSTERIORS: dict[str, Callable[[int], AbstractPosterior]] = {
    "diagonal-normal": DiagonalNormal,
    "full-normal": FullNormal,
    # Of tails that end within the grid of the laws.
    "student-t": lambda d: DiagonalStudentT(d, 40.0),
    "planar": lambda d: PlanarFlow(d, 2),
    "sylvester": lambda d: SylvesterFlow(d, 2, 2),
    "iaf": lambda d: InverseAutoregressiveFlow(d, 2, 3, 2, key=jax.random.key(KEY)),
    "coupling": lambda d: CouplingFlow(d, 2, 3, 2, key=jax.random.key(KEY)),
    "power-spherical": PowerSpherical,
    "categorical": lambda d: GumbelSoftmax(d, 2),
    "vq": lambda d: VectorQuantised(d, 3, 1, key=jax.random.key(KEY)),
    # A place has two numbers where there are so many.
    "residual-vq": lambda d: ResidualQuantised(d, 3, 1, 2 - d % 2, key=jax.random.key(KEY)),
    "fsq": lambda d: FiniteScalar(d, (3, 4)[: 2 - d % 2]),
    "deterministic": Deterministic,
}

# From the shape of a datum.
LIKELIHOODS: dict[str, Callable[[tuple[int, ...]], AbstractLikelihood]] = {
    "bernoulli, binary": Bernoulli,
    "normal of fixed scale, real": lambda shape: Normal(shape, 0.5),
    "normal of shared scale, real": lambda shape: Normal(shape, "shared"),
    "normal of predicted scale, real": lambda shape: Normal(shape, "predicted"),
    "continuous-bernoulli": ContinuousBernoulli,
    "low-rank-normal": lambda shape: LowRankNormal(shape, 2),
    "laplace": lambda shape: Laplace(shape, "element"),
    "student-t": lambda shape: StudentT(shape, "predicted"),
    "log-normal": lambda shape: LogNormal(shape, "shared"),
    "categorical": lambda shape: Categorical(shape, 3),
    "ordinal": lambda shape: Ordinal(shape, 4),
    "discretized-logistic": lambda shape: DiscretizedLogistic(shape, 4, scale="predicted"),
    "discretized-logistic-mixture": lambda shape: DiscretizedLogisticMixture(shape, 2, 4),
    "poisson": Poisson,
    "negative-binomial": NegativeBinomial,
    "mixed": lambda shape: Mixed(shape, MIXED[: math.prod(shape)]),
}

# From the sizes of the input and the output, and a key.
NETWORKS: dict[str, Callable[[int, int, jax.Array], Any]] = {
    "linear": lambda m, n, key: MLP(m, (), n, key=key),
    "tanh": lambda m, n, key: MLP(m, (6, 4), n, "tanh", key=key),
    "relu": lambda m, n, key: MLP(m, (9,), n, "relu", key=key),
    "normalized": lambda m, n, key: NormalizedMLP(m, (4, 3), n, "tanh", key=key),
    "gated": lambda m, n, key: GatedMLP(m, (4, 3), n, key=key),
    "gated, normalized": lambda m, n, key: GatedMLP(m, (4,), n, layer_norm=True, key=key),
    "residual": lambda m, n, key: ResidualMLP(m, (4, 4, 3), n, "tanh", key=key),
    "residual, normalized": lambda m, n, key: ResidualMLP(
        m, (4,), n, "tanh", layer_norm=True, key=key
    ),
    "conv": lambda m, n, key: convolutional(m, n, (2, 2), 0, key),
    "resnet": lambda m, n, key: convolutional(m, n, (2,), 1, key),
}


def convolutional(m: int, n: int, channels: tuple[int, ...], blocks: int, key: jax.Array) -> Any:
    """The encoder where the input is an image, else the decoder."""
    if m == math.prod(IMAGE_SHAPE):
        return ConvEncoder(IMAGE_SHAPE, n, channels, (3,), "tanh", blocks=blocks, key=key)
    return ConvDecoder(m, IMAGE_SHAPE, n, channels, (3,), "tanh", blocks=blocks, key=key)


OBJECTIVES: dict[str, Callable[[], AbstractObjective]] = {
    "negative-elbo": NegativeELBO,
    "negative-elbo, beta 4": lambda: NegativeELBO(4.0),
    "negative-elbo, 3 draws, Monte Carlo": lambda: NegativeELBO(1.0, 3, "monte-carlo"),
    "importance-weighted-elbo": lambda: ImportanceWeightedELBO(3),
    "negative-elbo, warm-up": lambda: NegativeELBO(optax.linear_schedule(0.0, 1.0, 10)),
    "sticking-the-landing": lambda: StickingTheLanding(3),
    "doubly-reparameterised": lambda: DoublyReparameterised(3),
    "miwae": lambda: MultiplyImportanceWeighted(3, 2),
    "ciwae": lambda: CombinedImportanceWeighted(3, 0.3),
    "piwae": lambda: PartiallyImportanceWeighted(3, 2),
    "renyi": lambda: RenyiBound(0.4, 3),
    "renyi, the best draw": lambda: RenyiBound(samples=3, best=True),
    "tvo": lambda: ThermodynamicObjective(3, 3, 0.1),
    "dip, i": lambda: DisentangledInferredPrior("i", 0.7, 1.3),
    "dip, ii": lambda: DisentangledInferredPrior("ii", 0.7, 1.3),
    "ms-ssim": lambda: StructuralSimilarity(5.0, 1, 4.0),
    "target-rate": lambda: TargetRate(1.5, 3.0),
    "geco": lambda: GECO(0.5),
    "beta-tc": lambda: BetaTC(0.7, 3.0, 1.3),
    "factor": lambda: FactorVAE(LATENT_DIM, 3.0, 5, 2, key=jax.random.key(KEY)),
    "info": lambda: InfoVAE(0.3, 5.0),
    "wae-mmd": WassersteinMMD,
    "vq": QuantisedELBO,
    "rae-l2": lambda: RegularisedL2(0.5, 0.1),
    "semi-supervised": SemiSupervised,
}

# Other settings of a part that is there already: laws that take long leave them to the slow tier.
VARIANTS = {
    "mixture, full", "vamp, bounded", "flow, coupling", "normal of shared scale, real", "relu",
    "gated, normalized", "residual, normalized", "negative-elbo, beta 4", "negative-elbo, warm-up",
    "renyi, the best draw", "dip, ii",
}  # fmt: skip

# --- what the laws are stated about --------------------------------------------------------

SHAPE = (2, 2, 1)  # of a datum: an image, so that flattening is part of every composition
IMAGE_SHAPE = (6, 6, 1)  # where the network is convolutional: enough to meet all of a kernel
MIXED = ("poisson", "ordinal-3", "log-normal", "binary")
LATENT_DIM = 2
LATENTS = ("prior", "posterior")  # parts that say what a latent is
CLASSES = 3  # of a label, where an objective reads it
STEP = 3  # of an objective: past the start of a warm-up

T = TypeVar("T")


def traits(make: Callable[[int], Any]) -> Any:
    """What a prior or posterior says of itself, without making any array."""
    return made(lambda: make(4))


def made(make: Callable[[], T]) -> T:
    """What `make` makes, with shapes in the place of arrays: nothing is run."""
    return eqx.filter_eval_shape(make)


def latents(part: Any, dim: int) -> int:
    """The length of a latent that a part allows, from the dimension that it is to vary in."""
    return {"sphere": dim + 1, "categorical": 2 * dim, "codes": 2 * dim}.get(
        part.latent, max(dim, part.least_latent_dim)
    )


def fits(prior: Any, posterior: Any) -> bool:
    """Whether draws of the posterior lie where the prior's do."""
    kind = "real" if posterior.latent == "point" else posterior.latent
    return prior.latent == kind or (prior.latent == "any" and kind != "codes")


def each(
    registry: dict[str, Any], name: str, fast: Callable[[str], bool] = lambda name: True
) -> pytest.MarkDecorator:
    """Runs a test once for every entry, which it takes as the argument `name`.

    Entries whose names are not `fast` are in the slow tier.
    """
    slow = pytest.mark.slow
    values = [
        pytest.param(value, id=id_, marks=() if fast(id_) else slow)
        for id_, value in registry.items()
    ]
    return pytest.mark.parametrize(name, values)


def in_float64(test: Callable[..., T]) -> Callable[..., T]:
    """Runs a test in double precision, where an oracle is compared beyond seven digits."""

    @functools.wraps(test)
    def wrapped(*args: Any, **kwargs: Any) -> T:
        with jax.enable_x64(True):
            return test(*args, **kwargs)

    return wrapped


def call(
    objective: AbstractObjective,
    model: LatentVariableModel,
    batch: Batch,
    seed: int = 0,
    state: Any = None,
    step: int = 0,
) -> tuple[jax.Array, tuple[Any, dict[str, jax.Array]]]:
    """An objective on a batch, compiled: the loss, and the new state and metrics."""
    arrays, static = eqx.partition((objective, model, batch, state), eqx.is_array)

    def run(arrays: Any, key: jax.Array) -> Any:
        objective, model, batch, state = eqx.combine(arrays, static)
        return objective(model, batch, state=state, step=jnp.asarray(step), key=key)

    return jax.jit(run)(arrays, jax.random.key(seed))


@dataclasses.dataclass(frozen=True)
class Density:
    """A distribution over a vector of `dim` numbers, as one joint log-density.

    Attributes:
        sample: From a key to a vector.
        log_prob: From a vector to nats.
        values: What each number of the vector may be, where these can be listed.
        latent: What a latent is, where it is one.
    """

    sample: Callable[[jax.Array], jax.Array]
    log_prob: Callable[[jax.Array], jax.Array]
    values: tuple[np.ndarray, ...] | None = None
    latent: LatentKind = "real"


def densities() -> dict[str, Callable[[int], Density]]:
    """Every registered distribution, at random parameters, from its number of dimensions."""

    def prior(make: Callable[[int], AbstractPrior], dim: int) -> Density:
        dim = latents(traits(make), dim)
        part = filled(lambda: make(dim), seed=2)
        network = filled(lambda: MLP(math.prod(SHAPE), (), 2 * dim, key=jax.random.key(1)), seed=1)
        encoder = Encoder(network, DiagonalNormal(dim))
        return of(lambda: part(encoder, condition_for(part)), part)

    def posterior(make: Callable[[int], AbstractPosterior], dim: int) -> Density:
        dim = latents(traits(make), dim)
        return family(make, dim)

    def family(make: Callable[[int], Any], dim: int) -> Density:
        part = filled(lambda: make(dim), seed=2)
        return of(lambda: part(jnp.asarray(numbers(part.parameter_count, seed=3))), part)

    def of(distribution: Callable[[], Any], part: Any) -> Density:
        # Made where it is used, to be compiled with it. A likelihood is elementwise: its joint
        # log-density is the sum.
        return Density(
            sample=lambda key: distribution().sample(key),
            log_prob=lambda value: jnp.sum(distribution().log_prob(value)),
            values=listed(part) if isinstance(part, AbstractLikelihood) else None,
            latent=getattr(part, "latent", "real"),
        )

    def of_shape(make: Callable[[tuple[int, ...]], Any]) -> Callable[[int], Any]:
        return lambda dim: make((dim,))

    found = {
        f"p: {name}": functools.partial(prior, make)
        for name, make in PRIORS.items()
        if traits(make).latent != "codes"  # of what is listed: tests/model/codes
    }
    for name, make in POSTERIORS.items():
        if traits(make).has_log_prob:
            found[f"q: {name}"] = functools.partial(posterior, make)
    for name, make in LIKELIHOODS.items():
        # Kinks, heavy tails and bounded supports are beyond a plain grid: these densities and their
        # draws are compared with scipy's in tests/model/likelihoods/test_likelihoods.py.
        part = made(lambda make=make: make((1,)))
        if isinstance(part, Normal | LowRankNormal) or part.discrete:
            found[name] = functools.partial(family, of_shape(make))
    return found


def supports(likelihood: AbstractLikelihood) -> tuple[Support, ...]:
    """What each element may be."""
    support = likelihood.support
    return support if isinstance(support, tuple) else (support,) * math.prod(likelihood.shape)


def listed(likelihood: AbstractLikelihood) -> tuple[np.ndarray, ...] | None:
    """The values of each element that can be drawn, as far as they have any mass; or None."""
    if not likelihood.discrete:
        return None
    return tuple(
        # A Bernoulli variable is binary, whatever it can be compared with.
        np.arange(s.lower, min(s.upper, 250.0) + 1e-9, 1.0 if s.spacing is None else s.spacing)
        for s in supports(likelihood)
    )


def data_for(likelihood: AbstractLikelihood, rows: int, seed: int) -> np.ndarray:
    """Rows that the likelihood allows."""
    x = numbers((rows, *likelihood.shape), seed).reshape(rows, -1)
    columns = []
    for support, column in zip(supports(likelihood), x.T, strict=True):
        if support.spacing is None and likelihood.discrete:
            columns.append(column > 0)
        elif support.spacing is not None:
            last = min((support.upper - support.lower) / support.spacing, 5.0)
            level = np.clip(np.rint(last / 2 + 1.5 * column), 0, last)
            columns.append(support.lower + support.spacing * level)
        elif support.upper < np.inf:
            columns.append(1 / (1 + np.exp(-column)))
        else:
            columns.append(np.exp(column) if support.lower == 0 else column)
    return np.stack(columns, axis=1).astype(x.dtype).reshape(rows, *likelihood.shape)


@dataclasses.dataclass(frozen=True)
class Composition:
    """One model and its objective, in which one part is the one under test and the others plain."""

    prior: str = "standard-normal"
    posterior: str = "diagonal-normal"
    likelihood: str = "normal of fixed scale, real"
    network: str = "tanh"
    objective: str = "negative-elbo"

    @property
    def shape(self) -> tuple[int, ...]:
        """Of a datum."""
        return IMAGE_SHAPE if self.network in ("conv", "resnet") else SHAPE

    def model(self, seed: int) -> LatentVariableModel:
        """The model, with no parameter left where its initialisation put it."""

        return refilled(_traced(self, jax.dtypes.canonicalize_dtype(float).name), seed)

    def initial(self) -> LatentVariableModel:
        """The model as its parts start."""
        prior, posterior = self._latent_parts()
        likelihood = LIKELIHOODS[self.likelihood](self.shape)
        classes = CLASSES if self._needs_labels else 0
        data = math.prod(self.shape)
        sizes = (
            (data + classes, posterior.parameter_count),
            (LATENT_DIM + classes, likelihood.parameter_count),
        )
        encoder, decoder = (NETWORKS[self.network](m, n, jax.random.key(0)) for m, n in sizes)
        encoder = Encoder(encoder, posterior)
        if classes:
            classifier = NETWORKS[self.network](data, CLASSES, jax.random.key(0))
            encoder = ClassifyingEncoder(classifier, encoder, CLASSES)
        return LatentVariableModel(
            prior=prior, encoder=encoder, decoder=Decoder(decoder, likelihood)
        )

    @property
    def _needs_labels(self) -> bool:
        return made(OBJECTIVES[self.objective]).needs_labels

    def _latent_parts(self) -> tuple[AbstractPrior, AbstractPosterior]:
        """The prior and the posterior; the plain one gives way where the other does not fit it."""
        prior, posterior = PRIORS[self.prior](LATENT_DIM), POSTERIORS[self.posterior](LATENT_DIM)
        objective = OBJECTIVES[self.objective]()
        if unsuited_posterior(objective, posterior) and self.posterior == Composition.posterior:
            others = (make(LATENT_DIM) for make in POSTERIORS.values())
            posterior = next(other for other in others if not unsuited_posterior(objective, other))
        plain = self.posterior == Composition.posterior and self.prior != Composition.prior
        if not fits(prior, posterior) and plain:
            others = (make(LATENT_DIM) for make in POSTERIORS.values())
            posterior = next(other for other in others if fits(prior, other))
        if not fits(prior, posterior):
            others = (make(LATENT_DIM) for make in PRIORS.values())
            prior = next(other for other in others if fits(other, posterior))
        return prior, posterior

    def batch(self, seed: int, rows: int = 8) -> Batch:
        """Rows that the likelihood allows."""
        x = data_for(LIKELIHOODS[self.likelihood](self.shape), rows, seed)
        label = np.arange(rows) % (CLASSES + 1) - 1 if self._needs_labels else None  # −1: none
        return Batch(jax.device_put(x), jax.device_put(label), data_size=rows)

    def loss(self, model: LatentVariableModel, batch: Batch, key: jax.Array) -> jax.Array:
        """The objective on a batch, a function of the model's parameters."""
        objective = OBJECTIVES[self.objective]()
        state = objective.init(model)
        return objective(model, batch, state=state, step=jnp.asarray(STEP), key=key)[0]


@functools.cache
def _traced(composition: Composition, precision: str) -> LatentVariableModel:
    """The model without its numbers: several laws are of the same one."""
    return made(composition.initial)


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
        for name, make in registry.items():
            # No bound without a density, and the objectives give a prior no condition.
            if place == "prior" and traits(make).conditional:
                continue
            if place == "posterior" and not traits(make).has_density:
                continue
            # Codes are trained by their own objective alone.
            codes = getattr(traits(make), "latent", "") == "codes" if place in LATENTS else False
            composition = Composition(**{place: name, **({"objective": "vq"} if codes else {})})
            if composition != found["plain"]:
                found[f"{place}: {name}"] = composition
    return found


def models() -> dict[str, Composition]:
    """The compositions that are different models, and not only trained differently."""
    return {k: found for k, found in compositions().items() if not k.startswith("objective: ")}


def condition_for(prior: Any) -> jax.Array | None:
    """A condition for a conditional prior, or None."""
    return jnp.asarray(numbers(prior.condition_dim, seed=6)) if prior.conditional else None


def filled(make: Callable[[], T], seed: int) -> T:
    """What `make` makes, with seeded numbers for parameters: no law may hold only at the start.

    (Nothing of the initialisation is run, so nothing is compiled for it.)
    """
    return refilled(made(make), seed)


def refilled(traced: T, seed: int) -> T:
    """The same of what is traced already."""
    rng = np.random.default_rng(seed)

    def fill(leaf: Any) -> Any:
        if not isinstance(leaf, jax.ShapeDtypeStruct):
            return leaf
        # Not `jnp.asarray`, which compiles a program for each shape.
        return jax.device_put(np.asarray(0.6 * rng.standard_normal(leaf.shape), leaf.dtype))

    return jax.tree.map(fill, traced)


def numbers(shape: int | tuple[int, ...], seed: int) -> np.ndarray:
    """Seeded normal numbers, of the test's precision."""
    dtype = jax.dtypes.canonicalize_dtype(float)
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)
