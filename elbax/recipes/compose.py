"""From options to the parts that train: the model, the objective and the optimiser."""

import functools
import math
from typing import TYPE_CHECKING, Any, Literal

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, PRNGKeyArray

from elbax.data.arrays import Scaling
from elbax.model.codes.families import AbstractCodes, SummedCodes
from elbax.model.interfaces import (
    AbstractLikelihood,
    AbstractNetworkPair,
    AbstractObjective,
)
from elbax.model.latent_variable_model import (
    ClassifyingEncoder,
    Decoder,
    Encoder,
    LatentVariableModel,
)
from elbax.model.networks.columns import ColumnFeatures, ColumnNetwork
from elbax.model.networks.holes import HoledNetwork
from elbax.model.preprocessing import Preprocessing
from elbax.model.support import REAL, Support
from elbax.recipes import parts
from elbax.recipes.choice import Choice
from elbax.recipes.options import ModelOptions, TrainingOptions
from elbax.train.schedules import kl_weight as rising
from elbax.train.schedules import learning_rate
from elbax.util.keys import stream

if TYPE_CHECKING:
    from elbax.data import Dataset


def compose(
    options: ModelOptions,
    *,
    shape: tuple[int, ...],
    likelihood: Choice | str,
    preprocessing: Preprocessing = Preprocessing(),  # noqa: B008 - frozen
    precision: Literal["float32", "bfloat16"] = "float32",
    data: Array | np.ndarray | None = None,
    features: ColumnFeatures | None = None,
    holes: tuple[float, ...] = (),
    holed: bool = False,
    classes: int = 0,
    classify: bool = False,
    key: PRNGKeyArray,
) -> LatentVariableModel:
    """The model that the options describe, with its initial parameters.

    Args:
        options: The model's options; their ``likelihood`` is not read, for it may be chosen from
            the data.
        shape: The shape of one datum.
        likelihood: The family of p(x|z).
        preprocessing: How a stored value becomes the number that the likelihood is of (`reading`).
        precision: What the networks' matrix products are computed in.
        data: Some rows as stored, for a prior that starts at data (`wants_data`); a prior without
            them starts at random.
        features: What the encoder sees of a table's columns, and what they are; None elsewhere.
        holes: The share of each column's training cells that are missing, for a mechanism.
        holed: Whether elements of other data are missing (NaN), so that the encoder is told which.
        classes: How many labels there are, where encoder, decoder and prior are conditioned on the
            label, a one-hot vector; 0: the model is not conditional.
        classify: Whether the encoder has a classifier beside, for labels that are known of some
            rows only.
        key: The randomness of the weights.

    Raises:
        ValueError: An unknown part, an option that it doesn't have, or one of an impossible value.
    """
    encoder_key, decoder_key = jax.random.split(key)
    # Of the likelihood too, whose parameters are those of a part like any other.
    part_keys = {kind: stream(key, kind) for kind in parts.KINDS}
    context: dict[str, Any] = {
        "latent_dim": options.latent_dim,
        "shape": shape,
        "hidden": options.hidden,
        "activation": options.activation,
        "compute_dtype": None if precision == "float32" else precision,
        "condition_dim": classes,
        "features": features,
        "holes": holes,
    }

    def build(kind: str, choice: Choice, **more: Any) -> Any:
        part = parts.find(kind, choice.name)
        return part.build(choice, {**context, **more, "key": part_keys[kind]})

    family = build("likelihood", _choice(likelihood))
    posterior = build("posterior", options.posterior)
    network = build("network", options.network)
    prior = build(
        "prior",
        options.prior,
        data=None if data is None else _filled(jax.vmap(preprocessing)(jnp.asarray(data))),
        bounds=_bounds(family.support),
    )
    count, latents = posterior.parameter_count, options.latent_dim + classes
    if isinstance(posterior, AbstractCodes):
        latents = posterior.read_dim + classes
    decoder = network.decoder(latents, shape, family.parameter_count, key=decoder_key)
    if isinstance(posterior, AbstractCodes) and posterior.depth > 1:
        decoder = SummedCodes(decoder, posterior.sites, posterior.depth, posterior.width)
    encoder: Any = Encoder(
        _encoder(network, shape, count, features, encoder_key, classes, holed=holed), posterior
    )
    if classify:
        own = stream(key, "classifier")
        classifier = _encoder(network, shape, classes, features, own, holed=holed)
        encoder = ClassifyingEncoder(classifier, encoder, classes)
    return LatentVariableModel(
        prior=prior,
        encoder=encoder,
        decoder=Decoder(decoder, family),
        preprocessing=preprocessing,
        condition_dim=classes,
        missing=build("missing", options.missing),
    )


def wants_data(options: ModelOptions) -> bool:
    """Whether the prior starts at rows of data, as a VampPrior's pseudo-inputs do."""
    return parts.find("prior", options.prior.name).wants("data")


def likelihood_family(likelihood: Choice | str, shape: tuple[int, ...]) -> AbstractLikelihood:
    """The family of p(x|z) with shapes in the place of arrays: to ask for its support and kind.

    Raises:
        ValueError: An unknown likelihood, or options that it refuses.
    """
    choice = _choice(likelihood)
    part = parts.find("likelihood", choice.name)
    return eqx.filter_eval_shape(lambda: part.build(choice, {"shape": shape}))


