"""What can be read from the latents: how well they tell the labels of the data."""

from typing import Any

import numpy as np
from jaxtyping import Float

from elbax.evaluate.bounds import Mean, share


def neighbour_accuracy(
    means_train: Float[np.ndarray, "train latent"],
    labels_train: np.ndarray | None,
    means_test: Float[np.ndarray, "test latent"],
    labels_test: np.ndarray | None,
    neighbours: int = 5,
) -> Mean:
    """The share of test rows whose label most of their nearest neighbours in latent space have.

    Euclidean distance between posterior means as they are (not standardised, so that a collapsed
    latent counts for nothing). Defined for latents that are one vector of numbers a row, with a
    class for each row.

    Args:
        means_train: Posterior means of the rows that neighbours are sought among.
        labels_train: Their classes, integers or words.
        means_test: Posterior means of other rows.
        labels_test: Their classes.
        neighbours: How many vote.

    Returns:
        The share, and its standard error over the test rows (not over the training rows).

    Raises:
        ValueError: Labels are missing, are not classes, or are of one class only; there are fewer
            training rows than neighbours; a mean is not finite; or the sizes differ.
    """
    from sklearn.neighbors import KNeighborsClassifier

    if not 1 <= neighbours <= len(means_train):
        raise ValueError(
            f"{neighbours} neighbours among {len(means_train)} training rows; give at least one "
            "neighbour, and as many rows as neighbours"
        )
    classifier = KNeighborsClassifier(neighbours)
    return _accuracy(classifier, means_train, labels_train, means_test, labels_test)


def linear_probe_accuracy(
    means_train: Float[np.ndarray, "train latent"],
    labels_train: np.ndarray | None,
    means_test: Float[np.ndarray, "test latent"],
    labels_test: np.ndarray | None,
) -> Mean:
    """The share of test rows that a logistic regression on the latents classifies rightly.

    Posterior means, standardised by the training rows; an L2 penalty of weight 1. Defined for
    latents that are one vector of numbers a row, with a class for each row.

    Args:
        means_train: Posterior means of the rows that the regression is fitted to.
        labels_train: Their classes, integers or words.
        means_test: Posterior means of other rows.
        labels_test: Their classes.

    Returns:
        The share, and its standard error over the test rows (not over the training rows).

    Raises:
        ValueError: Labels are missing, are not classes, or are of one class only; a mean is not
            finite; or the sizes differ.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    classifier = make_pipeline(StandardScaler(), LogisticRegression(max_iter=5000))
    return _accuracy(classifier, means_train, labels_train, means_test, labels_test)


def check_classes(labels: np.ndarray | None, count: int, what: str) -> np.ndarray:
    """The labels, if they are one class a row.

    Args:
        labels: The labels, or None where there are none.
        count: How many rows there are.
        what: What the rows are called, for the message.

    Raises:
        ValueError: They are missing, not one a row, or not classes.
    """
    if labels is None:
        raise ValueError(f"the {what} have no labels; give one class a row")
    labels = np.asarray(labels)
    if labels.shape != (count,):
        raise ValueError(f"labels of shape {labels.shape} for {count} {what}; give one class a row")
    # NaN is unequal to itself.
    fraction = labels.dtype.kind == "f" and not np.all(labels == np.floor(labels))
    if fraction or any(label is None or label != label for label in labels.tolist()):  # noqa: PLR0124
        raise ValueError(
            f"labels of the {what} are missing or not whole numbers; leave out the rows without "
            "one, and cut a measured quantity into classes"
        )
    return labels


def _accuracy(
    classifier: Any,
    means_train: np.ndarray,
    labels_train: np.ndarray | None,
    means_test: np.ndarray,
    labels_test: np.ndarray | None,
) -> Mean:
    labels = check_classes(labels_train, len(means_train), "training rows")
    check_classes(labels_test, len(means_test), "test rows")
    if len(means_test) < 1 or len(np.unique(labels)) < 2:
        raise ValueError(
            f"{len(np.unique(labels))} classes among the training rows and {len(means_test)} test "
            "rows; an accuracy needs two classes and a test row"
        )
    for what, means in (("training", means_train), ("test", means_test)):
        if not np.isfinite(means).all():
            raise ValueError(f"a latent of a {what} row is not finite; leave that row out")
    classifier.fit(np.asarray(means_train, np.float64), labels_train)
    predicted = classifier.predict(np.asarray(means_test, np.float64))
    return share(predicted == labels_test)
