"""Sketches against the interfaces page: three published variants, each of its own parts.

Each is written with the abstract interfaces alone and takes steps with the one training loop, so
that the interfaces are known to carry them. What is checked is what would show that they do not:
every parameter moves, and the loss is the one that the paper writes.
"""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import optax
import pytest
from jaxtyping import Array, Float, PRNGKeyArray, PyTree, Scalar

from elbax.model import (
    MLP,
    AbstractDecoder,
    AbstractEncoder,
    AbstractObjective,
    AbstractPosterior,
    AbstractPrior,
    Batch,
    Bernoulli,
    Decoder,
    DiagonalNormal,
    Distribution,
    Encoder,
    LatentVariableModel,
    NegativeELBO,
    Normal,
    SamplesWithLogProb,
    StandardNormal,
    elbo_terms,
)
from elbax.train import State, fit, init_state, merge

DATA, LATENT = 6, 2
KEY = jax.random.key(0)


def binary_rows(rows: int = 40) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 2, (rows, DATA)).astype(np.float32)


def keys(count: int) -> list[PRNGKeyArray]:
    return list(jax.random.split(KEY, count))


def take_steps(
    model: eqx.Module, objective: AbstractObjective, data: Batch, steps: int = 1, **options: Any
) -> tuple[State, dict[str, np.ndarray]]:
    """Trains, and checks that every trainable array has moved."""
    optimizer = optax.adam(1e-2)
    start = init_state(model, objective, optimizer, KEY, keep_best=False)
    reports = list(
        fit(
            model,
            objective,
            data,
            optimizer=optimizer,
            batch_size=20,
            steps=steps,
            state=start,
            **options,
        )
    )
    end = reports[-1].state
    before = jax.tree_util.tree_leaves_with_path(start.parameters)
    for (path, old), new in zip(before, jax.tree.leaves(end.parameters), strict=True):
        assert not np.array_equal(old, new), f"{jax.tree_util.keystr(path)} did not move"
    return end, reports[-1].metrics


# --- an inverse-autoregressive posterior (Kingma et al. 2016) -------------------------------------


class AutoregressiveSample(eqx.Module):
    """What a flow without an analytic inverse offers: a draw together with its log-density."""

    base: Any
    context: Float[Array, " context"]
    layer: "MaskedAffine"

    def sample_and_log_prob(self, key: PRNGKeyArray) -> tuple[Array, Scalar]:
        start = self.base.sample(key)
        shift, gate = self.layer(start, self.context)
        # Kingma et al. 2016, eq. 14: z ← σ z + (1 − σ) m, with log-determinant Σ log σ.
        z = gate * start + (1.0 - gate) * shift
        return z, jnp.asarray(self.base.log_prob(start)) - jnp.sum(jnp.log(gate))


class MaskedAffine(eqx.Module):
    weight: Float[Array, "two latent latent"]
    from_context: eqx.nn.Linear

    def __init__(self, latent_dim: int, context_dim: int, *, key: PRNGKeyArray) -> None:
        weight_key, context_key = jax.random.split(key)
        self.weight = 0.1 * jax.random.normal(weight_key, (2, latent_dim, latent_dim))
        self.from_context = eqx.nn.Linear(context_dim, 2 * latent_dim, key=context_key)

    def __call__(self, z: Array, context: Array) -> tuple[Array, Array]:
        strictly_lower = jnp.tril(self.weight, -1)
        shift, gate = strictly_lower @ z + self.from_context(context).reshape(2, -1)
        return shift, jax.nn.sigmoid(gate + 1.0)


class InverseAutoregressive(AbstractPosterior):
    latent_dim: int = eqx.field(static=True)
    context_dim: int = eqx.field(static=True)
    layer: MaskedAffine

    @property
    def parameter_count(self) -> int:
        return 2 * self.latent_dim + self.context_dim

    def __call__(self, parameters: Array) -> AutoregressiveSample:
        d = self.latent_dim
        base = DiagonalNormal(d)(parameters[: 2 * d])
        return AutoregressiveSample(base, parameters[2 * d :], self.layer)


def inverse_autoregressive_model() -> LatentVariableModel:
    a, b, c = keys(3)
    posterior = InverseAutoregressive(LATENT, 3, MaskedAffine(LATENT, 3, key=a))
    encoder = Encoder(MLP(DATA, (8,), posterior.parameter_count, key=b), posterior)
    return LatentVariableModel(
        StandardNormal(LATENT), encoder, Decoder(MLP(LATENT, (8,), DATA, key=c), Bernoulli((DATA,)))
    )


def test_inverse_autoregressive_posterior() -> None:
    model = inverse_autoregressive_model()
    x = jnp.asarray(binary_rows())
    take_steps(
        eqx.tree_at(_posterior_weight, model, replace_fn=_lower), NegativeELBO(), Batch(x), 3
    )

    q: Any = model.encode(x[0])
    kinds = isinstance(q, SamplesWithLogProb), isinstance(q, Distribution)
    assert kinds == (True, False)
    # The density of its own draw, by the change of variables with autodiff's Jacobian.
    z, log_q = q.sample_and_log_prob(KEY)

    def push(start: Array) -> Array:
        shift, gate = q.layer(start, q.context)
        return gate * start + (1.0 - gate) * shift

    start = q.base.sample(KEY)
    expected = q.base.log_prob(start) - jnp.linalg.slogdet(jax.jacobian(push)(start))[1]
    np.testing.assert_allclose(push(start), z)
    np.testing.assert_allclose(log_q, expected, rtol=1e-6)


