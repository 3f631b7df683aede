"""The evidence lower bound of data that training did not see, with its uncertainty."""

import dataclasses
import functools
import math
from collections.abc import Callable
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from elbax.evaluate.tiles import Rows, binary_datum, map_rows, stored
from elbax.model.compatibility import has_density
from elbax.model.distributions.basic import sample
from elbax.model.latent_variable_model import ClassifyingEncoder, Decoder, LatentVariableModel
from elbax.model.likelihoods.unit_interval import Bernoulli
from elbax.model.objectives.terms import ElboTerms, KLEstimate, elbo_terms
from elbax.util.keys import stream


@dataclasses.dataclass(frozen=True)
class Mean:
    """An average over data, and its standard error.

    Attributes:
        mean: The average, in nats per datum.
        standard_error: Its standard error over the data: how far the average would move with
            another sample of the same size. It covers neither the training's own randomness nor any
            bias. NaN for a single datum.
    """

    mean: float
    standard_error: float


@dataclasses.dataclass(frozen=True)
class ElboEstimate:
    """The evidence lower bound, datum by datum, in nats.

    Attributes:
        elbo: The bound: reconstruction − kl.
        reconstruction: The expected log-likelihood E_q[log p(x|z)].
        kl: KL(q(z|x) ‖ p(z)).
        kl_per_latent: The same by latent dimension, where both factorise; else None.
    """

    elbo: Float[np.ndarray, " rows"]
    reconstruction: Float[np.ndarray, " rows"]
    kl: Float[np.ndarray, " rows"]
    kl_per_latent: Float[np.ndarray, "rows latent"] | None

    def means(self) -> dict[str, Mean]:
        """The averages of elbo, reconstruction and kl, with standard errors."""
        return {name: mean(getattr(self, name)) for name in ("elbo", "reconstruction", "kl")}


def mean(values: Float[np.ndarray, " rows"]) -> Mean:
    """The average of values, in float64, and its standard error."""
    values = np.asarray(values, np.float64)
    error = values.std(ddof=1) / math.sqrt(len(values)) if len(values) > 1 else math.nan
    return Mean(float(values.mean()), float(error))


def share(hits: np.ndarray) -> Mean:
    """The share of rows of which something is true, and its standard error.

    The error is √(p̃ (1 − p̃) / (n + 4)) with two hits and two misses more, p̃ = (hits + 2) / (n + 4)
    (Agresti & Coull 1998): without them it is 0 where all rows are hits, whatever their number, and
    twice it holds the truth far less often than it says where the share is near 0 or 1.

    Args:
        hits: True or 1 for each row that is one.
    """
    hits = np.asarray(hits, bool)
    more = (hits.sum() + 2) / (len(hits) + 4)
    return Mean(float(hits.mean()), math.sqrt(more * (1 - more) / (len(hits) + 4)))


def elbo(
    model: LatentVariableModel,
    rows: Rows,
    *,
    key: PRNGKeyArray,
    samples: int = 10,
    kl: KLEstimate = "closed",
    numbers: np.ndarray | None = None,
) -> ElboEstimate:
    """The evidence lower bound of each row (Kingma & Welling 2013, eq. 3).

    Of a model with a classifier beside its encoder, and rows without a condition, it is the bound
    on log p(x) with the label summed out (Kingma et al. 2014, eq. 7).

    Args:
        model: The model.
        rows: Data as stored (the model's preprocessing is applied), rows along the leading axis.
        key: The randomness: of row i and draw k, so that a row's result depends on no other row.
        samples: Draws z ~ q(z|x) a row, averaged. Data that the model binarises is drawn anew for
            each.
        kl: "closed" takes KL(q(z|x) ‖ p(z)) in closed form where there is one (eq. 3);
            "monte-carlo" averages log q(z|x) − log p(z) over the same draws for any pair (eq. 2).
        numbers: What the rows' keys are made of (see `map_rows`); by default their places.

    Raises:
        ValueError: There are no rows, or no samples.
    """
    if len(rows) < 1 or samples < 1:
        raise ValueError(
            f"{len(rows)} rows and {samples} samples; the bound needs at least one of each"
        )

    # The number of samples is traced: another one is not compiled.
    given = (model, jnp.asarray(samples))
    terms = map_rows(_averaged_terms(kl), given, rows, key, numbers=numbers)
    return ElboEstimate(terms.elbo, terms.reconstruction, terms.kl, terms.kl_per_latent)


