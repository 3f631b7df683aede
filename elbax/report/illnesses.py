"""The usual illnesses of a trained model, one function each."""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from elbax.evaluate import ElboEstimate, Mean, elbo, has_bound, kl_by_latent, map_rows, mean
from elbax.evaluate.gaps import inference_gap
from elbax.evaluate.latents.expost import ROWS as FITTED_ROWS
from elbax.evaluate.latents.expost import fitted, gain
from elbax.evaluate.latents.units import active_units, collapse
from elbax.evaluate.latents.usage import code_use
from elbax.evaluate.tiles import Conditioned, Rows
from elbax.model.compatibility import latent_kind
from elbax.model.distributions.basic import sample
from elbax.model.latent_variable_model import Decoder, LatentVariableModel
from elbax.model.likelihoods.real import Normal
from elbax.model.likelihoods.scales import AbstractLocationScale
from elbax.recipes import parts
from elbax.report.verdict import TREND_NATS, TREND_SHARE, validation_losses, validation_trend
from elbax.run import settle
from elbax.run.run import Run
from elbax.util.keys import evaluation_key
from elbax.util.words import number, plus_minus

# Thresholds. Those without a published source are ours, chosen so that the recipes, trained as
# they say, are well.
HALF = 0.5  # of the latents
SHARE = 0.05  # of the KL that a fitted prior would save
PER_LATENT = 0.1  # nats a latent, of a model without a KL
RATIO = 4.0  # of the squared scale and the mean squared error
AT_FLOOR, FLOORED = 1.1, 0.01  # a scale below 1.1 times its floor; in a hundredth of the elements
AMORTISED = 0.1  # of the KL
ERRORS = 3.0  # standard errors that a difference must exceed

# Of the search for the best posteriors: rows, steps and draws. (So short a search finds less than
# there is to find: who is ill by it is ill.)
GAP_ROWS, GAP_STEPS, GAP_DRAWS = 20, 100, 100
_MIXED = 500  # rows from which a mixture of ten is fitted, and below one normal
_SCALED = 200  # rows whose scales and errors are looked at


@dataclasses.dataclass(frozen=True)
class Finding:
    """What was found of one illness.

    Attributes:
        name: Of the illness.
        ill: Whether it is there; None where the model cannot have it.
        figures: What that rests on, by name (nats per datum, unless the name says otherwise).
        threshold: When the model counts as ill.
        source: Who says so.
        words: One sentence.
        options: What to train again with: options of `elbax.train`, by name.
    """

    name: str
    ill: bool | None
    figures: Mapping[str, float | int | None]
    threshold: str
    source: str
    words: str
    options: Mapping[str, Any] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class Patient:
    """A run, its model, and the rows that are looked at.

    Attributes:
        run: The run.
        model: Its model.
        rows: Held-out rows as stored, with their condition where the model has one.
        train: The training rows.
    """

    run: Run
    model: LatentVariableModel
    rows: Rows
    train: Rows

    @property
    def key(self) -> Any:
        """The randomness of evaluation."""
        return evaluation_key(self.run.seed)

    @functools.cached_property
    def bound(self) -> ElboEstimate | None:
        """The bound on the held-out rows; None where there is none."""
        return elbo(self.model, self.rows, key=self.key) if has_bound(self.model) else None

    @property
    def kl(self) -> float | None:
        """The mean KL."""
        return None if self.bound is None else float(np.mean(self.bound.kl))


