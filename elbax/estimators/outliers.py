"""`elbax.VAEOutlierDetector`: which rows the model finds unlikely, and which columns say so."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from numbers import Real
from typing import Any, ClassVar

import numpy as np
from sklearn.base import OutlierMixin
from sklearn.utils._param_validation import Interval

from elbax.estimators.base import SCORING_CONSTRAINTS, ScoringVAE
from elbax.estimators.reading import across

_TYPICAL = 5000  # rows, evenly spaced, that the usual shares are means over


@dataclass(repr=False, eq=False)
class VAEOutlierDetector(OutlierMixin, ScoringVAE):
    """Rows that a variational autoencoder finds unlikely, with the columns that make them so.

    The score of a row is log p(x) in nats; the training rows with the lowest scores, a share
    `contamination` of them, set the threshold. The parameters are those of `VAE`, and:

    Args:
        contamination: The share of outliers among the training rows, above 0 and at most a half.

    Attributes:
        offset_: The threshold: `decision_function` is `score_samples` less this.
        typical_shares_: The mean share of each column over the training rows that have a cell there
            (of 5,000 of them, where there are more), for `explain`; 0 of columns set aside.
        model_: And the others, as of `VAE`.

    Example:
        >>> import numpy as np
        >>> import elbax
        >>> x = np.random.default_rng(0).normal(size=(200, 3))
        >>> detector = elbax.VAEOutlierDetector(contamination=0.05, random_state=0).fit(x)
        >>> new = np.array([[0.0, 9.0, 0.0]])
        >>> int(detector.predict(new)[0]), int(detector.explain(new)[0].argmin())
        (-1, 1)
    """

    _: KW_ONLY
    contamination: Any = 0.1

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **SCORING_CONSTRAINTS,
        "contamination": [Interval(Real, 0, 0.5, closed="right")],
    }

    def fit(self, X: Any, y: Any = None) -> VAEOutlierDetector:
        """Trains the model, and sets the threshold by the scores of the same rows.

        Args:
            X: (rows, features), a matrix or a table; NaN or null where a cell is missing. At least
                two rows.
            y: Not read; there for pipelines.

        Raises:
            ValueError: X is neither, or a parameter can't be used; one line with the mend.
            Diverged: (a RuntimeError) the loss stopped being finite.
        """
        del y
        rows = self._fitted(X)
        scores = self._log_density(rows)
        self.offset_ = float(np.percentile(scores, 100.0 * self.contamination))
        some = rows[:: -(-len(rows) // _TYPICAL)]
        shares = self._shares(some)
        seen = ~np.isnan(some) & np.isfinite(shares)
        sums = np.where(seen, shares, 0.0).sum(axis=0)
        usual = sums / np.maximum(seen.sum(axis=0), 1)
        self.typical_shares_ = across(self._reading, usual)
        return self

    def decision_function(self, X: Any) -> np.ndarray:
        """`score_samples` less `offset_`: negative for outliers, in nats.

        Args:
            X: (rows, features).

        Returns:
            (rows,) float64.
        """
        return self.score_samples(X) - self.offset_

    def predict(self, X: Any) -> np.ndarray:
        """−1 for outliers, 1 for the others.

        Args:
            X: (rows, features).

        Returns:
            (rows,) integers.
        """
        return np.where(self.decision_function(X) < 0, -1, 1)

    def explain(self, X: Any) -> np.ndarray:
        """Why a row's score is what it is: the share of each column, against what is usual.

        log p(x) is the sum over the columns of E[log p(x_j|z)] under p(z|x), less what the latents
        cost, KL(p(z|x) ‖ p(z)) (`elbax.evaluate.score`). The share of a column is its part less
        the mean of it over the training rows: 0 is usual, −5 is five nats less likely than usual.
        What the shares leave of the difference to a usual score, the latents explain: each column
        by itself fits the latent, and the latent is unusual.

        Args:
            X: (rows, features), also new ones.

        Returns:
            (rows, features), in nats; 0 where a cell is missing or a column is set aside.
        """
        rows = self._encoded(X)
        usual = self.typical_shares_[self._reading.kept]
        shares = np.where(np.isnan(rows), 0.0, self._shares(rows) - usual)
        return across(self._reading, shares)

    def _shares(self, rows: np.ndarray) -> np.ndarray:
        from elbax.evaluate import score

        found = score(self.model_, rows, samples=self.n_draws, **self._noise(rows))
        return np.where(np.isnan(rows), 0.0, found.elements) + self._log_jacobian(rows)
