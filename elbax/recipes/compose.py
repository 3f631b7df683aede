"""From options to the parts that train: the model, the objective and the optimiser."""

import functools
import math
from typing import Literal

import jax
import optax
from jaxtyping import PRNGKeyArray

from elbax.model.column_networks import ColumnFeatures, ColumnNetwork
from elbax.model.interfaces import AbstractLikelihood, AbstractObjective, AbstractPosterior
from elbax.model.latent_variable_model import Decoder, Encoder, LatentVariableModel
from elbax.model.likelihoods import Bernoulli, Mixed, Normal
from elbax.model.networks import MLP
from elbax.model.objectives import ImportanceWeightedELBO, NegativeELBO
from elbax.model.posteriors import DiagonalNormal, FullNormal
from elbax.model.preprocessing import Preprocessing
from elbax.model.priors import StandardNormal
from elbax.recipes.options import ModelOptions, TrainingOptions
from elbax.train.schedules import kl_weight, learning_rate


def compose(
    options: ModelOptions,
    *,
    shape: tuple[int, ...],
    likelihood: Literal["bernoulli", "normal"] | str,
    scale: float = 1.0,
    binarize: Literal["none", "static", "dynamic"] = "none",
    precision: Literal["float32", "bfloat16"] = "float32",
    features: ColumnFeatures | None = None,
    key: PRNGKeyArray,
) -> LatentVariableModel:
    """The model that the options describe, with its initial parameters.

    Args:
        options: The model's options; their ``likelihood`` is not read, for it may be chosen from
            the data.
        shape: The shape of one datum.
        likelihood: The family of p(x|z).
        scale: What a stored value is multiplied by (1/255 for grey levels in bytes).
        binarize: "dynamic" draws 0/1 pixels inside the step; a statically binarised data set is 0/1
            already.
        precision: What the networks' matrix products are computed in.
        features: What the encoder sees of a table's columns, and what they are; None elsewhere.
        key: The randomness of the weights.

    Raises:
        ValueError: An unknown likelihood.
    """
    encoder_key, decoder_key = jax.random.split(key)
    posterior = _posterior(options)
    family = _likelihood(options, shape, likelihood, features)
    compute_dtype = None if precision == "float32" else precision
    encoder = MLP(
        math.prod(shape) if features is None else features.size,
        options.hidden,
        posterior.parameter_count,
        options.activation,
        compute_dtype=compute_dtype,
        key=encoder_key,
    )
    decoder = MLP(
        options.latent_dim,
        options.hidden[::-1],
        family.parameter_count,
        options.activation,
        compute_dtype=compute_dtype,
        key=decoder_key,
    )
    return LatentVariableModel(
        prior=StandardNormal(options.latent_dim),
        encoder=Encoder(
            encoder if features is None else ColumnNetwork(features, encoder), posterior
        ),
        decoder=Decoder(decoder, family),
        preprocessing=Preprocessing(
            scale=scale, binarize="dynamic" if binarize == "dynamic" else "none"
        ),
    )


def objective(options: TrainingOptions) -> AbstractObjective:
    """The bound that the options ask for, with its draws, the weight of the KL and its warm-up."""
    if options.objective == "importance-weighted":
        return ImportanceWeightedELBO(options.samples)
    beta = kl_weight(options.beta, warm_up=options.kl_warm_up)
    return NegativeELBO(beta, options.samples, options.kl_estimate, options.free_bits)


def optimizer(options: TrainingOptions, steps: int) -> optax.GradientTransformation:
    """The optimiser, its learning-rate schedule over ``steps`` steps, and gradient clipping."""
    rate = learning_rate(
        options.learning_rate_schedule,
        options.learning_rate,
        steps=steps,
        warm_up=options.learning_rate_warm_up,
    )
    move = {
        "adam": functools.partial(optax.adam, eps=options.adam_epsilon),
        "adamw": functools.partial(optax.adamw, eps=options.adam_epsilon),
        "adagrad": optax.adagrad,
        "rmsprop": optax.rmsprop,
        "sgd": optax.sgd,
    }[options.optimizer](rate)
    if options.gradient_clip is None:
        return move
    return optax.chain(optax.clip_by_global_norm(options.gradient_clip), move)


def _posterior(options: ModelOptions) -> AbstractPosterior:
    families = {"diagonal-normal": DiagonalNormal, "full-normal": FullNormal}
    return families[options.posterior](options.latent_dim)


def _likelihood(
    options: ModelOptions,
    shape: tuple[int, ...],
    likelihood: str,
    features: ColumnFeatures | None,
) -> AbstractLikelihood:
    if likelihood == "mixed" and features is not None:
        return Mixed(shape, features.columns)
    if likelihood == "bernoulli":
        return Bernoulli(shape)
    if likelihood == "normal":
        scale = options.likelihood_scale
        return Normal(shape, 1.0 if scale == "fixed" else scale)
    raise ValueError(f"unknown likelihood '{likelihood}': there are bernoulli, normal")
