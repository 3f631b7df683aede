"""What training on some data would take, and a description of them in words."""

from __future__ import annotations

import dataclasses
import math
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from elbax.recipes.options import Options
from elbax.run import checks
from elbax.run.settle import shape_in_words
from elbax.run.use import tables
from elbax.util.words import duration, rough_size, size

if TYPE_CHECKING:
    from elbax.data import Dataset, Description
    from elbax.recipes.choice import Choice

_OVERHEAD = 1.4  # of a training step over its matrix products (measured: 1.25–1.45)
# `python -m benchmarks.estimate` holds these beside runs, compiling included.
_STEP = 1e-4  # seconds of a step, whatever it is
_NUMBER = 3e-9  # … of each number that a layer gives, there and back
_AROUND = 30.0  # … of a run, to start, compile, measure and draw
_BASE = 300e6  # bytes of Python, JAX and XLA's compiler before any data
# Of the parameters: themselves, gradient, Adam's two, the best ones with their two, one in flight.
_COPIES = 8
_SIZE = 1024  # of the product that is timed


@dataclass(frozen=True)
class Cost:
    """What a recipe's training would take on this machine.

    Attributes:
        parameters: Trained numbers.
        multiply_adds: Of one datum through encoder, decoder and bound.
        flops: Of one step: 6 × multiply-adds × batch.
        gflops_per_second: The rate of a float32 matrix product here, measured just now.
        seconds: Of the whole run, compiling and the report included, if it takes all of its steps:
            30, and a step 0.1 ms, 1.4 × flops / rate, and 3 ns for each number that a layer gives.
        bytes: Of memory: the data twice, the parameters eight times, a batch's activations, and 300
            MB of JAX.
    """

    parameters: int
    multiply_adds: int
    flops: int
    gflops_per_second: float
    seconds: float
    bytes: int


def estimate(dataset: Dataset, options: Options, likelihood: Choice) -> Cost:
    """What a run would take on these data, by the arithmetic of one step of its training.

    Raises:
        ValueError: The parts do not fit these data: one line.
    """
    import jax

    from elbax.model.interfaces import Batch
    from elbax.recipes import compose
    from elbax.run import labels

    training, family = options.training, compose.likelihood_family(likelihood, dataset.shape)
    preprocessing = compose.reading(family.support, dataset, options.data.binarize)
    floats = jax.numpy.float32
    classes = labels.classes_of(dataset) if labels.needed(options) else 0
    classify = classes > 0 and options.model.condition == "none"

    def loss(key: Any) -> tuple[Any, Any]:
        model = compose.compose(
            options.model,
            shape=dataset.shape,
            likelihood=likelihood,
            preprocessing=preprocessing,
            features=tables.features(dataset),
            classes=classes,
            classify=classify,
            key=key,
        )
        rows = jax.numpy.zeros((training.batch_size, *dataset.shape), floats)
        goal = compose.objective(
            training,
            steps=training.iterations,
            latent_dim=options.model.latent_dim,
            key=key,
        )
        batch, step = Batch(rows, data_size=dataset.training_rows), jax.numpy.zeros((), int)
        if classify:
            label = jax.numpy.zeros(training.batch_size, int)
            batch = dataclasses.replace(batch, label=label)
        elif classes:
            condition = jax.numpy.zeros((training.batch_size, classes), floats)
            batch = dataclasses.replace(batch, condition=condition)
        found, _ = goal(model, batch, state=goal.init(model), step=step, key=key)
        return found, (model, goal)

    program, (_, model) = jax.make_jaxpr(loss, return_shape=True)(jax.random.key(0))
    multiply_adds, outputs = products(program.jaxpr)
    arrays = [leaf for leaf in jax.tree.leaves(model) if leaf.dtype == floats]
    parameters = sum(leaf.size for leaf in arrays)
    flops = 6 * multiply_adds
    rate = measure_rate()
    step = _STEP + _OVERHEAD * flops / rate + _NUMBER * outputs
    stored = sum(part.x.nbytes for part in (dataset.train, dataset.validation, dataset.test))
    return Cost(
        parameters,
        multiply_adds // training.batch_size,
        flops,
        round(rate / 1e9, 1),
        round(_AROUND + training.iterations * step, 1),
        int(_BASE + 2 * stored + _COPIES * 4 * parameters + 3 * 4 * outputs),
    )


def products(program: Any) -> tuple[int, int]:
    """Multiply-adds of all matrix products and convolutions, and the numbers that they give.

    Args:
        program: A jaxpr, of `jax.make_jaxpr`.
    """
    multiply_adds = outputs = 0
    for equation in program.eqns:
        inside = [products(one) for one in _programs(equation)]
        if inside:
            # Of the branches for a processor and an accelerator one is taken: they do the same.
            branches = equation.primitive.name == "cond"
            times = equation.params.get("length", 1) if equation.primitive.name == "scan" else 1
            inner = max(inside) if branches else [sum(column) for column in zip(*inside)]  # noqa: B905
            multiply_adds, outputs = multiply_adds + times * inner[0], outputs + times * inner[1]
        elif equation.primitive.name in ("dot_general", "conv_general_dilated"):
            left, right = (variable.aval for variable in equation.invars)
            out = equation.outvars[0].aval
            multiply_adds += out.size * _terms(equation, left, right)
            outputs += out.size
    return multiply_adds, outputs


