"""Networks: from one datum, or one latent, to a vector of numbers.

Anything that can be called so is a network, a plain function too; `check_network` says whether it
fits. There is no special shared trunk: the numbers that a family wants are one vector, so all of
them but the last layer's rows share the layers below.
"""

from collections.abc import Callable, Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from elbax.util import words

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


class Linear(eqx.nn.Linear):
    """x Wᵀ + b, with Glorot-uniform weights and zero biases (Equinox' are LeCun-uniform).

    Equinox writes W x. Under `vmap` the data are the rows of x Wᵀ, and XLA's CPU backend then sums
    the gradient of b over them in one pass instead of two.
    """

    def __init__(
        self, in_size: int, out_size: int, *, bias: bool = True, key: PRNGKeyArray
    ) -> None:
        """Makes the layer.

        Args:
            in_size: The number of inputs.
            out_size: The number of outputs.
            bias: Whether there is a b.
            key: The randomness of the weights.
        """
        # Not `super().__init__`, which would draw weights to throw away.
        self.in_features, self.out_features, self.use_bias = in_size, out_size, bias
        glorot = jax.nn.initializers.glorot_uniform(in_axis=1, out_axis=0)
        self.weight = glorot(key, (out_size, in_size))
        self.bias = jnp.zeros(out_size) if bias else None

    def __call__(
        self, x: Float[Array, " in_size"], *, key: PRNGKeyArray | None = None
    ) -> Float[Array, " out_size"]:
        """One vector; the key is ignored, as Equinox' is."""
        del key
        product = x @ self.weight.T
        return product if self.bias is None else product + self.bias


class MLP(eqx.Module):
    """A multilayer perceptron of any widths, with Glorot-uniform weights and zero biases.

    (Equinox' own has one width for all hidden layers and LeCun-uniform weights, with which the
    summary's network ends 5 nats short of these.)

    Attributes:
        layers: The linear layers, from input to output; a weight's shape is `(out, in)`.
    """

    layers: tuple[Linear, ...]
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
        sizes = _checked(in_size, hidden, out_size, activation)
        self.layers = _linear_layers(sizes, key)
        self.activation = activation
        self.compute_dtype = compute_dtype

    def __call__(self, x: Array) -> Float[Array, " out"]:
        """One datum of any shape, flattened, through all layers."""
        network, x = narrowed(self, jnp.ravel(x))
        activation = ACTIVATIONS[self.activation]
        for layer in network.layers[:-1]:
            x = activation(layer(x))
        return network.layers[-1](x).astype(self.layers[0].weight.dtype)


class Squashed(eqx.Module):
    """A network whose outputs end between 0 and 1: those of a logistic function.

    For the mean of a normal likelihood of numbers in that range, as models of pythae have it.

    Attributes:
        network: Any module or function from a vector to a vector.
    """

    network: Any

    def __call__(self, x: Array) -> Float[Array, " out"]:
        """One vector."""
        return jax.nn.sigmoid(self.network(x))


class NormalizedMLP(eqx.Module):
    """A multilayer perceptron with layer normalisation before each activation (Ba et al. 2016).

    Attributes:
        layers: The linear layers, from input to output.
        norms: One layer normalisation for each hidden layer.
        activation: One of `ACTIVATIONS`.
        compute_dtype: As `MLP`'s.
    """

    layers: tuple[Linear, ...]
    norms: tuple[eqx.nn.LayerNorm, ...]
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
        """Makes the network; the arguments, and what is refused, are `MLP`'s."""
        sizes = _checked(in_size, hidden, out_size, activation)
        self.layers = _linear_layers(sizes, key)
        self.norms = tuple(eqx.nn.LayerNorm(n) for n in sizes[1:-1])
        self.activation = activation
        self.compute_dtype = compute_dtype

    def __call__(self, x: Array) -> Float[Array, " out"]:
        """One datum of any shape, flattened, through all layers."""
        network, x = narrowed(self, jnp.ravel(x))
        activation = ACTIVATIONS[self.activation]
        for layer, norm in zip(network.layers[:-1], network.norms, strict=True):
            x = activation(norm(layer(x)))
        return network.layers[-1](x).astype(self.layers[0].weight.dtype)