def has_bound(model: LatentVariableModel) -> bool:
    """Whether there is a KL and an evidence lower bound: not where q(z|x) is a point."""
    return has_density(model)


def reconstruction(
    model: LatentVariableModel, rows: Rows, *, key: PRNGKeyArray
) -> Float[np.ndarray, " rows"]:
    """Log p(x|z) of each row at one draw z ~ q(z|x), in nats: of a deterministic encoder at f(x).

    Args:
        model: Any model.
        rows: Data as stored (the model's preprocessing is applied), rows along the leading axis.
        key: The randomness of each row.
    """
    return map_rows(_reconstruction_of_row, model, rows, key)


def _reconstruction_of_row(model: LatentVariableModel, row: Array, key: PRNGKeyArray) -> Array:
    x = model.preprocessing(row, binary_datum(key))
    return model.log_likelihood(x, sample(model.encode(x), stream(key, "reconstruction")))


def quantity(
    model: LatentVariableModel, rows: Rows
) -> Literal["log-mass", "log-density", "binarised-bound"]:
    """What log p(x) means for this model and these data.

    Args:
        model: The model.
        rows: Data as stored (the model's preprocessing is applied).

    Returns:
        "log-mass": the logarithm of a probability, never above 0; "log-density": of a density,
        which changes with the units of the data; "binarised-bound": the data are grey and the
        likelihood Bernoulli, so what is estimated is a lower bound on the expected log-mass of a
        binarised image (see `elbax.model.distributions.GreyBernoulli`), and log p of nothing.

    Raises:
        ValueError: The likelihood (or a decoder without one) has no `discrete`.
    """
    likelihood = model.decoder.likelihood if isinstance(model.decoder, Decoder) else model.decoder
    discrete = getattr(likelihood, "discrete", None)
    if discrete is None:
        raise ValueError(
            f"{type(likelihood).__name__} does not say whether p(x|z) is a mass or a density; "
            "give the class `discrete = True` or `discrete = False`"
        )
    if not discrete:
        return "log-density"
    if isinstance(likelihood, Bernoulli) and model.preprocessing.binarize == "none":
        levels = np.unique(stored(rows)) * model.preprocessing.scale
        # 255 · (1 / 255) is 1 in double precision.
        if not np.isin(levels, (0.0, 1.0)).all():
            return "binarised-bound"
    return "log-mass"


def bits_per_dimension(nats: float, model: LatentVariableModel) -> float:
    """−log₂ p(x) per element of the datum, from its log-mass in nats; a density has no bits.

    Args:
        nats: log p(x), of one datum or on average.
        model: A model that says the shape of a datum.
    """
    return -nats / (math.prod(model.shape) * math.log(2))


def _summed_out(
    model: LatentVariableModel,
    encoder: ClassifyingEncoder,
    x: Array,
    key: PRNGKeyArray,
    kl: KLEstimate,
) -> ElboTerms:
    """The bound on log p(x), y uniform: the KL is that of q(y, z|x) to p(y) p(z|y)."""
    log_q = encoder.classify(x)
    terms = jax.vmap(lambda y: elbo_terms(model, x, key, condition=y, kl=kl))(
        jnp.eye(encoder.classes)
    )
    of_label = log_q + math.log(encoder.classes)
    weigh = lambda values: jnp.sum(jnp.exp(log_q) * values)  # noqa: E731
    return ElboTerms(weigh(terms.reconstruction), weigh(terms.kl + of_label), None)


@functools.cache  # the same function for the same words, so that it is compiled once
def _averaged_terms(kl: KLEstimate) -> Callable[..., ElboTerms]:
    def of_row(given: tuple[LatentVariableModel, Array], row: Array, key: PRNGKeyArray) -> Any:
        model, samples = given

        def draw(number: Array) -> ElboTerms:
            binarize, latent = jax.random.split(jax.random.fold_in(key, number))
            x = model.preprocessing(row, binarize)
            if isinstance(model.encoder, ClassifyingEncoder):
                return _summed_out(model, model.encoder, x, latent, kl)
            return elbo_terms(model, x, latent, kl=kl)

        def add(number: Array, total: ElboTerms) -> ElboTerms:
            return jax.tree.map(jnp.add, total, draw(number))

        nothing = jax.tree.map(lambda a: jnp.zeros(a.shape, a.dtype), jax.eval_shape(draw, samples))
        total = jax.lax.fori_loop(0, samples, add, nothing)
        return jax.tree.map(lambda a: a * (1.0 / samples), total)

    return of_row
