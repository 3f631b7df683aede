import dataclasses
import importlib
import subprocess
import sys

import jax
import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from elbax import figures
from elbax.figures import (
    FIGURES,
    FigureUnavailable,
    draw,
    figure_png,
    find,
    render_all,
)
from elbax.model import MLP, Decoder, Mixed
from elbax.run.folder import FIGURE_NAMES
from elbax.util import mosaic
from tests.figures.runs import make_data, make_history, make_model, make_run

OF_OTHERS = ("rate_distortion", "code_use")  # not of one run; not of real latents


def words(figure: Figure) -> str:
    """All text on a figure's page, outside its axes."""
    return " ".join(text.get_text() for text in figure.texts)


def sticks_out(figure: Figure) -> bool:
    """Whether anything lies beyond the page, where a PNG would cut it off."""
    figure.canvas.draw()
    box, (width, height) = figure.get_tightbbox(), figure.get_size_inches()
    return min(box.x0, box.y0, width - box.x1, height - box.y1) < -0.005


def test_the_registry_holds_the_summarys_names():
    assert tuple(FIGURES) == FIGURE_NAMES
    assert all(name == spec.name and spec.title and spec.caption for name, spec in FIGURES.items())


@pytest.mark.parametrize("name", [name for name in FIGURES if name not in OF_OTHERS])
def test_every_figure_stays_on_its_page_and_comes_out_the_same_twice(name, run):
    figure = draw(name, run)
    assert figure_png(figure) == figure_png(draw(name, run))
    assert not sticks_out(figure)


@pytest.mark.parametrize("name", ["reconstruct", "generated", "nearest"])
def test_of_a_category_the_code_is_shown_that_files_hold(name, monkeypatch):
    """Not its mean: between the codes 0 and 2 lies 1, which may be the least probable of all."""
    columns = ("normal", "categorical-3", "binary")
    family = Mixed((3,), columns)
    model = make_model((3,), 2)
    network = MLP(2, (8,), family.parameter_count, key=jax.random.key(8))
    model = dataclasses.replace(model, decoder=Decoder(network, family))
    data = make_data((3,), labels=0, kind="vectors", dtype=np.float32)
    rng = np.random.default_rng(0)
    splits = {}
    for part in ("train", "validation", "test"):
        x = np.array(data.split(part).x)
        x[:, 1], x[:, 2] = rng.integers(0, 3, len(x)), rng.integers(0, 2, len(x))
        splits[part] = dataclasses.replace(data.split(part), x=x)
    seen = []
    module = importlib.import_module(f"elbax.figures.{name}")

    def standardised(reference, *tables):
        seen.extend(tables)
        return mosaic.standardise(reference, *tables)

    monkeypatch.setattr(module, "standardise", standardised)
    run = make_run(model, dataclasses.replace(data, **splits))
    draw(name, run)
    assert len(seen) >= 2
    for table in seen:
        assert set(np.unique(table[:, 1])) <= {0.0, 1.0, 2.0}
        assert set(np.unique(table[:, 2])) <= {0.0, 1.0}


def test_another_seed_chooses_other_rows(run):
    other = run.replace(seed=1)
    assert figure_png(draw("reconstruct", run)) != figure_png(draw("reconstruct", other))


SHAPES = [
    ((8, 6, 3), 2, "images", np.uint8, "bernoulli"),
    ((7, 5, 2), 3, "images", np.float32, "normal"),
    ((6, 30, 1), 1, "images", np.uint8, "bernoulli"),
    ((30, 6, 1), 2, "images", np.uint8, "bernoulli"),
    ((9,), 2, "vectors", np.float32, "normal"),
    ((1,), 1, "vectors", np.float32, "normal"),
    ((20,), 5, "vectors", np.float32, "normal"),
]


@pytest.mark.parametrize(
    ("shape", "latents", "kind", "dtype", "likelihood"),
    [SHAPES[0], *(pytest.param(*shape, marks=pytest.mark.slow) for shape in SHAPES[1:])],
)
@pytest.mark.parametrize(
    "name", ["reconstruct", "generated", "top_infer", "top_label", "active_units", "nearest"]
)
def test_other_shapes_draw_too(name, shape, latents, kind, dtype, likelihood):
    scale = 1 / 255 if dtype == np.uint8 else 1.0
    data = make_data(shape, kind=kind, dtype=dtype)
    run = make_run(make_model(shape, latents, likelihood, scale), data)
    assert not sticks_out(draw(name, run))