class GatedMLP(eqx.Module):
    """A multilayer perceptron whose hidden units are products h ⊙ σ(g) of two linear maps.

    Dauphin et al. 2017; the network of the VampPrior and of the Exemplar VAE (Tomczak & Welling
    2018, Norouzi et al. 2020). The gate takes the place of the activation.

    Attributes:
        layers: The linear layers, from input to output; a hidden one gives h and then g, so its
            weight's shape is `(2 width, in)`.
        norms: Where there is layer normalisation, one for the h of each hidden layer.
    """

    layers: tuple[Linear, ...]
    norms: tuple[eqx.nn.LayerNorm, ...] | None
    compute_dtype: str | None = eqx.field(static=True)

    def __init__(
        self,
        in_size: int,
        hidden: Sequence[int],
        out_size: int,
        *,
        layer_norm: bool = False,
        compute_dtype: str | None = None,
        key: PRNGKeyArray,
    ) -> None:
        """Makes the network.

        Args:
            in_size: The number of elements of the input.
            hidden: The widths of the hidden layers.
            out_size: The number of outputs.
            layer_norm: Whether each h is normalised over the units (Ba et al. 2016).
            compute_dtype: As `MLP`'s.
            key: The randomness of the weights.

        Raises:
            ValueError: A size is not positive.
        """
        sizes = _checked(in_size, hidden, out_size, "identity")
        keys = jax.random.split(key, 2 * len(sizes) - 2)
        pairs = zip(sizes[:-2], sizes[1:-1], keys[::2], keys[1::2])  # noqa: B905  one pair is left
        gated = tuple(_gated_linear(m, n, k, other) for m, n, k, other in pairs)
        self.layers = (*gated, Linear(sizes[-2], out_size, key=keys[-1]))
        self.norms = tuple(eqx.nn.LayerNorm(n) for n in sizes[1:-1]) if layer_norm else None
        self.compute_dtype = compute_dtype

    def __call__(self, x: Array) -> Float[Array, " out"]:
        """One datum of any shape, flattened, through all layers."""
        network, x = narrowed(self, jnp.ravel(x))
        for i, layer in enumerate(network.layers[:-1]):
            x, gate = jnp.split(layer(x), 2)
            if network.norms is not None:
                x = network.norms[i](x)
            x = x * jax.nn.sigmoid(gate)
        return network.layers[-1](x).astype(self.layers[0].weight.dtype)


class ResidualMLP(eqx.Module):
    """A multilayer perceptron of residual blocks x + W₂ a(W₁ a(x)) (He et al. 2016).

    A linear layer to the first width, one block a width, and a linear layer to the output. Between
    different widths a block's input passes by through a linear map, else as it is.

    Attributes:
        first: To the first width.
        blocks: The blocks.
        last: To the output.
    """

    first: Linear
    blocks: tuple["ResidualBlock", ...]
    last: Linear
    activation: str = eqx.field(static=True)
    compute_dtype: str | None = eqx.field(static=True)

    def __init__(
        self,
        in_size: int,
        hidden: Sequence[int],
        out_size: int,
        activation: str = "relu",
        *,
        layer_norm: bool = False,
        compute_dtype: str | None = None,
        key: PRNGKeyArray,
    ) -> None:
        """Makes the network.

        Args:
            in_size: The number of elements of the input.
            hidden: The widths of the blocks, at least one.
            out_size: The number of outputs.
            activation: One of `ACTIVATIONS`.
            layer_norm: Whether each block begins with layer normalisation (Ba et al. 2016).
            compute_dtype: As `MLP`'s.
            key: The randomness of the weights.

        Raises:
            ValueError: There is no width, a size is not positive, or the activation is unknown.
        """
        _checked(in_size, hidden, out_size, activation)
        if not hidden:
            raise ValueError("hidden is empty; a residual network needs at least one width")
        first_key, last_key, *keys = jax.random.split(key, 2 + len(hidden))
        self.first = Linear(in_size, hidden[0], key=first_key)
        pairs = zip((hidden[0], *hidden), hidden, keys)  # noqa: B905  the last width leads on
        self.blocks = tuple(ResidualBlock(m, n, layer_norm=layer_norm, key=k) for m, n, k in pairs)
        self.last = Linear(hidden[-1], out_size, key=last_key)
        self.activation = activation
        self.compute_dtype = compute_dtype

    def __call__(self, x: Array) -> Float[Array, " out"]:
        """One datum of any shape, flattened, through all blocks."""
        network, x = narrowed(self, jnp.ravel(x))
        activation = ACTIVATIONS[self.activation]
        x = network.first(x)
        for block in network.blocks:
            x = block(x, activation)
        return network.last(activation(x)).astype(self.first.weight.dtype)


