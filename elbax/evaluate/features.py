"""The spaces in which samples are compared with data.

A distance between two sets of images depends on the space that it is measured in, so the space has
a name that is told along with the number.
"""

import dataclasses
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
from jaxtyping import Float

from elbax.evaluate.latents import check_classes

_TILE = 500  # rows that stand in one product: a row's features do not depend on the others
_HIDDEN = (128, 64)  # units of the classifier; the second layer's are the features
_PASSES = 30  # over the data, at most


@dataclasses.dataclass(frozen=True)
class Features:
    """A feature space: its name, and the way into it.

    Attributes:
        name: What the space is, for the reader of a number that was measured in it.
        function: From rows as stored to one vector of numbers a row.
    """

    name: str
    function: Callable[[np.ndarray], np.ndarray]

    def __call__(self, rows: np.ndarray) -> Float[np.ndarray, "rows features"]:
        """The features of each row.

        Args:
            rows: Data as stored, or samples on the same scale, rows along the leading axis.

        Raises:
            ValueError: There are no rows, or what the function gave is not one finite vector a row.
        """
        if len(rows) < 1:
            raise ValueError("there are no rows; give at least one")
        found = np.asarray(self.function(rows), np.float64)
        if found.ndim != 2 or len(found) != len(rows):
            raise ValueError(
                f"the features {self.name!r} of {len(rows)} rows have the shape {found.shape}; "
                "they must be (rows, features)"
            )
        if not np.isfinite(found).all():
            raise ValueError(
                f"the features {self.name!r} of a row are not finite; look for NaN in the rows"
            )
        return found


@dataclasses.dataclass(frozen=True)
class _Layers:
    """Affine maps, each but perhaps the last followed by max(0, ·), in double precision.

    Attributes:
        weights: One matrix a layer, (inputs, outputs).
        biases: One vector a layer.
        rectified: Whether max(0, ·) follows the last too.
    """

    weights: tuple[np.ndarray, ...]
    biases: tuple[np.ndarray, ...]
    rectified: bool

    def __call__(self, rows: np.ndarray) -> np.ndarray:
        inputs = self.weights[0].shape[0]
        if np.prod(rows.shape[1:], dtype=int) != inputs:
            raise ValueError(
                f"rows of shape {rows.shape[1:]} for features made of {inputs} numbers; give rows "
                "like those that the features were made from"
            )
        parts = []
        for start in range(0, len(rows), _TILE):
            tile = _flat(rows[start : start + _TILE])
            padded = np.concatenate([tile, np.zeros((_TILE - len(tile), inputs))])
            parts.append(self._of_tile(padded)[: len(tile)])
        return np.concatenate(parts)

    def _of_tile(self, x: np.ndarray) -> np.ndarray:
        for number, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True), 1):
            x = x @ weight + bias
            if self.rectified or number < len(self.weights):
                x = np.maximum(x, 0.0)
        return x


def raw() -> Features:
    """The stored numbers themselves, flattened: for bytes, distances are in grey levels."""
    return Features("raw", _flat)


def pca(rows: np.ndarray, components: int = 50) -> Features:
    """The leading principal components of the rows, not whitened.

    Args:
        rows: Data as stored, rows along the leading axis.
        components: How many are kept; all there are, where the data have fewer dimensions or rows.

    Raises:
        ValueError: There are fewer than two rows, or no component is asked for.
    """
    from sklearn.decomposition import PCA

    if len(rows) < 2 or components < 1:
        raise ValueError(
            f"{components} principal components of {len(rows)} rows; it takes one component and "
            "two rows at least"
        )
    x = _flat(rows)
    components = min(components, *x.shape)
    fitted = PCA(components, svd_solver="full").fit(x)
    weight = np.asarray(fitted.components_).T
    layers = _Layers((weight,), (-fitted.mean_ @ weight,), rectified=False)
    return Features(f"{components} principal components", layers)


