"""What the three estimators share: parameters, fitting, scoring, and pickling as safetensors."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import KW_ONLY, dataclass
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import check_is_fitted

from elbax.data import tables
from elbax.estimators import reading, sizes
from elbax.util import environment
from elbax.util.orders import permutation

if TYPE_CHECKING:
    from elbax.train import History, Report, Trainer

AT_LEAST_ONE = Interval(Integral, 1, None, closed="left")

# What scikit-learn checks in `fit`, never in `__init__`.
CONSTRAINTS: dict[str, list[Any]] = {
    "n_components": [AT_LEAST_ONE, None],
    "recipe": [str],
    "hidden_layer_sizes": [AT_LEAST_ONE, "array-like", None],
    "likelihood": [str, dict, "array-like", None],
    "prior": [str, dict, None],
    "posterior": [str, dict, None],
    "network": [str, dict, None],
    "beta": [Interval(Real, 0, None, closed="left"), None],
    "learning_rate_init": [Interval(Real, 0, None, closed="neither"), None],
    "max_iter": [AT_LEAST_ONE, None],
    "batch_size": [AT_LEAST_ONE, None],
    "early_stopping": ["boolean", None],
    "validation_fraction": [Interval(Real, 0, 1, closed="neither")],
    "n_iter_no_change": [AT_LEAST_ONE, None],
    "n_draws": [AT_LEAST_ONE],
    "warm_start": ["boolean"],
    "random_state": ["random_state"],
    "verbose": ["verbose"],
    "options": [dict, None],
}
SCORING_CONSTRAINTS: dict[str, list[Any]] = {
    **CONSTRAINTS,
    "score_estimator": [StrOptions({"importance", "elbo", "prior"})],
}


@dataclass(repr=False, eq=False)  # scikit-learn has its own
class BaseVAE(BaseEstimator):
    """The parameters that `VAE`, `VAEOutlierDetector` and `VAEImputer` share, and what they do.

    Use one of these three. Their parameters are the fields, of which `__init__` is made; what type
    each may be is checked in `fit` (`CONSTRAINTS`), as scikit-learn asks.
    """

    n_components: Any = None
    _: KW_ONLY
    recipe: Any = "vae"
    hidden_layer_sizes: Any = None
    likelihood: Any = None
    prior: Any = None
    posterior: Any = None
    network: Any = None
    beta: Any = None
    learning_rate_init: Any = None
    max_iter: Any = None
    batch_size: Any = None
    early_stopping: Any = None
    validation_fraction: Any = 0.1
    n_iter_no_change: Any = None
    n_draws: Any = 250
    warm_start: Any = False
    random_state: Any = None
    verbose: Any = 0
    options: Any = None

    _passes_empty: ClassVar[bool] = False  # columns without an observed cell
    _linked: ClassVar[bool] = False  # normal columns beside z, where nothing was said of it

    # --- fitting ---------------------------------------------------------------------------

    def _read(self, X: Any, *, reset: bool = False, rows: int = 1) -> Any:
        """X as the reading takes it: a matrix of floats, or a table.

        Raises:
            ValueError: It is neither, or of other columns than in `fit`.
            RuntimeError: jax would hang in this process (`environment.own_process`).
        """
        environment.own_process()
        form = reading.form_of(X) if reset else type(self._reading)
        return form.read(self, X, reset=reset, rows=rows)

    def _starts_anew(self) -> bool:
        """Whether `fit` makes a new model."""
        return not (self.warm_start and hasattr(self, "model_"))

    def _train(self, x: Any, *, anew: bool, one_epoch: bool = False) -> np.ndarray:
        """Settles what the data decide, builds or resumes the trainer, and fits it to x.

        Args:
            x: The rows, as `_read` gives them.
            anew: Whether to make a new model, or to train the one that there is further.
            one_epoch: For `partial_fit`: neither `max_iter` epochs nor early stopping.

        Returns:
            The rows as they are modelled.

        Raises:
            Diverged: The loss stopped being finite; an earlier fit is kept only if not `anew`.
        """
        environment.prepare()
        from elbax.estimators import learning

        if anew:
            self._forget()
            seed = int(check_random_state(self.random_state).randint(np.iinfo(np.int32).max))
            found = reading.find(self, x, empty=self._passes_empty)
        else:
            seed = self._seed
            found = reading.Found(self._reading, self._reading.encode(x), ())
        columns, rows = found.reading.columns, found.rows
        params = self.get_params(deep=False)
        if one_epoch:
            params |= {"max_iter": 1, "early_stopping": False}
        settled = sizes.settle(params, len(rows), rows.shape[1], linked=self._linked)
        train, validation = _split(rows, settled.validation, seed)
        members = self._members(len(rows))
        if self.verbose:
            self._print_settled(settled, found, len(train))
            if members is not None and anew:
                self._print(f"{members} models side by side")
        per_epoch = len(train) // settled.batch_size
        steps = settled.max_iter * per_epoch
        if anew:
            features = learning.features(columns, rows)
            trainer = learning.build(
                settled.options, features, train, steps=steps, seed=seed, members=members
            )
        else:
            trainer = self._resumed()
        trainer, history = learning.train(
            trainer,
            train,
            batch_size=settled.batch_size,
            steps=steps,
            validation=validation,
            validate_every=settled.every * per_epoch,
            patience=settled.patience,
            callback=self._print_progress(per_epoch) if self.verbose > 1 else None,
        )
        if anew:
            self._seed, self._reading, self._options = seed, found.reading, settled.options
            self._schedule = steps
            self.n_iter_, self.history_ = 0, {}
            self.n_components_ = trainer.model.latent_dim
            self.hidden_layer_sizes_ = settled.options.model.hidden
            self.likelihood_ = tuple(column.likelihood for column in columns)
        self._keep(trainer, history, train, per_epoch)
        return rows

    def _train_further(self, x: Any) -> None:
        """One epoch more over x, whatever its number of rows."""
        from elbax.estimators import learning

        rows = self._reading.encode(x)
        batch_size = min(self._options.training.batch_size, len(rows))
        per_epoch = len(rows) // batch_size
        trainer, history = learning.train(
            self._resumed(), rows, batch_size=batch_size, steps=per_epoch
        )
        self._keep(trainer, history, rows, per_epoch)

    def _keep(self, trainer: Trainer, history: History, rows: np.ndarray, per_epoch: int) -> None:
        """Keeps what training on the rows has brought."""
        units = float(self._log_jacobian(rows).sum(1).mean())
        self._trainer = trainer
        self.model_ = trainer.trained[0]
        self.history_ = _lengthened(self.history_, history, per_epoch, self.n_iter_, units)
        self.n_iter_ += -(-history.steps // per_epoch)

    def _fitted(self, X: Any) -> np.ndarray:
        """Trains on the rows of X, and gives them as they are modelled."""
        self._validate_params()
        anew = self._starts_anew()
        return self._train(self._read(X, reset=anew, rows=2), anew=anew)

    def _resumed(self) -> Trainer:
        """The trainer where it was left, also after pickling."""
        from elbax.estimators import learning
        from elbax.model import Members

        if isinstance(self._trainer, bytes):
            blank = np.zeros((2, len(self._reading.columns)), np.float32)
            model: Any = self.model_
            members = None
            if isinstance(model, Members):
                model, members = model.at(0), model.count
            fresh = learning.build(
                self._options,
                model.encoder.network.features,
                blank,
                steps=self._schedule,
                seed=self._seed,
                members=members,
            )
            return learning.with_state(fresh, self.model_, self._trainer)
        return self._trainer

    def _members(self, rows: int) -> int | None:
        """How many models are one, by the rows to fit; None where there is a single one."""
        del rows
        return None

    def _forget(self) -> None:
        for name in ("model_", "_trainer"):
            if hasattr(self, name):
                delattr(self, name)

    def _print(self, line: str) -> None:
        print(f"[{type(self).__name__}] {line}")  # noqa: T201 - verbose asks for it

    def _print_settled(self, settled: sizes.Sizes, found: reading.Found, train: int) -> None:
        rows, columns = len(found.rows), found.reading.columns
        self._print(f"{rows:,} rows of {len(columns)} columns: {tables.families_in_words(columns)}")
        for remark in found.remarks:
            self._print(remark)
        self._print(settled.in_words(train))
        self._print(f"Rule for what was not given: {sizes.RULE}")

    def _print_progress(self, per_epoch: int) -> Callable[[Report], None]:
        """A callback that prints a line a chunk."""

        def callback(report: Report) -> None:
            bound = report.metrics.get("elbo", -report.metrics["loss"])
            epoch = report.step // per_epoch
            line = f"epoch {epoch}: elbo {float(np.mean(bound)):.3f} (standardised)"
            if report.validation is not None:
                loss = float(report.validation["loss"])
                line += f", validation {-loss:.3f}{' *' if report.improved else ''}"
            self._print(line)

        return callback

    # --- what a fitted model says ------------------------------------------------------------

    def _encoded(self, X: Any) -> np.ndarray:
        """X as it is modelled.

        Raises:
            NotFittedError: There is no model yet.
            ValueError: X has other columns, or values that a likelihood is not defined for.
        """
        check_is_fitted(self, "model_")
        return self._reading.encode(self._read(X))

    def _log_jacobian(self, rows: np.ndarray) -> np.ndarray:
        """What turns each cell's log-density into the units of X, in nats: (rows, features)."""
        each = [column.log_jacobian for column in self._reading.columns]
        return np.where(np.isnan(rows), 0.0, each)

    def _noise(self, rows: np.ndarray) -> dict[str, Any]:
        """The randomness of an estimate: of the fit's seed, and of each row's content alone."""
        from elbax.evaluate import content_numbers
        from elbax.util.keys import evaluation_key

        return {"key": evaluation_key(self._seed), "numbers": content_numbers(rows)}

    # --- scikit-learn ------------------------------------------------------------------------

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        if tags.transformer_tags is not None:
            tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags

    def __getstate__(self) -> dict[str, Any]:
        """The estimator as plain data, its arrays as the bytes of safetensors files."""
        held: Any = super().__getstate__()
        state: dict[str, Any] = dict(held)
        if "model_" in state:
            from elbax.estimators import learning

            state["model_"] = learning.model_to_bytes(self.model_)
            if not isinstance(self._trainer, bytes):  # bytes since it was unpickled itself
                state["_trainer"] = learning.state_to_bytes(self._trainer)
            state["_reading"] = self._reading.to_state()
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        state = dict(state)
        if "model_" in state:
            environment.prepare()
            from elbax.estimators import learning

            state["model_"] = learning.model_from_bytes(state["model_"])
            if "_columns" in state:  # pickled before tables were taken
                columns = state.pop("_columns")
                kept = ~state.pop("_empty", np.zeros(len(columns), bool))
                state["_reading"] = {"columns": columns, "kept": kept}
            state["_reading"] = reading.from_state(state["_reading"])
        super().__setstate__(state)


