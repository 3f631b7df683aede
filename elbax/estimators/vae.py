"""`elbax.VAE`: representation, density and sampling, as scikit-learn asks for them."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.base import ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_array, check_is_fitted

from elbax.estimators.base import ScoringVAE
from elbax.estimators.reading import PRECISIONS, MatrixReading


class VAE(ClassNamePrefixFeaturesOutMixin, TransformerMixin, ScoringVAE):
    """A variational autoencoder with scikit-learn's interface (Kingma & Welling 2013).

    X is a matrix of numbers, or a pandas, polars or pyarrow table; a row a datum. A cell that is
    NaN or null is missing, and the model is of the others. Columns are standardised inside, and
    every density is in the units of X again. What is None is found from the data, by rules that
    `verbose=1` prints:

    * `likelihood`: in a matrix, and in a table of nothing but numbers, a column of 0 and 1 is
      binary, every other one normal with a scale of its own (`elbax.data.kinds.infer_matrix` says
      why, and what of grey levels and word counts). "mixed" takes each column for what `elbax
      train` takes it for in a table: counts, grades, positive numbers, …; rows that hold a value
      which a column's kind does not have are then refused. Give "bernoulli" for pixels from 0 to 1.
      A table with a column of text, dates or categories is read as `elbax train` reads it: kinds
      as by "mixed", numbers and dates in text, marks of missing cells; identifiers are set aside.
    * sizes, length and stopping: `elbax.estimators.sizes.RULE`.

    A row's embedding and score depend on that row alone: not on the rows beside it, nor on where it
    stands. Weights of rows are not offered, since weighting and repeating rows cannot agree for a
    stochastic method.

    Args:
        n_components: Latent dimensions.
        recipe: A named composition (`elbax recipes`), from which all comes that is not given: the
            activation, the optimiser, the bound.
        hidden_layer_sizes: Widths of the encoder's hidden layers; the decoder mirrors them.
        likelihood: What columns are: one word for all, one for each, or a dictionary by name for
            those that are not as found: "normal", "laplace", "student-t", "log-normal",
            "bernoulli", "continuous-bernoulli", "poisson", "negative-binomial", "binary",
            "categorical", "ordinal" (with the values of the training rows, or "categorical-K" and
            "ordinal-K" with the codes 0 to K − 1), of a table "ignore"; or "mixed".
        prior: The name of a prior, or a dictionary with its options: `{"name": "mixture",
            "components": 20}` (`elbax parts`).
        posterior: Likewise, of q(z|x).
        network: Likewise, of the networks.
        beta: Weight of the KL term.
        learning_rate_init: Learning rate.
        max_iter: Epochs at most.
        batch_size: Rows a step.
        early_stopping: Whether to keep rows apart, stop when their bound grows no more, and take
            the parameters that were best for them.
        validation_fraction: The share of rows kept apart.
        n_iter_no_change: Epochs without a better bound before it stops.
        warm_start: Whether `fit` continues the last one, for `max_iter` epochs more; sizes,
            kinds, shifts and scales stay those of the first.
        random_state: Of weights, order and noise; the same number gives the same model.
        verbose: 1 says what is trained, 2 how it goes.
        options: More options of `elbax.train`, by name: `{"activation": "tanh", "kl_warm_up": 500,
            "free_bits": 0.1}`.
        score_estimator: How `score_samples` estimates log p(x): "importance" (Burda et al. 2015,
            eq. 8), "elbo" (the evidence lower bound) or "prior" (plain Monte Carlo).
        n_draws: Draws z a row that it takes.

    Attributes:
        model_: The model, an `elbax.LatentVariableModel` of the standardised columns.
        n_iter_: Epochs that were trained, over all calls.
        history_: By name an array: `epoch`, `elbo`, `reconstruction`, `kl` and `loss`, means over
            each epoch in nats per datum; and `validation_epoch`, `validation_elbo`, … at each look
            at the validation rows.
        n_components_: Latent dimensions.
        hidden_layer_sizes_: Widths.
        likelihood_: What each column is, of those that are modelled.
        n_features_in_: Columns of X.
        feature_names_in_: Their names, where X had some.

    Example:
        >>> from sklearn.datasets import load_iris
        >>> import elbax
        >>> x = load_iris().data
        >>> vae = elbax.VAE(n_components=2, random_state=0).fit(x)
        >>> vae.transform(x).shape, vae.score(x) > -3.0
        ((150, 2), True)
    """

    def fit(self, X: Any, y: Any = None) -> VAE:
        """Trains the model.

        Args:
            X: (rows, features), a matrix or a table; NaN or null where a cell is missing. At least
                two rows.
            y: Not read; there for pipelines.

        Raises:
            ValueError: X is neither, or a parameter can't be used; one line with the mend.
            Diverged: (a RuntimeError) the loss stopped being finite.
        """
        del y
        self._fitted(X)
        return self

    def partial_fit(self, X: Any, y: Any = None) -> VAE:
        """Trains one epoch over these rows, without validation; the first call makes the model.

        Shifts, scales and sizes are those of the first call's rows: give it a representative part.

        Args:
            X: (rows, features), at least two in the first call.
            y: Not read.
        """
        del y
        self._validate_params()
        if hasattr(self, "model_"):
            self._train_further(self._read(X))
            return self
        self._train(self._read(X, reset=True, rows=2), anew=True, one_epoch=True)
        return self

    def transform(self, X: Any) -> np.ndarray:
        """The mean of q(z|x) of each row (of a posterior without one, its centre).

        Args:
            X: (rows, features).

        Returns:
            (rows, n_components), in the precision of X.
        """
        from elbax.evaluate import posterior_moments

        check_is_fitted(self, "model_")
        x = self._read(X)
        means = posterior_moments(self.model_, self._reading.encode(x))["mean"]
        return means.astype(x.dtype if isinstance(x, np.ndarray) else float)

    def inverse_transform(self, X: Any) -> Any:
        """What p(x|z) is centred on at each latent, in the units of the data.

        The mean of a number, the probability of a 1, the most probable category or level.

        Args:
            X: (rows, n_components).

        Returns:
            (rows, features); after `fit` to a table one of its library, of the columns that are
            modelled, with their types, categories and resolution.
        """
        from elbax.evaluate.generate import decode, decode_mean

        check_is_fitted(self, "model_")
        latents: Any = check_array(X, dtype=PRECISIONS, input_name="X")
        if latents.shape[1] != self.n_components_:
            raise ValueError(
                f"X has {latents.shape[1]} features, and the model has {self.n_components_} "
                "components: give what transform gives"
            )
        z = latents.astype(np.float32)
        decoded, binary = decode(self.model_, z), np.equal(self.likelihood_, "binary")
        if not isinstance(self._reading, MatrixReading):
            return self._reading.decode(decoded)
        if binary.any():  # X holds numbers, grey levels among them, and no words
            decoded = np.where(binary, decode_mean(self.model_, z), decoded)
        return self._reading.decode(decoded).astype(latents.dtype)

    def sample(self, n_samples: int = 1, random_state: Any = None) -> Any:
        """New rows: z from the prior, then x from p(x|z).

        Args:
            n_samples: How many.
            random_state: Of the draws; None draws others at every call.

        Returns:
            (n_samples, features), in the units of the data, at the resolution and within the range
            of the training cells; after `fit` to a table one of its library, of the columns that
            are modelled, with their types and categories.
        """
        from elbax.evaluate import generate
        from elbax.util import environment
        from elbax.util.keys import of_seed

        check_is_fitted(self, "model_")
        if n_samples < 1:
            raise ValueError(f"n_samples is {n_samples}: give a whole number of at least 1")
        environment.own_process()
        seed = int(check_random_state(random_state).randint(np.iinfo(np.int32).max))
        drawn, _ = generate(self.model_, int(n_samples), of_seed(seed, "sample"), draw=True)
        return self._reading.decode(drawn, drawn=True)

    def score(self, X: Any, y: Any = None) -> float:
        """The mean of `score_samples`: what `GridSearchCV` compares.

        Args:
            X: (rows, features).
            y: Not read.
        """
        del y
        return float(np.mean(self.score_samples(X)))

    @property
    def _n_features_out(self) -> int:
        return self.n_components_
