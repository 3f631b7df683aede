"""scikit-learn's own checks of the estimators: every one of them passes, and none is skipped.

All of them on each estimator are the slow tier's; the fast one takes some, on one estimator.
"""

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

# What is most easily broken: parameters that __init__ changes, a fit that differs the second time,
# a row that knows its company, a state that does not survive pickling.
SOME = [
    estimator_checks.check_estimator_cloneable,
    estimator_checks.check_estimators_pickle,
    estimator_checks.check_fit_idempotent,
    estimator_checks.check_get_feature_names_out_error,
    estimator_checks.check_get_params_invariance,
    estimator_checks.check_methods_subset_invariance,
    estimator_checks.check_no_attributes_set_in_init,
    estimator_checks.check_param_validation,
    estimator_checks.check_parameters_default_constructible,
    estimator_checks.check_set_params,
    estimator_checks.check_transformer_get_feature_names_out,
]


def run(check, *arguments):
    """A check that wants to be skipped has failed."""
    try:
        check(*arguments)
    except (unittest.SkipTest, pytest.skip.Exception) as skipped:
        raise AssertionError(f"skipped: {skipped}") from None


@pytest.mark.parametrize("check", SOME, ids=lambda c: c.__name__)
def test_some(check):
    run(check, "VAE", VAE())


@pytest.mark.slow
@parametrize_with_checks(ESTIMATORS)
def test_scikit_learn(estimator, check):
    run(check, estimator)


@pytest.mark.slow
@pytest.mark.parametrize("estimator", ESTIMATORS, ids=lambda e: type(e).__name__)
@pytest.mark.parametrize("check", INTERNAL, ids=lambda c: c.__name__)
def test_internal(estimator, check):
    run(check, type(estimator).__name__, clone(estimator))


@pytest.mark.slow
# They fit a table and transform a matrix on purpose.
@pytest.mark.filterwarnings("ignore:X (has|does not have valid) feature names:UserWarning")
@pytest.mark.parametrize("estimator", [VAE(), VAEImputer()], ids=lambda e: type(e).__name__)
@pytest.mark.parametrize("check", INTERNAL_OF_TRANSFORMERS, ids=lambda c: c.__name__)
def test_internal_of_transformers(estimator, check):
    run(check, type(estimator).__name__, clone(estimator))
