import numpy as np
from numpy.testing import assert_allclose, assert_array_equal
from scipy.stats import norm

from elbax.figures.drawing import latent_grid
from elbax.figures.normal import ring
from elbax.figures.top_label import region_centres, strongholds


def test_the_ring_is_the_summarys_map():
    z = np.random.default_rng(0).standard_normal((200, 2))
    length = np.linalg.norm(z, axis=1, keepdims=True)
    assert_allclose(ring(z), z / 10 + z / length)
    # A radial map: the angle stays, the radius becomes 1 + r/10.
    assert_allclose(np.linalg.norm(ring(z), axis=1), 1 + length[:, 0] / 10)
    assert_allclose(np.arctan2(*ring(z).T), np.arctan2(*z.T))
    assert_array_equal(ring(np.zeros((1, 2))), np.zeros((1, 2)))


def test_the_grid_holds_gaussian_quantiles():
    grid = latent_grid.quantile_grid(np.array([3, 1]), 5, 20)
    middles = (np.arange(20) + 0.5) / 20
    assert grid.shape == (20, 20, 5)
    assert_allclose(norm.cdf(grid[4, :, 3]), middles)
    assert_allclose(norm.cdf(grid[:, 9, 1]), middles)
    assert np.all(grid[..., [0, 2, 4]] == 0)


def test_one_latent_gives_a_strip():
    grid = latent_grid.quantile_grid(np.array([0]), 1, 7)
    assert grid.shape == (1, 7, 1)
    assert_allclose(grid[0, :, 0], norm.ppf((np.arange(7) + 0.5) / 7))


def test_the_maps_of_images_and_of_labels_share_their_places():
    assert_allclose(latent_grid.gaussian_quantiles(60)[1::3], latent_grid.gaussian_quantiles(20))


def test_the_most_active_latents_vary_most():
    rng = np.random.default_rng(0)
    means = rng.normal(size=(500, 4)) * [0.1, 2.0, 0.0, 1.0] + [9.0, 0.0, 50.0, 0.0]
    assert latent_grid.most_active(means).tolist() == [1, 3]
    assert latent_grid.most_active(means, 4).tolist() == [1, 3, 0, 2]
    assert latent_grid.most_active(np.zeros((5, 3))).tolist() == [0, 1]


def test_names_stand_in_the_middle_of_their_regions():
    winners = np.zeros((30, 30), int)
    winners[10:21, 5:26] = 4
    winners[0, 29] = 7  # too small for a name
    named = {index: (row, column) for index, row, column in region_centres(winners)}
    assert set(named) == {0, 4}
    row, column = named[4]
    assert row == 15
    assert 10 <= column <= 20
    strip = np.repeat([[1, 2]], [20, 40], axis=1)
    assert [(i, r) for i, r, _ in region_centres(strip)] == [(1, 0), (2, 0)]
    assert [abs(c - m) <= 1 for (_, _, c), m in zip(region_centres(strip), (10, 40), strict=True)]


def test_a_stronghold_is_where_a_label_has_itself_to_itself():
    rng = np.random.default_rng(0)
    alone = rng.normal([0.2, 0.2], 0.03, (200, 2))
    crowd = rng.normal([0.7, 0.7], 0.03, (300, 2))
    others = rng.normal([0.7, 0.7], 0.03, (900, 2))
    places = np.concatenate([alone, crowd, others])
    homes = strongholds(places, np.repeat([0, 0, 1], [200, 300, 900]))
    assert_allclose(homes[0], [0.2, 0.2], atol=0.06)
    assert_allclose(homes[1], [0.7, 0.7], atol=0.06)
