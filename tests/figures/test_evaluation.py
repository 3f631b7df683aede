"""Figures of how good a model is: what they show is what the library computes."""

import dataclasses

import jax
import numpy as np
import pytest
from matplotlib.colors import to_hex
from matplotlib.patches import Rectangle
from numpy.testing import assert_allclose, assert_array_equal
from scipy.spatial.distance import cdist
from scipy.special import logsumexp

from elbax import figures
from elbax.evaluate import elbo, posterior_moments
from elbax.figures import FIGURES, FigureUnavailable, bound, draw, draw_curve, nearest, render_all
from elbax.figures.drawing.style import BLUE, GREEN, ORANGE
from elbax.figures.rate_distortion import RatePoint
from elbax.model import LatentVariableModel
from tests.figures.runs import make_data, make_model, make_run
from tests.figures.test_registry import sticks_out, words

CURVE = (
    RatePoint("β = 0.5", 12.0, 80.0, 0.1, 1.2, 0.5),
    RatePoint("β = 1", 9.0, 82.0, 0.1, 1.1, 1.0),
    RatePoint("β = 4", 3.0, 95.0, 0.1, 1.3, 4.0),
)


def test_the_curves_end_where_all_draws_of_the_histogram_are_averaged(run):
    found = bound.estimate(run, run.dataset.test.x[:4])
    assert found.counts[[0, -1]].tolist() == [1, bound.SAMPLES]
    given = found.given_prior
    assert_allclose(found.prior[0][0, -1], logsumexp(given) - np.log(len(given)), rtol=1e-6)
    assert_allclose(found.prior[0][0, 0], given[0], rtol=1e-6)
    # The repetitions of one datum are as many estimates.
    assert len(np.unique(found.posterior[0][:, -1])) == bound.REPEATS
    assert found.annealed is None


def test_every_reference_is_drawn_where_it_lies(run):
    rows = run.dataset.test.x
    chosen = np.sort(np.random.default_rng(0).choice(len(rows), bound.ROWS, replace=False))
    found = bound.estimate(run, rows[chosen], thorough=True)
    assert found.annealed is not None
    one, many = draw("bound", run, thorough=True).axes[:2]
    for axes, which in ((one, 0), (many, 1)):
        heights = [np.asarray(line.get_ydata()) for line in axes.lines]
        levels = [float(height[0]) for height in heights if np.ptp(height) == 0]
        assert_allclose(sorted(levels), sorted([found.elbo[which], found.annealed[which]]))
    curves = {to_hex(line.get_color()): np.asarray(line.get_ydata()) for line in many.lines}
    assert_allclose(curves[BLUE], found.posterior[1].mean(axis=0))
    assert_allclose(curves[ORANGE], found.prior[1].mean(axis=0))
    assert GREEN in curves


def test_grey_pixels_are_not_called_log_p(run):
    figure = draw("bound", run)
    assert "lower bound on the expected log-likelihood of the binarised data" in words(figure)
    assert figure.axes[0].get_ylabel() == "estimate of the bound (grey pixels), nats"
    binary = run.replace(model=make_model((8, 6, 1), 2, scale=1 / 255, binarize="dynamic"))
    figure = draw("bound", binary)
    assert "binarised" not in words(figure)
    assert figure.axes[0].get_ylabel() == "estimate of log P(X), nats"


def test_the_bound_of_vectors():
    data = make_data((9,), kind="vectors", dtype=np.float32)  # type: ignore[arg-type]
    run = make_run(make_model((9,), 2, "normal"), data)
    figure = draw("bound", run)
    assert not sticks_out(figure)
    assert figure.axes[0].get_title(loc="left") == "one test row"


def test_what_only_drawing_shows_is_left_out_with_its_reason(run, monkeypatch):
    def refuse(*_, **__):
        raise ValueError("the posterior is a point")

    monkeypatch.setattr(bound, "draws", refuse)
    monkeypatch.setattr(figures, "FIGURES", {n: FIGURES[n] for n in ("bound", "train_process")})
    pictures, left_out = render_all(run)
    assert list(pictures) == ["train_process"]
    assert left_out["bound"] == "bound can't be drawn: the posterior is a point"


def test_active_units_are_sorted_and_counted():
    model, data = make_model((6, 6, 1), 7, scale=1 / 255), make_data((6, 6, 1))
    figure = draw("active_units", make_run(model, data))
    variance = np.var(posterior_moments(model, data.test.x)["mean"].astype(float), axis=0)
    order = np.argsort(-variance)
    left, right = figure.axes
    names = [label.get_text() for label in left.get_yticklabels()]
    assert names == [f"$z_{{{latent}}}$" for latent in order]
    places = np.asarray(left.collections[1].get_offsets())
    assert_allclose(places[:, 0], variance[order], rtol=1e-6)
    assert words(figure).startswith(f"{(variance > 0.01).sum()} of 7 latents")
    kl = elbo(model, data.test.x, key=jax.random.key(0), samples=1).kl_per_latent
    widths = [bar.get_bbox().width for bar in right.patches if isinstance(bar, Rectangle)]
    assert kl is not None
    assert_allclose(widths, kl.astype(float).mean(axis=0)[order], rtol=1e-6)


def test_nearest_finds_what_a_plain_search_finds(run):
    found = nearest.find(run)
    train = run.dataset.train.x / 255
    held = (run.dataset.test.x / 255).reshape(30, -1)
    distances = cdist(found.samples.reshape(len(found.samples), -1), train.reshape(60, -1))
    assert_allclose(found.of_samples, distances.min(axis=1), rtol=1e-4)
    assert_allclose(found.of_held_out, cdist(held, train.reshape(60, -1)).min(axis=1), rtol=1e-4)
    first = np.argsort(distances[0])[: nearest.NEIGHBOURS]
    assert_allclose(found.neighbours[0], train[first], rtol=1e-6)
    assert found.searched == 60


def test_nearest_needs_rows_that_training_did_not_see(run):
    data = make_data((8, 6, 1), counts=(60, 0, 0))
    with pytest.raises(FigureUnavailable, match="training rows only"):
        draw("nearest", run.replace(dataset=data))


def test_one_run_is_no_curve(run):
    with pytest.raises(FigureUnavailable, match=r"--betas 0\.25,0\.5,1,2,4"):
        draw("rate_distortion", run)


def test_the_curve_passes_its_points_and_names_the_best():
    figure = draw_curve(CURVE)
    assert not sticks_out(figure)
    (axes,) = figure.axes
    curve = next(line for line in axes.lines if np.shape(line.get_xydata()) == (3, 2))
    assert_array_equal(curve.get_xydata(), [[3, 95], [9, 82], [12, 80]])
    assert "β = 1, −91.00 nats" in words(figure)
    assert {text.get_text() for text in axes.texts} >= {"β = 0.5", "β = 1", "β = 4"}


def test_models_of_one_beta_are_points_and_no_curve():
    same = tuple(dataclasses.replace(point, beta=1.0) for point in CURVE)
    (axes,) = draw_curve(same).axes
    curve = [line for line in axes.lines if np.shape(line.get_xydata()) == (3, 2)]
    assert all(line.get_linestyle() == "None" for line in curve)


def test_a_model_that_cannot_be_annealed_has_no_such_line(run, monkeypatch):
    def refuse(model: LatentVariableModel) -> None:
        raise ValueError("the latents are discrete")

    monkeypatch.setattr(bound, "check_annealable", refuse)
    rows = run.dataset.test.x[:2]
    assert bound.estimate(run, rows, thorough=True).annealed is None
