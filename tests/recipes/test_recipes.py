"""Recipes and options: declared once, checked, and turned into the parts that train."""

import typing
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from elbax.model import BetaTC, ImportanceWeightedELBO, NegativeELBO, TargetRate
from elbax.model.networks.dense import ACTIVATIONS
from elbax.recipes import RECIPES, ModelOptions, TrainingOptions, find, options, parts
from elbax.recipes.choice import Choice
from elbax.recipes.compose import compose, objective, optimizer
from elbax.util.keys import keys

SECTION_OF = {section: name for name, section in options.SECTIONS.items()}


def build(recipe, **arguments) -> Any:
    return compose(
        recipe.model, shape=(28, 28, 1), likelihood="bernoulli", key=jax.random.key(0), **arguments
    )


def asked(**changes) -> TrainingOptions:
    return options.replace(options.Options(), changes).training


def parameter_count(model):
    return sum(leaf.size for leaf in jax.tree.leaves(eqx.filter(model, eqx.is_inexact_array)))


def widths(network):
    return [layer.weight.shape[::-1] for layer in network.layers]


def test_vae_is_the_summarys_network():
    recipe = find("vae")
    model = build(recipe)
    assert widths(model.encoder.network) == [(784, 512), (512, 384), (384, 256), (256, 20)]
    assert widths(model.decoder.network) == [(10, 256), (256, 384), (384, 512), (512, 784)]
    assert model.encoder.network.activation == "relu"
    training = recipe.training
    assert (training.iterations, training.batch_size) == (10_000, 100)
    assert (training.optimizer, training.learning_rate) == ("adam", 1e-3)


def test_aevb_is_the_papers_network():
    recipe = find("aevb")
    model = build(recipe)
    assert widths(model.encoder.network) == [(784, 500), (500, 40)]
    assert widths(model.decoder.network) == [(20, 500), (500, 784)]
    assert model.encoder.network.activation == "tanh"
    assert recipe.training.optimizer == "adagrad"
    assert recipe.training.learning_rate in (0.01, 0.02, 0.1)
    assert recipe.training.batch_size == 100


def test_iwae_is_the_papers_network_and_optimiser():
    recipe = find("iwae")
    model = build(recipe)
    assert widths(model.encoder.network) == [(784, 200), (200, 200), (200, 100)]
    assert widths(model.decoder.network) == [(50, 200), (200, 200), (200, 784)]
    assert model.encoder.network.activation == "tanh"
    assert recipe.options().data.binarize == "dynamic"
    training = recipe.training
    assert training.batch_size == 20
    assert (training.optimizer, training.adam_epsilon) == ("adam", 1e-4)
    assert (training.learning_rate, training.learning_rate_schedule) == (1e-3, "staged")
    assert objective(training) == ImportanceWeightedELBO(5)


@pytest.mark.parametrize("recipe", RECIPES.values(), ids=RECIPES)
def test_every_recipe_is_cited(recipe):
    assert recipe.summary
    assert any(where in recipe.source for where in ("arXiv:", "openreview.net", "papers.nips.cc"))


def test_the_nearest_recipe_is_offered():
    with pytest.raises(ValueError, match="unknown recipe 'vea': did you mean 'vae'"):
        find("vea")


def test_activations_are_the_models():
    assert set(typing.get_args(options.Activation)) == set(ACTIVATIONS)


def test_every_option_has_one_home_and_one_help():
    import ast
    import inspect

    names = options.option_names()
    assert len(names) == len(set(names))
    tree = ast.parse(inspect.getsource(options))
    for node in tree.body:
        if (
            isinstance(node, ast.ClassDef)
            and node.name.endswith("Options")
            and node.name != "Options"
        ):
            fields = [i for i, part in enumerate(node.body) if isinstance(part, ast.AnnAssign)]
            for i in fields:
                after = node.body[i + 1]
                assert isinstance(after, ast.Expr)
                assert isinstance(after.value, ast.Constant)


@pytest.mark.parametrize("section", options.SECTIONS.values())
def test_options_survive_json(section):
    import json

    asked = section()
    assert options.from_json(section, json.loads(json.dumps(options.to_json(asked)))) == asked


