"""What a run says in the terminal: a few lines, progress, and the result in words."""

from __future__ import annotations

import shlex
import sys
import time
from typing import IO, TYPE_CHECKING, Any, Protocol, cast, runtime_checkable

from elbax.data.tables import families_in_words
from elbax.report import table_words
from elbax.run.settle import Plan, is_grey, shape_in_words, size_of
from elbax.run.terms import readable
from elbax.util import environment, sizes
from elbax.util.words import clock, number, plus_minus

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from elbax.data import Dataset
    from elbax.recipes.choice import Choice
    from elbax.run.run import Run
    from elbax.train.loop import Report

_NARROW = 72  # columns; below that the progress line loses its bar
_PARTS = 10  # plain lines of progress in a run, …
_SECONDS = 30.0  # … and one at least so often


@runtime_checkable
class Stream(Protocol):
    """Something to write text to: a file, a terminal, a notebook's output."""

    def write(self, text: str, /) -> Any:
        """Takes text."""
        ...

    def flush(self) -> None:
        """Passes it on."""
        ...

    def isatty(self) -> bool:
        """Whether a person is looking."""
        ...


class Console:
    """Says what happens in a training run: progress and facts on one stream, the result on another.

    Args:
        progress: Where lines and the progress bar go; None says nothing.
        result: Where the result goes in words; None keeps it to itself.
    """

    def __init__(self, progress: Stream | None = None, result: Stream | None = None) -> None:
        self._stream = progress
        self._result = result
        self._bar: _Bar | None = None
        self._doing: _Doing | None = None
        self._begun: tuple[float, int] | None = None
        self._said = 0
        self._said_at = time.perf_counter()
        self._stalled = False

    @classmethod
    def for_python(cls, *, verbose: bool) -> Console:
        """What Python callers get: everything on standard output, or silence."""
        return cls(sys.stdout, sys.stdout) if verbose else cls()

    def note(self, line: str) -> None:
        """One line among the progress."""
        try:
            _write(self._stream, line)
        except BrokenPipeError:  # whoever read the progress has gone: train on
            self._stream = None

    def planned(self, plan: Plan, parameters: int) -> None:
        """What the data are and what the model is."""
        self.note(f"data    {data_in_words(plan)}")
        if plan.dataset.stream is not None:
            self.note(f"        {streamed_in_words(plan.dataset)}")
        if plan.dataset.holes:
            self.note(f"        {plan.dataset.notes[-1]}")
        self.note(f"model   {model_in_words(plan, parameters)}")
        self.note(f"        {likelihood_in_words(plan)}")
        if plan.dataset.columns:
            for line in table_words.before_training(plan.options, plan.dataset):
                self.note(line)

    def placed(self, path: Path, plan: Plan) -> None:
        """Where the run goes."""
        training = plan.options.training
        plain = str(training.objective) == "elbo"
        objective = "" if plain else f"objective {training.objective}, "
        self.note(
            f"run     {path}: {plan.iterations:,} steps of {training.batch_size}, {objective}"
            f"{training.optimizer} {training.learning_rate:g}, seed {plan.options.run.seed}"
        )

    def progressed(self, report: Report, plan: Plan) -> None:
        """How far the training is, after a chunk."""
        if self._stream is None:
            return
        if report.compile_seconds:
            self.note(f"compiled in {report.compile_seconds:.1f} s")
        now = time.perf_counter()
        if self._begun is None:
            # The rate is taken from the end of the first chunk on: it was short, and the caches
            # cold.
            self._begun = (now, report.step)
        seconds, steps = now - self._begun[0], report.step - self._begun[1]
        rate = steps / seconds if steps and seconds > 0 else None
        losses = mean_losses(report)
        if self._stream.isatty():
            if self._bar is None:
                self._bar = _Bar(self._stream, plan.iterations)
            self._bar.move(report.step, rate, losses)
            return
        part = report.step * _PARTS // plan.iterations
        if part > self._said or now - self._said_at > _SECONDS or report.outcome:
            self._said, self._said_at = part, now
            self.note(progress_line(report.step, plan.iterations, rate, losses))

    def stalled(self, step: int, loss: float) -> None:
        """Validation has stopped improving; said once."""
        if not self._stalled:
            self._stalled = True
            self.note(
                f"note    no better validation since step {step:,} (loss {loss:.2f} nats): "
                "more steps may not pay, and --patience 5 would stop here"
            )

    def doing(self, words: str) -> None:
        """What takes a while, on a line of a terminal that goes when it is done."""
        if self._stream is None or not self._stream.isatty():
            return
        if self._doing is None:
            self._doing = _Doing(self._stream)
        self._doing.say(words)

    def settled(self) -> None:
        """The training is over: the progress bar, if there is one, stays as it is."""
        for line in (self._bar, self._doing):
            if line is not None:
                line.close()
        self._bar = self._doing = None

    def concluded(self, run: Run, *, report: bool) -> None:
        """The result in words, and what one might do next."""
        self.settled()
        for line in results_in_words(
            run.path,
            run.results or {},
            report=report,
            kind=run.config["data"]["kind"],
        ):
            _write(self._result, line)


