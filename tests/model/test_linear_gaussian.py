"""The bound where the evidence is known exactly (tests/linear_gaussian.py)."""

import itertools

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest
import scipy.stats

from elbax.model import (
    AbstractPosterior,
    Batch,
    NegativeELBO,
    elbo_terms,
    kl_divergence,
)
from tests.laws import in_float64
from tests.linear_gaussian import example, log_normal

SCALES = ["fixed", "shared", "predicted"]
X = example().draw(np.random.default_rng(1), rows=6)


def expected_bound(model, x):
    """E_q[log p(x|z)] − KL(q ‖ p), the expectation by Gauss–Hermite: exact for a quadratic."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(3)
    grid = np.array(list(itertools.product(nodes, nodes)))
    chances = np.prod(list(itertools.product(weights, weights)), axis=1) / (2 * np.pi)

    def of_row(x):
        q = model.encode(x)
        z = q.mean + grid @ q.scale_tril.T
        reconstruction = chances @ jax.vmap(lambda z: model.log_likelihood(x, z))(z)
        return reconstruction - kl_divergence(q, model.prior_distribution())

    return jax.jit(jax.vmap(of_row))(x)


def test_evidence_and_posterior_of_the_oracle_keep_bayes_rule():
    # log p(x) = log p(x|z) + log p(z) − log p(z|x) at any z: the two formulas check each other.
    oracle = example()
    z = np.random.default_rng(2).normal(size=2)
    mean, covariance = oracle.posterior(X)
    joint = scipy.stats.norm.logpdf(X, oracle.weight @ z + oracle.bias, oracle.scale).sum(axis=1)
    joint += scipy.stats.norm.logpdf(z).sum()
    posterior = [log_normal(z, m, covariance) for m in mean]
    assert np.allclose(oracle.log_evidence(X), joint - posterior, rtol=1e-12)
    assert np.allclose(oracle.exact().kl_to_posterior(X), 0, atol=1e-12)


@pytest.mark.parametrize("scale", SCALES)
@in_float64
def test_elbo_is_the_log_evidence_at_the_exact_posterior(scale):
    oracle = example().exact()
    found = expected_bound(oracle.model(scale), X)
    assert np.allclose(found, oracle.log_evidence(X), rtol=1e-11)


@pytest.mark.parametrize("scale", SCALES)
@in_float64
def test_elbo_is_below_the_log_evidence_by_the_kl_to_the_posterior(scale):
    oracle = example()
    gap = oracle.log_evidence(X) - expected_bound(oracle.model(scale), X)
    assert np.all(gap > 0.1)
    assert np.allclose(gap, oracle.kl_to_posterior(X), rtol=1e-11)

    # And by elbax' own divergence between the two.
    mean, covariance = map(jnp.asarray, oracle.posterior(X))
    own = [
        kl_divergence(oracle.model(scale).encode(x), dist.MultivariateNormal(m, covariance))
        for x, m in zip(jnp.asarray(X), mean, strict=True)
    ]
    assert np.allclose(gap, own, rtol=1e-11)


@in_float64
def test_draws_of_the_elbo_average_to_the_bound():
    oracle = example()
    model, exact = oracle.model(), np.asarray(expected_bound(oracle.model(), X))
    keys = jax.random.split(jax.random.key(3), (len(X), 20_000))

    def draws(x, keys):
        return jax.vmap(lambda key: elbo_terms(model, x, key).elbo)(keys)

    found = np.asarray(jax.jit(jax.vmap(draws))(jnp.asarray(X), keys))
    errors = scipy.stats.sem(found, axis=1)
    assert np.all(np.abs(found.mean(axis=1) - exact) < 4 * errors)
    assert np.all(errors < 0.1)


class _OnePass(eqx.Module):
    """A normal that only draws with a log-density, so that no closed form applies."""

    normal: dist.MultivariateNormal

    def sample_and_log_prob(self, key):
        z = self.normal.sample(key)
        return z, self.normal.log_prob(z)


class _OnePassFamily(AbstractPosterior):
    family: AbstractPosterior
    latent_dim: int = 2

    @property
    def parameter_count(self):
        return self.family.parameter_count

    def __call__(self, parameters):
        return _OnePass(self.family(parameters))


def without_closed_form(model):
    family = _OnePassFamily(family=model.encoder.posterior)
    return eqx.tree_at(lambda m: m.encoder.posterior, model, family)


@in_float64
def test_without_a_closed_form_each_draw_is_the_log_evidence_at_the_exact_posterior():
    # log p(x|z) + log p(z) − log q(z) is then log p(x) whatever z is: no Monte Carlo error at all.
    oracle = example().exact()
    model = without_closed_form(oracle.model())
    bound = jax.jit(jax.vmap(lambda x, key: elbo_terms(model, x, key), in_axes=(0, None)))
    for seed in range(5):
        terms = bound(jnp.asarray(X), jax.random.key(seed))
        assert np.allclose(terms.elbo, oracle.log_evidence(X), rtol=1e-11)
        assert terms.kl_per_latent is None


@in_float64
def test_without_a_closed_form_draws_average_to_the_same_bound():
    oracle = example()
    model = without_closed_form(oracle.model())
    keys = jax.random.split(jax.random.key(4), 20_000)
    x = jnp.asarray(X[0])
    found = np.asarray(jax.jit(jax.vmap(lambda key: elbo_terms(model, x, key).elbo))(keys))
    exact = expected_bound(oracle.model(), X[:1])[0]
    assert abs(found.mean() - exact) < 4 * scipy.stats.sem(found)


@in_float64
def test_monte_carlo_over_the_prior_converges_but_most_draws_count_for_nothing():
    # P(X) ≈ 1/n Σ P(X|z), z ~ P(Z): right, but P(X|z) is nearly zero for most z, the more latents
    # the more so. (With the exact posterior for a proposal one draw is enough: see above.)
    n, shares = 100_000, []
    for latents in (1, 2, 6):
        oracle = example(seed=8, data=2 * latents, latents=latents)
        model, x = oracle.model(), oracle.draw(np.random.default_rng(9), rows=1)
        prior = model.prior_distribution()

        def likelihood(key, model=model, prior=prior, x=x):
            return model.log_likelihood(jnp.asarray(x[0]), prior.sample(key))

        found = jax.jit(jax.vmap(likelihood))(jax.random.split(jax.random.key(5), n))
        ratio = np.exp(np.asarray(found) - oracle.log_evidence(x))
        assert abs(ratio.mean() - 1) < 4 * scipy.stats.sem(ratio)
        shares.append(ratio.sum() ** 2 / (ratio**2).sum() / n)  # of draws that count, effectively
    assert shares[0] > shares[1] > 10 * shares[2]
    assert shares[2] < 0.01


@in_float64
def test_the_objective_is_cross_entropy_plus_beta_times_kl():
    oracle = example()
    model, keys = oracle.model(), jax.random.split(jax.random.key(6), len(X))
    terms = jax.jit(jax.vmap(lambda x, key: elbo_terms(model, x, key)))(jnp.asarray(X), keys)
    reconstruction, kl = float(terms.reconstruction.mean()), float(terms.kl.mean())
    for beta in (0.0, 1.0, 4.0):
        loss, (state, metrics) = NegativeELBO(beta)(
            model, Batch(jnp.asarray(X)), state=None, step=jnp.asarray(0), key=jax.random.key(6)
        )
        assert state is None
        assert float(loss) == pytest.approx(float(-reconstruction + beta * kl), rel=1e-12)
        assert float(metrics["loss"]) == float(loss)
        assert float(metrics["elbo"]) == pytest.approx(reconstruction - kl, rel=1e-12)
        assert float(metrics["reconstruction"]) == pytest.approx(reconstruction, rel=1e-12)
        assert float(metrics["kl"]) == pytest.approx(kl, rel=1e-12)


@in_float64
def test_the_objective_leaves_out_masked_cells():
    oracle = example()
    mask = np.random.default_rng(7).random(X.shape) < 0.6

    def loss(x):
        batch = Batch(jnp.asarray(x), mask=jnp.asarray(mask))
        model = eqx.tree_at(
            lambda m: m.encoder.network.layers[0].weight, oracle.model(), jnp.zeros((5, 4))
        )
        arguments = {"state": None, "step": jnp.asarray(0), "key": jax.random.key(8)}
        return float(NegativeELBO()(model, batch, **arguments)[0])

    # (The encoder is deaf here: what it sees in place of a missing cell is not the mask's concern.)
    assert loss(X) == loss(np.where(mask, X, 123.0))
    assert loss(X) != loss(np.where(mask, 123.0, X))
