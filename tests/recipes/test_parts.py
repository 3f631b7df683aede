"""Parts chosen by name: how a choice is said, what a part says of itself, and what fits what."""

import dataclasses
import itertools

import numpy as np
import pytest

from elbax.cli.parsing import UsageError, read
from elbax.cli.runs.train import Arguments
from elbax.data import load
from elbax.model import NegativeELBO, NormalizedMLP, Preprocessing
from elbax.model.support import COUNTS, POSITIVE, REAL, UNIT_INTERVAL
from elbax.recipes import ModelOptions, options, parts, settings
from elbax.recipes.choice import Choice
from elbax.recipes.compatibility import check
from elbax.recipes.compose import compose, likelihood_family, reading

MIXTURE = Choice("mixture", (("components", 20),))
IMAGE = (6, 6, 1)


def changed(**changes):
    return options.replace(options.Options(), changes).model


# --- a choice --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "changes",
    [
        {"prior": "mixture", "prior.components": 20},
        {"prior": {"name": "mixture", "components": 20}},
        {"prior": MIXTURE},
        {"prior": {"name": "mixture"}, "prior.components": 20},
    ],
)
def test_a_choice_can_be_said_in_several_ways(changes):
    assert changed(**changes).prior == MIXTURE


def test_a_name_starts_from_the_parts_defaults_and_options_alone_change_what_is_there():
    start = options.replace(options.Options(), {"prior": MIXTURE})
    assert options.replace(start, {"prior": "mixture"}).model.prior == Choice("mixture")
    more = options.replace(start, {"prior": {"covariance": "full"}}).model.prior
    assert dict(more.options) == {"components": 20, "covariance": "full"}
    assert options.replace(start, {"prior.components": 3}).model.prior.options[0][1] == 3
    assert options.replace(start, {"likelihood": None}).model.likelihood is None


def test_a_choice_survives_words_and_json():
    choice = Choice("mixed").with_options({"columns": ["normal", "binary"], "flag": True})
    assert Choice.of(choice.to_json()) == choice
    words = choice.words("likelihood")
    assert words == [
        *("--likelihood", "mixed", "--likelihood.columns", "normal,binary"),
        *("--likelihood.flag", "true"),
    ]
    assert read(Arguments, "train", [*words, "--seed=3"]) == {
        "likelihood": "mixed",
        "likelihood.columns": "normal,binary",
        "likelihood.flag": "true",
        "seed": "3",
    }
    assert str(choice) == "mixed (columns normal,binary, flag true)"
    with pytest.raises(UsageError, match=r"--prior\.components needs a value"):
        read(Arguments, "train", ["--prior.components", "--seed", "3"])


@pytest.mark.parametrize(
    "text",
    [
        'prior = {name = "mixture", components = 20}',
        '[prior]\nname = "mixture"\ncomponents = 20',
        '[model.prior]\nname = "mixture"\ncomponents = 20',
        '[model]\nprior = "mixture"\n[prior]\nname = "mixture"\ncomponents = 20',
    ],
)
def test_toml(tmp_path, text):
    file = tmp_path / "options.toml"
    file.write_text(text)
    settled, _ = settings.settle(config=file, keywords={})
    assert settled.model.prior == MIXTURE
    section = options.to_json(settled.model)
    assert section["prior"] == {"name": "mixture", "components": 20}
    assert options.from_json(ModelOptions, section) == settled.model


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"prior": 3}, r"prior \(--prior\) is 3: give the name of a part"),
        ({"likelihood": {"scale": 1}}, r"--likelihood\.scale is an option of a part: give its"),
        ({"pryor.components": 3}, r"unknown option 'pryor\.components': did you mean 'prior'"),
    ],
)
def test_what_is_no_choice_is_refused(changes, said):
    with pytest.raises(ValueError, match=said):
        options.replace(options.Options(), changes)


# --- what a part says of itself ----------------------------------------------------------------


@pytest.mark.parametrize("kind", options.PARTS)
def test_every_part_is_described_and_cited(kind):
    found = parts.catalogue(kind)
    assert found
    for name, part in found.items():
        assert part.name == name
        assert part.summary.endswith(".")
        assert any(letter.isdecimal() for letter in part.source), name
        for option in part.options.values():
            assert option.help.endswith("."), (name, option.name)
            assert option.in_words()


