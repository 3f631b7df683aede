"""Invertible maps of the latent space, and the distributions that they make of a normal.

Two kinds. The layers of `NeuralFlow` (autoregressive, coupling) are flowjax', with networks of
their own and an exact inverse. `PlanarLayer` and `SylvesterLayer` have no analytic inverse and no
parameters of their own: an encoder gives them. These two are written here, because flowjax lacks
Sylvester's, and its planar layer and its Householder reflection divide by a norm that is zero where
the encoder's network gives zeros (an all-black image, at initialisation).
"""

import functools
import math
from typing import Any, Literal

import equinox as eqx
import jax
import jax.numpy as jnp
import numpyro.distributions as dist
from jax.scipy.linalg import solve_triangular
from jaxtyping import Array, Bool, Float, PRNGKeyArray, Scalar

FlowKind = Literal["masked-autoregressive", "coupling"]


class NeuralFlow(eqx.Module):
    """A stack of affine autoregressive or coupling layers, whose coefficients a network gives.

    Each layer maps x to y by yᵢ = μᵢ + σᵢ xᵢ and is followed by a reversal of the order of the
    dimensions. "masked-autoregressive": (μᵢ, σᵢ) depend on x₁ … xᵢ₋₁ (Kingma et al. 2016,
    Papamakarios et al. 2017), `forward` is one pass and `inverse` takes as many as there are
    dimensions. "coupling": the first half stays, and (μ, σ) of the second half depend on it (Dinh
    et al. 2017, §3.2); both ways are one pass. The networks have one hidden layer of tanh units.

    Only the trained arrays are kept; masks and functions are flowjax' own and are made
    again from the sizes, so that a file needs the sizes and the arrays alone.

    Attributes:
        parameters: The arrays of each layer, in the order of flowjax.
    """

    kind: FlowKind = eqx.field(static=True)
    dim: int = eqx.field(static=True)
    context_dim: int = eqx.field(static=True)
    width: int = eqx.field(static=True)
    parameters: tuple[tuple[Float[Array, "..."], ...], ...]

    def __init__(
        self,
        kind: FlowKind,
        dim: int,
        *,
        context_dim: int = 0,
        layers: int = 4,
        width: int = 64,
        key: PRNGKeyArray,
    ) -> None:
        """Makes the stack.

        Args:
            kind: "masked-autoregressive" or "coupling".
            dim: The number of dimensions.
            context_dim: How many numbers of context the networks see; 0 for none.
            layers: How many layers.
            width: The units of the hidden layers.
            key: The randomness of the weights.

        Raises:
            ValueError: An unknown kind, no layers or units, or one dimension without a context: an
                affine layer of one dimension has nothing to depend on.
        """
        if kind not in ("masked-autoregressive", "coupling"):
            raise ValueError(f"flow is {kind!r}; it can be 'masked-autoregressive' or 'coupling'")
        if layers < 1 or width < 1:
            raise ValueError(f"a flow of {layers} layers of {width} units; give at least one each")
        if dim < 2 and context_dim == 0:
            raise ValueError(
                "a flow of one dimension is affine: a normal; give at least two latents"
            )
        self.kind = kind
        self.dim = dim
        self.context_dim = context_dim
        self.width = width
        self.parameters = tuple(
            tuple(jax.tree.leaves(eqx.filter(self._layer(k), eqx.is_inexact_array)))
            for k in jax.random.split(key, layers)
        )

    def forward(
        self, x: Float[Array, " dim"], context: Float[Array, " context"] | None = None
    ) -> tuple[Float[Array, " dim"], Scalar]:
        """The image of x, and log |det ∂y/∂x|."""
        total = jnp.zeros(())
        for layer in self._layers():
            x, log_det = layer.transform_and_log_det(x, context)
            x, total = x[::-1], total + log_det
        return x, total

    def inverse(
        self, y: Float[Array, " dim"], context: Float[Array, " context"] | None = None
    ) -> tuple[Float[Array, " dim"], Scalar]:
        """The x whose image is y, and log |det ∂x/∂y|."""
        total = jnp.zeros(())
        for layer in reversed(self._layers()):
            if self.kind == "masked-autoregressive":
                y, log_det = _inverse(layer, y[::-1], context)
            else:
                y, log_det = layer.inverse_and_log_det(y[::-1], context)
            total = total + log_det
        return y, total

    def used(self) -> tuple[tuple[Bool[Array, "..."], ...], ...]:
        """Which entries of `parameters` the map depends on: a masked weight counts as zero."""
        skeleton, moving = self._skeleton()
        ones = [jnp.ones(leaf.shape, bool) for leaf in jax.tree.leaves(moving)]
        if self.kind == "masked-autoregressive":
            # Each layer of the network has a weight, held by its mask, and then a bias.
            layers = skeleton.masked_autoregressive_mlp.layers
            ones[::2] = [layer.weight.args[0] for layer in layers]
        return (tuple(ones),) * len(self.parameters)

    def _layers(self) -> list[Any]:
        skeleton, moving = self._skeleton()
        structure = jax.tree.structure(moving)
        return [eqx.combine(structure.unflatten(arrays), skeleton) for arrays in self.parameters]

    def _skeleton(self) -> tuple[Any, Any]:
        # By the precision too: flowjax' layers hold constants of it.
        return _skeleton(
            self.kind,
            self.dim,
            self.context_dim,
            self.width,
            jax.dtypes.canonicalize_dtype(float).name,
        )

    def _layer(self, key: PRNGKeyArray) -> Any:
        return _layer(self.kind, self.dim, self.context_dim, self.width, key)


