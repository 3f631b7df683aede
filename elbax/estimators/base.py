"""What the three estimators share: parameters, fitting, scoring, and pickling as safetensors."""

from __future__ import annotations

from numbers import Integral, Real
from typing import Any, Literal

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval
from sklearn.utils.validation import check_is_fitted, validate_data

from elbax.data import Column, tables
from elbax.estimators import sizes
from elbax.util import environment

_AT_LEAST_ONE = Interval(Integral, 1, None, closed="left")

ScoreEstimator = Literal["importance", "elbo", "prior"]

PRECISIONS: Any = [np.float64, np.float32]  # of X; anything else becomes the first

# What scikit-learn checks in `fit`, never in `__init__`.
CONSTRAINTS: dict[str, list[Any]] = {
    "n_components": [_AT_LEAST_ONE, None],
    "recipe": [str],
    "hidden_layer_sizes": [_AT_LEAST_ONE, "array-like", None],
    "likelihood": [str, "array-like", None],
    "prior": [str, dict, None],
    "posterior": [str, dict, None],
    "network": [str, dict, None],
    "beta": [Interval(Real, 0, None, closed="left"), None],
    "learning_rate_init": [Interval(Real, 0, None, closed="neither"), None],
    "max_iter": [_AT_LEAST_ONE, None],
    "batch_size": [_AT_LEAST_ONE, None],
    "early_stopping": ["boolean", None],
    "validation_fraction": [Interval(Real, 0, 1, closed="neither")],
    "n_iter_no_change": [_AT_LEAST_ONE, None],
    "n_draws": [_AT_LEAST_ONE],
    "warm_start": ["boolean"],
    "random_state": ["random_state"],
    "verbose": ["verbose"],
    "options": [dict, None],
}


