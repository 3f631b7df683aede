"""Scores of disentanglement on a perfect, a null, an entangled and a degenerate representation."""

import itertools
import math

import numpy as np
import pytest
import scipy.stats

from elbax.evaluate.latents.disentangle import (
    attribute_predictability,
    dci,
    factor_vae_score,
    mutual_information_gap,
)

# Every combination of three factors, in random order: they are independent exactly.
GRID = np.array(list(itertools.product(range(4), range(3), range(5))) * 40)
FACTORS = np.random.default_rng(0).permutation(GRID)
RNG = np.random.default_rng(1)
PERFECT = FACTORS[:, [2, 0, 1]] * [1.0, -3.0, 0.5] + [0.0, 7.0, 1.0]
NULL = RNG.normal(size=(len(FACTORS), 4))
DEAD = np.full((len(FACTORS), 3), 2.5)
# All three factors, standardised, in each of three latents.
ENTANGLED = scipy.stats.zscore(FACTORS.astype(float)) @ np.full((3, 3), -2 / 3) + (
    scipy.stats.zscore(FACTORS.astype(float))
)

SCORES = {
    "mig": lambda codes: mutual_information_gap(codes, FACTORS).mean,
    "sap": lambda codes: attribute_predictability(codes, FACTORS).mean,
    "disentanglement": lambda codes: dci(codes, FACTORS, trees=5).disentanglement,
    "completeness": lambda codes: dci(codes, FACTORS, trees=5).completeness,
    "factor-vae": lambda codes: factor_vae_score(codes, FACTORS, votes=300).mean,
}
each = pytest.mark.parametrize("name", SCORES)


@each
def test_a_perfect_representation(name):
    # SAP is one less what thresholds on a latent that tells nothing get: chance, averaged over
    # factors of 4, 3 and 5 values.
    best = 1 - np.mean([1 / 4, 1 / 3, 1 / 5]) if name == "sap" else 1.0
    assert SCORES[name](PERFECT) == pytest.approx(best, abs=0.06 if name == "sap" else 1e-9)
    # Latents that tell nothing, and never vary, beside it change nothing.
    padded = np.hstack([DEAD, PERFECT])
    assert SCORES[name](padded) == pytest.approx(SCORES[name](PERFECT), abs=0.06)


@each
def test_a_representation_of_noise(name):
    # A vote guesses: right for one factor in three.
    assert SCORES[name](NULL) < {"factor-vae": 0.5, "completeness": 0.1}.get(name, 0.06)


@each
def test_an_entangled_representation(name):
    assert SCORES[name](ENTANGLED) < 0.7 * SCORES[name](PERFECT)
    assert dci(ENTANGLED, FACTORS, trees=5).informativeness.mean > 0.9  # though it tells all


@each
def test_a_degenerate_representation(name):
    assert SCORES[name](DEAD) == 0
    # A single latent that holds one factor of three.
    one = SCORES[name](PERFECT[:, :1])
    assert 0 <= one <= 1


def test_the_gap_is_that_by_hand():
    # Two fair bits; the first latent is the first bit, the second is it but for one row in four.
    factors = np.array(list(itertools.product([0, 1], [0, 1], range(4))) * 10)
    bit, other, quarter = factors.T
    codes = np.stack([bit, np.where(quarter == 0, 1 - bit, bit)], axis=1).astype(float)
    binary = scipy.stats.entropy([0.25, 0.75])
    expected = (math.log(2) - (math.log(2) - binary)) / math.log(2)
    found = mutual_information_gap(codes, bit[:, None])
    assert found.mean == pytest.approx(expected, rel=1e-12)
    assert mutual_information_gap(codes, other[:, None]).mean == pytest.approx(0, abs=1e-12)


def test_dci_is_that_by_hand():
    # A single latent holds two factors: nothing else is important for either (complete), and it is
    # important for both alike (not disentangled).
    factors = np.array(list(itertools.product(range(3), range(3))) * 30)
    found = dci((3 * factors[:, :1] + factors[:, 1:]).astype(float), factors, trees=3)
    assert np.allclose(found.importance, 1)
    assert found.disentanglement == pytest.approx(0, abs=1e-12)
    assert found.completeness == 1
    assert found.informativeness.mean == 1


@pytest.mark.slow
def test_standard_errors_are_those_of_new_data():
    # The jackknife's against the spread over data sets.
    rng = np.random.default_rng(5)
    means, errors = [], []
    for _ in range(60):
        factors = rng.integers(0, 4, (600, 2))
        codes = factors + 0.4 * rng.normal(size=(600, 2))
        found = mutual_information_gap(codes, factors)
        means.append(found.mean)
        errors.append(found.standard_error)
    assert np.mean(errors) == pytest.approx(np.std(means, ddof=1), rel=0.35)


def test_impossible_arguments_are_refused():
    for codes, factors, words in (
        (PERFECT[:5], FACTORS, "one row a datum in both"),
        (PERFECT, FACTORS.astype(float), "whole numbers"),
        (PERFECT * np.nan, FACTORS, "codes finite"),
        (PERFECT[:9], FACTORS[:9], "9 rows; give at least 20"),
        (PERFECT, FACTORS * [1, 0, 1], "factor 1 has one value only"),
    ):
        for score in (mutual_information_gap, attribute_predictability, dci, factor_vae_score):
            with pytest.raises(ValueError, match=words):
                score(codes, factors)
    with pytest.raises(ValueError, match="0 votes of 64 rows"):
        factor_vae_score(PERFECT, FACTORS, votes=0)


def test_the_error_of_factor_vaes_score_covers_what_a_latent_is_taken_for():
    # Both latents tell nearly as much of one factor as of the other, so that what they stand for
    # falls anew with each seed. By the scored votes alone, 62 % are inside; 68 % less 1.3 binomial
    # errors are asked for.
    rng = np.random.default_rng(1)
    factors = rng.integers(0, 4, (400, 2))
    codes = factors @ [[1.0, 0.3], [0.1, 0.8]] + 3 * rng.normal(size=(400, 2))
    found = [factor_vae_score(codes, factors, votes=200, rows=10, seed=s) for s in range(100)]
    apart = np.array([one.mean for one in found]) - np.mean([one.mean for one in found])
    assert np.mean(np.abs(apart) <= [one.standard_error for one in found]) > 0.62
