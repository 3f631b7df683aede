"""Families over evenly spaced levels, whose masses sum to one: a byte's, or coded categories.

Level k of K is the number k/(K − 1) × `highest`: with the defaults those that preprocessing makes
of bytes, k/255. A table's categories coded 0 … K − 1 have `highest` = K − 1.
"""

import itertools
import math
from typing import ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from elbax.model import support
from elbax.model.interfaces import AbstractLikelihood
from elbax.model.likelihoods.scales import AbstractLocationScale, Scale, initial_scale
from elbax.model.likelihoods.special import log_sigmoid_difference

# PixelCNN++ (Salimans et al. 2017, their code) clips log-scales there: a thousandth of the half
# range, an eighth of a byte's level.
MINIMUM_LOGISTIC_SCALE = math.exp(-7.0)


class AbstractLevelLikelihood(AbstractLikelihood):
    """A mass on each of `levels` numbers from 0 to `highest`."""

    discrete: ClassVar[bool] = True

    levels: eqx.AbstractVar[int]
    highest: eqx.AbstractVar[float]

    @property
    def support(self) -> support.Support:  # pyright: ignore[reportIncompatibleVariableOverride]
        """The levels."""
        return support.levels(self.levels, self.highest)


class Categorical(AbstractLevelLikelihood):
    """Each element is one of K levels, in no order (van den Oord et al. 2016).

    The network gives all elements' logits of the first level, then of the next. A mass is at most
    one, so there is no floor.
    """

    name: ClassVar[str] = "categorical"
    shape: tuple[int, ...] = eqx.field(static=True)
    levels: int = eqx.field(static=True)
    highest: float = eqx.field(static=True)

    def __init__(self, shape: tuple[int, ...], levels: int = 256, highest: float = 1.0) -> None:
        """Makes the family.

        Args:
            shape: The shape of one datum.
            levels: How many levels; 256 are a byte's.
            highest: The number that the last level is: 1 for bytes divided by 255, `levels` − 1 for
                codes.

        Raises:
            ValueError: Fewer than two levels, or a highest one that is not positive.
        """
        support.levels(levels, highest)
        self.shape = shape
        self.levels = levels
        self.highest = highest

    @property
    def parameter_count(self) -> int:
        """One logit a level and element."""
        return self.levels * math.prod(self.shape)

    def __call__(self, parameters: Float[Array, " parameters"]) -> "LevelMasses":
        """Variables over the levels from their logits."""
        logits = parameters.reshape(self.levels, *self.shape)
        return LevelMasses(jax.nn.log_softmax(logits, axis=0), self.highest)


class Ordinal(AbstractLevelLikelihood):
    """Each element is one of K ordered levels, by proportional odds (McCullagh 1980).

    P(x ≤ level k) = σ(cₖ − η) with one η an element from the network, and K − 1 learned, rising
    cutpoints c an element; at the start the levels are equally likely at η = 0.

    Attributes:
        first_cutpoint: c₀.
        log_steps: The logarithms of the distances between neighbouring cutpoints.
    """

    name: ClassVar[str] = "ordinal"
    shape: tuple[int, ...] = eqx.field(static=True)
    levels: int = eqx.field(static=True)
    highest: float = eqx.field(static=True)
    first_cutpoint: Float[Array, "..."]
    log_steps: Float[Array, "steps ..."]

    def __init__(
        self, shape: tuple[int, ...], levels: int = 5, highest: float | None = None
    ) -> None:
        """Makes the family.

        Args:
            shape: The shape of one datum.
            levels: How many levels.
            highest: The number that the last level is; None is `levels` − 1: codes.

        Raises:
            ValueError: Fewer than two levels, or a highest one that is not positive.
        """
        highest = levels - 1.0 if highest is None else highest
        support.levels(levels, highest)
        self.shape = shape
        self.levels = levels
        self.highest = highest
        odds = [math.log(k / (levels - k)) for k in range(1, levels)]
        steps = [math.log(b - a) for a, b in itertools.pairwise(odds)]
        axes = (len(steps), *(1 for _ in shape))
        self.first_cutpoint = jnp.full(shape, odds[0])
        self.log_steps = jnp.broadcast_to(
            jnp.reshape(jnp.asarray(steps), axes), (len(steps), *shape)
        )

    @property
    def parameter_count(self) -> int:
        """One location an element."""
        return math.prod(self.shape)

    def __call__(self, parameters: Float[Array, " parameters"]) -> "LevelMasses":
        """Variables over the levels from one location an element."""
        steps = jnp.exp(self.log_steps)
        zero = jnp.zeros((1, *self.shape), steps.dtype)
        rises = jnp.concatenate([zero, jnp.cumsum(steps, axis=0)])
        odds = self.first_cutpoint[None] + rises - parameters.reshape(1, *self.shape)
        inner = log_sigmoid_difference(odds[1:], odds[:-1], steps)
        first, last = jax.nn.log_sigmoid(odds[:1]), jax.nn.log_sigmoid(-odds[-1:])
        return LevelMasses(jnp.concatenate([first, inner, last]), self.highest)


