"""Priors against what they are made of, number by number, and what they refuse."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special
import scipy.stats

from elbax.model import (
    MLP,
    ConditionalNormal,
    Decoder,
    DiagonalNormal,
    Encoder,
    GumbelSoftmax,
    LatentVariableModel,
    MixtureOfNormals,
    Normal,
    PlanarFlow,
    PowerSpherical,
    UniformCategorical,
    UniformHypersphere,
    VampPrior,
    elbo_terms,
    load_model,
    save_model,
)
from tests.laws import PRIORS, each, filled, in_float64, numbers, traits
from tests.linear_gaussian import log_normal

KEY = jax.random.key(0)


def encoder(posterior, inputs, seed=1):
    network = filled(lambda: MLP(inputs, (3,), posterior.parameter_count, "tanh", key=KEY), seed)
    return Encoder(network, posterior)


# --- mixtures ------------------------------------------------------------------------------


@pytest.mark.parametrize("covariance", ["diagonal", "full"])
@in_float64
def test_mixture_is_scipys_normals_under_their_weights(covariance):
    prior = filled(lambda: MixtureOfNormals(3, 2, covariance, key=KEY), seed=2)
    z, numbers_of = numbers(3, seed=3), jax.device_get(prior)
    log_weights = scipy.special.log_softmax(numbers_of.logits)
    components = []
    for k in range(2):
        cholesky = np.diag(np.exp(0.5 * numbers_of.log_variance[k]))
        if covariance == "full":
            assert numbers_of.below is not None
            cholesky[np.tril_indices(3, -1)] = numbers_of.below[k]
        components.append(log_normal(z, numbers_of.mean[k], cholesky @ cholesky.T))
    expected = np.asarray(scipy.special.logsumexp(log_weights + np.array(components)))
    log_prob, mean = jax.jit(lambda z: (prior().log_prob(z), prior().mean))(z)
    assert np.allclose(log_prob, expected, rtol=1e-12)
    assert np.allclose(mean, np.exp(log_weights) @ numbers_of.mean)


def test_mixture_starts_with_equal_weights_and_different_means():
    prior = MixtureOfNormals(2, 400, key=KEY)
    assert np.array_equal(prior.logits, np.zeros(400))
    assert np.array_equal(prior.log_variance, np.zeros((400, 2)))
    assert scipy.stats.kstest(np.ravel(prior.mean), scipy.stats.norm.cdf).pvalue > 1e-3


# --- mixtures of posteriors ----------------------------------------------------------------


@pytest.mark.parametrize("bounds", [None, (0.0, 1.0), (-1.0, 3.0)])
@in_float64
def test_vamp_prior_is_the_mixture_of_the_encoders_posteriors(bounds):
    shape, encode = (2, 2, 1), encoder(DiagonalNormal(2), 4)
    prior = filled(lambda: VampPrior(2, shape, 5, bounds=bounds, key=KEY), seed=4)
    raw = np.asarray(prior.raw)
    rows = raw
    if bounds is not None:
        rows = bounds[0] + (bounds[1] - bounds[0]) * scipy.special.expit(raw)
    z = numbers(2, seed=5)
    components = [
        scipy.stats.norm.logpdf(z, q.mean, np.sqrt(q.variance)).sum()
        for q in (encode(jnp.asarray(row)) for row in rows)
    ]
    expected = scipy.special.logsumexp(components) - np.log(5)
    p = prior(encode)
    assert float(p.log_prob(jnp.asarray(z))) == pytest.approx(expected, rel=1e-12)


@in_float64
def test_vamp_prior_passes_the_condition_to_the_encoder():
    encode, condition = encoder(DiagonalNormal(1), 2 + 3), jnp.asarray(numbers(3, seed=6))
    prior = VampPrior(1, (2,), 1, key=KEY)  # of one component: the posterior itself
    z = jnp.asarray([0.3])

    @jax.jit
    def both(condition):
        q = encode(prior.pseudo_inputs[0], condition)
        return prior(encode, condition).log_prob(z), q.log_prob(z)

    found, expected = both(condition)
    assert float(found) == pytest.approx(float(expected))


def test_vamp_prior_of_another_latent_is_the_encoders():
    for posterior in (PowerSpherical(3), GumbelSoftmax(6, 3)):
        encode = encoder(posterior, 2)
        prior = filled(lambda one=posterior: VampPrior(one.latent_dim, (2,), 1, key=KEY), seed=9)

        @jax.jit
        def both(prior=prior, encode=encode):
            p = prior(encode)
            z = p.sample(KEY)
            return p.log_prob(z), encode(p.rows[0]).log_prob(z)

        assert np.allclose(*both(), rtol=1e-6)


def test_vamp_prior_starts_at_rows_of_the_data():
    data = numbers((50, 2, 3), seed=7)
    prior = VampPrior(2, (2, 3), 20, data=jnp.asarray(data), key=KEY)
    where = [int(np.flatnonzero((data == row).all((1, 2)))[0]) for row in np.asarray(prior.raw)]
    assert len(set(where)) == 20
    assert len(VampPrior(2, (2, 3), 70, data=jnp.asarray(data), key=KEY).raw) == 70


@in_float64
def test_bounded_pseudo_inputs_start_at_rows_of_the_data_moved_inwards_by_a_hundredth():
    data = jnp.asarray(np.linspace(0, 1, 30).reshape(10, 3))
    prior = VampPrior(2, (3,), 10, data=data, bounds=(0.0, 1.0), key=KEY)
    found = np.sort(np.ravel(prior.pseudo_inputs))
    assert np.allclose(found, np.clip(np.ravel(data), 0.01, 0.99), rtol=1e-10)


def test_bytes_as_data_give_floats():
    data = jnp.asarray([[0, 255]], jnp.uint8)
    assert VampPrior(2, (2,), 1, data=data, key=KEY).raw.dtype == jnp.float32


def test_vamp_prior_refuses_a_posterior_that_knows_its_own_draws_alone():
    def prior():
        return VampPrior(2, (3,), 4, key=KEY)(encoder(PlanarFlow(2), 3))

    assert jax.eval_shape(lambda: prior().sample(KEY)).shape == (2,)
    with pytest.raises(ValueError, match="needs q\\(z\\|x\\) at any z, and ForwardFlow has none"):
        jax.eval_shape(lambda: prior().log_prob(jnp.zeros(2)))


# --- the sphere, categories, conditions ----------------------------------------------------


@pytest.mark.parametrize(("dim", "surface"), [(2, 2 * np.pi), (3, 4 * np.pi), (4, 2 * np.pi**2)])
@in_float64
def test_uniform_hypersphere_has_the_surface_of_the_sphere(dim, surface):
    p = UniformHypersphere(dim)()
    z = np.asarray(jax.vmap(p.sample)(jax.random.split(KEY, 5000)))
    assert np.allclose(np.linalg.norm(z, axis=1), 1)
    assert float(p.log_prob(jnp.asarray(z[0]))) == pytest.approx(-np.log(surface), rel=1e-12)
    # Each coordinate t of the uniform distribution: (t + 1) / 2 is Beta((d − 1) / 2, (d − 1) / 2).
    cdf = scipy.stats.beta((dim - 1) / 2, (dim - 1) / 2).cdf
    for column in z.T:
        assert scipy.stats.kstest((column + 1) / 2, cdf).pvalue > 1e-3


@in_float64
def test_uniform_categorical_gives_every_value_the_same_mass():
    p = UniformCategorical(6, 3)()
    z = np.asarray(jax.vmap(p.sample)(jax.random.split(KEY, 3000))).reshape(-1, 2, 3)
    assert np.array_equal(z.sum(-1), np.ones((3000, 2)))
    joint = np.einsum("ni,nj->ij", z[:, 0], z[:, 1]).ravel()
    assert scipy.stats.chisquare(joint).pvalue > 1e-3
    assert float(p.log_prob(jnp.ravel(z[0]))) == pytest.approx(-np.log(9), rel=1e-12)


def conditional_model():
    prior = ConditionalNormal(2, 3, 4, key=KEY)
    posterior, likelihood = DiagonalNormal(2), Normal((4,), 1.0)
    sizes = (4 + 3, posterior.parameter_count), (2 + 3, likelihood.parameter_count)
    networks = [MLP(m, (), n, key=KEY) for m, n in sizes]
    return LatentVariableModel(
        prior, Encoder(networks[0], posterior), Decoder(networks[1], likelihood)
    )


@in_float64
def test_conditional_prior_is_the_normal_that_its_network_says():
    model = filled(conditional_model, seed=8)
    condition, x = jnp.asarray([0.0, 1.0, 0.0]), jnp.asarray(numbers(4, seed=9))
    h = np.asarray(condition)
    assert isinstance(model.prior, ConditionalNormal)
    first, second = model.prior.network.layers
    h = np.tanh(np.asarray(first.weight) @ h + np.asarray(first.bias))
    mean, log_variance = np.split(np.asarray(second.weight) @ h + np.asarray(second.bias), 2)
    p = model.prior_distribution(condition)
    assert np.allclose(p.mean, mean, rtol=1e-12)
    assert np.allclose(p.variance, np.exp(log_variance), rtol=1e-12)

    q = model.encode(x, condition)
    found = elbo_terms(model, x, KEY, condition=condition)
    ratio = q.variance / p.variance
    exact = 0.5 * np.sum(ratio + (q.mean - p.mean) ** 2 / p.variance - 1 - np.log(ratio))
    assert float(found.kl) == pytest.approx(float(exact), rel=1e-12)

    @eqx.filter_jit
    @eqx.filter_grad
    def gradient(model):
        return elbo_terms(model, x, KEY, condition=condition).elbo

    moved = jax.device_get(gradient(model).prior.network.layers)
    assert all(np.all(layer.bias != 0) for layer in moved)
    assert np.all(moved[1].weight != 0)
    assert np.array_equal(moved[0].weight != 0, np.tile(condition != 0, (4, 1)))


def test_a_conditional_model_comes_back_from_its_file(tmp_path):
    model = filled(conditional_model, seed=10)
    save_model(tmp_path / "model.safetensors", model)
    loaded = load_model(tmp_path / "model.safetensors")
    assert jax.tree.structure(loaded) == jax.tree.structure(model)
    for a, b in zip(jax.tree.leaves(loaded), jax.tree.leaves(model), strict=True):
        assert np.asarray(a).tobytes() == np.asarray(b).tobytes()


def test_conditional_prior_asks_for_its_condition():
    with pytest.raises(ValueError, match="needs a condition: give the labels"):
        ConditionalNormal(2, 3, key=KEY)(None)


# --- what is refused, and what is said -----------------------------------------------------


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: MixtureOfNormals(2, 0, key=KEY), "components is 0"),
        (lambda: VampPrior(2, (3,), 0, key=KEY), "components is 0"),
        (lambda: VampPrior(2, (3,), bounds=(1.0, 1.0), key=KEY), "bounds are"),
        (lambda: VampPrior(2, (3,), data=jnp.zeros((5, 4)), key=KEY), "shape \\(5, 4\\)"),
        (lambda: VampPrior(2, (3,), data=jnp.zeros((0, 3)), key=KEY), "shape \\(0, 3\\)"),
        (lambda: UniformHypersphere(1), "at least two"),
        (lambda: UniformCategorical(7, 3), "7 latents in variables of 3 categories"),
        (lambda: UniformCategorical(4, 1), "at least two categories"),
    ],
)
def test_a_prior_that_cannot_be_is_refused(make, words):
    with pytest.raises(ValueError, match=words):
        make()


@each(PRIORS, "make")
def test_the_fewest_latents_are_what_a_prior_says(make):
    least = traits(make).least_latent_dim
    eqx.filter_eval_shape(lambda: make(least))
    if least > 1:
        with pytest.raises(ValueError, match="latents"):
            eqx.filter_eval_shape(lambda: make(least - 1))
