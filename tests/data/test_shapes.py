"""The synthetic data set: what each factor does to an image, and what is known of the whole."""

import numpy as np
import pytest

from elbax.data import DataError, load
from elbax.data.shapes import COMBINATIONS, VALUES, factors, generate, render


def image(shape=2, scale=5, orientation=3, x=16, y=16, size=64):
    return render(np.array([[shape, scale, orientation, x, y]]), size=size)[0, :, :, 0]


@pytest.mark.parametrize("shape", range(3))
def test_a_position_is_a_pixel(shape):
    start = image(shape)
    assert np.array_equal(image(shape, x=19), np.roll(start, 3, axis=1))
    assert np.array_equal(image(shape, y=11), np.roll(start, -5, axis=0))


@pytest.mark.parametrize("shape", range(3))
def test_nothing_leaves_the_frame(shape):
    every = np.array(
        [[shape, 5, turn, x, y] for turn in range(40) for x in (0, 31) for y in (0, 31)]
    )
    middle = every.copy()
    middle[:, 3:] = 16
    assert np.array_equal(render(every).sum((1, 2, 3)), render(middle).sum((1, 2, 3)))


@pytest.mark.parametrize(("shape", "period"), [(0, 10), (1, 20), (2, 40)])
def test_an_orientation_is_a_turn(shape, period):
    start = image(shape, orientation=0)
    same = [turn for turn in range(40) if np.array_equal(image(shape, orientation=turn), start)]
    assert same == list(range(0, 40, period))
    # A quarter of a turn, about the shape's own centre (the pixel at 32).
    window = start[1:, 1:]
    assert np.array_equal(np.rot90(window, -1), image(shape, orientation=10)[1:, 1:])


@pytest.mark.parametrize(
    ("shape", "area"), [(0, 4.0), (1, np.pi * 1.4 * 0.7), (2, 3.661972 / 1.05**2)]
)
def test_a_scale_is_a_length(shape, area):
    # Areas in units of half a side of the square; the heart's by quadrature.
    if shape == 2:
        a, b = np.meshgrid(*[np.linspace(-1.5, 1.5, 3001)] * 2)
        share = np.mean((a * a + b * b - 1) ** 3 <= a * a * b**3)
        assert 9 * share == pytest.approx(3.661972, rel=1e-3)
    for scale in range(6):
        pixels = np.mean([image(shape, scale, turn).sum() for turn in range(40)])
        # Whole pixels: of the smallest square, 11.3 wide, an edge's tenth of a pixel is 4 %.
        assert pixels == pytest.approx(area * (11.3 * (0.5 + 0.1 * scale)) ** 2, rel=0.04)


def test_images_are_binary_distinct_combinations_in_an_order_of_the_seed():
    x, chosen = generate(500, seed=3, size=32)
    assert (x.shape, x.dtype) == ((500, 32, 32, 1), np.uint8)
    assert set(np.unique(x)) == {0, 1}
    assert len(np.unique(chosen, axis=0)) == 500
    assert np.array_equal(chosen, factors(900, seed=3)[:500])
    assert not np.array_equal(chosen, factors(500, seed=4))
    assert np.array_equal(render(chosen, size=32), x)
    # All values of each factor, about equally often.
    many = factors(20_000)
    for column, values in zip(many.T, VALUES, strict=True):
        counts = np.bincount(column)
        assert len(counts) == values
        assert np.all(np.abs(counts - counts.mean()) < 5 * np.sqrt(counts.mean()))


@pytest.mark.slow
def test_the_named_data_set_has_the_factors_of_its_rows():
    dataset = load("shapes")
    assert [len(s) for s in (dataset.train, dataset.validation, dataset.test)] == [
        18_000,
        1_000,
        1_000,
    ]
    assert (dataset.shape, dataset.levels, dataset.label_names[2]) == ((64, 64, 1), 1, "heart")
    whole, known = dataset.split("all"), factors()
    assert np.array_equal(np.asarray(whole.label), known[:, 0])
    rows = [0, 17_999, 18_000, 19_999]
    assert np.array_equal(whole.x[rows], render(known[rows]))


def test_what_cannot_be_drawn_is_refused():
    with pytest.raises(DataError, match="from 1 to 737,280"):
        generate(COMBINATIONS + 1)
    with pytest.raises(DataError, match="out of range"):
        render(np.array([[3, 0, 0, 0, 0]]))
    with pytest.raises(DataError, match=r"factors of shape \(1, 4\)"):
        render(np.zeros((1, 4), int))
    with pytest.raises(DataError, match="in 0 pixels"):
        generate(1, size=0)
