"""Linear maps with a transpose of their own, under every transformation, against plain JAX."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from elbax.model.networks.linear_maps import row_product, transposed_pair
from tests.laws import in_float64, numbers

double, half_of_double = transposed_pair(
    "stretch", lambda x, times: times * jnp.repeat(x, 2, axis=-1), lambda y, times: times * (
        y.reshape(*y.shape[:-1], -1, 2).sum(-1)
    )
)  # fmt: skip


def plainly(x, times):
    return times * jnp.repeat(x, 2, axis=-1)


def scalar(product):
    return lambda matrix, rows: jnp.sum(jnp.sin(product(rows, matrix)))


# From a product of rows with a matrix to something that its derivatives decide.
TRANSFORMATIONS = {
    "one": lambda f, w, x: jax.grad(scalar(f))(w, x[0]),
    "gradient of the mean": lambda f, w, x: jax.grad(
        lambda w: jax.vmap(scalar(f), (None, 0))(w, x).mean()
    )(w),
    "gradient by the rows": lambda f, w, x: jax.grad(lambda x: scalar(f)(w, x))(x),
    "each one's gradient": lambda f, w, x: jax.vmap(jax.grad(scalar(f)), (None, 0))(w, x),
    "draws and rows": lambda f, w, x: jax.grad(
        lambda w: jax.vmap(lambda a: jax.vmap(scalar(f), (None, 0))(w, a * x))(jnp.ones(3)).sum()
    )(w),
    "rows behind": lambda f, w, x: jax.vmap(f, (2, None), 1)(jnp.moveaxis(x, 0, 2), w),
    "several matrices": lambda f, w, x: jax.grad(
        lambda w: jax.vmap(scalar(f))(w, x).sum()
    )(jnp.stack([w] * len(x))),
    "forwards": lambda f, w, x: jax.jacfwd(lambda w: f(x, w))(w),
    "twice": lambda f, w, x: jax.hessian(lambda w: jax.vmap(scalar(f), (None, 0))(w, x).sum())(w),
    "again backwards": lambda f, w, x: jax.grad(
        lambda w: jax.vmap(jax.checkpoint(scalar(f)), (None, 0))(w, x).sum()
    )(w),
    "in a loop": lambda f, w, x: jax.grad(
        lambda w: jax.lax.scan(lambda total, row: (total + scalar(f)(w, row), None), 0.0, x)[0]
    )(w),
}  # fmt: skip


@pytest.mark.parametrize("name", TRANSFORMATIONS)
@pytest.mark.parametrize("out", [2, 6])  # narrower than the rows, and wider
@in_float64
def test_a_product_of_rows_is_a_product(name, out):
    rows, matrix = jnp.asarray(numbers((5, 4, 3), seed=1)), jnp.asarray(numbers((3, out), seed=2))
    found, expected = (
        jax.jit(TRANSFORMATIONS[name], static_argnums=0)(product, matrix, rows)
        for product in (row_product, jnp.matmul)
    )
    np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-12)


@in_float64
def test_a_pair_is_each_others_transpose():
    x, y = jnp.asarray(numbers((5, 3), seed=1)), jnp.asarray(numbers((5, 6), seed=2))
    there, back = double(x, times=2.0), half_of_double(y, times=2.0)
    assert jnp.vdot(there, y) == pytest.approx(float(jnp.vdot(x, back)), rel=1e-12)
    for f in (lambda x: double(x, times=2.0), lambda x: plainly(x, 2.0)):
        found = jax.vmap(jax.jacfwd(f))(x), jax.vmap(jax.jacrev(f))(x), jax.vmap(f, 1, 1)(x.T)
        want = np.kron(np.eye(3), np.array([[2.0], [2.0]]))
        np.testing.assert_array_equal(found[0], np.broadcast_to(want, (5, 6, 3)))
        np.testing.assert_array_equal(found[1], found[0])
        np.testing.assert_array_equal(found[2], plainly(x, 2.0).T)
    twice = jax.grad(lambda y: jnp.sum(half_of_double(y, times=2.0) ** 2))(y)
    np.testing.assert_allclose(twice, 2 * plainly(back, 2.0), rtol=1e-12)


@pytest.mark.parametrize(("width", "out"), [(512, 64), (64, 512)])
def test_the_gradient_by_the_matrix_contracts_adjacent_axes(width, out):
    """XLA on a CPU is slow at any other product of two long arrays."""

    def loss(matrix, rows):
        return jnp.sum(jax.vmap(row_product, (0, None))(rows, matrix) ** 2)

    shapes = (jax.ShapeDtypeStruct(s, jnp.float32) for s in ((width, out), (10, 49, width)))
    compiled = str(jax.jit(jax.grad(loss)).lower(*shapes).compile().as_text())
    contracted = re.findall(
        r"dot\(.*lhs_contracting_dims={(\d)}, rhs_contracting_dims={(\d)}", compiled
    )
    assert contracted
    assert {("1", "0")} == set(contracted)