@pytest.mark.parametrize("labels", [1, 10, 40])
def test_any_number_of_labels(labels, run):
    data = make_data((8, 6, 1), labels=labels, counts=(200, 10, 100))
    assert not sticks_out(draw("top_label", run.replace(dataset=data)))


def test_label_names_are_shown_as_they_are(run):
    names = ("T-shirt/top", "50% $x$", "靴")
    data = make_data((8, 6, 1), names=names)
    figure = draw("top_label", run.replace(dataset=data))
    figure_png(figure)  # neither mathematics nor a missing glyph stops it
    shown = {text.get_text() for axes in figure.axes for text in axes.texts}
    assert shown <= {"T-shirt/top", "50% $x$", "?"}
    assert "T-shirt/top" in shown


@pytest.mark.parametrize("title", ["$\\frac", "運転" * 30, "a\nb", "x" * 500])
def test_a_strange_run_name_does_no_harm(title):
    data, history = make_data((8, 6, 1)), make_history()
    run = make_run(make_model((8, 6, 1), 2, scale=1 / 255), data, history, name=title)
    for name in ("reconstruct", "train_process"):
        assert not sticks_out(draw(name, run))


def test_more_than_two_latents_show_the_most_active_and_say_so():
    run = make_run(make_model((6, 6, 1), 5, scale=1 / 255), make_data((6, 6, 1)))
    for name in ("top_infer", "top_label"):
        assert ". Of 5 latents, the two most active" in words(draw(name, run))


def test_a_short_test_split_gives_a_short_sheet(run):
    data = make_data((8, 6, 1), counts=(60, 0, 3))
    figure = draw("reconstruct", run.replace(dataset=data))
    assert "3 test images" in words(figure)
    assert [tick.get_text() for tick in figure.axes[0].get_xticklabels()] == list("012345")


def test_without_a_test_split_the_next_one_serves(run):
    data = make_data((8, 6, 1), counts=(60, 10, 0))
    assert "10 validation images" in words(draw("reconstruct", run.replace(dataset=data)))


def test_the_training_curves_are_the_history(run):
    upper, lower = draw("train_process", run).axes
    step = run.history["step"]
    assert upper.get_xscale() == lower.get_xscale() == "log"

    def drawn(axes: Axes, values: np.ndarray) -> bool:
        return any(
            np.array_equal(line.get_xdata(), step) and np.allclose(line.get_ydata(), values)
            for line in axes.lines
        )

    assert drawn(upper, -run.history["elbo"])
    assert drawn(upper, -run.history["reconstruction"])
    assert drawn(lower, run.history["kl"])


@pytest.mark.parametrize("offset", [0.0, 1000.0])
def test_positive_bounds_and_lost_values_draw_too(offset, run):
    history = make_history()
    history["elbo"] = history["elbo"] + offset
    history["reconstruction"] = history["reconstruction"] + offset
    history["kl"][3] = np.nan
    history["elbo"][3] = np.nan
    history["validation"] = {}
    figure = draw("train_process", run.replace(history=history))
    figure_png(figure)
    curves = [np.asarray(line.get_ydata(), float) for line in figure.axes[0].lines]
    kept = -history["elbo"][np.isfinite(history["elbo"])]
    assert len(kept) == len(history["elbo"]) - 1
    assert any(curve.shape == kept.shape and np.allclose(curve, kept) for curve in curves)


@pytest.mark.slow
def test_without_labels_top_label_says_so_and_the_rest_is_drawn(run, tmp_path):
    bare = run.replace(dataset=make_data((8, 6, 1), labels=0))
    with pytest.raises(FigureUnavailable, match="needs labels"):
        draw("top_label", bare)
    pictures, left_out = render_all(bare, tmp_path)
    assert set(pictures) == set(FIGURES) - {"top_label", "code_use", "rate_distortion"}
    assert list(left_out) == ["top_label", "code_use", "rate_distortion"]
    assert "\n" not in left_out["top_label"]
    assert {path.name for path in tmp_path.iterdir()} == {f"{name}.png" for name in pictures}


def test_without_history_there_are_no_curves(run):
    with pytest.raises(FigureUnavailable, match="two logged steps"):
        draw("train_process", run.replace(history={}))


def test_an_unknown_name_is_answered_with_the_nearest():
    with pytest.raises(ValueError, match="did you mean 'reconstruct'"):
        find("reconstuct")
    with pytest.raises(ValueError, match="there are: active_units, "):
        find("qqqq")


def test_listing_figures_imports_neither_jax_nor_matplotlib():
    code = "import sys, elbax.figures; print({'jax', 'matplotlib'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
    assert figures.FIGURES
