"""The figures that walk through the latent space: `traverse` and `interpolate`."""

import numpy as np
import pytest

from elbax.figures import FigureUnavailable, draw, interpolate
from tests.figures.runs import make_data, make_history, make_model, make_run


def test_the_spherical_way_keeps_the_length_and_turns_evenly():
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(2, 5))
    b *= np.linalg.norm(a) / np.linalg.norm(b)
    share = np.linspace(0, 1, 7)
    found = interpolate.spherical(a, b, share)
    np.testing.assert_allclose(found[[0, -1]], [a, b], atol=1e-12)
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), np.linalg.norm(a))
    unit = found / np.linalg.norm(found, axis=1, keepdims=True)
    angles = np.arccos(np.clip(np.sum(unit[:-1] * unit[1:], axis=1), -1, 1))
    np.testing.assert_allclose(angles, angles[0])


@pytest.mark.parametrize("b", [[2.0, 0.0], [-1.0, 0.0], [0.0, 0.0]])
def test_without_an_angle_the_way_is_straight(b):
    a, b, share = np.array([1.0, 0.0]), np.array(b), np.linspace(0, 1, 5)
    np.testing.assert_allclose(interpolate.spherical(a, b, share), interpolate.linear(a, b, share))


def test_latents_are_ordered_by_their_kl(run):
    (axes,) = draw("traverse", run).axes
    words = [label.get_text() for label in axes.get_yticklabels()]
    values = [float(word.split()[-1]) for word in words]
    assert len(values) == 2
    assert values == sorted(values, reverse=True)


@pytest.mark.parametrize("name", ["traverse", "interpolate"])
def test_rows_of_numbers_are_refused(name):
    model = make_model((5,), 2, "normal")
    data = make_data((5,), kind="vectors")
    with pytest.raises(FigureUnavailable, match="is of images"):
        draw(name, make_run(model, data, make_history()))


@pytest.mark.parametrize("name", ["traverse", "interpolate"])
def test_only_what_is_held_out_is_drawn(name, run):
    one = draw(name, run).axes[0].images[0].get_array()
    other = run.replace(seed=1)
    assert np.any(np.asarray(one) != np.asarray(draw(name, other).axes[0].images[0].get_array()))