def test_options_get_the_types_of_the_constructor():
    asked = {"components": "1e1", "covariance": "full"}
    settled = parts.settle("prior", Choice("mixture").with_options(asked))
    assert settled.options == (("components", 10), ("covariance", "full"))
    scale = parts.settle("likelihood", Choice("normal", (("scale", "0.5"),)))
    assert scale.options == (("scale", 0.5),)
    word = parts.settle("likelihood", Choice("normal", (("scale", "predicted"),)))
    assert word.options == (("scale", "predicted"),)
    columns = parts.settle("likelihood", Choice("mixed", (("columns", "normal, binary"),)))
    assert columns.options == (("columns", ("normal", "binary")),)
    conv = parts.settle("network", Choice("conv", (("channels", "4,8"),)))
    assert conv.options == (("channels", (4, 8)),)
    norm = parts.settle("network", Choice("mlp", (("layer_norm", "true"),)))
    assert norm.options == (("layer_norm", True),)


@pytest.mark.parametrize(
    ("kind", "choice", "said"),
    [
        ("prior", Choice("mixtura"), r"prior \(--prior\) is 'mixtura': did you mean 'mixture'\?"),
        ("posterior", Choice("xyz"), "there are: categorical, coupling"),
        ("prior", Choice("mixture", (("compnents", 3),)), "did you mean 'components'"),
        ("prior", Choice("standard-normal", (("scale", 3),)), "it has no options"),
        ("prior", Choice("mixture", (("components", "x"),)), "is 'x': give a whole number"),
        ("prior", Choice("mixture", (("components", 2.5),)), "is 2.5: give a whole number"),
        ("prior", Choice("mixture", (("components", True),)), "is True: give a whole number"),
        ("prior", Choice("mixture", (("covariance", "x"),)), "there are: diagonal, full"),
        ("likelihood", Choice("normal", (("scale", "x"),)), "shared, element, predicted or a nu"),
        ("network", Choice("mlp", (("layer_norm", "x"),)), "give true or false"),
        ("network", Choice("conv", (("channels", "x"),)), "whole numbers separated by commas"),
    ],
)
def test_an_unknown_part_option_or_value_is_one_line_with_the_mend(kind, choice, said):
    with pytest.raises(ValueError, match=said) as error:
        parts.settle(kind, choice)
    assert "\n" not in str(error.value)
    assert f"--{kind}" in str(error.value)


# --- what fits what ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (
            {"prior": "hypersphere"},
            "over vectors of length one, and .* over real vectors: .* power-spherical, or --prior",
        ),
        ({"posterior": "categorical"}, "choose --posterior .*, or --prior vamp, categorical$"),
        (
            {"posterior": "deterministic"},
            "deterministic does not suit .* elbo: .* a density; .* diagonal-n",
        ),
        ({"prior": "vamp", "posterior": "planar"}, "which planar does not give: .* iaf"),
        ({"prior": "conditional"}, "must be given a condition, .* --prior standard-normal"),
        (
            {"posterior": "sylvester", "latent_dim": 1},
            r"needs at least 2 latents, and latent_dim \(--latent-dim\) is 1",
        ),
        ({"prior": "flow", "latent_dim": 1}, "the prior flow needs at least 2 latents"),
        (
            {"prior": "categorical", "posterior": "categorical", "prior.categories": 5},
            r"prior has 5 categories and the posterior 10: .*--posterior\.categories",
        ),
    ],
)
def test_parts_that_do_not_fit_are_refused_with_what_would(changes, said):
    model = parts.settled(changed(**changes))
    with pytest.raises(ValueError, match=said) as error:
        check(model, IMAGE, Choice("bernoulli"), NegativeELBO())
    assert "\n" not in str(error.value)


def test_convolutions_are_for_images():
    model = changed(network="conv")
    check(model, IMAGE, Choice("bernoulli"))
    with pytest.raises(ValueError, match=r"shape \(6,\): choose --network mlp, gated-mlp, res"):
        check(model, (6,), Choice("bernoulli"))


