"""What a trained model is asked for, as functions of plain arrays: encode, decode, and so on."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, PRNGKeyArray

from elbax.evaluate.generate import likelihood_location
from elbax.model.compatibility import has_density
from elbax.model.distributions.basic import location, sample_and_log_prob
from elbax.model.latent_variable_model import ClassifyingEncoder, LatentVariableModel


@dataclasses.dataclass(frozen=True)
class Units:
    """From data as one has them to data as stored: (x − shift) / scale, element by element.

    Of anything but a table both are the same.

    Attributes:
        shift: Broadcast against a datum.
        scale: The same.
    """

    shift: np.ndarray = dataclasses.field(default_factory=lambda: np.zeros((), np.float32))
    scale: np.ndarray = dataclasses.field(default_factory=lambda: np.ones((), np.float32))

    def stored(self, x: Any) -> Any:
        """The numbers that the run's data set holds."""
        return x if self.plain else (x - self.shift) / self.scale

    def own(self, x: Any) -> Any:
        """Back again."""
        return x if self.plain else x * self.scale + self.shift

    @property
    def plain(self) -> bool:
        """Whether both are the same."""
        return not np.any(self.shift) and bool(np.all(self.scale == 1))


@dataclasses.dataclass(frozen=True)
class Function:
    """A function of one datum.

    Attributes:
        words: What it gives, for whoever reads the file.
        call: From arrays, and a key where it draws, to a tuple of arrays.
        inputs: The arrays' names and shapes.
        outputs: The results' names.
        draws: Whether it takes a key.
    """

    words: str
    call: Callable[..., tuple[Array, ...]]
    inputs: dict[str, tuple[int, ...]]
    outputs: tuple[str, ...]
    draws: bool = False


def functions(
    model: LatentVariableModel, shape: tuple[int, ...], units: Units | None = None
) -> dict[str, Function]:
    """What the model can be asked for.

    encode: `mean` and, where it has one, `scale` (the standard deviation) of q(z|x). decode: `x`,
    the location of p(x|z). reconstruct: the same at the location of q(z|x). score: `log_weight`,
    log p(x|z) + log p(z) − log q(z|x) in nats at one draw of q(z|x), of the observed elements and
    in the units of `elbax score`; grey pixels are taken as they are. classify: `log_probability` of
    each class, of a model that classifies.

    A conditioned model's take a `condition` too, a one-hot vector. `x` is in the data's own units
    everywhere; NaN was not observed.

    Args:
        model: The model.
        shape: Of one datum.
        units: The data's own units.
    """
    made = _Functions(model, units or Units())
    latent, x = {"z": (model.latent_dim,)}, {"x": tuple(shape)}
    given = {"condition": (model.condition_dim,)} if model.condition_dim else {}
    moments = ("mean", "scale") if made.has_scale(shape) else ("mean",)
    found = {
        "encode": Function("the posterior q(z|x)", made.encode, x | given, moments),
        "decode": Function("the location of p(x|z)", made.decode, latent | given, ("x",)),
        "reconstruct": Function(
            "the location of p(x|z) at that of q(z|x)",
            made.reconstruct,
            x | given,
            ("reconstruction",),
        ),
    }
    if isinstance(model.encoder, ClassifyingEncoder):
        found["classify"] = Function("log q(y|x)", made.classify, x, ("log_probability",))
    if has_density(model):
        found["score"] = Function(
            "log p(x, z) - log q(z|x) in nats at a draw of q(z|x)",
            made.score, x | given, ("log_weight",), draws=True,
        )  # fmt: skip
    return found


@dataclasses.dataclass(frozen=True)
class _Functions:
    model: LatentVariableModel
    units: Units

    def seen(self, x: Any) -> Any:
        """A datum as the model sees it."""
        return self.model.preprocessing(self.units.stored(x))

    def own(self, x: Any) -> Any:
        """What the model makes, in the data's own units."""
        scale, shift = self.model.preprocessing.scale, self.model.preprocessing.shift
        x = x if scale == 1.0 else x / scale
        return self.units.own(x if shift == 0.0 else x + shift)

    def posterior(self, x: Any, condition: Any) -> Any:
        return self.model.encode(self.seen(x), condition)

    def has_scale(self, shape: tuple[int, ...]) -> bool:
        condition = jnp.zeros(self.model.condition_dim) if self.model.condition_dim else None
        found: list[bool] = []
        ask = lambda x: found.append(hasattr(self.posterior(x, condition), "variance"))  # noqa: E731
        jax.eval_shape(ask, jnp.zeros(shape))
        return found[0]

    def encode(self, x: Any, condition: Any = None) -> tuple[Array, ...]:
        q = self.posterior(x, condition)
        mean = q.mean if hasattr(q, "mean") else location(q)
        return (mean, jnp.sqrt(q.variance)) if hasattr(q, "variance") else (mean,)

    def decode(self, z: Any, condition: Any = None) -> tuple[Array, ...]:
        return (self.own(likelihood_location(self.model.decode(z, condition))),)

    def reconstruct(self, x: Any, condition: Any = None) -> tuple[Array, ...]:
        return self.decode(location(self.posterior(x, condition)), condition)

    def classify(self, x: Any) -> tuple[Array, ...]:
        encoder = self.model.encoder
        assert isinstance(encoder, ClassifyingEncoder)
        return (encoder.classify(self.seen(x)),)

    def score(self, x: Any, *given: Any) -> tuple[Array, ...]:
        *conditions, key = given
        return (self.log_weight(x, key, *conditions),)

    def log_weight(self, x: Any, key: PRNGKeyArray, condition: Any = None) -> Array:
        seen = self.seen(x)
        z, log_q = sample_and_log_prob(self.model.encode(seen, condition), key)
        log_p = self.model.log_likelihood(seen, z, None, condition)
        return log_p + self.model.prior_distribution(condition).log_prob(z) - log_q