class _Bar:
    """A progress bar of rich's, with the losses at its side."""

    def __init__(self, stream: Stream, total: int) -> None:
        from rich.progress import BarColumn, Progress, ProgressColumn, TextColumn

        console = _terminal(stream)
        narrow = console.width < _NARROW
        columns: list[str | ProgressColumn] = [] if narrow else [BarColumn(bar_width=16)]
        text = TextColumn("{task.fields[said]}", style="default", markup=False)
        self._progress = Progress(*columns, text, console=console, auto_refresh=False)
        self._short = narrow
        self._total = total
        self._task = self._progress.add_task("", total=total, said="")
        self._progress.start()

    def move(self, step: int, rate: float | None, losses: Mapping[str, float]) -> None:
        said = progress_line(step, self._total, rate, losses, short=self._short)
        self._progress.update(self._task, completed=step, said=said, refresh=True)

    def close(self) -> None:
        self._progress.stop()


class _Doing:
    """A line that says what is being done, and leaves nothing behind."""

    def __init__(self, stream: Stream) -> None:
        from rich.progress import Progress, TextColumn

        text = TextColumn("{task.description}", style="default", markup=False)
        self._progress = Progress(
            text, console=_terminal(stream), auto_refresh=False, transient=True
        )
        self._task = self._progress.add_task("")
        self._progress.start()

    def say(self, words: str) -> None:
        self._progress.update(self._task, description=words, refresh=True)

    def close(self) -> None:
        self._progress.stop()


def _terminal(stream: Stream) -> Any:
    """A console of rich's that leaves the cursor alone: who is killed could not bring it back."""
    from rich.console import Console as Terminal

    class VisibleCursor(Terminal):
        def show_cursor(self, show: bool = True) -> bool:  # noqa: ARG002
            return False

    return VisibleCursor(file=cast(IO[str], stream), highlight=False)


def mean_losses(report: Report) -> dict[str, float]:
    """The loss and its terms, averaged over the steps of a chunk."""
    # In double precision: the sum of finite losses may be no float32.
    each = {name: rows for name, rows in report.metrics.items() if rows.ndim == 1}
    return {name: float(rows.mean(dtype="float64")) for name, rows in each.items()}


def progress_line(
    step: int, total: int, rate: float | None, losses: Mapping[str, float], *, short: bool = False
) -> str:
    """``3,000/10,000  245/s  0:29 left  loss 112.3 = 93.1 + KL 19.2``."""
    parts = [f"{step:,}/{total:,}"]
    if rate:
        parts.append(f"{rate:,.0f} steps/s" if not short else f"{rate:,.0f}/s")
        parts.append(f"{clock((total - step) / rate)} left")
    if short:
        parts.append(f"{losses['loss']:.1f}")
    else:
        parts.append(f"loss {losses['loss']:.2f}: {', '.join(_terms(losses))}")
    return "  ".join(parts)