def collapsed(patient: Patient) -> Finding:
    """Latents that say nothing of the data."""
    about = (
        "collapse",
        f"more than {HALF:.0%} of the latents are inactive, Var_x E_q[z] ≤ 0.01",
        "activity: Burda et al. 2015, §5.2; the share is ours",
    )
    try:
        kl = kl_by_latent(patient.model, patient.rows, key=patient.key)
        active = active_units(patient.model, patient.rows)
    except ValueError as error:
        return _healthy_by_nature(about, str(error))
    asked, steps = settle.objective_options(patient.run.config), patient.run.config["iterations"]
    verdict = collapse(
        np.array([one.mean for one in kl]),
        active,
        beta=asked.get("beta", 1.0),
        warm_up=asked.get("warm_up", 0),
    )
    silent = len(verdict.latents)
    options = {
        "train longer": {"iterations": 3 * steps},
        "lower beta": {"objective.beta": 1.0},
        "warm-up": {"objective.warm_up": max(1, steps // 2)},
        "free bits": {"objective.free_bits": 0.25},
    }.get(verdict.mend, {})
    of_objective = parts.find("objective", patient.run.options.training.objective.name).options
    if any(name.partition("objective.")[2] not in of_objective for name in options if "." in name):
        options = {"objective": "elbo", **options}
    words = f"{len(active) - silent} of {len(active)} latents are active"
    return _found(
        about,
        silent > HALF * len(active),
        {
            "latents": len(active),
            "active": len(active) - silent,
            "kl": float(np.sum([one.mean for one in kl])),
            **{f"kl_of_latent_{j}": one.mean for j, one in enumerate(kl)},
        },
        f"{words}: {verdict.remedy}" if verdict.remedy else words,
        options,
    )


def misweighted(patient: Patient) -> Finding:
    """A fixed scale of the likelihood, beside the errors that the model makes."""
    about = (
        "error scale",
        (
            f"the squared scale is more than {RATIO:g} times the mean squared error, or less than "
            f"a {RATIO:g}th"
        ),
        "the best scale is the root of that error: Rybkin et al. 2021, eq. 7; the factor is ours",
    )
    family = patient.model.decoder
    family = family.likelihood if isinstance(family, Decoder) else None
    if not isinstance(family, Normal) or family.fixed_scale is None:
        return _healthy_by_nature(about, "the likelihood has no fixed scale of squared errors")
    error = float(np.mean(_scales_and_errors(patient)[1]))
    ratio = family.fixed_scale**2 / error
    weight = f"{ratio:.3g} times" if ratio >= 1 else f"a {1 / ratio:.3g}th of"
    words = (
        f"the scale is {family.fixed_scale:g} and the errors' {math.sqrt(error):.3g}: beside the "
        f"best scale the KL has {weight} its weight (as where errors are averaged, not summed)"
    )
    return _found(
        about,
        not 1 / RATIO <= ratio <= RATIO,
        {"scale": family.fixed_scale, "root_mean_squared_error": math.sqrt(error), "ratio": ratio},
        words,
        {"likelihood.scale": "shared"},
    )


def floored(patient: Patient) -> Finding:
    """Learned or predicted scales that lie at their floor, where the density grows without end."""
    about = (
        "saturated scales",
        f"more than {FLOORED:.0%} of the scales are below {AT_FLOOR:g} times their floor",
        "an unbounded likelihood: Mattei & Frellsen 2018, §3; the shares are ours",
    )
    family = patient.model.decoder
    family = family.likelihood if isinstance(family, Decoder) else None
    if not isinstance(family, AbstractLocationScale) or family.fixed_scale is not None:
        return _healthy_by_nature(about, "the likelihood has no scale that is learned")
    low = np.mean(_scales_and_errors(patient)[0] < AT_FLOOR * family.minimum_scale)
    return _found(
        about,
        bool(low > FLOORED),
        {"share_at_floor": float(low), "floor": family.minimum_scale},
        f"{low:.1%} of the scales are at their floor, {family.minimum_scale:g}"
        + (": the density there says nothing of how good the model is" if low > FLOORED else ""),
        {"likelihood.minimum_scale": 10 * family.minimum_scale},
    )


def mismatched(patient: Patient) -> Finding:
    """A prior that is not where the latents of the data are."""
    about = (
        "prior mismatch",
        (
            f"a density fitted to the training rows' latents would save more than {SHARE:.0%} of "
            f"the KL ({PER_LATENT:g} nats a latent without a KL), and {ERRORS:g} standard errors"
        ),
        "the marginal KL of Hoffman & Johnson 2016, from below; the share is ours",
    )
    model = patient.model
    if latent_kind(model) != "real" or model.prior.conditional or model.condition_dim:
        return _healthy_by_nature(about, "the latents are not real vectors under one prior")
    kind = "gaussian-mixture" if len(patient.train) >= _MIXED else "gaussian"
    seed = patient.run.seed
    other = fitted(model, patient.train[:FITTED_ROWS], kind, seed=seed)
    saved = mean(gain(model, other, patient.rows, key=patient.key))
    least = PER_LATENT * model.latent_dim if patient.kl is None else SHARE * patient.kl
    of = "" if patient.kl is None else f" of a KL of {number(patient.kl)}"
    return _found(
        about,
        saved.mean > least and _beyond_errors(saved),
        {"saved": saved.mean, "standard_error": saved.standard_error, "kl": patient.kl},
        (
            f"under a {kind.replace('-', ' of ').replace('of mixture', 'mixture')} fitted "
            f"afterwards the latents cost {_pm(saved)} nats less{of}"
        ),
        {"fit_prior": kind},
    )


def overfitted(patient: Patient) -> Finding:
    """Validation that got worse while training went on."""
    about = (
        "over-fitting",
        (
            f"the last validation loss is above the best by more than {TREND_SHARE:.1%} and "
            f"{TREND_NATS:g} nats, and the parameters kept are the last"
        ),
        "early stopping: Prechelt 1998; the margin is ours",
    )
    validation = patient.run.history.get("validation") or {}
    steps = [int(step) for step in validation.get("step", ())]
    losses = validation_losses(validation)
    trend = validation_trend(steps, losses)
    if trend == "unknown":
        return _healthy_by_nature(about, "validation was measured too seldom to say")
    results = patient.run.results or {}
    finite = [loss for loss in losses if math.isfinite(loss)]
    best, rise = min(finite), finite[-1] - min(finite)
    kept = results.get("model") == "best"
    train, test = (results.get(part) or {} for part in ("train", "test"))
    apart = train["elbo"] - test["elbo"] if "elbo" in train and "elbo" in test else None
    gap = "" if apart is None else f"; the bound is {number(apart)} nats higher on training rows"
    found = "did not get worse" if trend != "worse" else f"rose by {number(rise)} nats"
    after = f" after step {steps[losses.index(best)]:,}" if trend == "worse" else ""
    best_kept = ", whose parameters are the ones kept" if kept and trend == "worse" else ""
    return _found(
        about,
        trend == "worse" and not kept,
        {"best_validation": best, "rise": rise, "train_minus_test": apart},
        f"validation {found}{after}{best_kept}{gap}",
        {"patience": 5, "validate_every": max(1, steps[0])},
    )


def unamortised(patient: Patient) -> Finding:
    """What the encoder loses to the best posterior of its family, datum by datum."""
    about = (
        "amortisation",
        f"the encoder loses more than {AMORTISED:.0%} of the KL and {ERRORS:g} standard errors",
        "the gap: Cremer et al. 2018, eq. 4; the share is ours",
    )
    if isinstance(patient.rows, Conditioned) or patient.kl is None:
        return _healthy_by_nature(about, "there is no bound on log p(x) to be optimised")
    try:
        found = inference_gap(
            patient.model,
            patient.rows[:GAP_ROWS],
            key=patient.key,
            steps=GAP_STEPS,
            samples=GAP_DRAWS,
        ).means()
    except ValueError as error:
        return _healthy_by_nature(about, str(error))
    lost, family = found["amortisation"], found["approximation"]
    options: dict[str, Any] = {"iterations": 3 * patient.run.config["iterations"]}
    hidden = patient.run.options.model.hidden
    if parts.find("network", patient.run.options.model.network.name).wants("hidden"):
        options = {"hidden": tuple(2 * width for width in hidden), **options}
    return _found(
        about,
        lost.mean > AMORTISED * patient.kl and _beyond_errors(lost),
        {
            "amortisation": lost.mean,
            "standard_error": lost.standard_error,
            "approximation": family.mean,
            "kl": patient.kl,
        },
        (
            f"the encoder loses {_pm(lost)} nats to the best posterior of its family, and the "
            f"family {_pm(family)} to the exact one"
        ),
        options,
    )


def unused_codes(patient: Patient) -> Finding:
    """Codes that nothing is encoded by."""
    about = (
        "dead codes",
        f"more than {HALF:.0%} of the codes are chosen for no training row",
        "codebook collapse: Łańcucki et al. 2020, §2; the share is ours",
    )
    if latent_kind(patient.model) != "codes":
        return _healthy_by_nature(about, "the latents are no codes")
    use = code_use(patient.model, patient.train, key=patient.key)
    codes, used = use.counts.size, int(use.used.sum())
    asked = settle.objective_options(patient.run.config)
    count = use.counts.shape[1]
    restart = "restart" in asked and asked["restart"] == 0
    options = {"objective.restart": 0.05} if restart else {"posterior.count": max(2, count // 4)}
    if "count" not in parts.find("posterior", patient.run.options.model.posterior.name).options:
        options = {}  # codes that are not learned: their levels say how many there are
    return _found(
        about,
        codes - used > HALF * codes,
        {"codes": codes, "used": used, "perplexity": float(use.perplexity.mean())},
        f"{used:,} of {codes:,} codes are chosen, with a perplexity of "
        f"{number(float(use.perplexity.mean()), 1)}",
        options,
    )


CHECKS: tuple[Callable[[Patient], Finding], ...] = (
    collapsed,
    misweighted,
    floored,
    mismatched,
    overfitted,
    unamortised,
    unused_codes,
)
"""What is looked for, in this order."""


def _scales_and_errors(patient: Patient) -> tuple[np.ndarray, np.ndarray]:
    """The scale, and the squared error of the location, of each element of some held-out rows."""
    rows = patient.rows[:_SCALED]
    scales, errors = map_rows(_scale_and_error, patient.model, rows, patient.key)
    return np.asarray(scales, np.float64), np.asarray(errors[~np.isnan(errors)], np.float64)


def _scale_and_error(model: LatentVariableModel, row: Any, key: Any) -> tuple[Any, Any]:
    x = model.preprocessing(row)
    p = model.decode(sample(model.encode(x), key))
    return p.scale, (x - p.loc) ** 2


def _found(
    about: tuple[str, str, str],
    ill: bool,
    figures: Mapping[str, Any],
    words: str,
    options: Mapping[str, Any],
) -> Finding:
    name, threshold, source = about
    return Finding(name, ill, figures, threshold, source, words, options if ill else {})


def _healthy_by_nature(about: tuple[str, str, str], words: str) -> Finding:
    name, threshold, source = about
    return Finding(name, None, {}, threshold, source, words)


def _beyond_errors(value: Mean) -> bool:
    return value.mean > ERRORS * value.standard_error


def _pm(value: Mean) -> str:
    return plus_minus(value.mean, value.standard_error)