class DiscretizedLogistic(AbstractLevelLikelihood, AbstractLocationScale):  # pyright: ignore[reportIncompatibleVariableOverride]
    """Each element is a logistic variable rounded to a level (Kingma et al. 2016).

    The outermost levels take what lies beyond them. The network gives locations in units in which
    the levels go from −1 to 1. The scale, in these units, is fixed, learned, or given by the
    network, and has a floor: a mass is bounded, its gradient in the scale is not.
    """

    name: ClassVar[str] = "discretized-logistic"
    levels: int = eqx.field(static=True)
    highest: float = eqx.field(static=True)

    def __init__(
        self,
        shape: tuple[int, ...],
        levels: int = 256,
        highest: float = 1.0,
        scale: Scale | float = "shared",
        minimum_scale: float = MINIMUM_LOGISTIC_SCALE,
    ) -> None:
        """Makes the family.

        Args:
            shape: The shape of one datum.
            levels: How many levels; 256 are a byte's.
            highest: The number that the last level is: 1 for bytes divided by 255.
            scale: A number fixes the scale; "shared" learns one for all elements, from half the
                range of the levels; "element" learns one for each; "predicted" lets the network
                say one for each.
            minimum_scale: The floor of a learned or predicted scale.

        Raises:
            ValueError: Impossible levels, or the scale is neither one of these names nor positive.
        """
        support.levels(levels, highest)
        self.shape = shape
        self.levels = levels
        self.highest = highest
        self.log_scale, self.fixed_scale = initial_scale(scale, shape)
        self.minimum_scale = minimum_scale

    def __call__(self, parameters: Float[Array, " parameters"]) -> "RoundedLogistics":
        """Rounded logistic variables from the locations (and the log-scales)."""
        location, scale = self.location_and_scale(parameters)
        weights = jnp.zeros((1, *self.shape), location.dtype)
        return RoundedLogistics(weights, location[None], scale[None], self.levels, self.highest)


class DiscretizedLogisticMixture(AbstractLevelLikelihood):
    """Each element is a mixture of rounded logistic variables (Salimans et al. 2017, §2.1).

    **The channels of a pixel are not coupled**: each has its own mixture, and they are independent
    given the latent. PixelCNN++ couples them linearly and shares the component within a pixel; then
    log p(x|z) is no sum over elements, which a mask needs. The network gives, in this order, all
    log-weights, locations and log-scales, each of shape `(components, *shape)`; units and floor are
    those of `DiscretizedLogistic`.
    """

    name: ClassVar[str] = "discretized-logistic-mixture"
    shape: tuple[int, ...] = eqx.field(static=True)
    components: int = eqx.field(static=True)
    levels: int = eqx.field(static=True)
    highest: float = eqx.field(static=True)
    minimum_scale: float = eqx.field(static=True)

    def __init__(
        self,
        shape: tuple[int, ...],
        components: int = 5,
        levels: int = 256,
        highest: float = 1.0,
        minimum_scale: float = MINIMUM_LOGISTIC_SCALE,
    ) -> None:
        """Makes the family.

        Args:
            shape: The shape of one datum.
            components: How many logistic variables are mixed.
            levels: How many levels; 256 are a byte's.
            highest: The number that the last level is: 1 for bytes divided by 255.
            minimum_scale: The floor of the scales.

        Raises:
            ValueError: No components, or impossible levels.
        """
        if components < 1:
            raise ValueError(f"components is {components}; give at least 1")
        support.levels(levels, highest)
        self.shape = shape
        self.components = components
        self.levels = levels
        self.highest = highest
        self.minimum_scale = minimum_scale

    @property
    def parameter_count(self) -> int:
        """A log-weight, a location and a log-scale for each component and element."""
        return 3 * self.components * math.prod(self.shape)

    def __call__(self, parameters: Float[Array, " parameters"]) -> "RoundedLogistics":
        """Mixtures from log-weights, locations and log-scales."""
        logits, location, log_scale = parameters.reshape(3, self.components, *self.shape)
        scale = self.minimum_scale + jnp.exp(log_scale)
        weights = jax.nn.log_softmax(logits, axis=0)
        return RoundedLogistics(weights, location, scale, self.levels, self.highest)


