"""The spaces in which samples are compared with data.

A distance between two sets of images depends on the space that it is measured in, so the space has
a name that is given along with the number.
"""

import dataclasses
import warnings
from collections.abc import Callable
from pathlib import Path

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from elbax.evaluate.latents.probes import check_classes
from elbax.evaluate.tiles import map_rows
from elbax.model.networks.dense import MLP
from elbax.model.serialise import load_model, read_metadata, save_model

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
class _OfNetwork:
    """The outputs of a network in double precision, perhaps rectified by max(0, ·)."""

    network: MLP
    rectified: bool

    def __call__(self, rows: np.ndarray) -> np.ndarray:
        inputs = self.network.layers[0].weight.shape[1]
        if np.prod(rows.shape[1:], dtype=int) != inputs:
            raise ValueError(
                f"rows of shape {rows.shape[1:]} for features made of {inputs} numbers; give rows "
                "like those that the features were made from"
            )
        with jax.enable_x64(True):
            found = map_rows(_outputs, self.network, _flat(rows), jax.random.key(0))
        return np.maximum(found, 0.0) if self.rectified else found


def _outputs(network: MLP, row: Array, _: PRNGKeyArray) -> Array:
    return network(row)


def _network(*layers: tuple[np.ndarray, np.ndarray]) -> MLP:
    """A rectified network of these weights (inputs, outputs) and biases, in double precision."""
    sizes = [len(weight) for weight, _ in layers]
    with jax.enable_x64(True):
        blank = MLP(sizes[0], sizes[1:], len(layers[-1][1]), key=jax.random.key(0))
        values = [jnp.asarray(part) for weight, bias in layers for part in (weight.T, bias)]
        return eqx.tree_at(lambda network: jax.tree.leaves(network.layers), blank, values)


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
    projection = _OfNetwork(_network((weight, -fitted.mean_ @ weight)), rectified=False)
    return Features(f"{components} principal components", projection)


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
    of_scaled = first / scale[:, None], network.intercepts_[0] - (center / scale) @ first
    layers = _network(of_scaled, (second, network.intercepts_[1]))
    name = f"last hidden layer of a classifier of {count} classes, seed {seed}"
    return Features(name, _OfNetwork(layers, rectified=True))


def save(features: Features, path: Path) -> None:
    """Writes principal components or a classifier as a model file (`elbax.model.save_model`).

    Raises:
        ValueError: The features are raw, or somebody's own function: nothing to save.
    """
    held = features.function
    if not isinstance(held, _OfNetwork):
        raise ValueError(
            f"the features {features.name!r} hold no weights; make them anew instead of saving them"
        )
    save_model(path, held.network, {"name": features.name, "rectified": held.rectified})


def load(path: Path) -> Features:
    """Reads what `save` wrote.

    Raises:
        ValueError: The file holds something else.
        OSError: There is no such file.
    """
    with jax.enable_x64(True):
        network = load_model(path)
    said = read_metadata(path)
    if not isinstance(network, MLP) or set(said) != {"name", "rectified"}:
        raise ValueError(f"{path} holds no features; delete it, and they are made anew")
    return Features(str(said["name"]), _OfNetwork(network, bool(said["rectified"])))


def _flat(rows: np.ndarray) -> Float[np.ndarray, "rows numbers"]:
    """A copy of the rows, each one vector in double precision."""
    return np.array(rows, np.float64).reshape(len(rows), -1)
