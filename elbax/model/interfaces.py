"""Every abstract interface of elbax, on one page.

A variational autoencoder is two networks and three distribution families:

    prior p(z)      encoder: x → q(z|x)      decoder: z → p(x|z)      objective(model, batch) → loss

What holds everywhere:

* Families, networks and distributions see **one datum**. `jax.vmap` happens in one place, the
  objective. Build and consume a distribution inside the same `vmap`: one that was returned from a
  `vmap` keeps an empty batch shape, so drawing from it would give every row the same noise,
  silently.
* A *family* (`AbstractPosterior`, `AbstractLikelihood`) says how many numbers it needs and turns
  them into a distribution *object*. No `(mean, log_variance)` is passed around. Families may own
  parameters (a flow's layers, a learned scale); distributions are pytrees.
* A latent may be any pytree of arrays: a hierarchy's latent is a tuple, one entry a level.
* A prior is called with the encoder (a VampPrior is a mixture of posteriors) and with the
  condition, where there is one.
* An objective is a module with its own parameters (a discriminator) and its own state (a
  multiplier). Opposing terms use `jax.lax.stop_gradient`, so one optimizer trains everything and no
  second training loop exists.
"""

import abc
from typing import Any, ClassVar, Literal, Protocol, runtime_checkable

import equinox as eqx
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray, PyTree, Scalar

from elbax.model.support import Support

Latent = PyTree[Array]
# What a latent is: any real vector; a vector of length one; one-hot vectors, one after the other;
# vectors out of a few, likewise ("codes"); a single real point without a density ("point", of a
# posterior); what the encoder's is ("any", of a prior made of posteriors).
LatentKind = Literal["real", "sphere", "categorical", "codes", "point", "any"]
# What an objective asks of q(z|x), from least to most; "point" is a posterior without a density,
# "codes" one that chooses codes.
PosteriorNeed = Literal["any", "density", "log-prob", "independent", "point", "codes"]
Metrics = dict[str, Array]


@runtime_checkable
class Distribution(Protocol):
    """Something to draw from, with a density.

    It is what numpyro's distributions are, and what a part may define itself. Log-densities are in
    nats. A prior or posterior gives one number for the whole latent; a likelihood gives one for
    each element of the datum, so that a mask can leave some out.
    """

    def sample(self, key: PRNGKeyArray, /) -> Any:
        """One draw."""
        ...

    def log_prob(self, value: Any, /) -> Any:
        """The log-density (or log-mass) of `value`, in nats."""
        ...


@runtime_checkable
class SamplesWithLogProb(Protocol):
    """A distribution that draws and evaluates in one pass.

    The only way for a flow without an analytic inverse (planar, Sylvester): it can say how likely
    its own draws are, not how likely any other point is.
    `elbax.model.distributions.sample_and_log_prob` serves both kinds.
    """

    def sample_and_log_prob(self, key: PRNGKeyArray, /) -> tuple[Any, Scalar]:
        """One draw and its log-density in nats."""
        ...


@runtime_checkable
class MovesModel(Protocol):
    """An objective that moves some of a model's parameters itself, beside the gradient.

    After each step the optimiser's values of these give way to those that follow from the
    objective's new state (a codebook's moving averages).
    """

    def moved(self, model: Any, state: Any, /) -> Any:
        """The model with these parameters at what the state says."""
        ...


class Batch(eqx.Module):
    """Rows of data. A whole data set on the device is a `Batch` too.

    Attributes:
        x: The data, with rows along the leading axis. A cell that is NaN was not observed (it is
            filled before it meets a network or a likelihood).
        label: One label a row, or None; −1 where a row has none.
        mask: True where a cell of `x` was observed, the shape of `x`, for data that mark missing
            cells otherwise than by NaN; else None.
        index: Each row's number in the data set; evaluation keys its noise by it.
        data_size: N, the number of rows of the whole data set (total-correlation objectives need
            it).
        condition: What the model is conditioned on, one row each, or None: every objective passes
            it to the encoder, the decoder and the prior.
    """

    x: Array
    label: Array | None = None
    mask: Array | None = None
    index: Int[Array, " rows"] | None = None
    data_size: int = eqx.field(static=True, default=0)
    condition: Array | None = None


