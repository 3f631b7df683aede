"""scikit-learn's own checks of the estimators: every one of them passes, and none is skipped."""

import unittest

import pytest
from sklearn.base import clone
from sklearn.utils import estimator_checks
from sklearn.utils.estimator_checks import parametrize_with_checks

from elbax import VAE, VAEImputer, VAEOutlierDetector

ESTIMATORS = [VAE(), VAEOutlierDetector(), VAEImputer()]

# What scikit-learn runs on its own estimators besides.
INTERNAL = [
    estimator_checks.check_dataframe_column_names_consistency,
    estimator_checks.check_inplace_ensure_writeable,
    estimator_checks.check_param_validation,
]
INTERNAL_OF_TRANSFORMERS = [
    estimator_checks.check_get_feature_names_out_error,
    estimator_checks.check_global_output_transform_pandas,
    estimator_checks.check_global_set_output_transform_polars,
    estimator_checks.check_set_output_transform,
    estimator_checks.check_set_output_transform_pandas,
    estimator_checks.check_set_output_transform_polars,
    estimator_checks.check_transformer_get_feature_names_out,
    estimator_checks.check_transformer_get_feature_names_out_pandas,
]


def run(check, *arguments):
    """A check that wants to be skipped has failed."""
    try:
        check(*arguments)
    except (unittest.SkipTest, pytest.skip.Exception) as skipped:
        raise AssertionError(f"skipped: {skipped}") from None


@parametrize_with_checks(ESTIMATORS)
def test_scikit_learn(estimator, check):
    run(check, estimator)


@pytest.mark.parametrize("estimator", ESTIMATORS, ids=lambda e: type(e).__name__)
@pytest.mark.parametrize("check", INTERNAL, ids=lambda c: c.__name__)
def test_internal(estimator, check):
    run(check, type(estimator).__name__, clone(estimator))


# They fit a table and transform a matrix on purpose.
@pytest.mark.filterwarnings("ignore:X (has|does not have valid) feature names:UserWarning")
@pytest.mark.parametrize("estimator", [VAE(), VAEImputer()], ids=lambda e: type(e).__name__)
@pytest.mark.parametrize("check", INTERNAL_OF_TRANSFORMERS, ids=lambda c: c.__name__)
def test_internal_of_transformers(estimator, check):
    run(check, type(estimator).__name__, clone(estimator))
