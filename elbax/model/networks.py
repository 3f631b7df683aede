"""Networks: from one datum, or one latent, to a vector of numbers."""

from collections.abc import Callable, Sequence

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

ACTIVATIONS: dict[str, Callable[[Array], Array]] = {
    "elu": jax.nn.elu,
    "gelu": jax.nn.gelu,
    "identity": lambda x: x,
    "leaky-relu": jax.nn.leaky_relu,
    "relu": jax.nn.relu,
    "sigmoid": jax.nn.sigmoid,
    "silu": jax.nn.silu,
    "softplus": jax.nn.softplus,
    "tanh": jnp.tanh,
}


class MLP(eqx.Module):
    """A multilayer perceptron of any widths, with Glorot-uniform weights and zero biases.

    (Equinox' own has one width for all hidden layers and LeCun-uniform weights, with which the
    summary's network ends 5 nats short of these.)

    Attributes:
        layers: The linear layers, from input to output; a weight's shape is `(out, in)`.
        activation: The name of what stands between two layers, one of `ACTIVATIONS`.
        compute_dtype: What the matrix products are computed in; None is the dtype of the weights.
    """

    layers: tuple[eqx.nn.Linear, ...]
    activation: str = eqx.field(static=True)
    compute_dtype: str | None = eqx.field(static=True)

    def __init__(
        self,
        in_size: int,
        hidden: Sequence[int],
        out_size: int,
        activation: str = "relu",
        *,
        compute_dtype: str | None = None,
        key: PRNGKeyArray,
    ) -> None:
        """Makes the network.

        Args:
            in_size: The number of elements of the input.
            hidden: The widths of the hidden layers; none gives one linear map.
            out_size: The number of outputs.
            activation: One of `ACTIVATIONS`.
            compute_dtype: "bfloat16" computes the products with eight bits of mantissa and keeps
                the weights as they are.
            key: The randomness of the weights.

        Raises:
            ValueError: A size is not positive, or the activation is unknown.
        """
        sizes = (in_size, *hidden, out_size)
        if min(sizes) < 1:
            raise ValueError(f"layer sizes are {sizes}; each must be at least 1")
        if activation not in ACTIVATIONS:
            raise ValueError(
                f"activation is {activation!r}; it can be {', '.join(sorted(ACTIVATIONS))}"
            )
        keys = jax.random.split(key, len(sizes) - 1)
        pairs = zip(sizes[:-1], sizes[1:], keys, strict=True)
        self.layers = tuple(_glorot_linear(m, n, k) for m, n, k in pairs)
        self.activation = activation
        self.compute_dtype = compute_dtype

    def __call__(self, x: Array) -> Float[Array, " out"]:
        """One datum of any shape, flattened, through all layers."""
        activation = ACTIVATIONS[self.activation]
        layers, dtype = self.layers, self.layers[0].weight.dtype
        x = jnp.ravel(x)
        if self.compute_dtype is not None:
            narrow = lambda a: a.astype(self.compute_dtype)  # noqa: E731
            layers, x = jax.tree.map(narrow, layers), narrow(x)
        for layer in layers[:-1]:
            x = activation(layer(x))
        return layers[-1](x).astype(dtype)


def _glorot_linear(in_size: int, out_size: int, key: PRNGKeyArray) -> eqx.nn.Linear:
    linear = eqx.nn.Linear(in_size, out_size, key=key)
    weight = jax.nn.initializers.glorot_uniform(in_axis=1, out_axis=0)(key, (out_size, in_size))
    return eqx.tree_at(
        lambda layer: (layer.weight, layer.bias), linear, (weight, jnp.zeros(out_size))
    )
