"""The figure of codes: what is drawn is how often each was chosen."""

import dataclasses

import jax
import numpy as np
import pytest
from numpy.testing import assert_allclose

from elbax.evaluate import map_rows
from elbax.figures import FIGURES, FigureUnavailable, draw
from elbax.model import MLP, Encoder, UniformCodes, VectorQuantised
from tests.figures.runs import make_data, make_model, make_run
from tests.figures.test_registry import sticks_out, words


def chosen(model, row, _):
    return model.encode(model.preprocessing(row)).indices


def test_codes_are_sorted_and_counted():
    model, data = make_model((6, 6, 1), 6, scale=1 / 255), make_data((6, 6, 1))
    family = VectorQuantised(6, 9, 2, key=jax.random.key(1))
    encoder = Encoder(MLP(36, (8,), family.parameter_count, key=jax.random.key(2)), family)
    model = dataclasses.replace(model, prior=UniformCodes(6), encoder=encoder)
    run = make_run(model, data)
    figure = draw("code_use", run)
    assert not sticks_out(figure)
    indices = map_rows(chosen, model, data.test.x, jax.random.key(0))
    counts = np.bincount(np.ravel(indices), minlength=9)
    (axes,) = figure.axes
    heights = np.asarray(axes.collections[0].get_paths()[0].vertices)[:, 1]
    assert_allclose(np.unique(heights[heights > 0]), np.unique(counts[counts > 0]) / counts.sum())
    assert words(figure).startswith(f"{np.count_nonzero(counts)} of 9 codes are used")
    for name in ("bound", "active_units", "traverse", "interpolate", "top_infer"):
        assert FIGURES[name].unavailable(run) is not None, name


def test_of_other_latents_there_is_none():
    run = make_run(make_model((6, 6, 1), 2), make_data((6, 6, 1)))
    with pytest.raises(FigureUnavailable, match="this model's latents are others"):
        draw("code_use", run)