class LevelMasses(eqx.Module):
    """Independent variables over evenly spaced levels, from all their log-masses.

    Attributes:
        log_masses: In nats, by level and then in the shape of the datum.
        highest: The number that the last level is.
    """

    log_masses: Float[Array, "levels ..."]
    highest: float = eqx.field(static=True)

    def sample(self, key: PRNGKeyArray) -> Float[Array, "..."]:
        """A draw."""
        drawn = jax.random.categorical(key, self.log_masses, axis=0)
        return drawn.astype(self.log_masses.dtype) * self._spacing

    def log_prob(self, value: Array) -> Float[Array, "..."]:
        """The log-mass in nats, elementwise, of the level nearest to the value."""
        level = jnp.rint(value / self._spacing).astype(int)
        level = jnp.clip(level, 0, len(self.log_masses) - 1)
        return jnp.take_along_axis(self.log_masses, level[None], axis=0)[0]

    @property
    def mean(self) -> Float[Array, "..."]:
        """The expected number."""
        return jnp.tensordot(self._levels, jnp.exp(self.log_masses), axes=1)

    @property
    def variance(self) -> Float[Array, "..."]:
        """The variance of the number."""
        levels = self._levels.reshape(-1, *(1 for _ in self.log_masses.shape[1:]))
        return jnp.sum(jnp.exp(self.log_masses) * jnp.square(levels - self.mean[None]), axis=0)

    @property
    def _spacing(self) -> float:
        return self.highest / (len(self.log_masses) - 1)

    @property
    def _levels(self) -> Float[Array, " levels"]:
        levels = jnp.linspace(0.0, self.highest, len(self.log_masses))
        return levels.astype(self.log_masses.dtype)


class RoundedLogistics(eqx.Module):
    """Independent mixtures of logistic variables, rounded to the nearest level.

    The leading axis of the arrays is the component's. Locations and scales are in units in which
    the levels go from −1 to 1.

    Attributes:
        log_weights: Normalised, in nats.
        location: The centres.
        scale: The scales.
        levels: How many levels.
        highest: The number that the last level is; the first is 0.
    """

    log_weights: Float[Array, "components ..."]
    location: Float[Array, "components ..."]
    scale: Float[Array, "components ..."]
    levels: int = eqx.field(static=True)
    highest: float = eqx.field(static=True)

    def sample(self, key: PRNGKeyArray) -> Float[Array, "..."]:
        """A draw."""
        component_key, key = jax.random.split(key)
        chosen = jax.random.categorical(component_key, self.log_weights, axis=0)[None]
        location, scale = (
            jnp.take_along_axis(a, chosen, axis=0)[0] for a in (self.location, self.scale)
        )
        y = location + scale * jax.random.logistic(key, location.shape, location.dtype)
        level = jnp.clip(jnp.rint((y + 1.0) / (2.0 * self._half)), 0, self.levels - 1)
        return level * (self.highest / (self.levels - 1))

    def log_prob(self, value: Array) -> Float[Array, "..."]:
        """The log-mass in nats, elementwise, of the interval of one level's width round the value.

        Below the first level's upper edge, and above the last one's lower edge, it has no end.
        """
        half = self._half
        y = (2.0 / self.highest * value - 1.0)[None]
        upper = (y + half - self.location) / self.scale
        lower = (y - half - self.location) / self.scale
        masses = log_sigmoid_difference(upper, lower, 2.0 * half / self.scale)
        masses = jnp.where(y < half - 1.0, jax.nn.log_sigmoid(upper), masses)
        masses = jnp.where(y > 1.0 - half, jax.nn.log_sigmoid(-lower), masses)
        return jax.nn.logsumexp(self.log_weights + masses, axis=0)

    @property
    def mean(self) -> Float[Array, "..."]:
        """The expected number, edges included."""
        return self._moments()[0] * (self.highest / (self.levels - 1))

    @property
    def variance(self) -> Float[Array, "..."]:
        """The variance of the number."""
        first, second = self._moments()
        return (second - jnp.square(first)) * (self.highest / (self.levels - 1)) ** 2

    @property
    def _half(self) -> float:
        return 1.0 / (self.levels - 1)

    def _moments(self) -> tuple[Float[Array, "..."], Float[Array, "..."]]:
        """E[k] = Σ P(k > j) and E[k²] = Σ (2j + 1) P(k > j), level by level: memory is dear."""
        weights = jnp.exp(self.log_weights)

        def add(
            j: Array, sums: tuple[Float[Array, "..."], Float[Array, "..."]]
        ) -> tuple[Float[Array, "..."], Float[Array, "..."]]:
            j = j.astype(weights.dtype)
            edge = (2.0 * j + 1.0) * self._half - 1.0
            above = jnp.sum(weights * jax.nn.sigmoid((self.location - edge) / self.scale), axis=0)
            return sums[0] + above, sums[1] + (2.0 * j + 1.0) * above

        zero = jnp.zeros(self.location.shape[1:], weights.dtype)
        return jax.lax.fori_loop(0, self.levels - 1, add, (zero, zero))
