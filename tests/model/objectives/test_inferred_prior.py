"""The covariances of DIP-VAE against numpy's."""

from typing import Literal

import jax
import numpy as np
import pytest

from elbax.model import DisentangledInferredPrior, NegativeELBO
from tests import laws
from tests.laws import Composition, in_float64


@in_float64
def test_the_penalty_is_of_numpys_covariances():
    composition = Composition()
    model, batch = composition.model(3), composition.batch(4, rows=7)
    q = jax.vmap(lambda x: (model.encode(x).mean, model.encode(x).variance))(batch.x)
    means, variances = map(np.asarray, q)
    kinds: list[tuple[Literal["i", "ii"], np.ndarray]] = [
        ("i", np.cov(means.T, bias=True)),
        ("ii", np.cov(means.T, bias=True) + np.diag(variances.mean(axis=0))),
    ]
    for kind, covariance in kinds:
        off = covariance - np.diag(np.diag(covariance))
        apart, unit = np.sum(off**2), np.sum((np.diag(covariance) - 1) ** 2)
        loss, (_, metrics) = laws.call(DisentangledInferredPrior(kind, 0.7, 1.3), model, batch, 5)
        plain, _ = laws.call(NegativeELBO(), model, batch, 5)
        assert float(metrics["covariances"]) == pytest.approx(apart, rel=1e-10)
        assert float(metrics["variances"]) == pytest.approx(unit, rel=1e-10)
        assert float(loss - plain) == pytest.approx(0.7 * apart + 1.3 * unit, rel=1e-9)


def test_impossible_settings_are_refused():
    with pytest.raises(ValueError, match="diagonal is -1"):
        DisentangledInferredPrior("i", 1.0, -1.0)