def classifier(rows: np.ndarray, labels: np.ndarray | None, *, seed: int = 0) -> Features:
    """What the last hidden layer of a small classifier of the data's own labels says of a row.

    scikit-learn's `MLPClassifier`, 128 and 64 rectified units, up to 30 passes over the data.
    Inputs are centred; images are divided by the one standard deviation of all their pixels, the
    columns of a table each by its own. The same arguments give the same features on the same
    machine.

    Args:
        rows: Data as stored, rows along the leading axis: those that training saw.
        labels: Their classes, integers or words.
        seed: Of the weights and the order of the rows.

    Raises:
        ValueError: Labels are missing, are not classes, or are of one class only.
    """
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.neural_network import MLPClassifier

    labels = check_classes(labels, len(rows), "rows")
    count = len(np.unique(labels))
    if count < 2:
        raise ValueError(f"{count} classes among the labels; a classifier needs two")
    x = _flat(rows)
    center = x.mean(axis=0)
    x -= center
    scale = np.sqrt(np.mean(x**2)) if rows.ndim > 2 else np.sqrt(np.mean(x**2, axis=0))
    scale = np.broadcast_to(np.where(scale > 0, scale, 1.0), center.shape)
    x /= scale

    network = MLPClassifier(_HIDDEN, max_iter=_PASSES, random_state=seed)
    with warnings.catch_warnings():
        # So many passes and no more are meant.
        warnings.simplefilter("ignore", ConvergenceWarning)
        network.fit(x, labels)
    first, second = network.coefs_[:2]
    biases = network.intercepts_[0] - (center / scale) @ first, network.intercepts_[1]
    layers = _Layers((first / scale[:, None], second), biases, rectified=True)
    name = f"last hidden layer of a classifier of {count} classes, seed {seed}"
    return Features(name, layers)


def save(features: Features, path: Path) -> None:
    """Writes principal components or a classifier as plain arrays (.npz, no pickle).

    Args:
        features: What `pca` or `classifier` gave.
        path: Where to; numpy adds the suffix .npz where it is missing. (The file is written in
            place: whoever caches it gives a temporary path, and renames.)

    Raises:
        ValueError: The features are raw, or somebody's own function: nothing to save.
    """
    layers = features.function
    if not isinstance(layers, _Layers):
        raise ValueError(
            f"the features {features.name!r} hold no weights; make them anew instead of saving them"
        )
    arrays = {"name": np.array(features.name), "rectified": np.array(layers.rectified)}
    for number, (weight, bias) in enumerate(zip(layers.weights, layers.biases, strict=True)):
        arrays |= {f"weight{number}": weight, f"bias{number}": bias}
    np.savez(path, allow_pickle=False, **arrays)


def load(path: Path) -> Features:
    """Reads what `save` wrote.

    Raises:
        ValueError: The file holds something else.
        OSError: There is no such file.
    """
    refusal = f"{path} holds no features; delete it, and they are made anew"
    try:
        # Opened here: numpy leaves a file that it can't read open.
        with path.open("rb") as file, np.load(file, allow_pickle=False) as stored:
            arrays = dict(stored)
    except (ValueError, EOFError, KeyError, zipfile.BadZipFile, TypeError) as error:
        raise ValueError(refusal) from error
    name, rectified = arrays.pop("name", None), arrays.pop("rectified", None)
    count = len(arrays) // 2
    keys = {f"{kind}{number}" for kind in ("weight", "bias") for number in range(count)}
    if name is None or rectified is None or count < 1 or set(arrays) != keys:
        raise ValueError(refusal)
    weights = tuple(arrays[f"weight{number}"] for number in range(count))
    biases = tuple(arrays[f"bias{number}"] for number in range(count))
    if name.dtype.kind != "U" or rectified.dtype != bool or not _fit(weights, biases):
        raise ValueError(refusal)
    return Features(str(name), _Layers(weights, biases, bool(rectified)))


def _fit(weights: tuple[np.ndarray, ...], biases: tuple[np.ndarray, ...]) -> bool:
    """Whether these are layers, each of which takes what the one before gives."""
    arrays = (*weights, *biases)
    if any(array.dtype != np.float64 or not np.isfinite(array).all() for array in arrays):
        return False
    if any(weight.ndim != 2 for weight in weights):
        return False
    inputs = [weight.shape[0] for weight in weights]
    outputs = [weight.shape[1] for weight in weights]
    return inputs[1:] == outputs[:-1] and [bias.shape for bias in biases] == [(n,) for n in outputs]


def _flat(rows: np.ndarray) -> Float[np.ndarray, "rows numbers"]:
    """A copy of the rows, each one vector in double precision."""
    return np.array(rows, np.float64).reshape(len(rows), -1)
