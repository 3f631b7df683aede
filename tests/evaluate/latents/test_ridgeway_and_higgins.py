"""Modularity, explicitness and β-VAE's score on representations whose scores are known."""

import itertools

import numpy as np
import pytest
import scipy.stats

from elbax.evaluate.latents.disentangle import beta_vae_score, explicitness, modularity

# Every combination of three factors, in random order: they are independent exactly.
GRID = np.array(list(itertools.product(range(4), range(3), range(5))) * 40)
FACTORS = np.random.default_rng(0).permutation(GRID)
PERFECT = FACTORS[:, [2, 0, 1]] * [1.0, -3.0, 0.5] + [0.0, 7.0, 1.0]
NULL = np.random.default_rng(1).normal(size=(len(FACTORS), 4))
DEAD = np.full((len(FACTORS), 3), 2.5)


@pytest.mark.parametrize("score", [modularity, explicitness, beta_vae_score])
def test_a_perfect_representation_scores_one_and_dead_latents_change_nothing(score):
    found = score(PERFECT, FACTORS)
    assert found.mean == pytest.approx(1.0, abs=1e-3)
    assert found.standard_error < 2e-3  # of 800 votes that are all right, by Agresti and Coull
    padded = score(np.hstack([DEAD, PERFECT]), FACTORS)
    assert padded.mean == pytest.approx(found.mean, abs=1e-9)


def test_noise_and_dead_latents_are_guessed_from():
    for codes in (NULL, DEAD):
        found = explicitness(codes, FACTORS)
        assert abs(found.mean - 0.5) < 4 * found.standard_error + 1e-12
    found = beta_vae_score(NULL, FACTORS)
    # A deviate of a third, and what the finite table of noise tells.
    assert abs(found.mean - 1 / 3) < 0.1
    assert modularity(DEAD, FACTORS).mean == 0
    assert beta_vae_score(DEAD, FACTORS).mean == 0


def test_a_latent_that_tells_all_factors_alike_is_not_modular():
    # Two fair bits, both in one latent: it tells log 2 of each.
    bits = np.array(list(itertools.product([0, 1], [0, 1])) * 100)
    one = (2 * bits[:, :1] + bits[:, 1:]).astype(float)
    assert modularity(one, bits).mean == pytest.approx(0, abs=1e-12)
    # Beside a latent of the first bit only: the average of 0 and 1.
    both = np.hstack([one, bits[:, :1]])
    assert modularity(both, bits).mean == pytest.approx(0.5, abs=1e-12)
    # The best factor's information I₁ and another's I₂: 1 − (I₂ / I₁)² by scipy's entropies.
    factors = np.array(list(itertools.product(range(4), range(2))) * 50)
    codes = (2 * factors[:, :1] + factors[:, 1:]).astype(float)
    four, two = scipy.stats.entropy(np.ones(4)), scipy.stats.entropy(np.ones(2))
    assert modularity(codes, factors).mean == pytest.approx(1 - (two / four) ** 2, rel=1e-12)


def test_a_factor_alone_is_modular():
    assert modularity(PERFECT[:, 1:2], FACTORS[:, :1]).mean == 1


def test_explicitness_of_a_bit_in_one_latent_is_mann_and_whitneys_statistic():
    # A monotone classifier keeps the order, so its area is U / (n₀ n₁) of the rows not fitted.
    rng = np.random.default_rng(2)
    bit = rng.integers(0, 2, 400)
    latent = bit + rng.normal(size=400)
    held, is_one = latent[1::2], bit[1::2] == 1
    u = scipy.stats.mannwhitneyu(held[is_one], held[~is_one]).statistic
    expected = u / (is_one.sum() * (~is_one).sum())
    found = explicitness(latent[:, None], bit[:, None])
    assert found.mean == pytest.approx(expected, rel=1e-12)


def test_the_error_of_explicitness_is_that_of_new_rows():
    rng = np.random.default_rng(3)
    means, errors = [], []
    for _ in range(60):
        bit = rng.integers(0, 2, (400, 1))
        found = explicitness(bit + rng.normal(size=(400, 1)), bit)
        means.append(found.mean)
        errors.append(found.standard_error)
    # The area of two normal densities a standard deviation apart.
    assert abs(np.mean(means) - scipy.stats.norm.cdf(1 / np.sqrt(2))) < 4 * scipy.stats.sem(means)
    assert np.mean(errors) == pytest.approx(np.std(means, ddof=1), rel=0.35)


@pytest.mark.slow
def test_the_other_errors_are_those_of_new_rows_and_of_new_votes():
    rng = np.random.default_rng(5)
    mix = np.array([[1.0, 0.5], [0.2, 1.0]])
    draws = [rng.integers(0, 4, (600, 2)) for _ in range(60)]
    of_rows = [modularity(f @ mix + 0.4 * rng.normal(size=(600, 2)), f) for f in draws]
    factors = rng.integers(0, 4, (2000, 3))
    blurred = factors + 2.0 * rng.normal(size=(2000, 3))
    of_votes = [beta_vae_score(blurred, factors, votes=200, rows=10, seed=s) for s in range(60)]
    for found in (of_rows, of_votes):
        spread = np.std([one.mean for one in found], ddof=1)
        assert np.mean([one.standard_error for one in found]) == pytest.approx(spread, rel=0.35)


def test_beta_vaes_score_is_blind_to_a_rotation_and_explicitness_too():
    # What is in the docstring: of two factors, turned by 30°, both scores stay high.
    factors = FACTORS[:, [0, 2]]
    turn = np.array([[np.cos(0.5), -np.sin(0.5)], [np.sin(0.5), np.cos(0.5)]])
    turned = scipy.stats.zscore(factors.astype(float)) @ turn
    assert beta_vae_score(turned, factors).mean > 0.97
    assert explicitness(turned, factors).mean > 0.97
    assert modularity(turned, factors).mean < 0.9


def test_impossible_arguments_are_refused():
    for codes, factors, words in (
        (PERFECT[:5], FACTORS, "one row a datum in both"),
        (PERFECT * np.nan, FACTORS, "codes finite"),
        (PERFECT[:9], FACTORS[:9], "9 rows; give at least 20"),
        (PERFECT, FACTORS * [1, 0, 1], "factor 1 has one value only"),
    ):
        for score in (modularity, explicitness, beta_vae_score):
            with pytest.raises(ValueError, match=words):
                score(codes, factors)
    rare = np.zeros((40, 1), int)
    rare[3] = 1
    with pytest.raises(ValueError, match="factor 0 has too few rows of each value"):
        explicitness(PERFECT[:40], rare)
    with pytest.raises(ValueError, match="one factor only"):
        beta_vae_score(PERFECT, FACTORS[:, :1])
    with pytest.raises(ValueError, match="20 votes of 64 pairs; give at least ten votes a factor"):
        beta_vae_score(PERFECT, FACTORS, votes=20)