class ResidualBlock(eqx.Module):
    """x + W₂ a(W₁ a(x)), with layer normalisation of x inside where there is any.

    Attributes:
        norm: Layer normalisation, or None.
        inner: W₁.
        outer: W₂.
        skip: What x passes by through where the width changes, without a bias; else None.
    """

    norm: eqx.nn.LayerNorm | None
    inner: Linear
    outer: Linear
    skip: Linear | None

    def __init__(self, in_size: int, out_size: int, *, layer_norm: bool, key: PRNGKeyArray) -> None:
        """Makes the block."""
        inner_key, outer_key, skip_key = jax.random.split(key, 3)
        self.norm = eqx.nn.LayerNorm(in_size) if layer_norm else None
        self.inner = Linear(in_size, out_size, key=inner_key)
        self.outer = Linear(out_size, out_size, key=outer_key)
        same = in_size == out_size
        self.skip = None if same else Linear(in_size, out_size, bias=False, key=skip_key)

    def __call__(
        self, x: Float[Array, " in_size"], activation: Callable[[Array], Array]
    ) -> Float[Array, " out_size"]:
        """The block's output."""
        passed = x if self.skip is None else self.skip(x)
        inside = x if self.norm is None else self.norm(x)
        return passed + self.outer(activation(self.inner(activation(inside))))


def check_network(network: Any, in_shape: tuple[int, ...], out_size: int) -> None:
    """Refuses a network that does not take a datum, or a latent, to a vector of the right length.

    Nothing is computed: the network is called on shapes alone.

    Args:
        network: Any Equinox module or plain function.
        in_shape: The shape of its input.
        out_size: How many numbers it has to give.

    Raises:
        ValueError: One line, with the expected and the found shape, or why it could not be called.
    """
    example = jax.ShapeDtypeStruct(in_shape, jax.dtypes.canonicalize_dtype(float))
    if not callable(network):
        raise ValueError(f"the network is a {type(network).__name__}, which cannot be called")
    try:
        found = eqx.filter_eval_shape(network, example)
    except Exception as error:  # the caller's function may raise anything
        raise ValueError(
            f"the network cannot take an input of shape {in_shape} "
            f"(expected: from {in_shape} to ({out_size},)): {words.reason(error)}"
        ) from error
    shape, dtype = getattr(found, "shape", None), getattr(found, "dtype", None)
    if shape is None or dtype is None:
        raise ValueError(
            f"the network gives a {type(found).__name__} for an input of shape {in_shape}; "
            f"expected: one array of shape ({out_size},)"
        )
    if shape != (out_size,) or not jnp.issubdtype(dtype, jnp.floating):
        raise ValueError(
            f"the network gives {dtype}{list(shape)} for an input of shape {in_shape}; "
            f"expected: floating-point numbers of shape ({out_size},)"
        )


def narrowed(network: Any, x: Array) -> tuple[Any, Array]:
    """The network and its input in the network's `compute_dtype`; as they are where it is None."""
    if network.compute_dtype is None:
        return network, x
    return jax.tree.map(lambda a: a.astype(network.compute_dtype), (network, x))


def _checked(
    in_size: int, hidden: Sequence[int], out_size: int, activation: str
) -> tuple[int, ...]:
    sizes = (in_size, *hidden, out_size)
    if min(sizes) < 1:
        raise ValueError(f"layer sizes are {sizes}; each must be at least 1")
    check_activation(activation)
    return sizes


def check_activation(activation: str) -> None:
    """Refuses a name that is none of `ACTIVATIONS`.

    Raises:
        ValueError: It is unknown.
    """
    if activation not in ACTIVATIONS:
        raise ValueError(
            f"activation is {activation!r}; it can be {', '.join(sorted(ACTIVATIONS))}"
        )


def _linear_layers(sizes: tuple[int, ...], key: PRNGKeyArray) -> tuple[Linear, ...]:
    keys = jax.random.split(key, len(sizes) - 1)
    pairs = zip(sizes[:-1], sizes[1:], keys, strict=True)
    return tuple(Linear(m, n, key=k) for m, n, k in pairs)


def _gated_linear(in_size: int, width: int, key: PRNGKeyArray, gate_key: PRNGKeyArray) -> Linear:
    """Two linear maps side by side, each Glorot-uniform in its own size."""
    pair = [Linear(in_size, width, key=k) for k in (key, gate_key)]
    both = Linear(in_size, 2 * width, key=key)
    return eqx.tree_at(lambda layer: layer.weight, both, jnp.concatenate([w.weight for w in pair]))