@dataclass(repr=False, eq=False)
class ScoringVAE(BaseVAE):
    """One that also scores rows by log p(x)."""

    _: KW_ONLY
    score_estimator: Any = "importance"

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = SCORING_CONSTRAINTS

    def score_samples(self, X: Any) -> np.ndarray:
        """Log p(x) of each row in nats, in the units of X; higher is more normal.

        Estimated as `score_estimator` says from `n_draws` draws a row. "importance" and "prior" are
        in expectation below log p(x) and rise with the number of draws; "elbo" stays below it by
        KL(q(z|x) ‖ p(z|x)). Where cells are missing it is log p of those observed. The noise of a
        row is keyed by its content: the same row has the same score in any company.

        Args:
            X: (rows, features).

        Returns:
            (rows,) float64.
        """
        return self._log_density(self._encoded(X))

    def _log_density(self, rows: np.ndarray) -> np.ndarray:
        """Log p(x) of each row in nats, in the units of X."""
        from elbax.evaluate import elbo, importance, prior

        noise = self._noise(rows)
        if self.score_estimator == "elbo":
            found = elbo(self.model_, rows, samples=self.n_draws, **noise).elbo
        else:
            estimate = {"importance": importance, "prior": prior}[self.score_estimator]
            found = estimate(self.model_, rows, samples=self.n_draws, **noise).log_likelihood
        return np.asarray(found, np.float64) + self._log_jacobian(rows).sum(axis=1)