class AbstractPosterior(eqx.Module):
    """A family of distributions over the latent, indexed by what the encoder's network gives.

    Traits, which combinations of parts are judged by:

    * `latent`: where its draws live. A "point" fits a "real" prior.
    * `has_density`: whether there is a q(z|x) at all. Where not, KL(q ‖ p) does not exist.
    * `has_log_prob`: whether q(z|x) can be evaluated at any z, not only at its own draws.
    * `independent`: whether it is a product of one density a latent, which can be evaluated apart.
    * `gradient`: how draws are differentiated by the parameters. "pathwise": a draw is a smooth
      function of them; "implicit": the distribution is, the draw at one key is not (rejection
      samplers, Figurnov et al. 2018); "relaxed": the derivative is that of a smooth relaxation.
    * `least_latent_dim`: the fewest latents that it is defined for.

    Attributes:
        latent_dim: The number of dimensions of z.
    """

    latent: ClassVar[LatentKind] = "real"
    has_density: ClassVar[bool] = True
    has_log_prob: ClassVar[bool] = True
    independent: ClassVar[bool] = False
    gradient: ClassVar[Literal["pathwise", "implicit", "relaxed"]] = "pathwise"
    least_latent_dim: ClassVar[int] = 1

    latent_dim: eqx.AbstractVar[int]

    @property
    @abc.abstractmethod
    def parameter_count(self) -> int:
        """How many numbers the network has to give."""

    @abc.abstractmethod
    def __call__(self, parameters: Float[Array, " parameters"]) -> Any:
        """Gives q(z|x), a `Distribution` or a `SamplesWithLogProb`, from the network's output."""


class AbstractLikelihood(eqx.Module):
    """A family of distributions over one datum, indexed by what the decoder's network gives.

    Attributes:
        shape: The shape of one datum.
        discrete: Whether p(x|z) is a probability mass, so that log p(x) has bits; else a density.
        support: What values data must have: one set for all elements, or one for each in order.

    A family that wants several numbers an element takes them number by number, the first of all
    elements and then the second: a convolutional decoder lays its channels out so.
    """

    shape: eqx.AbstractVar[tuple[int, ...]]
    discrete: ClassVar[bool]
    support: ClassVar[Support | tuple[Support, ...]]

    @property
    @abc.abstractmethod
    def parameter_count(self) -> int:
        """How many numbers the network has to give."""

    @abc.abstractmethod
    def __call__(self, parameters: Float[Array, " parameters"]) -> Any:
        """Gives p(x|z) from the network's output, elementwise: its batch shape is the datum's."""


class AbstractPrior(eqx.Module):
    """A distribution over the latent, perhaps with parameters of its own.

    Traits, which combinations of parts are judged by:

    * `latent`: where its draws live; "any" is where the encoder's posterior puts them.
    * `conditional`: whether it needs a condition; then `condition_dim` says how many numbers that
      is.
    * `least_latent_dim`: the fewest latents that it is defined for.

    Attributes:
        latent_dim: The number of dimensions of z.
    """

    latent: ClassVar[LatentKind] = "real"
    conditional: ClassVar[bool] = False
    least_latent_dim: ClassVar[int] = 1

    latent_dim: eqx.AbstractVar[int]

    @abc.abstractmethod
    def __call__(self, encoder: "AbstractEncoder", condition: Array | None = None) -> Any:
        """Gives p(z), or p(z|condition).

        Args:
            encoder: The model's encoder, for priors that are made of posteriors.
            condition: What the model is conditioned on, or None.
        """


class AbstractMissingness(eqx.Module):
    """What is assumed of the reason why cells are missing."""


class AbstractMechanism(AbstractMissingness):
    """A model p(s|x) of which cells are missing, by values that may be missing themselves.

    s_j is "observed" or "missing". A mechanism is one of cells that are independent given x and z.
    """

    @abc.abstractmethod
    def log_prob(self, p: Any, x: Array, observed: Bool[Array, "..."], key: PRNGKeyArray) -> Scalar:
        """Log p(s | x_observed, z) in nats: x_missing is integrated over p(x_missing|z).

        Where that is done by draws it is the logarithm of an estimate without bias.

        Args:
            p: P(x|z), elementwise.
            x: One datum; what stands in a missing cell is not read.
            observed: Which cells were observed: s.
            key: The randomness of draws of x_missing.
        """

    @abc.abstractmethod
    def of_missing(self, p: Any, key: PRNGKeyArray) -> Any:
        """P(x_j | z, s_j = missing): a distribution with `sample` and what `p` averages by.

        Args:
            p: P(x|z), elementwise.
            key: That of `log_prob`, for the very draws which that was of.
        """

    @abc.abstractmethod
    def probability(self, x: Float[Array, "..."]) -> Float[Array, "..."]:
        """P(s_j = missing | x) of each cell of a whole datum."""


