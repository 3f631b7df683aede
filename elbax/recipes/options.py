"""The options of a training run: one frozen dataclass per concern, each option defined once.

The command line's flags and help, the TOML file, the Python keywords and ``config.json`` all derive
from these fields: the attribute's docstring is the flag's help. Nothing here imports jax, so that
``elbax --help`` stays quick.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from elbax.recipes.choice import Choice
from elbax.recipes.convert import (
    REPEATED,
    Checked,
    Count,
    NotNegative,
    Positive,
    Seed,
    Whole,
    Width,
    convert,
    flags,
    hints,
)
from elbax.util.words import did_you_mean

# The names of `elbax.model.networks.ACTIVATIONS`, which imports jax; a test holds them together.
Activation = Literal[
    "relu", "tanh", "gelu", "silu", "elu", "softplus", "leaky-relu", "sigmoid", "identity"
]


@dataclass(frozen=True)
class ModelOptions(Checked):
    """What the model is: prior, encoder and decoder."""

    latent_dim: Width = 10
    """Number of latent dimensions (the length of z)."""
    hidden: tuple[Width, ...] = (512, 384, 256)
    """Widths of the encoder's hidden layers, comma-separated; the decoder mirrors them. (conv and
    resnet have --network.dense.)"""
    activation: Activation = "relu"
    """Activation function of the hidden layers."""
    network: Choice = Choice("mlp")  # noqa: RUF009 - frozen
    """Pair of networks. This part and the next three have options of their own, such as
    --network.layer-norm true: `elbax parts` lists them."""
    prior: Choice = Choice("standard-normal")  # noqa: RUF009 - frozen
    """Prior p(z), such as mixture with --prior.components 20."""
    posterior: Choice = Choice("diagonal-normal")  # noqa: RUF009 - frozen
    """Approximate posterior q(z|x), such as iaf with --posterior.layers 4."""
    likelihood: Choice | None = None
    """Likelihood p(x|z), such as normal with --likelihood.scale predicted. Without it: chosen from
    the data, and the choice is printed."""
    missing: Choice = Choice("at-random")  # noqa: RUF009 - frozen
    """Why cells of a table are missing: at-random, for reasons that the observed cells explain, or
    self-masking, because of their own values, such as --missing.direction high."""
    links: Whole = 0
    """Rank of the covariance that links a table's normal columns beside z, less where they are
    fewer; 0: they are independent given z."""
    condition: Literal["none", "label"] = "none"
    """What encoder, decoder and prior are conditioned on: nothing, or each row's label; the model
    is then of x given the label."""


@dataclass(frozen=True)
class TrainingOptions(Checked):
    """How the model is trained."""

    iterations: Count = 10_000
    """Number of optimiser steps in all."""
    epochs: Count | None = None
    """Length in passes over the training data, instead of --iterations."""
    batch_size: Count = 100
    """Rows in each step's batch."""
    learning_rate: Positive = 1e-3
    """Learning rate (the highest one, where a schedule changes it)."""
    learning_rate_schedule: Literal["constant", "cosine", "exponential", "staged"] = "constant"
    """Learning rate over the run: constant, cosine to 0, exponential to a hundredth, or staged: to
    a tenth, in eight stages, each three times as long as the one before."""
    learning_rate_warm_up: Whole = 0
    """Steps over which the learning rate first rises from 0."""
    optimizer: Literal["adam", "adamw", "adagrad", "rmsprop", "sgd"] = "adam"
    """Optimiser."""
    adam_epsilon: Positive = 1e-8
    """What adam and adamw add to the root of the mean squared gradient."""
    gradient_clip: Positive | None = None
    """Largest norm of the gradient; longer ones are scaled down to it."""
    objective: Choice = Choice("elbo")  # noqa: RUF009 - frozen
    """What is minimised, such as beta-tc with --objective.beta 6: a part with options of its own
    too."""
    fit_prior: Literal["none", "gaussian", "gaussian-mixture", "flow", "autoregressive"] = "none"
    """What takes the prior's place after training, fitted to latents of the training rows: nothing,
    one normal, a mixture of ten, or a normalising flow; of codes autoregressive, each by those
    before it."""
    validate_every: Count = 500
    """Steps between measurements of the loss on the validation rows."""
    patience: Count | None = None
    """Stop after this many validations without a better one, and keep the best parameters."""
    precision: Literal["float32", "bfloat16"] = "float32"
    """Arithmetic of the matrix products; parameters and probabilities stay float32."""
    checkpoint_seconds: NotNegative = 10.0
    """Seconds between checkpoints (one is always written at the end)."""

    @property
    def cycles(self) -> int:
        """How often the weight of the KL grows in the course of the run."""
        return dict(self.objective.options).get("cycles", 1)

    @property
    def has_horizon(self) -> bool:
        """Whether a schedule is laid out for the length of the run."""
        return self.learning_rate_schedule != "constant" or self.cycles > 1


