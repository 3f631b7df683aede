import numpy as np
import pytest

from elbax.util import mosaic


def flat_tiles(values):
    """Tiny tiles of one colour each."""
    return np.broadcast_to(np.asarray(values, float)[:, None, None, None], (len(values), 2, 3, 3))


def test_even_columns_hold_the_reconstructions_and_odd_ones_their_originals():
    even, odd = flat_tiles(np.arange(100) / 1000), flat_tiles(np.arange(100) / 1000 + 0.5)
    sheet = mosaic.interleave(even, odd, 20)
    assert sheet.shape == (10, 20, 2, 3, 3)
    np.testing.assert_allclose(sheet[:, 0::2].reshape(100, 2, 3, 3), even, rtol=1e-6)
    np.testing.assert_allclose(sheet[:, 1::2].reshape(100, 2, 3, 3), odd, rtol=1e-6)


def test_missing_pairs_are_white():
    sheet = mosaic.interleave(flat_tiles([0.0] * 3), flat_tiles([0.0] * 3), 4)
    assert sheet.shape[:2] == (2, 4)
    assert np.all(sheet[1, 2:] == 1)
    assert np.all(sheet[1, :2] == 0)


def test_every_tile_stands_where_its_centre_says():
    tiles = mosaic.lay_out(flat_tiles(np.arange(12) / 20), 4)
    image, columns, rows = mosaic.mosaic(tiles, 2, group=2, group_gap=5)
    assert image.shape == (3 * 2 + 2 * 2, 4 * 3 + 2 + 5 + 2, 3)
    for row, y in enumerate(rows):
        for column, x in enumerate(columns):
            tile = image[int(y - 0.5) : int(y + 0.5) + 1, int(x - 1) : int(x + 1) + 1]
            np.testing.assert_allclose(tile, (4 * row + column) / 20, rtol=1e-6)
    assert image.sum() == pytest.approx(tiles.sum() + 3 * (image[..., 0].size - 12 * 6), rel=1e-6)


def test_one_channel_becomes_grey_and_three_stay():
    grey = mosaic.to_rgb(np.array([[[[0.0], [5.0]]]]), (0.0, 10.0))
    np.testing.assert_allclose(grey[0, 0], [[0, 0, 0], [0.5, 0.5, 0.5]])
    colour = np.random.default_rng(0).uniform(size=(2, 4, 4, 3)).astype(np.float32)
    np.testing.assert_allclose(mosaic.to_rgb(colour, (0.0, 1.0)), colour)
    assert mosaic.to_rgb(np.zeros((2, 4, 4, 4)), (0.0, 1.0)).shape == (2, 4, 4, 3)
    assert mosaic.to_rgb(np.zeros((2, 4, 4, 7)), (0.0, 1.0)).shape == (2, 4, 4, 3)
    assert mosaic.to_rgb(np.zeros((2, 4, 4)), (0.0, 1.0)).shape == (2, 4, 4, 3)


def test_values_beyond_the_limits_are_clipped():
    assert mosaic.to_rgb(np.array([[[-3.0, 30.0]]]), (0.0, 10.0))[0, 0, :, 0].tolist() == [0, 1]


@pytest.mark.parametrize(
    ("x", "limits"), [([0.2, 0.7], (0, 1)), ([-1.0, 3.0], (-1, 3)), ([5.0, 5.0], (5, 6))]
)
def test_display_range(x, limits):
    assert mosaic.display_range(np.array(x)) == limits


@pytest.mark.parametrize(
    ("shape", "image"), [((28, 28, 1), True), ((8, 8), True), ((784,), False), ((1, 30), False)]
)
def test_what_counts_as_an_image(shape, image):
    assert mosaic.is_image(shape) is image


def test_standardise_uses_the_reference_alone_and_survives_a_constant():
    rng = np.random.default_rng(1)
    reference = rng.normal(3, 2, (500, 4))
    reference[:, 2] = 7
    (own,) = mosaic.standardise(reference, reference)
    np.testing.assert_allclose(own.mean(axis=0), 0, atol=1e-12)
    np.testing.assert_allclose(own.std(axis=0), [1, 1, 0, 1], atol=1e-12)
    (other,) = mosaic.standardise(reference, reference[:3] + 1)
    np.testing.assert_allclose(other[:, 2], 1)


def test_rows_are_ordered_along_the_first_component():
    rng = np.random.default_rng(2)
    position = rng.permutation(40)
    table = np.outer(position, [1.0, -0.5, 0.2]) + rng.normal(scale=1e-3, size=(40, 3))
    np.testing.assert_array_equal(position[mosaic.order_rows(table)], np.arange(40))
