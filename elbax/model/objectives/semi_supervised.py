"""Labels as a condition, and labels of some rows only."""

import dataclasses
from typing import ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PRNGKeyArray, Scalar

from elbax.model.interfaces import Batch, Metrics
from elbax.model.latent_variable_model import ClassifyingEncoder, LatentVariableModel
from elbax.model.objectives.stateless import AbstractStatelessObjective
from elbax.model.objectives.terms import check_not_negative, elbo_terms


def conditioned(batch: Batch, classes: int) -> Batch:
    """The batch with its labels, as one-hot vectors, for a condition (Sohn et al. 2015).

    Any objective then bounds log p(x|y) instead of log p(x).

    Args:
        batch: Rows, each with a label from 0 to `classes` − 1; not within a compiled function.
        classes: How many labels there are.

    Raises:
        ValueError: There are no labels, or one is out of range.
    """
    if batch.label is None:
        raise ValueError("the data have no labels to condition on; give some, or another recipe")
    label = np.asarray(batch.label)
    if label.size and not (label.min() >= 0 and label.max() < classes):
        raise ValueError(
            f"labels reach from {label.min()} to {label.max()}; with {classes} classes they must "
            f"be from 0 to {classes - 1}, and every row needs one"
        )
    condition = jax.nn.one_hot(jnp.asarray(label), classes)
    return dataclasses.replace(batch, condition=condition)


class SemiSupervised(AbstractStatelessObjective):
    """The bounds of labelled and of unlabelled rows, and a classifier (Kingma et al. 2014, M2).

    p(x, y, z) = p(y) p(z|y) p(x|z, y), y uniform, and q(y, z|x) = q(y|x) q(z|x, y), by a
    `ClassifyingEncoder`. A labelled row contributes a bound on log p(x, y) (eq. 6); an unlabelled
    one, whose label is −1, a bound on log p(x), with y summed out (eq. 7). All values of y share
    the noise of the row. A labelled row also pays α times −log q(y|x) (eq. 9), for the bound of a
    labelled row alone would not train the classifier.

    Attributes:
        alpha: α, for each labelled row. Theirs is a tenth of all rows, labelled or not, over the
            number of labelled ones: 5 for 100 labels of 5,000.
    """

    name: ClassVar[str] = "semi-supervised"
    needs_labels: ClassVar[bool] = True
    has_bound: ClassVar[bool] = False

    alpha: float = 1.0

    def __check_init__(self) -> None:
        check_not_negative(alpha=self.alpha)

    def loss(
        self, model: LatentVariableModel, batch: Batch, *, step: Int[Array, ""], key: PRNGKeyArray
    ) -> tuple[Scalar, Metrics]:
        """The loss.

        The two bounds are of different things, so they are reported apart. Metrics:
        `labelled`, the share of rows with a label; `labelled_bound` and `unlabelled_bound`, in
        nats, and `classification`, the sum of −log q(y|x), and `correct`, the number of labelled
        rows that the classifier gets right. Each of these is a sum over its rows divided by *all*
        rows, so that batches with few labels average rightly: divide by `labelled` for the mean of
        a labelled row.

        Raises:
            ValueError: There are no labels, or the encoder has no classifier.
        """
        del step
        if batch.label is None:
            raise ValueError("semi-supervised learning needs labels, −1 for a row without one")
        encoder = model.encoder
        if not isinstance(encoder, ClassifyingEncoder):
            raise ValueError(
                f"semi-supervised learning needs q(y|x), and {type(encoder).__name__} has none; "
                "use a ClassifyingEncoder"
            )

        def of_datum(
            x: Array, label: Int[Array, ""], key: PRNGKeyArray, mask: Array | None
        ) -> dict[str, Scalar]:
            log_q = encoder.classify(x)
            bounds = _bounds(model, x, key, mask, encoder.classes)
            known = label >= 0
            # A label of a row that has none must be one of the array's; it counts for nothing.
            own = jnp.maximum(label, 0)
            summed = jnp.sum(jnp.exp(log_q) * (bounds - log_q))
            found = {
                "labelled": jnp.ones_like(summed),
                "labelled_bound": bounds[own],
                "classification": -log_q[own],
                "correct": jnp.astype(jnp.argmax(log_q) == own, summed.dtype),
            }
            found = {name: jnp.where(known, value, 0.0) for name, value in found.items()}
            return {**found, "unlabelled_bound": jnp.where(known, 0.0, summed)}

        keys = jax.random.split(key, batch.x.shape[0])
        rows = jax.vmap(of_datum)(batch.x, batch.label, keys, batch.mask)
        found = {name: jnp.mean(values) for name, values in rows.items()}
        loss = self.alpha * found["classification"]
        loss = loss - found["labelled_bound"] - found["unlabelled_bound"]
        return loss, found


def _bounds(
    model: LatentVariableModel, x: Array, key: PRNGKeyArray, mask: Array | None, classes: int
) -> Float[Array, " classes"]:
    """The bound on log p(x, y) of one datum for each y, at the same noise."""

    def of_class(condition: Array) -> Scalar:
        return jnp.asarray(elbo_terms(model, x, key, mask, condition).bound)

    return jax.vmap(of_class)(jnp.eye(classes)) - jnp.log(classes)