@dataclass(frozen=True)
class ShortOptions(Checked):
    """Short words for options of the objective, of those objectives that have them."""

    beta: NotNegative | None = None
    """Short for --objective.beta: of the elbo, the weight of the KL term (1: the evidence lower
    bound itself)."""
    kl_warm_up: Whole | None = None
    """Short for --objective.warm-up: steps over which that weight rises linearly from 0."""
    free_bits: NotNegative | None = None
    """Short for --objective.free-bits: nats of KL that each latent may hold at no price."""
    samples: Count | None = None
    """Short for --objective.samples: draws z ~ q(z|x) of each row in a step, averaged in the elbo;
    k, of the importance-weighted bound."""
    kl_estimate: Literal["closed", "monte-carlo"] | None = None
    """Short for --objective.kl: the KL term in closed form where there is one, or log q(z|x) - log
    p(z) at the draws."""


@dataclass(frozen=True)
class DataOptions(Checked):
    """How the data is read."""

    binarize: Literal["none", "static", "dynamic"] = "none"
    """Grey pixels to 0/1: never, drawn once (the same for everybody), or drawn anew each step."""
    validation: Whole | None = None
    """Rows of the training part kept for validation. Without it: the data set's own number."""
    columns: str | None = None
    """What columns of a table are, where not as found (see `elbax inspect`): NAME=KIND,NAME=KIND.
    A kind is continuous, positive, count, binary, categorical, ordinal, or ignore."""
    labels: str | None = None
    """The column of a table that holds labels: it is left out of the data."""
    header: bool | None = None
    """Whether the first line of a table in text names its columns. Without it: judged by the line,
    and where that is in doubt, asked for."""
    missing_values: tuple[str, ...] = ()
    """What stands for a missing cell, such as -999,unknown, besides the empty cell, NA, ? and their
    like."""
    constraint: Annotated[tuple[str, ...], REPEATED] = ()
    """What all rows of a table keep to, such as "end >= start", "total = a + b" or "0 <= share <=
    1": so do the rows that are drawn and the cells that are filled. May be given several times."""
    background: str | None = None
    """Of images: the colour that transparent pixels are laid on, such as white or #808080."""
    memory: str | None = None
    """Memory that the data may take, such as 2GB: files and folders that take more are streamed.
    Without it: half of the machine's."""
    labelled: Count | None = None
    """Training rows whose labels are shown to an objective that learns from few (semi-supervised):
    drawn by the seed, the same number of each class. Without it: all."""


@dataclass(frozen=True)
class RunOptions(Checked):
    """Where and how the run takes place. Of these, only the seed changes the numbers."""

    out: Path | None = None
    """Folder to write. Without it: runs/<data>-001, numbered."""
    seed: Seed = 0
    """Seed of the initial parameters, the order of the data and all noise."""
    device: Literal["cpu", "gpu"] | None = None
    """Device to train on. Without it: the GPU where JAX finds one, else the CPU."""
    devices: Count | None = None
    """Devices of each process to spread a batch over, which share its rows equally. Without it:
    one; of several processes all."""
    force: bool = False
    """Replace the run in --out; deletes only files that elbax wrote."""
    track: Literal["csv", "mlflow", "tensorboard", "trackio", "wandb"] | None = None
    """Experiment tracker that gets the run's options, curves, pictures and files as it goes."""
    report: bool = True
    """Draw the figures and write report.html at the end; --no-report leaves them out."""
    dry_run: bool = False
    """Say what would be trained and where, and stop before touching anything."""


@dataclass(frozen=True)
class Options:
    """Everything that one training run was asked for.

    Attributes:
        asked: The names of the options that somebody gave, whatever their values: the data settle
            only the others.
    """

    recipe: str = "vae"
    model: ModelOptions = dataclasses.field(default_factory=ModelOptions)
    training: TrainingOptions = dataclasses.field(default_factory=TrainingOptions)
    data: DataOptions = dataclasses.field(default_factory=DataOptions)
    run: RunOptions = dataclasses.field(default_factory=RunOptions)
    asked: frozenset[str] = dataclasses.field(default=frozenset(), compare=False)


MODEL_PARTS = ("network", "prior", "posterior", "likelihood")
"""The options that choose a part of p(z), p(x|z) or q(z|x): fields of `ModelOptions`."""

PARTS = (*MODEL_PARTS, "missing", "objective")
"""The options that choose a part, and the kinds of `elbax parts`."""

SHORT = {
    "beta": "beta",
    "kl_warm_up": "warm_up",
    "free_bits": "free_bits",
    "samples": "samples",
    "kl_estimate": "kl",
}
"""Fields of `ShortOptions`, and the option of the objective that each is short for."""

SECTIONS: Mapping[str, type] = {
    "model": ModelOptions,
    "training": TrainingOptions,
    "data": DataOptions,
    "run": RunOptions,
}


def section_of(name: str) -> str | None:
    """The section that the option ``name`` (underscores) belongs to, or None."""
    if name in SHORT:
        return "training"
    for section, options in SECTIONS.items():
        if name in hints(options):
            return section
    return None


def option_names() -> list[str]:
    """Every option's name, over all sections."""
    return [name for options in (*SECTIONS.values(), ShortOptions) for name in hints(options)]


