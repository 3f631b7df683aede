"""`elbax.VAEImputer`: missing cells from the observed ones, by the model of both."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from typing import Any, ClassVar

import numpy as np
from sklearn.base import TransformerMixin
from sklearn.impute import MissingIndicator
from sklearn.utils.validation import check_is_fitted

from elbax.estimators.base import AT_LEAST_ONE, CONSTRAINTS, BaseVAE
from elbax.estimators.reading import TableReading, across, beside

_FEW_ROWS, _MODELS = 500, 5  # more rows gain little by it, and take longer than forests do


@dataclass(repr=False, eq=False)
class VAEImputer(TransformerMixin, BaseVAE):
    """Fills missing cells with what a variational autoencoder expects of them, given the others.

    Trained on the observed cells alone, by the bound on log p(x_observed); a cell becomes its mean
    given the observed cells of its row, by self-normalised importance sampling (Mattei & Frellsen
    2019, eq. 8), a binary or categorical one the most probable value. Observed cells stay as they
    are to the last bit. The parameters are those of `VAE`, and:

    Args:
        n_draws: Importance draws a row.
        n_estimators: Models that start at other weights and are trained side by side: p(x) is the
            mean of theirs (`elbax.model.Members`). None: five up to 500 rows, and one beyond.
        sample_posterior: Fill with a draw from p(x_missing | x_observed) instead of the mean: with
            several random_states this is multiple imputation.
        add_indicator: Append a column of 0 and 1 for each column that had missing cells in `fit`,
            1 where the cell is missing (`sklearn.impute.MissingIndicator`).
        keep_empty_features: Keep columns without an observed cell in `fit`, filled with 0;
            otherwise they are left out. A table keeps all of its columns as they are.

    Attributes:
        indicator_: The `MissingIndicator`, where asked for.
        model_: The model, of several an `elbax.model.Members`.
        likelihood_: And the others, as of `VAE`; this of the columns that were not empty.

    Example:
        >>> import numpy as np
        >>> import elbax
        >>> a = np.random.default_rng(0).normal(size=200)
        >>> x = np.stack([a, a + 0.1 * np.random.default_rng(1).normal(size=200)], axis=1)
        >>> x[0, 1] = np.nan
        >>> filled = elbax.VAEImputer(random_state=0).fit_transform(x)
        >>> bool(abs(filled[0, 1] - x[0, 0]) < 0.5)
        True
    """

    _: KW_ONLY
    n_estimators: Any = None
    sample_posterior: Any = False
    add_indicator: Any = False
    keep_empty_features: Any = False

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **CONSTRAINTS,
        "n_estimators": [AT_LEAST_ONE, None],
        "sample_posterior": ["boolean"],
        "add_indicator": ["boolean"],
        "keep_empty_features": ["boolean"],
    }
    _passes_empty: ClassVar[bool] = True
    _linked: ClassVar[bool] = True

    def fit(self, X: Any, y: Any = None) -> VAEImputer:
        """Trains the model on the observed cells.

        Args:
            X: (rows, features), a matrix or a table; NaN or null where a cell is missing. At least
                two rows.
            y: Not read; there for pipelines.

        Raises:
            ValueError: X is neither or has no observed cell, or a parameter can't be used; one
                line with the mend.
            Diverged: (a RuntimeError) the loss stopped being finite.
        """
        del y
        self._fitted(X)
        if self.add_indicator:
            self.indicator_ = MissingIndicator(error_on_new=False).fit(self._holes(self._read(X)))
        return self

    def transform(self, X: Any) -> Any:
        """The rows with their missing cells filled.

        Args:
            X: (rows, features), also new ones.

        Returns:
            (rows, features), less the empty ones unless `keep_empty_features`, and the indicator's
            where `add_indicator`; in the precision of X. After `fit` to a table the very table X,
            its holes filled at the resolution of the training cells; columns that are set aside
            are as they were.
        """
        check_is_fitted(self, "model_")
        x = self._read(X)
        (filled,) = self._filled(x, "draws" if self.sample_posterior else "value")
        if not self.add_indicator:
            return filled
        indicated: Any = self.indicator_.transform(self._holes(x))
        if isinstance(filled, np.ndarray):
            return np.hstack([filled, indicated.astype(filled.dtype)])
        names = self.get_feature_names_out()[-indicated.shape[1] :].tolist()
        return beside(filled, names, indicated)

    def intervals(self, X: Any) -> tuple[Any, Any]:
        """The ends of the central 90% interval of each missing cell, given the observed ones.

        Args:
            X: (rows, features).

        Returns:
            The lower and the upper ends, in the shape of `transform` without an indicator; an
            observed cell is both of its ends. In a table a missing category stays missing.
        """
        check_is_fitted(self, "model_")
        lower, upper = self._filled(self._read(X), "lower", "upper")
        return lower, upper

    def multiple(self, X: Any, count: int = 20) -> list[Any]:
        """Completed tables, for an analysis of each: `elbax.pool` makes one of them.

        The missing cells of a row are drawn together, from p(x_missing | x_observed); observed
        cells are the same in all.

        Args:
            X: (rows, features).
            count: How many tables, at most 400.

        Returns:
            Tables in the shape of `transform` without an indicator.

        Raises:
            ValueError: The count is below 1 or above 400.
        """
        check_is_fitted(self, "model_")
        return self._filled(self._read(X), *["draws"] * count)

    def get_feature_names_out(self, input_features: Any = None) -> np.ndarray:
        """The names of the columns that `transform` gives.

        Args:
            input_features: Names of the columns of X; those seen in `fit`, or `x0`, `x1`, ….
        """
        from sklearn.utils.validation import _check_feature_names_in

        check_is_fitted(self, "model_")
        names: Any = _check_feature_names_in(self, input_features)
        kept = names[self._given]
        if not self.add_indicator:
            return kept
        return np.concatenate([kept, self.indicator_.get_feature_names_out(names)])

    def _members(self, rows: int) -> int | None:
        few = rows <= _FEW_ROWS
        count = self.n_estimators or (_MODELS if few else 1)
        return None if count == 1 else count

    @property
    def _given(self) -> np.ndarray:
        """(features,) which columns of X `transform` gives back: of a table all."""
        kept = self._reading.kept
        whole = self.keep_empty_features or isinstance(self._reading, TableReading)
        return np.ones_like(kept) if whole else kept

    def _holes(self, x: Any) -> np.ndarray:
        """(rows, features), NaN where a cell of X is missing."""
        return x if isinstance(x, np.ndarray) else across(self._reading, self._reading.encode(x))

    def _filled(self, x: Any, *fields: str) -> list[Any]:
        """X with the missing cells of rows that have some, for each of these of an `Imputation`."""
        rows = self._reading.encode(x)
        holes = np.isnan(rows)
        holed = holes.any(axis=1)
        found: Any = None
        if holed.any():
            from elbax.evaluate import impute, impute_means

            use = impute_means if fields == ("value",) else impute
            noise = self._noise(rows[holed])
            if use is impute:
                noise["multiple"] = max(1, fields.count("draws"))
            found = use(self.model_, rows[holed], samples=self.n_draws, **noise)
        if "lower" in fields and isinstance(self._reading, TableReading):
            ordered = [c.kind not in ("binary", "categorical") for c in self._reading.columns]
            holes &= ordered
        filled = []
        for i, field in enumerate(fields):
            cells = rows.copy()
            if holed.any():
                made = getattr(found, field)
                cells[holed] = made[:, i] if field == "draws" else made
            each = self._reading.fill(x, cells, holes)
            filled.append(each[:, self._given] if isinstance(each, np.ndarray) else each)
        return filled
