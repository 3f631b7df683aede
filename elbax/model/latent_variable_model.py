"""The container: a prior, an encoder and a decoder that belong together."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, PRNGKeyArray, Scalar

from elbax.model.distributions.basic import given, log_prob_observed
from elbax.model.interfaces import (
    AbstractDecoder,
    AbstractEncoder,
    AbstractLikelihood,
    AbstractMechanism,
    AbstractMissingness,
    AbstractPosterior,
    AbstractPrior,
    Latent,
)
from elbax.model.missingness import AtRandom
from elbax.model.preprocessing import Preprocessing

_IN_ANY_SUPPORT = 1.0  # real, positive, in [0, 1], a count, a code, the highest of levels


class Encoder(AbstractEncoder):
    """A network followed by a posterior family.

    Attributes:
        network: Any module or function from one datum to `posterior.parameter_count` numbers.
        posterior: The family of q(z|x).
    """

    network: Any
    posterior: AbstractPosterior

    def __call__(self, x: Array, condition: Array | None = None) -> Any:
        """Gives q(z|x); a condition is appended to the datum, flattened."""
        return self.posterior(self.network(_join(x, condition)))


class ClassifyingEncoder(AbstractEncoder):
    """q(y|x) beside q(z|x, y), for labels that are known of some rows only (Kingma et al. 2014).

    Attributes:
        classifier: Any module or function from one datum to a logit for each class.
        encoder: q(z|x, y); its condition is y, a one-hot vector.
        classes: How many classes there are.
    """

    classifier: Any
    encoder: AbstractEncoder
    classes: int = eqx.field(static=True)

    def __call__(self, x: Array, condition: Array | None = None) -> Any:
        """Gives q(z|x, y).

        Raises:
            ValueError: There is no condition y.
        """
        if condition is None:
            raise ValueError(
                "this encoder's latent depends on a label: give one, as a one-hot condition "
                "(`classify` says how likely each is)"
            )
        return self.encoder(x, condition)

    def classify(self, x: Array) -> Float[Array, " classes"]:
        """Log q(y|x) of each class."""
        return jax.nn.log_softmax(self.classifier(x))


class Decoder(AbstractDecoder):
    """A network followed by a likelihood family.

    Attributes:
        network: Any module or function from one latent to `likelihood.parameter_count` numbers.
        likelihood: The family of p(x|z).
    """

    network: Any
    likelihood: AbstractLikelihood

    def __call__(self, z: Latent, condition: Array | None = None) -> Any:
        """Gives p(x|z), elementwise; a condition is appended to the latent."""
        return self.likelihood(self.network(_join(z, condition)))


class LatentVariableModel(eqx.Module):
    """p(z) p(x|z) with an approximate posterior q(z|x): all that a variational autoencoder is.

    All methods take one datum, already preprocessed; use `jax.vmap` for many, and build and consume
    a distribution inside the same `vmap`. An element that is NaN was not observed: the likelihood
    leaves it out, and the encoder's network has to fill it (`elbax.model.ColumnNetwork` does, and
    `elbax.model.HoledNetwork`).

    Attributes:
        prior: p(z).
        encoder: x → q(z|x).
        decoder: z → p(x|z).
        preprocessing: From the stored datum (bytes, say) to the numbers that the likelihood is of.
        condition_dim: The length of the condition (the number of classes, where it is a label as a
            one-hot vector); 0: the model is not conditional.
        missing: Why cells are missing: at random, or by a mechanism p(s|x) that is trained with the
            rest. Then `log_likelihood` stays that of the observed cells, and `log_missingness` is
            that of which they are.
    """

    prior: AbstractPrior
    encoder: AbstractEncoder
    decoder: AbstractDecoder
    preprocessing: Preprocessing = Preprocessing()
    condition_dim: int = eqx.field(static=True, default=0)
    missing: AbstractMissingness = AtRandom()

    def encode(self, x: Array, condition: Array | None = None) -> Any:
        """The approximate posterior q(z|x) of one datum."""
        return self.encoder(x, condition)

    def decode(self, z: Latent, condition: Array | None = None) -> Any:
        """The distribution p(x|z) of the datum at one latent, elementwise."""
        return self.decoder(z, condition)

    def prior_distribution(self, condition: Array | None = None) -> Any:
        """The prior p(z)."""
        return self.prior(self.encoder, condition)

    def log_likelihood(
        self, x: Array, z: Latent, mask: Array | None = None, condition: Array | None = None
    ) -> Scalar:
        """Log p(x|z) in nats, summed over the observed elements of x: log p(x_observed | z).

        An element that is NaN was not observed (a table's missing cell); nor was one where the mask
        is False, whatever it holds.
        """
        return jnp.sum(self.log_likelihoods(x, z, mask, condition))

    def log_likelihoods(
        self, x: Array, z: Latent, mask: Array | None = None, condition: Array | None = None
    ) -> Float[Array, "..."]:
        """Log p(x_j|z) of each element in nats, 0 where it was not observed.

        Where the preprocessing scales real numbers it is a density in their own units.

        Of elements that are linked given z the terms' sum alone is a log-density.

        Missing elements are filled before they meet the likelihood, with a number that every family
        is defined for: a `where` after it would let their NaN into the gradient.
        """
        observed = _observed(x, mask)
        filled = jnp.where(observed, x, _IN_ANY_SUPPORT)
        elementwise = log_prob_observed(self.decode(z, condition), filled, observed)
        return jnp.where(observed, self.preprocessing.in_own_units(elementwise), 0.0)

    def decode_missing(self, x: Array, z: Latent) -> Any:
        """The distribution p(x_missing | z, x_observed) of the elements of x that are NaN.

        Of elements that are independent given z it is that of `decode`; what it says of observed
        elements is not to be read.
        """
        observed = _observed(x, None)
        return given(self.decode(z), jnp.where(observed, x, _IN_ANY_SUPPORT), observed)

    def log_missingness(
        self,
        x: Array,
        z: Latent,
        key: PRNGKeyArray,
        mask: Array | None = None,
        condition: Array | None = None,
    ) -> Scalar | None:
        """Log p(s | x_observed, z) in nats, s saying which cells were observed.

        None where cells are missing at random: it is then a constant that nobody knows.
        """
        if self.mechanism is None:
            return None
        return self.mechanism.log_prob(self.decode(z, condition), x, _observed(x, mask), key)

    @property
    def mechanism(self) -> AbstractMechanism | None:
        """P(s|x), where cells are not missing at random."""
        return self.missing if isinstance(self.missing, AbstractMechanism) else None

    @property
    def posterior(self) -> AbstractPosterior | None:
        """The family of q(z|x); None where the encoder is the caller's own and has none."""
        encoder = self.encoder
        while isinstance(encoder, ClassifyingEncoder):
            encoder = encoder.encoder
        return encoder.posterior if isinstance(encoder, Encoder) else None

    @property
    def latent_dim(self) -> int:
        """The number of dimensions of the latent."""
        return self.prior.latent_dim

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of one datum.

        Raises:
            AttributeError: The decoder is not a network followed by a likelihood family.
        """
        if not isinstance(self.decoder, Decoder):
            raise AttributeError(
                f"{type(self.decoder).__name__} does not say what shape a datum has"
            )
        return self.decoder.likelihood.shape


def _observed(x: Array, mask: Array | None) -> Bool[Array, "..."]:
    return ~jnp.isnan(x) if mask is None else ~jnp.isnan(x) & mask


def _join(x: Latent, condition: Array | None) -> Float[Array, "..."] | Latent:
    if condition is None:
        return x
    return jnp.concatenate([jnp.ravel(x), jnp.ravel(condition)])