class AbstractNetworkPair(eqx.Module):
    """A way to make the two networks: the encoder's, and the decoder's to match it.

    What stands between two networks is known only when a model is composed: a pair is asked for
    each with the sizes of its ends. What it makes are networks as `elbax.model.networks` says.

    Trait, which combinations of parts are judged by:

    * `images_only`: whether a datum must have the shape `(height, width, channels)`.
    * `latent`: which latents it lays out: "any", or only "codes", of which each place has its own.
    """

    images_only: ClassVar[bool] = False
    latent: ClassVar[Literal["any", "codes"]] = "any"

    @abc.abstractmethod
    def encoder(
        self, shape: tuple[int, ...], out_size: int, *, condition_dim: int = 0, key: PRNGKeyArray
    ) -> Any:
        """The network from a datum to `out_size` numbers.

        Args:
            shape: The shape of one datum.
            out_size: How many numbers the posterior wants.
            condition_dim: How many numbers of a condition follow the datum, flattened.
            key: The randomness of the weights.
        """

    @abc.abstractmethod
    def decoder(
        self, in_size: int, shape: tuple[int, ...], out_size: int, *, key: PRNGKeyArray
    ) -> Any:
        """The network from a latent to `out_size` numbers.

        Args:
            in_size: The number of latents, and of the condition's numbers where there is one.
            shape: The shape of one datum.
            out_size: How many numbers the likelihood wants.
            key: The randomness of the weights.
        """


class AbstractEncoder(eqx.Module):
    """Maps one datum to its approximate posterior q(z|x)."""

    @abc.abstractmethod
    def __call__(self, x: Array, condition: Array | None = None) -> Any:
        """Gives q(z|x), a `Distribution` or a `SamplesWithLogProb`."""


class AbstractDecoder(eqx.Module):
    """Maps one latent to the distribution of the datum, p(x|z)."""

    @abc.abstractmethod
    def __call__(self, z: Latent, condition: Array | None = None) -> Any:
        """Gives p(x|z), elementwise: its batch shape is the datum's shape."""


class AbstractObjective(eqx.Module):
    """What training minimises: a module with parameters and state of its own, called on a batch.

    Traits, which combinations of parts are judged by (`elbax.model.compatibility`):

    * `posterior`: what q(z|x) must offer. "any": draws; "density": the log-density of its own
      draws; "log-prob": that of any z; "independent": that of each latent apart; "point": that it
      is deterministic; "codes": that it chooses codes, which no other objective trains.
    * `pathwise`: whether its gradient is that of the draws alone, so that these must be
      reparameterised ("pathwise" or "implicit"), and not by a relaxation ("relaxed").
    * `fixed_prior`: whether the prior must have no parameters, since nothing here would train them
      rightly.
    * `needs_labels`: whether it reads `Batch.label`; and `needs_data_size`, `Batch.data_size`.
    * `compares_rows`: whether the rows of a batch are compared with each other, so that the loss
      depends on the size of the batch.
    * `images_only`: whether a datum must have the shape `(height, width, channels)`.
    * `has_bound`: whether it reports `elbo`, `reconstruction` and `kl`.
    * `true_gradient`: whether its gradient is the derivative of the loss that it returns.
    """

    posterior: ClassVar[PosteriorNeed] = "density"
    pathwise: ClassVar[bool] = False
    fixed_prior: ClassVar[bool] = False
    needs_labels: ClassVar[bool] = False
    needs_data_size: ClassVar[bool] = False
    compares_rows: ClassVar[bool] = False
    images_only: ClassVar[bool] = False
    has_bound: ClassVar[bool] = True
    true_gradient: ClassVar[bool] = True

    @abc.abstractmethod
    def init(self, model: Any) -> PyTree:
        """The state that the objective carries from step to step (None when it carries nothing)."""

    @abc.abstractmethod
    def __call__(
        self, model: Any, batch: Batch, *, state: PyTree, step: Int[Array, ""], key: PRNGKeyArray
    ) -> tuple[Scalar, tuple[PyTree, Metrics]]:
        """The loss of a batch in nats per datum.

        Args:
            model: What is trained, usually a `LatentVariableModel`.
            batch: Preprocessed rows.
            state: What `init` gave, or the last call returned.
            step: How many steps were taken before this one; schedules read it. Validation passes
                the last step, so that a bound is judged by its final weights.
            key: This step's randomness.

        Returns:
            The loss, and a pair of the new state and the metrics (averages over the batch, arrays
            of any shape).
        """