def _terms(losses: Mapping[str, float]) -> Iterator[str]:
    """The parts of a loss: reconstruction and KL, and of an objective without a KL its own."""
    if "reconstruction" in losses:
        yield f"reconstruction {-losses['reconstruction']:.2f}"
    if "kl" in losses:
        yield f"KL {losses['kl']:.2f}"
        return
    for name, value in readable(losses).items():
        if name != "reconstruction":
            yield f"{name} {value:.4g}"


def data_in_words(plan: Plan) -> str:
    """What the data are, in one line."""
    data = plan.dataset
    train, validation, test = data.training_rows, len(data.validation), len(data.test)
    what = {"images": "images", "vectors": "rows"}.get(data.kind, "rows")
    grey = data.kind == "images" and is_grey(data) and not data.scaling.shift
    levels = "grey levels" if grey else "values"
    if plan.options.data.binarize != "none":
        levels = f"pixels, binarised ({plan.options.data.binarize})"
    shape = shape_in_words(data.shape)
    if data.columns:
        shape, levels = table_words.shape(data), "of mixed kinds"
    return (
        f"{data.name}: {train + validation + test:,} {what} of {shape} {levels}; "
        f"{train:,} to train, {validation:,} to validate, {test:,} to test"
    )


def streamed_in_words(dataset: Dataset) -> str:
    """How rows that are not all in memory are read, and which of them are measured."""
    stream = dataset.stream
    if stream is None:
        return "in memory"
    return (
        f"streamed: the data take more than {sizes.words(stream.memory)} (--memory), and are read "
        f"in pieces, {stream.block_rows:,} rows at a time; {len(dataset.train):,} training rows "
        "are kept to be measured"
    )


def model_in_words(plan: Plan, parameters: int) -> str:
    """What the model is, in one line."""
    from elbax.recipes import parts

    model = plan.options.model
    shape = f"{shape_in_words(plan.dataset.shape)} to {model.latent_dim}"
    if parts.find("network", model.network.name).wants("hidden"):
        widths = (size_of(plan.dataset.shape), *model.hidden, model.latent_dim)
        shape = "-".join(map(str, widths))
    network = "" if str(model.network) == "mlp" else f"{model.network}, "
    return (
        f"{plan.options.recipe}: {shape} and back, {network}{model.activation}, "
        f"{parameters:,} parameters; {_spaced(model.posterior)} posterior, "
        f"{_spaced(model.prior)} prior{_afterwards(plan)}{_conditioned(plan)}"
    )


def _conditioned(plan: Plan) -> str:
    count = plan.options.data.labelled
    if plan.options.model.condition == "label":
        return f"; encoder, decoder and prior are conditioned on one of {plan.classes} labels"
    if plan.classes == 0:
        return ""
    return f"; with labels of {'all' if count is None else f'{count:,}'} training rows"


def _described(prior: str) -> str:
    """A prior that is fitted after training, by its name, with an article."""
    if prior == "autoregressive":
        return "an autoregressive one"
    return f"a {prior.replace('-', ' ')}"


def _afterwards(plan: Plan) -> str:
    kind = plan.options.training.fit_prior
    return "" if kind == "none" else f" (after training {_described(kind)} in its place)"


def _spaced(choice: Choice) -> str:
    return str(choice).replace("-", " ")


def likelihood_in_words(plan: Plan) -> str:
    """The likelihood, what it means for these data, and why this one."""
    if plan.dataset.columns:
        return f"mixed likelihood: {plan.reason} ({families_in_words(plan.dataset.columns)})"
    grey = plan.options.data.binarize == "none" and is_grey(plan.dataset)
    if plan.likelihood.name == "bernoulli" and grey:
        means = "so the bound is on the expected log-probability of a binarised image"
    elif plan.likelihood.name == "bernoulli":
        means = "so the bound is on the log-probability of the 0/1 values"
    else:
        means = f"the bound is on a log-{'probability' if plan.family.discrete else 'density'}"
    return f"{plan.likelihood} likelihood: {plan.reason}, {means}"