def replace(options: Options, changes: Mapping[str, Any]) -> Options:
    """``options`` with some of them changed, by their flat names.

    Args:
        options: What to start from.
        changes: Option name (underscores) to value; values are coerced as in a TOML file. An option
            of a part has a dotted name: ``prior.components``; some of the objective's have a short
            one too (`SHORT`).

    Raises:
        ValueError: An unknown name (with the nearest one), an impossible value, or two lengths.
    """
    changes = _undotted(_spelled_out(one_length(changes)))
    by_section: dict[str, dict[str, Any]] = {}
    for name, value in changes.items():
        section = section_of(name)
        if section is None:
            raise ValueError(f"unknown option '{name}': {did_you_mean(name, option_names())}")
        old = getattr(getattr(options, section), name)
        by_section.setdefault(section, {})[name] = coerce(SECTIONS[section], name, value, old)
    parts = {
        section: dataclasses.replace(getattr(options, section), **values)
        for section, values in by_section.items()
    }
    return dataclasses.replace(options, **parts, asked=options.asked | frozenset(changes))


def _spelled_out(changes: Mapping[str, Any]) -> dict[str, Any]:
    """The changes, with short words in full: ``beta`` as ``objective.beta``.

    Raises:
        ValueError: An impossible value, or both are given.
    """
    found = {name: value for name, value in changes.items() if name not in SHORT}
    for name, value in changes.items():
        if name not in SHORT or value is None:
            continue
        full = f"objective.{SHORT[name]}"
        if full in changes:
            raise ValueError(
                f"{flags(name)} is short for --{full.replace('_', '-')}, and both are given: "
                "give one"
            )
        short = ShortOptions(**{name: coerce(ShortOptions, name, value)})
        found[full] = getattr(short, name)
    return found


def _undotted(changes: Mapping[str, Any]) -> dict[str, Any]:
    """The changes, with the dotted options of a part joined to what chooses it.

    Raises:
        ValueError: A dotted name of no part.
    """
    found = {name: value for name, value in changes.items() if "." not in name}
    dotted: dict[str, dict[str, Any]] = {}
    for name, value in changes.items():
        part, dot, option = name.partition(".")
        if dot and part not in PARTS:
            raise ValueError(f"unknown option '{name}': {did_you_mean(part, PARTS)}")
        if dot:
            dotted.setdefault(part, {})[option] = value
    for part, own in dotted.items():
        chosen = Choice.of(found[part]) if found.get(part) is not None else None
        found[part] = own if chosen is None else chosen.with_options(own)
    return found


def one_length(changes: Mapping[str, Any]) -> Mapping[str, Any]:
    """The changes, where `iterations` alone undoes an earlier `epochs`.

    Raises:
        ValueError: Both are given.
    """
    if changes.get("iterations") is None:
        return changes
    if changes.get("epochs") is not None:
        raise ValueError("both iterations (--iterations) and epochs (--epochs) are given: give one")
    return {**changes, "epochs": None}


OptionsT = TypeVar("OptionsT")


def from_json(options: type[OptionsT], values: Mapping[str, Any]) -> OptionsT:
    """One section back from the JSON that `to_json` made.

    Raises:
        ValueError: An unknown name or an impossible value.
    """
    values = _of_before(values)
    for name in values:
        if name not in hints(options):
            raise ValueError(f"unknown option '{name}': {did_you_mean(name, hints(options))}")
    return options(**{name: coerce(options, name, value) for name, value in values.items()})


def _of_before(values: Mapping[str, Any]) -> Mapping[str, Any]:
    """A training section of before objectives had options of their own, as one of now."""
    flat = {SHORT[name]: value for name, value in values.items() if name in SHORT}
    if not flat:
        return values
    if values["objective"] == "importance-weighted":
        flat = {"samples": flat["samples"]}
    rest = {name: value for name, value in values.items() if name not in SHORT}
    return {**rest, "objective": {"name": values["objective"], **flat}}


def to_json(options: Any) -> dict[str, Any]:
    """One section as JSON-ready plain data."""
    return to_plain({name: getattr(options, name) for name in hints(type(options))})


def to_plain(values: Mapping[str, Any]) -> dict[str, Any]:
    """Options by name as JSON-ready plain data."""
    return {name: _plain(value) for name, value in values.items()}


def _plain(value: Any) -> Any:
    if isinstance(value, Choice):
        return value.to_json()
    if isinstance(value, Path):
        return str(value)
    return list(value) if isinstance(value, tuple) else value


def coerce(options: type, name: str, value: Any, old: Any = None) -> Any:
    """``value`` as the type of the field ``name``, by `convert`.

    A mapping without a name changes the ``old`` choice of a part.

    Raises:
        ValueError: The value is of another type; names the option, the value and the type.
    """
    old = old if isinstance(old, Choice) else None
    if name in PARTS and isinstance(value, Mapping) and old is None and "name" not in value:
        given = ", ".join(f"--{name}.{key.replace('_', '-')}" for key in value)
        raise ValueError(f"{given} is an option of a part: give its name too, as --{name} NAME")
    return convert(hints(options)[name], value, flags(name), old=old)
