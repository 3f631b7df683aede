"""How often a model chooses each of its codes."""

import dataclasses

import jax
import numpy as np
from jaxtyping import Array, Float, Int, PRNGKeyArray

from elbax.evaluate.tiles import Rows, binary_datum, map_rows
from elbax.model.codes.families import codes_of
from elbax.model.latent_variable_model import LatentVariableModel


@dataclasses.dataclass(frozen=True)
class CodeUse:
    """How often codes were chosen, level by level.

    Attributes:
        counts: Of each code of each level, over all rows and places.
    """

    counts: Int[np.ndarray, "depth count"]

    @property
    def used(self) -> Int[np.ndarray, " depth"]:
        """How many codes were chosen at all; the others are dead."""
        return np.count_nonzero(self.counts, axis=1)

    @property
    def perplexity(self) -> Float[np.ndarray, " depth"]:
        """Exp of the entropy of use (van den Oord et al. 2017's code reports it).

        As many codes as there would be if all were chosen alike: K at most, 1 of a single one.
        """
        shares = self.counts / self.counts.sum(axis=1, keepdims=True)
        return np.exp(-np.sum(shares * np.log(np.where(shares > 0, shares, 1.0)), axis=1))


def code_use(model: LatentVariableModel, rows: Rows, *, key: PRNGKeyArray) -> CodeUse:
    """How often a model chooses each of its codes for some rows.

    Args:
        model: The model.
        rows: Data as stored (the model's preprocessing is applied), rows along the leading axis.
        key: Of row i comes the one binary draw of it, where the model binarises.

    Raises:
        ValueError: There are no rows, or the model has no codes.
    """
    family = codes_of(model.encoder)
    if len(rows) < 1:
        raise ValueError("there are no rows; give at least one")
    indices = chosen_codes(model, rows, key=key)
    levels = np.moveaxis(indices, 2, 0).reshape(family.depth, -1)
    return CodeUse(np.stack([np.bincount(level, minlength=family.count) for level in levels]))


def chosen_codes(
    model: LatentVariableModel, rows: Rows, *, key: PRNGKeyArray
) -> Int[np.ndarray, "rows places depth"]:
    """The codes that a model chooses for some rows; arguments and errors as of `code_use`."""
    codes_of(model.encoder)
    return map_rows(_chosen_of_row, model, rows, key)


def _chosen_of_row(model: LatentVariableModel, row: Array, key: PRNGKeyArray) -> jax.Array:
    return model.encode(model.preprocessing(row, binary_datum(key))).indices