def refusal(model):
    """What is said of a model that is refused under the bound; None of one that is not."""
    try:
        check(model, IMAGE, Choice("bernoulli"), NegativeELBO())
    except ValueError as error:
        return str(error)
    return None


def test_no_refusal_names_what_is_refused_too():
    priors = [p for p in parts.catalogue("prior").values() if not p.constructor.conditional]
    for p, q in itertools.product(priors, parts.catalogue("posterior")):
        model = dataclasses.replace(ModelOptions(), prior=Choice(p.name), posterior=Choice(q))
        said = refusal(model)
        if said is None:
            continue
        named, _, goal = said.partition(" with --objective ")
        goal = parts.find("objective", goal.split(", ")[0] or "elbo").constructor
        listed = named.partition("--posterior ")[2].split(", or ")[0]
        # Where none is named the objective is not of these latents: another is.
        assert listed or said.endswith("choose --objective vq")
        for word in filter(None, listed.split(", ")):
            other = dataclasses.replace(model, posterior=Choice(word))
            check(other, IMAGE, Choice("bernoulli"), goal)


# --- what is composed ----------------------------------------------------------------------------


def test_bytes_are_read_as_what_the_likelihood_speaks_of():
    grey = load(np.arange(6 * 4, dtype=np.uint8).reshape(6, 4) * 10, validation=0)
    assert reading(UNIT_INTERVAL, grey) == Preprocessing(1 / 255)
    assert reading(REAL, grey) == Preprocessing(1 / 255)
    assert reading(COUNTS, grey) == Preprocessing()
    assert reading(COUNTS, grey, "dynamic") == Preprocessing(1 / 255, "dynamic")
    mixed = Choice("mixed", (("columns", ("normal", "poisson")),))
    assert reading(likelihood_family(mixed, (2,)).support, grey) == Preprocessing()


def test_real_values_are_standardised_where_the_likelihood_is_of_real_numbers():
    x = np.random.default_rng(0).normal(300.0, 12.0, (50, 3, 3))
    real = load(x, validation=0)
    train = real.train.x
    found, spread = reading(REAL, real), train.std(dtype=float)
    assert found.shift == pytest.approx(train.mean(dtype=float), rel=1e-6)
    assert found.scale == pytest.approx(1 / spread, rel=1e-6)
    assert found.log_jacobian == pytest.approx((-np.log(spread),), rel=1e-6)
    assert reading(POSITIVE, real) == Preprocessing()


def test_pseudo_inputs_start_at_preprocessed_data_within_the_likelihoods_bounds():
    import jax

    data = np.random.default_rng(0).integers(0, 256, (9, 4)).astype(np.uint8)
    model = compose(
        changed(prior="vamp", **{"prior.components": 9}, hidden=(3,)),
        shape=(4,),
        likelihood="bernoulli",
        preprocessing=Preprocessing(scale=1 / 255),
        data=data,
        key=jax.random.key(0),
    )
    assert model.prior.bounds == (0.0, 1.0)  # pyright: ignore[reportAttributeAccessIssue]
    found = np.asarray(model.prior.pseudo_inputs)  # pyright: ignore[reportAttributeAccessIssue]
    expected = np.clip(data / 255, 0.01, 0.99)
    order = np.lexsort(found.T), np.lexsort(expected.T)
    np.testing.assert_allclose(found[order[0]], expected[order[1]], atol=1e-5)
    free = compose(
        changed(prior="vamp", hidden=(3,)), shape=(4,), likelihood="normal", key=jax.random.key(0)
    )
    assert free.prior.bounds is None  # pyright: ignore[reportAttributeAccessIssue]


def test_a_perceptron_can_be_normalised():
    import jax

    model = compose(
        parts.settled(changed(network={"name": "mlp", "layer_norm": "true"}, hidden=(3,))),
        shape=(4,),
        likelihood="normal",
        key=jax.random.key(0),
    )
    for network in (model.encoder.network, model.decoder.network):  # pyright: ignore[reportAttributeAccessIssue]
        assert isinstance(network, NormalizedMLP)
