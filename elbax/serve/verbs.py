"""What can be asked of a run, the same over HTTP and as an assistant's tools.

A verb checks what was given and says which program is to be computed of which rows; of what that
gives it makes the answer. The computation itself is the batcher's.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import jax
import numpy as np

from elbax.data import tables as data_tables
from elbax.data.errors import DataError
from elbax.evaluate import Imputation, LogLikelihoodEstimate
from elbax.evaluate.likelihoods import refuse_without_density
from elbax.run import labels
from elbax.run.use import apply, conditioning, equations, imputation, outputs, scoring, tables
from elbax.serve import answers
from elbax.serve.answers import Answer
from elbax.serve.batching import Parts, Program
from elbax.serve.programs import Programs
from elbax.serve.reading import Reader
from elbax.util.words import one_line

if TYPE_CHECKING:
    import pyarrow as pa

    from elbax.data import Column
    from elbax.run.run import Run
    from elbax.serve.limits import Limits
    from elbax.serve.reading import Cellwise, Given, Unseen


@dataclass(frozen=True)
class Work:
    """What is to be computed for a request.

    Attributes:
        program: Of which rows it is computed.
        rows: The rows.
        numbers: What their keys are made of: row i of a request is row i of a file.
        seed: Of everything drawn.
        answer: What the program gives as an answer.
    """

    program: Program
    rows: Parts
    numbers: np.ndarray
    seed: int
    answer: Callable[[Any], Answer]


class Verbs:
    """What can be asked of one run.

    Args:
        run: The run.
        limits: How many draws a row is scored and filled by, and how many rows may be asked for.

    Attributes:
        reader: How its rows are read.
        programs: What is computed of them.
        unavailable: The verbs that this run's model does not answer, and why, in one line.
    """

    def __init__(self, run: Run, limits: Limits) -> None:
        self.run, self.limits = run, limits
        self.reader = Reader(run, limits)
        self.programs = Programs(run, limits)
        self.columns = self.reader.columns
        self.unavailable = dict(self._unavailable())

    # --- verbs ----------------------------------------------------------------------------------

    def encode(self, given: Given, *, unseen: Unseen = "refuse") -> Work:
        """Mean and scale of q(z|x) of each row."""
        rows, _ = self._stored(given, unseen)

        def answer(moments: dict[str, np.ndarray]) -> Answer:
            return Answer(
                lambda: moments, lambda: answers.arrays_table(outputs.to_columns(moments))
            )

        return self._work(self.programs.encode, rows, 0, answer)

    def reconstruct(self, given: Given, *, unseen: Unseen = "refuse", seed: int = 0) -> Work:
        """Each row through encoder and decoder."""
        rows, _ = self._stored(given, unseen)

        def answer(found: tuple[np.ndarray, np.ndarray]) -> Answer:
            if self.reader.table:
                return self._rows(tables_of(found[1]))
            original, made = (tables.in_own_units(self.run, x) for x in found)
            arrays = {"original": original, "reconstruction": made}
            return Answer(
                lambda: arrays,
                lambda: answers.arrays_table(arrays),
                (lambda: answers.pairs(made, original)) if self.reader.image else None,
            )

        def tables_of(x: np.ndarray) -> Callable[[], pa.Table]:
            return lambda: data_tables.decode(self.columns, x)

        return self._work(self.programs.reconstruct, rows, seed, answer)

    def decode(
        self,
        z: np.ndarray,
        *,
        draw: bool = False,
        label: str | None = None,
        seed: int = 0,
    ) -> Work:
        """Data from latents: the location of p(x|z), or a draw from it."""
        number = labels.number_of(label, self.run.config)
        condition = apply.check_latents(self.run.model, z, number)
        program = self.programs.decode_draw if draw else self.programs.decode
        return self._work(program, (z, condition), seed, lambda x: self._made({"x": x}, drawn=draw))

    def sample(
        self,
        count: int,
        *,
        draw: bool | None = None,
        label: str | None = None,
        given: str | None = None,
        seed: int = 0,
    ) -> Work:
        """New data from the prior; of a table perhaps given some cells."""
        if given is not None:
            return self._sample_given(count, given, seed)
        drawn = self.reader.table if draw is None else draw
        number = labels.number_of(label, self.run.config)
        condition = labels.to_generate(self.run.model, count, number)
        program = self.programs.sample_draw if drawn else self.programs.sample

        def answer(found: tuple[np.ndarray, Any]) -> Answer:
            x, z = found
            of = {} if condition is None else {"label": condition.argmax(axis=1)}
            latents = {"z": z} if isinstance(z, np.ndarray) else {}
            return self._made({"x": x, **latents, **of}, drawn=drawn)

        return self._work(program, (None, condition), seed, answer, count)

    def score(self, given: Given, *, unseen: Unseen = "refuse", seed: int = 0) -> Work:
        """How likely each row is, and each column's share of that."""
        rows, _ = self._stored(given, unseen)

        def answer(found: tuple[np.ndarray, ...]) -> Answer:
            log_p, error, effective, kl, elements = found
            estimate = LogLikelihoodEstimate(
                "importance", self.limits.samples, log_p, error, effective, None, kl
            )
            scored = scoring.Scored(self.columns, log_p, elements, estimate)
            return Answer(lambda: self._said(scored), lambda: scoring.to_table(scored))

        return self._work(self.programs.score, rows, seed, answer)

    def impute(self, given: Given, *, unseen: Unseen = "refuse", seed: int = 0) -> Work:
        """The rows with their missing cells filled, and how sure that is."""
        rows, encoded = self._stored(given, unseen)
        if encoded is None or given.cells is None:
            assert given.array is not None
            return self._work(self.programs.impute, rows, seed, self._filled_array(rows[0]))
        tied = equations.of_rows(self.columns, encoded)
        if tied is not None:
            arrays = tied.coefficients, tied.totals, tied.pivots
            rows = (*rows, *(np.asarray(array) for array in arrays))
        return self._work(
            self.programs.impute, rows, seed, self._filled_table(given.cells, encoded)
        )

    def _stored(self, given: Given, unseen: Unseen) -> tuple[Parts, data_tables.Rows | None]:
        scale = 1.0
        if given.array is not None:
            scale = self.programs.reading(given.array).preprocessing.scale
        return self.reader.stored(given, unseen, scale)

    # --- answers --------------------------------------------------------------------------------

    def _work(
        self,
        program: Program,
        rows: Parts,
        seed: int,
        answer: Callable[[Any], Answer],
        count: int | None = None,
    ) -> Work:
        if count is None:
            count = len(next(part for part in rows if part is not None))
        return Work(program, rows, np.arange(count), seed, answer)

    def _rows(self, table: Callable[[], pa.Table]) -> Answer:
        return Answer(lambda: {"rows": table().to_pylist()}, table)

    def _made(self, arrays: dict[str, np.ndarray], *, drawn: bool) -> Answer:
        """Data that the model made: rows of a table, or arrays in their own units."""
        if self.reader.table:
            x = arrays["x"]
            return self._rows(lambda: data_tables.decode(self.columns, x))
        arrays = {**arrays, "x": tables.in_own_units(self.run, arrays["x"], drawn=drawn)}
        return Answer(
            lambda: arrays,
            lambda: answers.arrays_table(arrays),
            (lambda: answers.sheet(arrays["x"])) if self.reader.image else None,
        )

    def _said(self, scored: scoring.Scored) -> dict[str, Any]:
        found: dict[str, Any] = dict(scoring.totals(scored))
        if self.reader.table:
            names = (column.name for column in self.columns)
            found["shares"] = dict(zip(names, np.asarray(scored.elements).T, strict=True))
        else:
            found["elements"] = scored.elements
        return found

    def _filled_table(
        self, cells: Cellwise, rows: data_tables.Rows
    ) -> Callable[[tuple[np.ndarray, ...]], Answer]:
        def answer(found: tuple[np.ndarray, ...]) -> Answer:
            filled = imputation.filled_by(
                Imputation(*found), cells.table, self.columns, rows, draws=self.limits.draws
            )

            def body() -> dict[str, Any]:
                intervals = filled.intervals.to_pylist()
                if self.reader.table:
                    return {"rows": filled.table.to_pylist(), "intervals": intervals}
                x = np.column_stack([column.to_numpy() for column in filled.table.columns])
                return {"x": x, "intervals": intervals}

            return Answer(body, lambda: filled.table)

        return answer

    def _filled_array(self, x: np.ndarray | None) -> Callable[[tuple[np.ndarray, ...]], Answer]:
        assert x is not None
        missing = np.isnan(x)
        own = self.programs.reading(x).preprocessing

        def stored(cells: np.ndarray) -> np.ndarray:
            return np.where(missing, cells / own.scale + own.shift, x).astype(np.float32)

        def answer(found: tuple[np.ndarray, ...]) -> Answer:
            filled = Imputation(*found)
            arrays = {
                "x": stored(filled.value),
                "lower": stored(filled.lower),
                "upper": stored(filled.upper),
                "effective_draws": filled.effective_sample_size,
            }
            return Answer(
                lambda: arrays,
                lambda: answers.arrays_table(arrays),
                (lambda: answers.sheet(arrays["x"])) if self.reader.image else None,
            )

        return answer

    def _sample_given(self, count: int, given: str, seed: int) -> Work:
        """Rows of a table with some cells fixed: a computation of its own."""
        if not self.reader.table:
            raise DataError("given is of a table's columns, and the run was trained on none")
        parsed = conditioning.parse(given, self.columns)

        def compute(_rows: Parts, numbers: np.ndarray, seed: int) -> np.ndarray:
            found = conditioning.draw(
                self.run.model,
                self.columns,
                parsed,
                count=count,
                seed=seed,
                proposals=self.limits.proposals,
            )
            whole = np.empty(len(numbers), object)
            whole[:] = [found] * len(numbers)
            return whole

        def answer(found: np.ndarray) -> Answer:
            table, draws = found[0]
            said = {"trust": draws.trust(), "effective_latents": draws.effective_sample_size}
            return Answer(lambda: {"rows": table.to_pylist(), **said}, lambda: table)

        return self._work(Program("sample", compute, count), (), seed, answer, count)

    # --- what there is --------------------------------------------------------------------------

    def _unavailable(self) -> Iterator[tuple[str, str]]:
        for name in ("score", "impute"):
            try:
                labels.refuse(self.run.model, name)
                self._check_weights()
            except ValueError as error:
                yield name, one_line(error)
                continue
            if name == "impute" and not self.reader.holes:
                yield name, "the model was trained on data without missing values"

    def _check_weights(self) -> None:
        """Refuses a model without importance weights, of which nothing is computed for that."""

        def check(x: jax.Array) -> jax.Array:
            model = self.run.model
            refuse_without_density(model.encode(x), model.prior_distribution())
            return x

        jax.eval_shape(check, jax.ShapeDtypeStruct(self.reader.shape, np.float32))

    def info(self) -> dict[str, Any]:
        """What the run is, and what can be asked of it."""
        config, results = self.run.config, self.run.results or {}
        return {
            "run": self.run.name,
            "recipe": config["recipe"],
            "latents": config["model"]["latent_dim"],
            "data": config["data"]["name"],
            "kind": config["data"]["kind"],
            "shape": list(self.reader.shape),
            "columns": [self._column(column) for column in self.columns],
            "labels": list(config["data"].get("label_names") or ()),
            "test": results.get("test"),
            "versions": {name: config.get(name) for name in ("elbax", "created")},
            "types": self.reader.types,
            "unavailable": self.unavailable,
            "limits": dataclasses.asdict(self.limits),
        }

    def _column(self, column: Column) -> dict[str, Any]:
        own = column.own
        return {
            "name": own.name,
            "kind": own.kind,
            "type": own.dtype,
            "categories": list(own.categories),
            "lower": own.lower,
            "upper": own.upper,
        }

    def warm(self) -> None:
        """Compiles all programs, by one row of zeros each: no request waits for that."""
        model, programs = self.run.model, self.programs
        one, zero = np.zeros(1, int), np.zeros((1, *self.reader.shape))
        condition = labels.to_generate(model, 1)
        latent = (np.zeros((1, model.latent_dim), np.float32), condition)
        for program in (programs.decode, programs.decode_draw):
            program.compute(latent, one, 0)
        for program in (programs.sample, programs.sample_draw):
            program.compute((None, condition), one, 0)
        for dtype in self.reader.dtypes:
            rows: Parts = (zero.astype(dtype), condition)
            programs.encode.compute(rows, one, 0)
            programs.reconstruct.compute(rows, one, 0)
            if "score" not in self.unavailable:
                programs.score.compute(rows, one, 0)
            if "impute" not in self.unavailable:
                programs.impute.compute(rows, one, 0)
                if tied := self._tied():
                    programs.impute.compute((*rows, *tied), one, 0)

    def _tied(self) -> tuple[np.ndarray, ...]:
        """Equations of one row, where constraints relate columns; they say nothing."""
        count, d = sum(c.relation is not None for c in self.columns), len(self.columns)
        if not count:
            return ()
        shapes = np.ones((1, count, d), np.float32), np.full((1, count), np.nan, np.float32)
        return (*shapes, np.zeros((1, count), np.int32))
