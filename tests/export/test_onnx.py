"""ONNX files, run by ONNX Runtime, against the model."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from elbax.evaluate import posterior_moments
from elbax.export import checking, exporting, onnx_files
from elbax.export.graph import graph
from elbax.model.objectives.terms import elbo_terms
from elbax.program.functions import Units, functions
from elbax.program.tracing import trace, trace_drawing
from elbax.recipes import RECIPES
from elbax.util import extras
from tests.export.models import of_recipe, of_table, rows_of_table
from tests.tiers import mostly_slow

FAST = ("vae", "flow-prior", "categorical")
# Draws by rejection are no function of a fixed count of numbers; a point has no density.
NO_SCORE = ("hyperspherical", "rae-l2", "wae-mmd")
NO_ENCODER = ("residual-vq", "vq-vae")  # the choice of a code has a step that is not translated


def session(model):
    runtime = extras.need("onnxruntime", "onnx", "a test")
    content = model if isinstance(model, bytes) else model.SerializeToString()
    return runtime.InferenceSession(content, providers=["CPUExecutionProvider"])


def in_runtime(function, x: np.ndarray) -> list[np.ndarray]:
    """What the function gives for each row."""
    program = trace(function, x=x.shape[1:])
    names = [f"o{i}" for i in range(len(program.outputs))]
    model = graph(program, names, "function")
    extras.need("onnx", "onnx", "a test").checker.check_model(model, full_check=True)
    return session(model).run(None, {"x": x})


@pytest.mark.parametrize(
    "function",
    [
        lambda x: (jnp.max(x, axis=0), jnp.min(x), jnp.sum(x, axis=1), jnp.argmax(x, axis=1)),
        lambda x: jnp.einsum("ab,cb->ac", x, x) @ jnp.flip(x, axis=0),
        lambda x: jax.scipy.special.erf(3 * x) + jax.scipy.special.erfc(x),
        lambda x: jnp.round(x * 2.5) ** 3 + jnp.clip(x, -0.5, 0.5) + jnp.sign(x) * jnp.trunc(2 * x),
        lambda x: (jnp.isnan(x / 0 * 0), jnp.maximum(x, jnp.nan * x), jnp.isfinite(1 / (x * 0))),
        lambda x: (jax.nn.softmax(x, axis=0), jax.nn.logsumexp(x, axis=(0, 1))),
        lambda x: (jnp.arange(3.0), jax.nn.sigmoid(9 * x), jax.lax.rsqrt(x * x + 1)),
        lambda x: (jnp.log1p(1e-3 * x), jnp.expm1(1e-2 * x), jnp.log1p(x * x), jnp.expm1(-9 * x)),
        lambda x: jax.lax.cond(x[0, 0] > 0, jnp.sin, jnp.cos, x),
        lambda x: (x[jnp.argmax(x, axis=0), jnp.arange(4)], jnp.arange(3.0)[jnp.argmax(x[:, 0])]),
        # near its zeros at 1 and 2 as exact as numbers of order 10
        lambda x: 10 + jax.scipy.special.gammaln(jnp.abs(x) * jnp.array([1e-2, 1.0, 30.0, 1e4])),
    ],
)
def test_each_kind_of_step(function):
    x = np.random.default_rng(1).normal(size=(5, 3, 4)).astype(np.float32)
    found = in_runtime(function, x)
    wanted = [np.asarray(leaf, np.float32) for leaf in jax.tree.leaves(jax.vmap(function)(x))]
    for one, other in zip(found, wanted, strict=True):
        np.testing.assert_allclose(one, other, rtol=2e-5, atol=1e-6)


@pytest.mark.parametrize("name", mostly_slow(RECIPES, FAST.__contains__))
def test_every_recipe(name, tmp_path):
    model, shape, units = of_recipe(name)
    found = onnx_files.export(model, shape, tmp_path, units=units)
    wanted = {"encode", "decode", "reconstruct", "score"}
    wanted |= {"classify"} if name == "semi-supervised" else set()
    wanted -= {"score"} if name in NO_SCORE else set()
    if name in NO_ENCODER:
        wanted = {"decode"}
        assert set(found.left_out) == {"encode", "reconstruct", "score"}
        assert all("the model has a step" in why for why in found.left_out.values())
    assert {one.name for one in found.written} == wanted
    assert {path.stem for path in tmp_path.iterdir()} == wanted
    assert all(one.deviation is not None and one.deviation < 1e-5 for one in found.written)


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    model, shape, units = of_table()
    folder = tmp_path_factory.mktemp("table")
    found = onnx_files.export(model, shape, folder, units=units, facts={"recipe": "vae"})
    return model, units, folder, found


def test_a_table_of_all_kinds_of_columns_in_its_own_units(table):
    model, units, folder, found = table
    assert {one.name for one in found.written} == {"encode", "decode", "reconstruct", "score"}
    assert all(one.deviation is not None and one.deviation < 1e-5 for one in found.written)
    rows = rows_of_table(7)
    encode = session((folder / "encode.onnx").read_bytes())
    mean, scale = encode.run(None, {"x": units.own(rows)})
    wanted = posterior_moments(model, rows)
    np.testing.assert_allclose(mean, wanted["mean"], atol=2e-5)
    np.testing.assert_allclose(scale, wanted["scale"], atol=2e-5)


def test_a_file_says_what_it_is_and_how_far_it_deviates(table):
    folder, found = table[2:]
    said = session((folder / "score.onnx").read_bytes()).get_modelmeta().custom_metadata_map
    assert said["function"] == "score"
    assert said["recipe"] == "vae"
    assert json.loads(said["checked_rows"]) == checking.ROWS
    deviation = next(one.deviation for one in found.written if one.name == "score")
    assert float(said["greatest_deviation"]) == pytest.approx(deviation, rel=1e-2)


def test_the_score_at_the_noise_of_a_key_is_the_bound_at_that_key(table):
    model, units, folder, _ = table
    score = session((folder / "score.onnx").read_bytes())
    function = functions(model, (10,), units)["score"]
    _, noise = trace_drawing(function.call, **function.inputs)
    rows, keys = rows_of_table(6), jax.random.split(jax.random.key(3), (6, 5))
    drawn = np.asarray(jax.vmap(jax.vmap(noise))(keys)["normal"])
    of_draw = lambda row, key: elbo_terms(model, row, key, kl="monte-carlo").elbo  # noqa: E731
    bounds = np.asarray(
        jax.vmap(lambda row, key: jax.vmap(lambda k: of_draw(row, k))(key))(rows, keys)
    )
    x = units.own(rows)
    (one,) = score.run(None, {"x": x, "normal": drawn[:, :1]})
    np.testing.assert_allclose(one, bounds[:, 0], rtol=1e-5)
    (all_of_them,) = score.run(None, {"x": x, "normal": drawn})
    wanted = np.log(np.mean(np.exp(bounds.astype(np.float64)), axis=1))
    np.testing.assert_allclose(all_of_them, wanted, rtol=1e-5)


def test_a_wrong_file_is_found_and_not_written(tmp_path, monkeypatch):
    model, shape, units = of_recipe("vae")
    right = exporting.traced

    def wrong(*given):
        found, left_out = right(*given)
        for one in found:
            if one.name == "decode":
                largest = max(one.program.constants, key=lambda n: one.program.constants[n].size)
                one.program.constants[largest] = one.program.constants[largest] * 1.01
        return found, left_out

    monkeypatch.setattr(onnx_files, "traced", wrong)
    found = onnx_files.export(model, shape, tmp_path, units=units)
    assert "deviates by" in found.left_out["decode"]
    assert not (tmp_path / "decode.onnx").exists()


def test_a_deviation_is_relative_to_the_largest_of_its_kind():
    wanted = np.array([[1.0, 100.0], [2.0, -200.0]])
    moved = wanted + np.array([[0.0, 0.0], [0.0, 1.0]])
    assert checking.deviation([moved], [wanted]) == pytest.approx(1 / 200)
    assert checking.deviation([wanted], [wanted]) == 0.0
    codes, place = np.arange(400.0)[:, None] % 3, np.arange(400)[:, None]
    assert checking.deviation([codes + (place < 2)], [codes]) == 0.0
    assert checking.deviation([codes + (place < 3)], [codes]) > 0.4
    assert checking.deviation([wanted * np.nan], [wanted]) == np.inf
    assert checking.deviation([wanted[:1]], [wanted]) == np.inf


def test_units_go_there_and_back():
    units = Units(np.array([1, 2], np.float32), np.array([3, 4], np.float32))
    np.testing.assert_allclose(units.stored(units.own(np.array([5, 6], np.float32))), [5, 6])
    assert Units().plain


def test_a_missing_package_is_named_with_the_extra_that_brings_it():
    with pytest.raises(
        ValueError, match=r"--format onnx needs the package nosuch.*'elbax\[onnx\]'"
    ):
        extras.need("nosuch.part", "onnx", "--format onnx")
