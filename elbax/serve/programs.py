"""The programs of one run: from rows as stored to what is asked of them, of fixed shapes."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import numpy as np

from elbax import evaluate
from elbax.evaluate.equations import Equations
from elbax.evaluate.imputation import impute
from elbax.evaluate.scores import score
from elbax.evaluate.tiles import TILE, Conditioned, Rows
from elbax.model.latent_variable_model import Decoder, LatentVariableModel
from elbax.model.preprocessing import Preprocessing
from elbax.model.support import REAL, Support
from elbax.serve.batching import Parts, Program
from elbax.util.keys import of_seed

if TYPE_CHECKING:
    from elbax.run.run import Run
    from elbax.serve.limits import Limits

_SAMPLED = 64  # rows of a model's importance samples in one call: it ends in a tenth of a second


class Programs:
    """What a run's model computes.

    Rows are as `reading.Reader` gives them: `x` as stored, the condition or None, and to fill cells
    the equations that these keep to (three arrays, or None).

    Args:
        run: The run.
        limits: How many draws a row is scored and filled by.

    Attributes:
        encode: Mean and scale of q(z|x).
        reconstruct: The datum as the encoder saw it, and the location of p(x|z) at that of q(z|x).
        decode: The location of p(x|z), of latents.
        decode_draw: A draw from p(x|z).
        sample: New data, x and z; the rows are of no number, for they count.
        sample_draw: The same, x drawn from p(x|z).
        score: `elbax.evaluate.scores.Scores` as its fields.
        impute: `elbax.evaluate.Imputation` as its fields.
    """

    def __init__(self, run: Run, limits: Limits) -> None:
        self._model = run.model
        self._reading = _reading(run)
        self._limits = limits
        self.encode = Program("encode", self._encode, TILE)
        self.reconstruct = Program("reconstruct", self._reconstruct, TILE)
        self.decode = Program("decode", self._decode, TILE)
        self.decode_draw = Program("decode", self._decode_draw, TILE)
        self.sample = Program("sample", self._sample, TILE)
        self.sample_draw = Program("sample", self._sample_draw, TILE)
        self.score = Program("score", self._score, _SAMPLED)
        self.impute = Program("impute", self._impute, _SAMPLED)

    def reading(self, x: np.ndarray) -> LatentVariableModel:
        """The model, reading such rows as they are stored."""
        return self._reading[x.dtype.name]

    def _encode(self, rows: Parts, _numbers: np.ndarray, _seed: int) -> Any:
        x, given = _conditioned(rows)
        return evaluate.posterior_moments(self.reading(x), given)

    def _reconstruct(self, rows: Parts, numbers: np.ndarray, seed: int) -> Any:
        x, given = _conditioned(rows)
        return evaluate.reconstruct(self.reading(x), given, of_seed(seed, "reconstruct"), numbers)

    def _decode(self, rows: Parts, _numbers: np.ndarray, _seed: int) -> Any:
        return evaluate.decode(self._model, _conditioned(rows)[1])

    def _decode_draw(self, rows: Parts, numbers: np.ndarray, seed: int) -> Any:
        key = of_seed(seed, "decode")
        return evaluate.decode(self._model, _conditioned(rows)[1], key, numbers)

    def _sample(self, rows: Parts, numbers: np.ndarray, seed: int, *, draw: bool = False) -> Any:
        return evaluate.generate(
            self._model,
            len(numbers),
            of_seed(seed, "sample"),
            draw=draw,
            condition=rows[1],
            numbers=numbers,
        )

    def _sample_draw(self, rows: Parts, numbers: np.ndarray, seed: int) -> Any:
        return self._sample(rows, numbers, seed, draw=True)

    def _score(self, rows: Parts, numbers: np.ndarray, seed: int) -> Any:
        x = _there(rows[0])
        found = score(
            self.reading(x),
            x,
            key=of_seed(seed, "score"),
            samples=self._limits.samples,
            numbers=numbers,
            tails=False,
        )
        estimate = found.estimate
        return (
            estimate.log_likelihood,
            estimate.monte_carlo_error,
            estimate.effective_sample_size,
            estimate.kl_posterior_prior,
            found.elements,
        )

    def _impute(self, rows: Parts, numbers: np.ndarray, seed: int) -> Any:
        x, _, *equations = rows
        x = _there(x)
        found = impute(
            self.reading(x),
            x,
            key=of_seed(seed, "impute"),
            samples=self._limits.draws,
            numbers=numbers,
            equations=Equations(*equations) if equations else None,  # pyright: ignore[reportArgumentType]
        )
        return tuple(getattr(found, one.name) for one in dataclasses.fields(found))


def _conditioned(rows: Parts) -> tuple[np.ndarray, Rows]:
    """Rows, and these with their condition where they have one."""
    x, condition = _there(rows[0]), rows[1]
    return x, x if condition is None else Conditioned(x, condition)


def _there(part: np.ndarray | None) -> np.ndarray:
    assert part is not None
    return part


def _reading(run: Run) -> dict[str, LatentVariableModel]:
    """The model reading bytes, and reading floats, as `elbax.run.use.other_data` has it read files.

    Of a model that was trained on bytes, bytes are levels up to 255 and floats shares of the
    brightest one; unless what is modelled are counts, or was binarised beforehand.
    """
    own, decoder = run.model.preprocessing, run.model.decoder
    support = decoder.likelihood.support if isinstance(decoder, Decoder) else REAL
    counts = isinstance(support, Support) and support.spacing == 1.0 and support.upper == np.inf
    if run.config["data"]["dtype"] != "uint8" or counts or run.binarize == "static":
        return {"uint8": run.model, "float32": run.model}
    scales = {"uint8": 1 / 255, "float32": 1.0}
    return {
        dtype: dataclasses.replace(run.model, preprocessing=Preprocessing(scale, own.binarize))
        for dtype, scale in scales.items()
    }