@pytest.mark.parametrize(
    ("section", "changes"),
    [
        (ModelOptions, {"latent_dim": 0}),
        (ModelOptions, {"hidden": ()}),
        (ModelOptions, {"hidden": (5, -1)}),
        (ModelOptions, {"activation": "rellu"}),
        (TrainingOptions, {"iterations": 0}),
        (TrainingOptions, {"batch_size": -1}),
        (TrainingOptions, {"learning_rate": 0.0}),
        (TrainingOptions, {"learning_rate": float("inf")}),
        (TrainingOptions, {"gradient_clip": -1.0}),
        (TrainingOptions, {"beta": -0.1}),
        (TrainingOptions, {"kl_warm_up": -1}),
        (TrainingOptions, {"free_bits": float("nan")}),
        (TrainingOptions, {"epochs": 0}),
        (TrainingOptions, {"patience": 0}),
        (TrainingOptions, {"samples": 0}),
        (TrainingOptions, {"adam_epsilon": 0.0}),
        (options.DataOptions, {"validation": -1}),
        (options.RunOptions, {"seed": -1}),
        (options.RunOptions, {"seed": 2**32}),
    ],
)
def test_impossible_values_name_flag_and_mend(section, changes):
    (name,) = changes
    assert options.section_of(name) == SECTION_OF[section]
    flag = "--" + name.replace("_", "-")
    with pytest.raises(ValueError, match=f"{name} \\({flag}\\) is ") as error:
        # As a TOML file's or a keyword's value: the tests' type checker stops the constructor's.
        options.replace(options.Options(), changes)
    assert "\n" not in str(error.value)


def test_the_largest_seed_is_taken_and_no_larger_one():
    largest = options.replace(options.Options(), {"seed": 2**32 - 1}).run.seed
    assert len({str(jax.random.key_data(key)) for key in keys(largest)}) == 3
    with pytest.raises(ValueError, match="seed"):
        options.replace(options.Options(), {"seed": 2**32})


def test_warm_up_of_the_kl_ends_at_beta():
    goal = objective(asked(beta=2.0, kl_warm_up=10))
    assert isinstance(goal, NegativeELBO)
    assert callable(goal.beta)
    np.testing.assert_allclose(
        [goal.beta(jnp.asarray(step)) for step in (0, 5, 10, 50)], [0, 1, 2, 2]
    )
    assert objective(asked(beta=3.0)) == NegativeELBO(3.0)


def test_the_objective_is_the_one_that_was_asked_for():
    training = asked(samples=3, kl_estimate="monte-carlo")
    assert objective(training) == NegativeELBO(1.0, 3, "monte-carlo")
    training = asked(objective="importance-weighted", samples=7)
    assert objective(training) == ImportanceWeightedELBO(7)


def test_a_short_word_is_the_objectives_own_option():
    for changes in ({"beta": 4.0}, {"objective.beta": "4"}, {"objective": {"beta": 4}}):
        assert parts.settled(asked(**changes)).objective == Choice.named("elbo", beta=4.0)
    # Of another objective it is that one's, over what the recipe says.
    iwae = options.replace(find("iwae").options(), {"samples": 50}).training
    assert objective(iwae) == ImportanceWeightedELBO(50)
    assert objective(asked(objective="beta-tc", beta=3.0)) == BetaTC(beta=3.0)
    with pytest.raises(ValueError, match=r"\(--beta\) is short for --objective\.beta, and both"):
        asked(**{"beta": 4.0, "objective.beta": 3.0})


@pytest.mark.parametrize("changes", [{"beta": 4.0}, {"kl_warm_up": 100}, {"free_bits": 1.0}])
def test_an_objective_refuses_what_it_cannot_take(changes):
    said = r"unknown option '\w+' \(--[\w-]+ or --objective\.[\w-]+\) of importance-w.*samples"
    with pytest.raises(ValueError, match=said):
        parts.settled(asked(objective="importance-weighted", **changes))


def test_a_training_section_of_before_is_still_read():
    before = {
        "objective": "elbo", "samples": 1, "kl_estimate": "closed", "beta": 4.0, "kl_warm_up": 10,
        "free_bits": 0.0, "batch_size": 7,
    }  # fmt: skip
    read = options.from_json(TrainingOptions, before)
    assert read.batch_size == 7
    assert dict(read.objective.options)["beta"] == 4.0
    assert dict(read.objective.options)["warm_up"] == 10
    weighted = {**before, "objective": "importance-weighted", "samples": 7, "beta": 1.0}
    assert objective(options.from_json(TrainingOptions, weighted)) == ImportanceWeightedELBO(7)


def test_a_weight_can_rise_again_and_again():
    goal = objective(asked(**{"beta": 2.0, "objective.cycles": 2}), steps=40)
    assert isinstance(goal, NegativeELBO)
    assert callable(goal.beta)
    steps = (0, 5, 10, 19, 20, 25, 40)
    found = [goal.beta(jnp.asarray(step)) for step in steps]
    np.testing.assert_allclose(found, [0, 1, 2, 2, 0, 1, 2])
    rate = objective(asked(objective="target-rate", kl_warm_up=10))
    assert isinstance(rate, TargetRate)
    assert callable(rate.rate)
    np.testing.assert_allclose(rate.rate(jnp.asarray(5)), 12.5)
    with pytest.raises(ValueError, match="each cycle has its own rise"):
        objective(asked(**{"kl_warm_up": 3, "objective.cycles": 2}), steps=40)