def _split(rows: np.ndarray, count: int, seed: int) -> tuple[np.ndarray, np.ndarray | None]:
    """Rows to train on, and `count` others to validate on."""
    if count == 0:
        return rows, None
    order = permutation(len(rows), np.random.PCG64(seed))
    return rows[np.sort(order[count:])], rows[np.sort(order[:count])]


def _lengthened(
    history: dict[str, np.ndarray], brought: History, per_epoch: int, epochs: int, units: float
) -> dict[str, np.ndarray]:
    """The history with what a fit brought: means over each epoch, in the units of X."""
    if not brought.steps:
        return history
    which = np.arange(brought.steps) // per_epoch
    found = {
        name: np.bincount(which, values) / np.bincount(which)
        for name, values in brought.metrics.items()
        if values.ndim == 1
    }
    found["epoch"] = epochs + 1 + np.arange(which[-1] + 1)
    for name, values in brought.validation.items():
        if values.ndim == 1:
            found[f"validation_{name}"] = values
    if len(brought.validation_steps):
        found["validation_epoch"] = epochs + np.array(brought.validation_steps) // per_epoch
    for name, sign in (("elbo", 1.0), ("reconstruction", 1.0), ("loss", -1.0)):
        for whole in (name, f"validation_{name}"):
            if whole in found:
                found[whole] = found[whole].astype(np.float64) + sign * units
    names = {**history, **found}
    return {
        name: np.concatenate([part[name] for part in (history, found) if name in part])
        for name in names
    }