def _terms(equation: Any, left: Any, right: Any) -> int:
    """How many products are summed for one number of the result."""
    if equation.primitive.name == "dot_general":
        (contracted, _), _ = equation.params["dimension_numbers"]
        return math.prod(left.shape[axis] for axis in contracted)
    layout = equation.params["dimension_numbers"].rhs_spec  # out channels, in channels, space
    return right.size // right.shape[layout[0]]


def _programs(equation: Any) -> list[Any]:
    """The programs inside an equation: a loop's body, the branches of a condition."""
    found = []
    for value in equation.params.values():
        for one in value if isinstance(value, tuple | list) else (value,):
            inner = getattr(one, "jaxpr", one)
            if hasattr(inner, "eqns"):
                found.append(inner)
    return found


def measure_rate() -> float:
    """FLOP/s of a float32 matrix product on the device that would train."""
    import jax
    import jax.numpy as jnp

    a = jnp.ones((_SIZE, _SIZE))
    product = jax.jit(lambda a: a @ a)
    product(a).block_until_ready()
    best = float("inf")
    for _ in range(5):
        start = time.perf_counter()
        product(a).block_until_ready()
        best = min(best, time.perf_counter() - start)
    return 2 * _SIZE**3 / best


def problems(dataset: Dataset, options: Options, likelihood: Choice) -> list[str]:
    """Why training would refuse these data, a line each."""
    from elbax.data.splitting import MINIMUM_ROWS
    from elbax.util.words import counted

    found = list(dataset.problems)
    for check in (lambda: checks.check_fit(dataset, options, likelihood),
                  lambda: checks.check_rows(dataset, options)):  # fmt: skip
        try:
            check()
        except ValueError as error:
            found.append(str(error))
    rows = dataset.training_rows
    if rows < MINIMUM_ROWS and len(dataset.test) == 0:
        few = counted(rows, "image" if dataset.kind == "images" else "row")
        found.append(
            f"{dataset.name} has {few} only: at least {MINIMUM_ROWS} are "
            "needed to split it into train, validation and test"
        )
    return found


def brief(cost: Cost, options: Options) -> str:
    """Parameters, time and memory in one line."""
    training = options.training
    most = "" if training.patience is None else "at most, "
    return (
        f"{cost.parameters:,} parameters; about {duration(cost.seconds)} in all for "
        f"{training.iterations:,} steps {most}at the {cost.gflops_per_second:,.0f} GFLOP/s "
        f"measured here, and {rough_size(cost.bytes)} of memory"
    )


def in_words(
    dataset: Dataset,
    data: Description,
    options: Options,
    likelihood: Choice,
    reason: str,
    cost: Cost,
) -> list[str]:
    """The description, a fact a line; of a table, the sizes that it settles as flags."""
    from elbax import recipes
    from elbax.recipes import sizes
    from elbax.util.words import counted

    recipe = recipes.find(options.recipe)
    counts = ", ".join(f"{name} {count:,}" for name, count in data.counts.items())
    images = data.kind == "images"
    rows = counted(sum(data.counts.values()), "image" if images else "row")
    cells = "pixels" if images else "columns"
    unusable = f"{data.missing:,} cells in {data.missing_rows:,} rows; {data.infinite:,} infinite"
    facts = {
        "data": f"{data.name}: {rows} of {shape_in_words(data.shape)}, {data.dtype}, "
        f"{size(data.n_bytes)}",
        "source": data.source,
        "splits": f"{counts}: {data.splits}",
        "values": _range(data),
        "missing": unusable,
        "constant": f"{data.constant:,} of {data.columns:,} {cells} never vary",
        "labels": _labels(data),
        # (What a table's columns are is listed below.)
        "choice": f"{likelihood.name} likelihood: {reason}",
        "recipe": f"{recipe.name}: {recipe.summary}"
        if not dataset.columns
        else f"{recipe.name}, with the sizes of a table: {sizes.in_words(options)}",
        "cost": brief(cost, options),
    }
    if dataset.columns:  # which are listed one by one
        del facts["values"], facts["constant"]
    lines = [f"{name:<9} {fact}" for name, fact in facts.items()]
    return lines + [f"note      {note}" for note in dataset.notes]


def _range(data: Description) -> str:
    if data.minimum is None or data.maximum is None or data.mean is None:
        return "none that is finite"
    distinct = "more than 256" if data.distinct is None else f"{data.distinct:,}"
    return f"{data.minimum:g} to {data.maximum:g}, mean {data.mean:.4g}, {distinct} distinct"


def _labels(data: Description) -> str:
    if data.label_counts is None:
        return "none"
    names = data.label_names
    shown = [
        f"{names[key] if 0 <= key < len(names) else key}: {count:,}"
        for key, count in list(data.label_counts.items())[:20]
    ]
    more = len(data.label_counts) - len(shown)
    return ", ".join(shown) + (f", and {more:,} more" if more else "")
