"""No two things that draw share their noise."""

import ast
import itertools
from pathlib import Path

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest

import elbax
from elbax import evaluate
from elbax.evaluate import likelihoods, scores
from elbax.model import AbstractDecoder, AbstractEncoder, LatentVariableModel, StandardNormal
from elbax.recipes import options
from elbax.recipes.build import build
from elbax.recipes.choice import Choice
from elbax.recipes.parts import KINDS
from elbax.run.use import apply
from elbax.util.keys import evaluation_key, keys, number_of, of_seed, stream

SOURCES = sorted(Path(elbax.__file__).parent.rglob("*.py"))


def calls(name):
    """The arguments of all calls of that name in the package."""
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call):
                called = node.func
                found = getattr(called, "attr", None) or getattr(called, "id", None)
                if found == name and node.args:  # without any it is another's method
                    yield path, node.args


def constants(node):
    return {n.value for n in ast.walk(node) if isinstance(n, ast.Constant)}


# --- the scheme ------------------------------------------------------------------------------


def test_children_of_a_key_are_numbered_whichever_way_they_are_made():
    key = jax.random.key(3)
    counted = jax.random.split(key, 5)
    assert all((counted[i] == jax.random.fold_in(key, i)).all() for i in range(5))
    assert stream(key, "a") != stream(key, "b")
    assert of_seed(3, "a") == stream(key, "a")


def test_names_differ_from_each_other_and_from_every_count():
    named = {word for _, args in calls("stream") for word in constants(args[1])}
    named |= {word for _, args in calls("of_seed") for word in constants(args[1])}
    named |= set(KINDS)  # `compose` names a stream for each
    named.discard("posterior")  # a kind of part, and compared in `likelihoods`
    numbers = {word: number_of(word) for word in [*named, "posterior"] if isinstance(word, str)}
    assert len(numbers) > 20
    assert len(set(numbers.values())) == len(numbers)
    assert all(2**31 <= number < 2**32 for number in numbers.values())


def test_no_number_is_folded_in_by_hand():
    by_hand = [p.name for p, args in calls("fold_in") if isinstance(args[1], ast.Constant)]
    assert by_hand == []


# --- weights ---------------------------------------------------------------------------------

# Each with parts that draw weights of their own beside the networks'.
COMPOSITIONS = {
    "conditional": {"condition": "label", "prior": "conditional"},
    "vamp and flow": {"prior": "vamp", "prior.components": 7, "posterior": "iaf"},
    "flow prior": {"prior": "flow", "objective": "factor", "network": "gated-mlp"},
    "mixture": {"prior": "mixture", "network": "residual-mlp"},
    "large images": {"network": "conv", "network.channels": (8, 8), "network.dense": (16, 12)},
    "semi-supervised": {"objective": "semi-supervised"},
}


def orders(leaf):
    """The order of a leaf's first numbers by size, in both layouts: the noise without its scale."""
    for layout in (leaf.ravel(), leaf.T.ravel()):
        yield tuple(np.argsort(layout[:24], kind="stable").tolist())


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=[pytest.mark.slow] * (n != "conditional")) for n in COMPOSITIONS]
)
def test_no_two_leaves_start_from_the_same_noise(name):
    changes = {"hidden": (16, 12), "latent_dim": 6, **COMPOSITIONS[name]}
    found = options.replace(options.Options(), changes)
    classes = 3 if name in ("conditional", "semi-supervised") else 0
    shape = (64, 64, 1) if name == "large images" else (8, 8, 1)
    rows = np.random.default_rng(0).random((40, *shape)).astype(np.float32)
    trainer = build(
        found.model,
        found.training,
        rows,
        likelihood=Choice("normal"),
        steps=10,
        seed=1,
        classes=classes,
    )
    leaves = jax.tree.leaves(eqx.filter((trainer.model, trainer.objective), eqx.is_inexact_array))
    drawn = [np.asarray(leaf) for leaf in leaves if leaf.size >= 24]
    drawn = [leaf for leaf in drawn if len(np.unique(leaf)) > leaf.size // 2]  # not constants
    assert len(drawn) >= 4
    for one, other in itertools.combinations(drawn, 2):
        assert not set(orders(one)) & set(orders(other)), (one.shape, other.shape)


# --- draws -----------------------------------------------------------------------------------


class Unmoved(AbstractEncoder):
    """Q(z|x) = p(z), so that draws of both can be compared."""

    def __call__(self, x, condition=None):
        return dist.Normal(jnp.zeros(1), jnp.ones(1)).to_event(1)


class Told(AbstractDecoder):
    """A likelihood whose logarithm is the latent, so that estimates say what was drawn."""

    def __call__(self, z, condition=None):
        return _Told(z)


class _Told:
    def __init__(self, z):
        self.z = self.mean = z

    def log_prob(self, x):
        return self.z

    def sample(self, key):
        return jax.random.normal(key, self.z.shape)


MODEL = LatentVariableModel(StandardNormal(1), Unmoved(), Told())
ROWS = np.zeros((40, 1), np.float32)


def test_no_two_kinds_of_draws_share_noise():
    key = evaluation_key(5)
    own = {
        "bound": evaluate.elbo(MODEL, ROWS, key=key, samples=1).reconstruction,
        "reconstruction": evaluate.reconstruction(MODEL, ROWS, key=key),
        "importance": likelihoods.draws(MODEL, ROWS, key=key, samples=3)[1],
        "prior": likelihoods.draws(MODEL, ROWS, key=key, samples=3, proposal="prior")[1],
    }
    two = evaluate.elbo(MODEL, ROWS, key=key, samples=2).reconstruction
    own["second draw of the bound"] = 2 * two - own["bound"]
    x, z = evaluate.generate(MODEL, 40, key, draw=True)
    own |= {"generated datum": x, "generated latent": z}
    sampled = apply.sample(MODEL, 40, seed=5, draw=True)
    own |= {"sampled datum": sampled["x"], "sampled latent": sampled["z"]}
    decoded = apply.decode(MODEL, np.zeros((40, 1)), seed=5, draw=True)["x"]
    own["decoded"] = decoded
    for name in ("figure generated", "figure nearest"):
        own[name] = evaluate.generate(MODEL, 40, of_seed(5, name))[1]
    for i, root in enumerate(keys(5)):
        own[f"root {i}"] = np.asarray(jax.vmap(jax.random.normal)(jax.random.split(root, 40)))
    noise = np.concatenate([np.asarray(a, np.float64).ravel() for a in own.values()])
    # Normals: two of these 760 that agree to six digits are the same draw.
    assert len(np.unique(noise.round(6))) == len(noise)


def test_scores_are_of_the_draws_of_importance():
    key = jax.random.key(2)
    found = scores.score(MODEL, ROWS[:3], key=key, samples=20).estimate.log_likelihood
    expected = evaluate.importance(MODEL, ROWS[:3], key=key, samples=20).log_likelihood
    np.testing.assert_allclose(found, expected, rtol=1e-6)