def _posterior_weight(model: Any) -> Array:
    return model.encoder.posterior.layer.weight


def _lower(weight: Array) -> Array:
    return jnp.tril(weight, -1)


# --- a masked ELBO (Mattei & Frellsen 2019, K = 1) ------------------------------------------------


def test_masked_elbo_ignores_what_was_not_observed() -> None:
    a, b = keys(2)
    encoder = Encoder(MLP(DATA, (8,), 2 * LATENT, key=a), DiagonalNormal(LATENT))
    decoder = Decoder(MLP(LATENT, (8,), DATA, key=b), Normal((DATA,), "shared"))
    model = LatentVariableModel(StandardNormal(LATENT), encoder, decoder)
    table = np.random.default_rng(1).normal(size=(40, DATA)).astype(np.float32)
    table[np.random.default_rng(2).random(table.shape) < 0.3] = np.nan
    observed = jnp.asarray(~np.isnan(table))

    def fill(x: Array, key: PRNGKeyArray) -> Array:
        return jnp.nan_to_num(x)

    take_steps(model, NegativeELBO(), Batch(jnp.asarray(table), mask=observed), 3, transform=fill)

    x, mask = jnp.nan_to_num(jnp.asarray(table[0])), observed[0]
    terms = elbo_terms(model, x, KEY, mask)
    z = model.encode(x).sample(KEY)
    expected = np.asarray(model.decode(z).log_prob(x))[np.asarray(mask)].sum()
    np.testing.assert_allclose(terms.reconstruction, expected, rtol=1e-5)


# --- a two-level hierarchy (Sønderby et al. 2016) -------------------------------------------------


class TwoLevels(eqx.Module):
    """A joint distribution over (lower, upper): the upper one first, the lower one given it."""

    upper: Any
    lower_given_upper: Any  # z₂ ↦ distribution of z₁

    def sample(self, key: PRNGKeyArray) -> tuple[Array, Array]:
        first, second = jax.random.split(key)
        upper = self.upper.sample(first)
        return self.lower_given_upper(upper).sample(second), upper

    def log_prob(self, value: tuple[Array, Array]) -> Scalar:
        lower, upper = value
        return self.upper.log_prob(upper) + self.lower_given_upper(upper).log_prob(lower)


class LevelGivenUpper(eqx.Module):
    """One module that plays the prior and, with the datum's features, the encoder."""

    network: MLP
    features: Array | None

    def __call__(self, upper: Array) -> dist.Distribution:
        features = jnp.zeros(4) if self.features is None else self.features
        return DiagonalNormal(LATENT)(self.network(jnp.concatenate([upper, features])))


class HierarchicalPrior(AbstractPrior):
    latent_dim: int = eqx.field(static=True)

    def __call__(self, encoder: AbstractEncoder, condition: Array | None = None) -> TwoLevels:
        assert isinstance(encoder, HierarchicalEncoder)
        return TwoLevels(StandardNormal(LATENT)(encoder), LevelGivenUpper(encoder.top_down, None))


class HierarchicalEncoder(AbstractEncoder):
    bottom_up: MLP
    top: MLP
    top_down: MLP

    def __call__(self, x: Array, condition: Array | None = None) -> TwoLevels:
        features = self.bottom_up(x)
        upper = DiagonalNormal(LATENT)(self.top(features))
        return TwoLevels(upper, LevelGivenUpper(self.top_down, features))


class HierarchicalDecoder(AbstractDecoder):
    network: MLP

    def __call__(self, z: PyTree, condition: Array | None = None) -> Any:
        lower, upper = z
        return Bernoulli((DATA,))(self.network(jnp.concatenate([lower, upper])))


def test_two_level_hierarchy_with_a_shared_top_down_path() -> None:
    a, b, c, d = keys(4)
    encoder = HierarchicalEncoder(
        MLP(DATA, (8,), 4, key=a),
        MLP(4, (), 2 * LATENT, key=b),
        MLP(LATENT + 4, (8,), 2 * LATENT, key=c),
    )
    decoder = HierarchicalDecoder(MLP(2 * LATENT, (8,), DATA, key=d))
    model = LatentVariableModel(HierarchicalPrior(2 * LATENT), encoder, decoder)
    x = jnp.asarray(binary_rows())
    end, _ = take_steps(model, NegativeELBO(), Batch(x), 3)

    model, _ = merge(end.parameters, model, NegativeELBO())
    q, p = model.encode(x[0]), model.prior_distribution()
    assert isinstance(q, Distribution)
    z = q.sample(KEY)
    np.testing.assert_allclose(
        elbo_terms(model, x[0], KEY).kl, q.log_prob(z) - p.log_prob(z), rtol=1e-5
    )
    # Averaged over draws it is a divergence: not negative.
    draws = jax.vmap(lambda k: elbo_terms(model, x[0], k).kl)(jax.random.split(KEY, 2000))
    assert jnp.mean(draws) > -3 * jnp.std(draws) / jnp.sqrt(2000.0)


@pytest.mark.parametrize("missing", ["sample", "log_prob"])
def test_half_a_distribution_is_none(missing: str) -> None:
    half = type(
        "Half", (), {name: lambda self, value: value for name in {"sample", "log_prob"} - {missing}}
    )
    assert not isinstance(half(), Distribution)