def reading(
    support: Support | tuple[Support, ...], dataset: "Dataset", binarize: str = "none"
) -> Preprocessing:
    """How a stored value becomes the number that a likelihood is of.

    Counts, and the columns of a table, are what they are; bytes and grey levels are seen as shares
    of the brightest level; real values are standardised where the likelihood is of all real
    numbers.

    Args:
        support: The likelihood's.
        dataset: The data.
        binarize: Pixels that are to be binarised are probabilities, whatever the likelihood.
    """
    drawn = "dynamic" if binarize == "dynamic" else "none"
    if dataset.columns:
        return Preprocessing(log_jacobian=tuple(c.log_jacobian for c in dataset.columns))
    whole = isinstance(support, Support) and support.spacing == 1.0 and support.upper == np.inf
    if (isinstance(support, tuple) or whole) and drawn == "none":
        return Preprocessing()
    scaling, real = dataset.scaling, dataset.train.x.dtype != np.uint8
    if scaling.levels or not real:
        return Preprocessing(scale=dataset.scale, binarize=drawn)
    if support != REAL or scaling == Scaling():
        return Preprocessing(binarize=drawn)
    jacobian = (-math.log(scaling.unit),)
    return Preprocessing(1.0 / scaling.unit, drawn, scaling.shift, jacobian)


def objective(
    options: TrainingOptions,
    *,
    steps: int | None = None,
    latent_dim: int | None = None,
    key: PRNGKeyArray | None = None,
) -> AbstractObjective:
    """What the options ask to be minimised.

    Args:
        options: The training's options.
        steps: The length of the run, for a schedule that is cut into cycles.
        latent_dim: The number of dimensions of z, for an objective with a network of its own.
        key: The randomness of that network's weights.

    Raises:
        ValueError: An unknown objective, an option that it doesn't have, or an impossible value.
    """
    part = parts.find("objective", options.objective.name)
    asked = dict(parts.settle("objective", options.objective).options)
    rise = {name: asked.pop(name) for name in parts.SCHEDULE if name in asked}
    if rise and part.scheduled is not None:
        value = asked.get(part.scheduled, part.options[part.scheduled].default)
        asked[part.scheduled] = rising(value, **rise, steps=steps)
    return part.build(Choice(part.name).with_options(asked), {"latent_dim": latent_dim, "key": key})


def optimizer(
    options: TrainingOptions, steps: int, peak: Any = None
) -> optax.GradientTransformation:
    """The optimiser, its learning-rate schedule over ``steps`` steps, and gradient clipping.

    Args:
        options: The training's options.
        steps: The length of the run.
        peak: A learning rate in the place of the options' own, also one that is traced.
    """
    rate = learning_rate(
        options.learning_rate_schedule,
        options.learning_rate if peak is None else peak,
        steps=steps,
        warm_up=options.learning_rate_warm_up,
    )
    update = {
        "adam": functools.partial(optax.adam, eps=options.adam_epsilon),
        "adamw": functools.partial(optax.adamw, eps=options.adam_epsilon),
        "adagrad": optax.adagrad,
        "rmsprop": optax.rmsprop,
        "sgd": optax.sgd,
    }[options.optimizer](rate)
    if options.gradient_clip is None:
        return update
    return optax.chain(_clip_each(options.gradient_clip), update)


def _clip_each(norm: float) -> optax.GradientTransformation:
    """Clips the gradient of the model and that of the objective's own parameters, each by its norm.

    Together, a discriminator's gradient would shorten the model's.
    """
    one = optax.clip_by_global_norm(norm)

    def update(updates: Any, state: Any, params: Any = None) -> tuple[Any, Any]:
        del params
        return tuple(one.update(part, state)[0] for part in updates), state

    return optax.GradientTransformation(one.init, update)


def _choice(likelihood: Choice | str) -> Choice:
    return likelihood if isinstance(likelihood, Choice) else Choice(likelihood)


def _filled(rows: Array) -> Array:
    """Rows with the column's median in the place of cells that were not observed."""
    middle = jnp.nan_to_num(jnp.nanmedian(rows, axis=0))
    return jnp.where(jnp.isnan(rows), middle[None], rows)


def _encoder(
    pair: AbstractNetworkPair,
    shape: tuple[int, ...],
    out_size: int,
    features: ColumnFeatures | None,
    key: PRNGKeyArray,
    condition_dim: int = 0,
    *,
    holed: bool,
) -> Any:
    """The encoder's network; of a table it sees the columns' features, of holes where they are."""
    if features is None and holed:
        seen = HoledNetwork.seen_shape(shape)
        inner = pair.encoder(seen, out_size, condition_dim=condition_dim, key=key)
        return HoledNetwork(shape, inner)
    if features is None:
        return pair.encoder(shape, out_size, condition_dim=condition_dim, key=key)
    inner = pair.encoder((features.size,), out_size, condition_dim=condition_dim, key=key)
    return ColumnNetwork(features, inner)


def _bounds(support: Support | tuple[Support, ...]) -> tuple[float, float] | None:
    """Where every value of a datum lies, if anywhere: pseudo-inputs stay there."""
    if isinstance(support, tuple) or not np.isfinite([support.lower, support.upper]).all():
        return None
    return (support.lower, support.upper)
