"""Distributions over codes: the ones that an encoder chose, and the uniform one."""

from typing import Any, Protocol

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray, Scalar


class Codes(Protocol):
    """A family of codes, as a distribution over them sees it (`elbax.model.codes.families`)."""

    @property
    def sites(self) -> int:
        """How many places of the latent have codes."""
        ...

    @property
    def depth(self) -> int:
        """How many codes each place has."""
        ...

    @property
    def count(self) -> int:
        """How many codes there are to choose from."""
        ...

    def vectors(self, indices: Int[Array, "sites depth"]) -> Float[Array, " latent"]:
        """The latent of chosen codes."""
        ...

    def nearest(self, z: Float[Array, " latent"]) -> Int[Array, "sites depth"]:
        """The codes that a latent is made of."""
        ...


class ChosenCodes(eqx.Module):
    """q(z|x) of a quantising encoder: all its mass is on one latent, the vectors of its codes.

    Its entropy is 0. KL(q ‖ p) is −log p of the codes that were chosen; under a uniform prior log K
    for each, so the bound on log p(x) is log p(x|z) less that (van den Oord et al. 2017, §3.1).

    Attributes:
        z: The latent; its derivative is that of what the codes stand for (straight-through).
        indices: Which codes they are.
        seen: What each code was chosen for.
    """

    z: Float[Array, " latent"]
    indices: Int[Array, "sites depth"]
    seen: Float[Array, "sites depth width"]

    def sample_and_log_prob(self, key: PRNGKeyArray) -> tuple[Float[Array, " latent"], Scalar]:
        """The latent, whose mass is 1."""
        del key
        return self.z, jnp.zeros((), self.z.dtype)

    def sample(self, key: PRNGKeyArray) -> Float[Array, " latent"]:
        """The latent."""
        del key
        return self.z

    @property
    def mean(self) -> Float[Array, " latent"]:
        """The latent."""
        return self.z

    @property
    def distances(self) -> Float[Array, "sites depth"]:
        """The squared distance of each code to what it was chosen for, the code held still."""
        codes = jax.lax.stop_gradient(self.z.reshape(self.seen.shape))
        return jnp.sum(jnp.square(self.seen - codes), axis=-1)


class UniformOverCodes(eqx.Module):
    """Codes chosen independently, each as likely as any other.

    Attributes:
        codes: The codes there are.
    """

    codes: Any

    def sample(self, key: PRNGKeyArray) -> Float[Array, " latent"]:
        """One draw."""
        shape = (self.codes.sites, self.codes.depth)
        return self.codes.vectors(jax.random.randint(key, shape, 0, self.codes.count))

    def log_prob(self, value: Float[Array, " latent"]) -> Scalar:
        """The log-mass in nats of a latent that is made of codes: −log K for each."""
        return self.log_prob_of(self.codes.nearest(value)).astype(value.dtype)

    def log_prob_of(self, indices: Int[Array, "sites depth"]) -> Scalar:
        """The log-mass in nats of chosen codes."""
        return -indices.size * jnp.log(float(self.codes.count))