def _layer(kind: FlowKind, dim: int, context_dim: int, width: int, key: PRNGKeyArray) -> Any:
    from flowjax.bijections import Coupling, MaskedAutoregressive

    common: dict[str, Any] = {
        "transformer": _affine()(),
        "dim": dim,
        "cond_dim": context_dim or None,
        "nn_width": width,
        "nn_depth": 1,
        "nn_activation": jnp.tanh,
    }
    with jax.numpy_rank_promotion("allow"):
        if kind == "coupling":
            return Coupling(key, untransformed_dim=dim // 2, **common)
        return MaskedAutoregressive(key, **common)


@functools.cache
def _affine() -> type:
    """The class of x ↦ μ + σ x, defined when flowjax is first needed.

    (flowjax' own checks its scale at run time when it is made, which fails within `_skeleton`.)
    """
    from flowjax.bijections import AbstractBijection

    class Affine(AbstractBijection):
        shape: tuple[int, ...] = ()
        cond_shape: tuple[int, ...] | None = None
        mean: Array = eqx.field(default_factory=lambda: jnp.zeros(()))
        raw: Array = eqx.field(default_factory=lambda: jnp.zeros(()))

        def transform_and_log_det(self, x: Any, condition: Any = None) -> Any:
            del condition
            return self.mean + self._scale() * x, jnp.log(self._scale())

        def inverse_and_log_det(self, y: Any, condition: Any = None) -> Any:
            del condition
            return (y - self.mean) / self._scale(), -jnp.log(self._scale())

        def _scale(self) -> Array:  # 1 where the network says 0, and never below a hundredth
            return 0.01 + jax.nn.softplus(self.raw + math.log(math.expm1(0.99)))

    return Affine


@functools.cache
def _skeleton(
    kind: FlowKind, dim: int, context_dim: int, width: int, precision: str
) -> tuple[Any, Any]:
    """A layer without its trained arrays, and these alone."""
    del precision
    make = eqx.filter_jit(_layer)  # one program to compile instead of one for each operation
    with jax.ensure_compile_time_eval():  # concrete, also when first asked for within a jit
        layer = make(kind, dim, context_dim, width, jax.random.key(0))
        moving, skeleton = eqx.partition(layer, eqx.is_inexact_array)
        return skeleton, moving


def _inverse(
    layer: Any, y: Float[Array, " dim"], context: Float[Array, " context"] | None
) -> tuple[Float[Array, " dim"], Scalar]:
    """The inverse of an autoregressive layer, for the products and units of a single pass.

    xᵢ follows from hidden units that see x₁ … xᵢ₋₁ alone. Units that see as much are a group, and
    each group is computed once, as soon as what it sees is known. (flowjax runs the whole network
    anew for each xᵢ, ten times the work for ten dimensions. In a step of a mixture of a hundred
    such posteriors that took 20 times as long as all the rest.)
    """
    first, last = layer.masked_autoregressive_mlp.layers
    dim, inner = len(y), first.bias
    of_first, of_last = first.weight.unwrap(), last.weight.unwrap()  # masked weights are 0
    if context is not None:
        inner = inner + of_first[:, dim:] @ context
    groups = dim if context is not None else dim - 1  # of flowjax: unit h is of group h mod groups

    def grouped(of_units: Array) -> Array:
        """From an entry a unit to one a group and unit in it; where there is none stands 0."""
        rest = of_units.shape[1:]
        filled = jnp.pad(of_units, [(0, -len(of_units) % groups), *[(0, 0)] * len(rest)])
        found = jnp.swapaxes(filled.reshape(-1, groups, *rest), 0, 1)
        # Without a context nothing is known before x₁: its group is empty.
        return jnp.pad(found, [(dim - groups, 0), *[(0, 0)] * (found.ndim - 1)])

    def solve(carry: tuple[Array, Array], at: Any) -> tuple[tuple[Array, Array], Scalar]:
        x, out = carry
        i, inner, first, last = at
        out = out + jnp.tanh(inner + first @ x) @ last
        step = layer.transformer_constructor(out.reshape(dim, -1)[i])
        value, log_det = step.inverse_and_log_det(y[i])
        return (x.at[i].set(value), out), log_det

    units = grouped(inner), grouped(of_first[:, :dim]), grouped(of_last.T)
    start = jnp.zeros_like(y), last.bias
    (x, _), log_dets = jax.lax.scan(solve, start, (jnp.arange(dim), *units))
    return x, jnp.sum(log_dets)


class PlanarLayer(eqx.Module):
    """z ↦ z + û tanh(wᵀz + b) (Rezende & Mohamed 2015, eq. 10–12 and appendix A.1).

    û = u + (m(wᵀu) − wᵀu) w / ‖w‖² with m > −1 makes it invertible. The paper's m(a) = −1 + log(1 +
    eᵃ) is shifted so that m(0) = 0: otherwise û grows without bound as w goes to zero.

    Attributes:
        weight: w.
        shift: u.
        bias: b.
    """

    weight: Float[Array, " latent"]
    shift: Float[Array, " latent"]
    bias: Float[Array, ""]

    def forward(self, z: Float[Array, " latent"]) -> tuple[Float[Array, " latent"], Scalar]:
        """The image of z, and log |det|."""
        product = self.weight @ self.shift
        bounded = jax.nn.softplus(product + jnp.log(jnp.e - 1.0)) - 1.0
        u = self.shift + (bounded - product) * _over_square(self.weight)
        activation = jnp.tanh(self.weight @ z + self.bias)
        log_det = jnp.log1p((1.0 - activation**2) * (self.weight @ u))
        return z + u * activation, log_det


class SylvesterLayer(eqx.Module):
    """z ↦ z + Q R tanh(R̃ Qᵀ z + b), Q a product of Householder reflections.

    van den Berg et al. 2018, §3 and §4. R and R̃ are upper triangular; their diagonals are
    hyperbolic tangents, so that their products are above −1 and the map is invertible (theorem 2).

    Attributes:
        reflections: The vectors that the reflections turn round, one a row; zeros reflect nothing.
        outer: R, with its diagonal before the hyperbolic tangent; below it nothing is read.
        inner: R̃, likewise.
        bias: b.
    """

    reflections: Float[Array, "reflections latent"]
    outer: Float[Array, "latent latent"]
    inner: Float[Array, "latent latent"]
    bias: Float[Array, " latent"]

    def forward(self, z: Float[Array, " latent"]) -> tuple[Float[Array, " latent"], Scalar]:
        """The image of z, and log |det|."""
        outer, inner = _bounded_triangle(self.outer), _bounded_triangle(self.inner)
        factor = self._factor()
        rotated = self._rotate(factor.T, z, lower=True)
        activation = jnp.tanh(inner @ rotated + self.bias)
        slope = (1.0 - activation**2) * jnp.diagonal(outer) * jnp.diagonal(inner)
        return z + self._rotate(factor, outer @ activation, lower=False), jnp.sum(jnp.log1p(slope))

    def _factor(self) -> Float[Array, "reflections reflections"]:
        # The product of reflections in one piece, Q = I − V U⁻¹ Vᵀ with the vectors as columns of V
        # and U the upper triangle of VᵀV, its diagonal halved (Joffrain et al. 2006, the UT
        # transform). One at a time they take minutes to compile.
        products = self.reflections @ self.reflections.T
        half = 0.5 * jnp.diagonal(products)
        return jnp.triu(products, 1) + jnp.diag(jnp.where(half > 0, half, 1.0))

    def _rotate(
        self,
        factor: Float[Array, "reflections reflections"],
        z: Float[Array, " latent"],
        *,
        lower: bool,
    ) -> Float[Array, " latent"]:
        """Q z from U, and Qᵀ z from Uᵀ, which is lower."""
        coefficients = solve_triangular(factor, self.reflections @ z, lower=lower)
        return z - self.reflections.T @ coefficients


def _bounded_triangle(matrix: Float[Array, "latent latent"]) -> Float[Array, "latent latent"]:
    return jnp.triu(matrix, 1) + jnp.diag(jnp.tanh(jnp.diagonal(matrix)))


def _over_square(v: Float[Array, " latent"]) -> Float[Array, " latent"]:
    """V / ‖v‖², and zeros for zeros."""
    square = v @ v
    return v / jnp.where(square > 0, square, 1.0)


class ForwardFlow(eqx.Module):
    """z = f(z₀) with z₀ normal and no analytic inverse of f: only its own draws have a density.

    Attributes:
        start: The distribution of z₀, elementwise.
        layers: The layers of f, each with a `forward`.
    """

    start: dist.Normal
    layers: tuple[PlanarLayer | SylvesterLayer, ...]

    def sample_and_log_prob(self, key: PRNGKeyArray) -> tuple[Float[Array, " latent"], Scalar]:
        """One draw, and its log-density in nats."""
        z = self.start.sample(key)
        log_prob = jnp.sum(self.start.log_prob(z))
        z, log_det = self._push(z)
        return z, log_prob - log_det

    @property
    def location(self) -> Float[Array, " latent"]:
        """f(E z₀): the mean of the normal, moved; the mean of z has no closed form."""
        return self._push(jnp.asarray(self.start.loc))[0]

    def _push(self, z: Float[Array, " latent"]) -> tuple[Float[Array, " latent"], Scalar]:
        total = jnp.zeros(())
        for layer in self.layers:
            z, log_det = layer.forward(z)
            total = total + log_det
        return z, total


class ContextFlow(eqx.Module):
    """z = f(z₀; context) with z₀ normal and f a `NeuralFlow`: made for drawing.

    `log_prob` of a point that was not drawn here inverts f.

    Attributes:
        start: The distribution of z₀, elementwise.
        flow: f.
        context: What f is conditioned on.
    """

    start: dist.Normal
    flow: NeuralFlow
    context: Float[Array, " context"]

    def sample(self, key: PRNGKeyArray) -> Float[Array, " latent"]:
        """One draw."""
        return self.flow.forward(self.start.sample(key), self.context)[0]

    def sample_and_log_prob(self, key: PRNGKeyArray) -> tuple[Float[Array, " latent"], Scalar]:
        """One draw, and its log-density in nats, without inverting f."""
        start = self.start.sample(key)
        z, log_det = self.flow.forward(start, self.context)
        return z, jnp.sum(self.start.log_prob(start)) - log_det

    def log_prob(self, value: Float[Array, " latent"]) -> Scalar:
        """The log-density in nats."""
        start, log_det = self.flow.inverse(value, self.context)
        return jnp.sum(self.start.log_prob(start)) + log_det

    @property
    def location(self) -> Float[Array, " latent"]:
        """f(E z₀): the mean of the normal, moved; the mean of z has no closed form."""
        return self.flow.forward(jnp.asarray(self.start.loc), self.context)[0]


class NormalisingFlow(eqx.Module):
    """(z − a) / s = f⁻¹(ε) with ε standard normal and f a `NeuralFlow`: made for evaluating.

    Attributes:
        flow: f, from z to noise.
        shift: a.
        scale: s.
    """

    flow: NeuralFlow
    shift: Float[Array, " latent"]
    scale: Float[Array, " latent"]

    def sample(self, key: PRNGKeyArray) -> Float[Array, " latent"]:
        """One draw."""
        noise = jax.random.normal(key, self.shift.shape, self.shift.dtype)
        return self.shift + self.scale * self.flow.inverse(noise)[0]

    def log_prob(self, value: Float[Array, " latent"]) -> Scalar:
        """The log-density in nats."""
        noise, log_det = self.flow.forward((value - self.shift) / self.scale)
        return jnp.sum(dist.Normal().log_prob(noise) - jnp.log(self.scale)) + log_det