def codes_in_words(found: Mapping[str, Any]) -> str:
    """``401 of 512 used, perplexity 283.2``; of several levels each."""
    levels = len(found["used"])
    used, perplexity = (
        ", ".join(number(float(value), digits) for value in found[name])
        for name, digits in (("used", 0), ("perplexity", 1))
    )
    each = f" on each of {levels} levels" if levels > 1 else ""
    return f"{used} of {found['codes']:,} used{each}, perplexity {perplexity} (exp of its entropy)"


def results_in_words(
    path: Path, results: Mapping[str, Any], *, report: bool, kind: str
) -> list[str]:
    """The test bound, its parts, the active latents, the report, and two commands to run next."""
    where = shlex.quote(str(path))
    which = "test" if results.get("test") else "train"
    lines = [f"{which:<7} {bound_in_words(results[which])}"]
    if "labels" in results[which]:
        lines.append(f"labels  {labels_in_words(results[which]['labels'])}")
    if results.get("active_latents") is not None:
        lines.append(
            f"latents {results['active_latents']} of {results['latent_dim']} active "
            "(the posterior mean varies over the data)"
        )
    if results.get("codes"):
        lines.append(f"codes   {codes_in_words(results['codes'])}")
    if report:
        lines.append(f"report  {path / 'report.html'}")
    program = environment.program()
    vectors = kind == "vectors"
    if kind == "table":
        lines.append(f"next    {program} impute {where} --data TABLE.csv --out filled.csv")
        lines.append(f"        {program} score {where} --data TABLE.csv --out scores.csv")
        return lines
    samples = "samples.npz" if vectors else "samples.png"
    lines.append(f"next    {program} sample {where} --count 100 --out {samples}")
    lines.append(f"        {program} encode {where} --out latents.csv")
    return lines


def bound_in_words(bound: Mapping[str, Any]) -> str:
    """``ELBO −104.21 ± 0.31 nats per datum = reconstruction −84.9 ± 0.3 − KL 19.3 ± 0.1``.

    Of a model without a bound: its reconstruction and the terms of its loss.
    """
    error = bound["standard_error"]
    reconstruction = plus_minus(bound["reconstruction"], error["reconstruction"], 2)
    if "elbo" not in bound:
        terms = readable(bound.get("terms", {}))
        shown = [
            f"; {name} {value:.4g}" for name, value in terms.items() if name != "reconstruction"
        ]
        return (
            f"reconstruction {reconstruction} nats per datum, and no bound (the posterior is a "
            f"point){''.join(shown)}"
        )
    given = " given its label" if bound.get("given") == "label" else ""
    return (
        f"ELBO {plus_minus(bound['elbo'], error['elbo'], 2)} nats per datum{given} = "
        f"reconstruction {reconstruction} − KL {plus_minus(bound['kl'], error['kl'], 2)}"
    )


def labels_in_words(found: Mapping[str, Any]) -> str:
    """What a model that classifies says of rows whose labels are known."""
    error = found["standard_error"]
    return (
        f"bound on log p(x, y) {plus_minus(found['bound'], error['bound'], 2)} nats; "
        f"q(y|x) is right for {found['accuracy']:.1%} ± {error['accuracy'] or 0.0:.1%} of rows"
    )


def _write(stream: Stream | None, line: str) -> None:
    if stream is None:
        return
    encoding = getattr(stream, "encoding", None) or "utf-8"
    # A terminal that knows no "−" or "×" gets a replacement, not a traceback.
    stream.write(line.encode(encoding, "replace").decode(encoding) + "\n")
    stream.flush()