@pytest.mark.parametrize("name", parts.catalogue("objective"))
def test_every_objective_is_made_of_its_defaults(name):
    training = asked(objective=name)
    made = objective(training, steps=10, latent_dim=2, key=jax.random.key(0))
    assert made.name == name  # pyright: ignore[reportAttributeAccessIssue]


@pytest.mark.parametrize(
    "name", typing.get_args(typing.get_type_hints(TrainingOptions)["optimizer"])
)
def test_every_optimizer_goes_downhill(name):
    rate = 0.1
    mover = optimizer(TrainingOptions(optimizer=name, learning_rate=rate), 100)
    x = jnp.array([1.0, -2.0])
    state = mover.init(x)
    for _ in range(50):
        updates, state = mover.update(2 * jnp.asarray(x), state, x)
        x = optax.apply_updates(x, updates)
    assert float(jnp.sum(jnp.asarray(x) ** 2)) < 4.0


@pytest.mark.parametrize("name", ["adam", "adamw"])
def test_adams_epsilon_is_the_options(name):
    # The first step is −η g / (|g| + ε) (Kingma & Ba 2015, algorithm 1, bias-corrected).
    training = TrainingOptions(optimizer=name, learning_rate=1.0, adam_epsilon=3.0)
    mover, x = optimizer(training, 10), jnp.zeros(1)
    updates, _ = mover.update(jnp.ones(1), mover.init(x), x)
    np.testing.assert_allclose(jnp.asarray(updates), -1 / (1 + 3.0), rtol=1e-5)


def test_clipping_bounds_the_gradient():
    mover = optimizer(TrainingOptions(optimizer="sgd", learning_rate=1.0, gradient_clip=0.5), 10)
    # The model's, and that of the objective's own parameters: neither shortens the other.
    gradient: Any = (jnp.array([3.0, 4.0]), {"discriminator": jnp.array([300.0, 400.0])})
    found: Any = mover.update(gradient, mover.init(gradient), gradient)[0]
    np.testing.assert_allclose(found[0], [-0.3, -0.4], rtol=1e-6)
    np.testing.assert_allclose(found[1]["discriminator"], [-0.3, -0.4], rtol=1e-6)
    short: Any = (jnp.array([0.3]), None)
    found = mover.update(short, mover.init(short), short)[0]
    np.testing.assert_allclose(found[0], [-0.3])


def test_cosine_ends_at_nothing():
    training = TrainingOptions(optimizer="sgd", learning_rate=1.0, learning_rate_schedule="cosine")
    mover = optimizer(training, 10)
    x, state = jnp.ones(()), mover.init(jnp.ones(()))
    sizes = []
    for _ in range(11):
        updates, state = mover.update(x, state, x)
        sizes.append(-float(jnp.asarray(updates)))
    np.testing.assert_allclose(sizes[0], 1.0)
    np.testing.assert_allclose(sizes[10], 0.0, atol=1e-7)
    assert np.all(np.diff(sizes) < 0)


@pytest.mark.parametrize(
    ("changes", "outputs"),
    [
        ({"posterior": Choice("full-normal"), "latent_dim": 3}, 3 + 3 + 3),
        ({"latent_dim": 4}, 8),
    ],
)
def test_the_encoder_ends_in_what_its_family_needs(changes, outputs):
    model: Any = compose(
        ModelOptions(hidden=(6,), **changes), shape=(5,), likelihood="normal", key=jax.random.key(1)
    )
    assert model.encoder.network.layers[-1].weight.shape == (outputs, 6)


def test_a_predicted_scale_doubles_the_decoder():
    fixed: Any
    predicted: Any
    fixed, predicted = (
        compose(
            ModelOptions(hidden=(6,)),
            shape=(5,),
            likelihood=Choice("normal", (("scale", scale),)),
            key=jax.random.key(1),
        )
        for scale in (1.0, "predicted")
    )
    assert predicted.decoder.network.layers[-1].weight.shape == (10, 6)
    assert parameter_count(predicted) - parameter_count(fixed) == 5 * 6 + 5


def test_an_unknown_likelihood_is_refused():
    with pytest.raises(ValueError, match=r"\(--likelihood\) is 'poison': did you mean 'poisson'"):
        compose(ModelOptions(), shape=(5,), likelihood="poison", key=jax.random.key(0))