class BaseVAE(BaseEstimator):
    """The parameters that `VAE`, `VAEOutlierDetector` and `VAEImputer` share, and what they do.

    Use one of these three.
    """

    n_features_in_: int

    def __init__(  # noqa: PLR0913 - scikit-learn's way: every parameter is an argument
        self,
        n_components: Any = None,
        *,
        recipe: Any = "vae",
        hidden_layer_sizes: Any = None,
        likelihood: Any = None,
        prior: Any = None,
        posterior: Any = None,
        network: Any = None,
        beta: Any = None,
        learning_rate_init: Any = None,
        max_iter: Any = None,
        batch_size: Any = None,
        early_stopping: Any = None,
        validation_fraction: Any = 0.1,
        n_iter_no_change: Any = None,
        n_draws: Any = 250,
        warm_start: Any = False,
        random_state: Any = None,
        verbose: Any = 0,
        options: Any = None,
    ) -> None:
        self.n_components = n_components
        self.recipe = recipe
        self.hidden_layer_sizes = hidden_layer_sizes
        self.likelihood = likelihood
        self.prior = prior
        self.posterior = posterior
        self.network = network
        self.beta = beta
        self.learning_rate_init = learning_rate_init
        self.max_iter = max_iter
        self.batch_size = batch_size
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change
        self.n_draws = n_draws
        self.warm_start = warm_start
        self.random_state = random_state
        self.verbose = verbose
        self.options = options

    # --- fitting ---------------------------------------------------------------------------

    def _read(self, X: Any, *, reset: bool = False, rows: int = 1) -> np.ndarray:
        """X as a matrix of floats, NaN where a cell is missing.

        Raises:
            ValueError: It is none, or of other columns than in `fit`.
        """
        found: Any = validate_data(
            self,
            X,
            reset=reset,
            dtype=PRECISIONS,
            ensure_all_finite="allow-nan",
            ensure_min_samples=rows,
        )
        return found

    def _names(self) -> list[str]:
        """What the columns of X are called: as X does, or `x0`, `x1`, …."""
        names = getattr(self, "feature_names_in_", None)
        return (
            [f"x{i}" for i in range(self.n_features_in_)] if names is None else [*map(str, names)]
        )

    def _learn(
        self, x: np.ndarray, names: list[str], *, anew: bool, one_epoch: bool = False
    ) -> np.ndarray:
        """Trains on the matrix x; gives it back as it is modelled."""
        environment.prepare()
        from elbax.estimators import learning

        if anew:
            self._forget()
            seed = int(check_random_state(self.random_state).randint(np.iinfo(np.int32).max))
            columns = _columns(names, x, self.likelihood)
        else:
            seed, columns = self._seed, self._columns
        rows = tables.encode_matrix(columns, x)
        params = self.get_params(deep=False)
        if one_epoch:
            params |= {"max_iter": 1, "early_stopping": False}
        settled = sizes.settle(params, len(rows), rows.shape[1])
        train, validation = _split(rows, settled.validation, seed)
        if self.verbose:
            kinds = tables.families_in_words(columns)
            self._say(f"{len(rows):,} rows of {len(columns)} columns: {kinds}")
            self._say(settled.in_words(len(train)))
            self._say(f"Rule for what was not given: {sizes.RULE}")
        per_epoch = len(train) // settled.batch_size
        steps = settled.max_iter * per_epoch
        if anew:
            training = settled.options.training
            features = _features(columns, rows)
            learner = learning.begin(
                settled.options.model, training, features, train, steps=steps, seed=seed
            )
        else:
            learner = self._resume()
        learner, progress = learning.advance(
            learner,
            train,
            batch_size=settled.batch_size,
            steps=steps,
            validation=validation,
            validate_every=settled.every * per_epoch,
            patience=settled.patience,
            watch=self._watch(per_epoch) if self.verbose > 1 else None,
        )
        if anew:
            self._seed, self._columns, self._options = seed, columns, settled.options
            self._schedule = steps
            self.n_iter_, self.history_ = 0, {}
            self.n_components_ = learner.model.latent_dim
            self.hidden_layer_sizes_ = settled.options.model.hidden
            self.likelihood_ = tuple(column.likelihood for column in columns)
        self._take(learner, progress, per_epoch, float(self._log_jacobian(train).sum(1).mean()))
        return rows

    def _learn_more(self, x: np.ndarray) -> None:
        """One epoch more over the matrix x."""
        from elbax.estimators import learning

        rows = tables.encode_matrix(self._columns, x)
        batch_size = min(self._options.training.batch_size, len(rows))
        per_epoch = len(rows) // batch_size
        learner, progress = learning.advance(
            self._resume(), rows, batch_size=batch_size, steps=per_epoch
        )
        units = float(self._log_jacobian(rows).sum(1).mean())
        self._take(learner, progress, per_epoch, units)

    def _take(self, learner: Any, progress: Any, per_epoch: int, units: float) -> None:
        """Keeps what training has brought."""
        self._learner = learner
        self.model_ = learner.trained
        self.history_ = _lengthened(self.history_, progress, per_epoch, self.n_iter_, units)
        self.n_iter_ += -(-progress.steps // per_epoch)

    def _resume(self) -> Any:
        """The learner where it was left, also after pickling."""
        from elbax.estimators import learning

        if isinstance(self._learner, bytes):
            blank = np.zeros((2, len(self._columns)), np.float32)
            fresh = learning.begin(
                self._options.model,
                self._options.training,
                _features_of(self.model_),
                blank,
                steps=self._schedule,
                seed=self._seed,
            )
            return learning.resumed(fresh, self.model_, self._learner)
        return self._learner

    def _forget(self) -> None:
        for name in ("model_", "_learner"):
            if hasattr(self, name):
                delattr(self, name)

    def _say(self, words: str) -> None:
        print(f"[{type(self).__name__}] {words}")  # noqa: T201 - verbose asks for it

    def _watch(self, per_epoch: int) -> Any:
        def told(report: Any) -> None:
            epoch = report.step // per_epoch
            bound = report.metrics.get("elbo", -report.metrics["loss"])
            line = f"epoch {epoch}: elbo {float(np.mean(bound)):.3f} (standardised)"
            if report.validation is not None:
                loss = float(report.validation["loss"])
                line += f", validation {-loss:.3f}{' *' if report.improved else ''}"
            self._say(line)

        return told

    # --- what a fitted model says ------------------------------------------------------------

    def _encoded(self, X: Any) -> np.ndarray:
        """X as it is modelled.

        Raises:
            NotFittedError: There is no model yet.
            ValueError: X has other columns, or values that a likelihood is not defined for.
        """
        check_is_fitted(self, "model_")
        return tables.encode_matrix(self._columns, self._read(X))

    def _log_jacobian(self, rows: np.ndarray) -> np.ndarray:
        """What turns each cell's log-density into the units of X, in nats: (rows, features)."""
        each = [column.log_jacobian for column in self._columns]
        return np.where(np.isnan(rows), 0.0, each)

    def _noise(self, rows: np.ndarray) -> dict[str, Any]:
        """The randomness of an estimate: of the fit's seed, and of each row's content alone."""
        import jax

        from elbax.evaluate import content_numbers

        _, _, key = jax.random.split(jax.random.key(self._seed), 3)
        return {"key": key, "numbers": content_numbers(rows)}

    def _log_density(self, rows: np.ndarray, estimator: ScoreEstimator) -> np.ndarray:
        """Log p(x) of each row in nats, in the units of X."""
        from elbax.evaluate import elbo, importance, prior

        noise = self._noise(rows)
        if estimator == "elbo":
            found = elbo(self.model_, rows, samples=self.n_draws, **noise).elbo
        else:
            estimate = {"importance": importance, "prior": prior}[estimator]
            found = estimate(self.model_, rows, samples=self.n_draws, **noise).log_likelihood
        return np.asarray(found, np.float64) + self._log_jacobian(rows).sum(axis=1)

    # --- scikit-learn ------------------------------------------------------------------------

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        return tags

    def __getstate__(self) -> dict[str, Any]:
        """The estimator as plain data, its arrays as the bytes of safetensors files."""
        held: Any = super().__getstate__()
        state: dict[str, Any] = dict(held)
        if "model_" in state:
            from elbax.estimators import learning

            state["model_"] = learning.model_to_bytes(self.model_)
            if not isinstance(self._learner, bytes):  # bytes since it was unpickled itself
                state["_learner"] = learning.to_bytes(self._learner)
            state["_columns"] = [column.to_json() for column in self._columns]
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        state = dict(state)
        if "model_" in state:
            environment.prepare()
            from elbax.estimators import learning

            state["model_"] = learning.model_from_bytes(state["model_"])
            state["_columns"] = tuple(map(Column.from_json, state["_columns"]))
        super().__setstate__(state)


def _columns(names: list[str], x: np.ndarray, likelihood: Any) -> tuple[Column, ...]:
    """What the columns of X are, by `elbax.data` or as asked.

    Raises:
        ValueError: There is not one kind for each column, or a column is not of its kind.
    """
    if likelihood is not None and not isinstance(likelihood, str) and len(likelihood) != len(names):
        raise ValueError(
            f"likelihood names {len(likelihood)} columns, and X has {len(names)}: give one kind "
            "for each, or one for all"
        )
    return tables.find_matrix_columns(names, x, likelihood)


def _features(columns: tuple[Column, ...], rows: np.ndarray) -> Any:
    """What the encoder sees of the columns (`elbax.model.ColumnFeatures`).

    Of standardised columns mean and deviation are 0 and 1 to the last bit, whatever the data: then
    a program that was compiled for other data of the same shape serves these too.

    Args:
        columns: What they are.
        rows: The training rows as they are modelled.
    """
    from elbax.model import ColumnFeatures

    missing = np.isnan(rows).any()
    rows = np.array(rows[: len(rows) // 2 * 2], np.float64)
    standardised = [column.standardised for column in columns]
    rows[:, standardised] = np.resize([-1.0, 1.0], len(rows))[:, None]
    if missing:
        rows = np.vstack([rows, np.full(len(columns), np.nan)])
    return ColumnFeatures([column.likelihood for column in columns], rows)


def _features_of(model: Any) -> Any:
    return model.encoder.network.features


def _split(rows: np.ndarray, count: int, seed: int) -> tuple[np.ndarray, np.ndarray | None]:
    """Rows to train on, and `count` others to validate on."""
    if count == 0:
        return rows, None
    order = np.random.default_rng(seed).permutation(len(rows))
    return rows[np.sort(order[count:])], rows[np.sort(order[:count])]


def _lengthened(
    history: dict[str, np.ndarray], progress: Any, per_epoch: int, epochs: int, units: float
) -> dict[str, np.ndarray]:
    """The history with what a fit brought: means over each epoch, in the units of X."""
    which = np.arange(progress.steps) // per_epoch
    found = {
        name: np.bincount(which, values) / np.bincount(which)
        for name, values in progress.metrics.items()
        if values.ndim == 1
    }
    found["epoch"] = epochs + 1 + np.arange(which[-1] + 1)
    for name, values in progress.validation.items():
        if values.ndim == 1:
            found[f"validation_{name}"] = values
    if len(progress.validation_steps):
        found["validation_epoch"] = epochs + progress.validation_steps // per_epoch
    for name, sign in (("elbo", 1.0), ("reconstruction", 1.0), ("loss", -1.0)):
        for whole in (name, f"validation_{name}"):
            if whole in found:
                found[whole] = found[whole].astype(np.float64) + sign * units
    names = {**history, **found}
    return {
        name: np.concatenate([part[name] for part in (history, found) if name in part])
        for name in names
    }
