"""What varies in a sweep, and what is chosen at its end."""

import numpy as np
import pytest

from elbax.sweep import axes, choose


def names(given, **more):
    return list(axes.of(given, **more).runs())


def test_words_with_commas_and_lists_are_several_values():
    given = {"latent_dim": "2,4", "objective.beta": [0.5, 1.0], "hidden": "8,4", "iterations": 9}
    found = axes.of(given)
    assert found.fixed == {"hidden": "8,4", "iterations": 9}
    assert found.varied == {"latent_dim": ("2", "4"), "objective.beta": (0.5, 1.0)}
    assert list(found.runs()) == [
        "latent-dim-2_beta-0.5",
        "latent-dim-2_beta-1.0",
        "latent-dim-4_beta-0.5",
        "latent-dim-4_beta-1.0",
    ]


def test_a_list_of_widths_is_one_value_and_lists_of_them_are_several():
    assert axes.of({"hidden": (8, 4), "seed": "0,1"}).fixed == {"hidden": (8, 4)}
    assert names({"hidden": [(8, 4), (8,)]}) == ["hidden-8-4", "hidden-8"]


def test_how_data_are_read_does_not_vary():
    given = {"columns": "a=count,b=count", "labels": "y", "seed": "1,2"}
    assert set(axes.of(given).fixed) == {"columns", "labels"}


def test_seeds_are_counted_from_the_one_given():
    assert axes.of({"seed": "3"}, seeds=3).varied == {"seed": (3, 4, 5)}
    assert axes.of({"prior": "vamp,mixture"}, seeds=1).fixed == {"seed": 0}


def test_names_that_mean_two_options_are_spelled_out():
    assert names({"prior.layers": "1,2", "posterior.layers": "3,4"})[0] == (
        "prior.layers-1_posterior.layers-3"
    )


def test_auto_tries_doubling_numbers_up_to_those_of_a_datum():
    found = axes.of({"latent_dim": "auto"}, latents=20)
    assert found.auto
    assert found.varied == {"latent_dim": (1, 2, 4, 8, 16)}


def test_what_cannot_be_swept_is_refused_in_a_line():
    with pytest.raises(ValueError, match="a sweep of 1 run: give 2 to"):
        axes.of({"latent_dim": "2"}).runs()
    with pytest.raises(ValueError, match="a sweep of 10000 runs"):
        axes.of({"latent_dim": list(range(1, 101)), "seed": list(range(100))}).runs()
    with pytest.raises(ValueError, match="both --seeds and several values of --seed"):
        axes.of({"seed": "1,2"}, seeds=2)
    with pytest.raises(ValueError, match=r"latent_dim \(--latent-dim\) has no value"):
        axes.of({"latent_dim": []})


ROWS = np.random.default_rng(0).normal(size=400)
NOISE = np.random.default_rng(1).normal(size=(4, 400))


def test_the_fewest_within_a_standard_error_of_the_best_are_chosen():
    # Differences to the best by row: 1 ± 0.05, then 0.02 ± 0.05, then the best, then 0.01 ± 0.05.
    shift = [(2, 1.0), (4, 0.02), (8, 0.0), (16, 0.01)]
    noise = NOISE - NOISE.mean(axis=1, keepdims=True)
    rows = {
        dim: ((ROWS - lost + (n if dim != 8 else 0 * n))[None], [f"d{dim}"])
        for (dim, lost), n in zip(shift, noise, strict=True)
    }
    found = choose.fewest(rows)
    assert (found.latents, found.best) == (4, 8)
    behind = {one.latents: one for one in found.tried}
    assert behind[2].difference == pytest.approx(1.0)
    # The error of a paired difference: what all rows share is no error of it.
    assert behind[2].error == pytest.approx(noise[0].std(ddof=1) / 20, rel=1e-6)
    assert behind[8].error == 0.0
    assert "latent_dim 4" in found.in_words()[0]


def test_seeds_that_disagree_are_an_error_too():
    apart = np.array([[-0.3], [0.3]])  # the average over two seeds: 0.3² · 2 / 1 / 2 = 0.09
    rows = {2: (ROWS[None] - 0.2 + apart, ["a", "b"]), 4: (ROWS[None] + 0 * apart, ["c", "d"])}
    found = choose.fewest(rows)
    behind = {one.latents: one for one in found.tried}
    assert behind[2].error == pytest.approx(0.3)
    assert found.latents == 2
