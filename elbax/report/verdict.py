"""What there is to say about a run: its facts, and one sentence about them by a stated rule."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from elbax.recipes.choice import Choice

Trend = Literal["improving", "level", "worse", "unknown"]

# A change of the validation loss counts from 0.2% of the best one on, and from 0.05 nats: below
# that lies the noise of one draw z per row.
TREND_SHARE, TREND_NATS = 0.002, 0.05


@dataclass(frozen=True)
class ReportFacts:
    """What the report says. All bounds are in nats per datum.

    Attributes:
        run: the run's name.
        outcome: "finished", "stopped early", "diverged" or "interrupted".
        message: what went wrong, where something did.
        iterations: steps taken.
        iterations_planned: steps asked for.
        seconds: of training, compilation included.
        compile_seconds: of compilation.
        ms_per_step: the median over chunks, without compilation, validation and saving.
        test: `elbo`, `reconstruction`, `kl` and `standard_error` (the same three) on the test rows;
            None where there are none.
        train: the same on the training rows.
        active_latents: how many latents are active; None where it was not measured.
        latent_dim: the number of latents.
        kl_per_latent: nats per latent, in the latents' order; empty where the KL does not split.
        validation_steps: steps at which the validation rows were measured, ascending.
        validation_losses: −ELBO there; the loss, where there is no bound.
        kept: "last", or "best" where the numbers are those of the best parameters by validation.
        best_step: the step of the best validation, where there was one.
        kind: "images" or "vectors".
        likelihood: "bernoulli", "normal", …
        grey: whether a Bernoulli likelihood was given values between 0 and 1.
        data: rows of the table about the data: what, and its value.
        model: rows of the table about the model.
        training: rows of the table about the training.
        command: what repeats the run.
        resume: what goes on with it; empty where nothing is left to do.
        versions: names and versions of the software.
        left_out: figures that this run cannot have, each with the line that says why.
        created: when, in words.
    """

    run: str
    iterations: int
    iterations_planned: int
    latent_dim: int
    outcome: str = "finished"
    message: str = ""
    seconds: float | None = None
    compile_seconds: float | None = None
    ms_per_step: float | None = None
    test: Mapping[str, Any] | None = None
    train: Mapping[str, Any] | None = None
    active_latents: int | None = None
    kl_per_latent: Sequence[float] = ()
    validation_steps: Sequence[int] = ()
    validation_losses: Sequence[float] = ()
    kept: str = "last"
    best_step: int | None = None
    kind: str = "images"
    likelihood: str = "bernoulli"
    grey: bool = False
    data: Mapping[str, Any] = field(default_factory=dict)
    model: Mapping[str, Any] = field(default_factory=dict)
    training: Mapping[str, Any] = field(default_factory=dict)
    command: str = ""
    resume: str = ""
    versions: Mapping[str, str] = field(default_factory=dict)
    left_out: Mapping[str, str] = field(default_factory=dict)
    created: str = ""


def facts_from_run(
    run: str,
    config: Mapping[str, Any],
    results: Mapping[str, Any],
    history: Mapping[str, Any],
    *,
    left_out: Mapping[str, str] | None = None,
    resume: str = "",
) -> ReportFacts:
    """The facts of a run folder.

    Args:
        run: the run's name.
        config: the content of config.json.
        results: the content of results.json.
        history: the log, as `RunDirectory.history` gives it.
        left_out: figures that could not be drawn, with the reasons.
        resume: the command that goes on with the run.
    """
    data, model, training = config["data"], config["model"], config["training"]
    likelihood = config["likelihood"]["name"]
    validation = history.get("validation") or {}
    per_latent = (history.get("kl_per_latent") or {}).get("value", ())
    planned = config["iterations"]
    goes_on = results["outcome"] != "finished" or results["iterations"] < planned
    return ReportFacts(
        run=run,
        outcome=results["outcome"],
        message=results.get("message", ""),
        iterations=results["iterations"],
        iterations_planned=planned,
        seconds=results.get("seconds"),
        compile_seconds=results.get("compile_seconds"),
        ms_per_step=results.get("ms_per_step"),
        test=results.get("test"),
        train=results.get("train"),
        active_latents=results.get("active_latents"),
        latent_dim=model["latent_dim"],
        kl_per_latent=[float(value) for value in per_latent[-1]] if len(per_latent) else (),
        validation_steps=[int(step) for step in validation.get("step", ())],
        validation_losses=_validation_losses(validation),
        kept=results.get("model", "last"),
        best_step=(results.get("best") or {}).get("step"),
        kind=data["kind"],
        likelihood=likelihood,
        grey=_is_grey(data, likelihood),
        data=_data_rows(data),
        model=_model_rows(config),
        training={
            _words(name): Choice.of(value) if isinstance(value, dict) else value
            for name, value in training.items()
        },
        command=config["command"] if isinstance(config["command"], str) else "",
        resume=resume if goes_on else "",
        versions={**config["versions"], "device": config["device"]},
        left_out=left_out or {},
        created=config.get("created", ""),
    )


def _validation_losses(validation: Mapping[str, Any]) -> list[float]:
    if "elbo" in validation:
        return [-float(elbo) for elbo in validation["elbo"]]
    return [float(loss) for loss in validation.get("loss", ())]


def _is_grey(data: Mapping[str, Any], likelihood: str) -> bool:
    if likelihood != "bernoulli" or data.get("binarize", "none") != "none":
        return False
    return data["scale"] < 1 or "float" in data["dtype"]


def _data_rows(data: Mapping[str, Any]) -> dict[str, Any]:
    rows = data["rows"]
    return {
        "name": data["name"],
        "source": data["source"],
        "kind": f"{data['kind']} of shape {' × '.join(map(str, data['shape']))}, {data['dtype']}",
        "rows": ", ".join(
            f"{rows[key]:,} {word}"
            for key, word in (
                ("train", "training"),
                ("validation", "validation"),
                ("test", "test"),
            )
        ),
        "split": data["splits"],
        "binarised": data.get("binarize", "none"),
        "fingerprint": data["fingerprint"],
    }


def _model_rows(config: Mapping[str, Any]) -> dict[str, Any]:
    chosen = config["likelihood"]
    rows = {"recipe": config["recipe"], "parameters": f"{config['parameters']:,}"}
    for name, value in config["model"].items():
        choice = Choice.of(value) if isinstance(value, dict) else value
        rows[_words(name)] = ", ".join(map(str, value)) if isinstance(value, list) else choice
    likelihood = Choice(chosen["name"]).with_options(chosen.get("options", {}))
    rows["likelihood"] = f"{likelihood}: {chosen['reason']}"
    return rows


def _words(name: str) -> str:
    return name.replace("_", " ")


# --- the verdict -----------------------------------------------------------------------------


def validation_trend(steps: Sequence[int], losses: Sequence[float]) -> Trend:
    """How the validation loss ended.

    The rule: a difference counts when it exceeds 0.2% of the best loss and 0.05 nats. "worse": the
    last loss lies above the best one by a difference that counts (the model overfits).
    "improving": the last loss lies below the one at 80% of the way (the last validation not
    after it) by a difference that counts. "level": neither. "unknown": fewer than two losses
    that are finite.

    Args:
        steps: ascending.
        losses: nats per datum, lower is better.
    """
    pairs = [(s, v) for s, v in zip(steps, losses, strict=True) if math.isfinite(v)]
    if len(pairs) < 2:
        return "unknown"
    last_step, last = pairs[-1]
    best = min(loss for _, loss in pairs)
    counts = max(TREND_NATS, TREND_SHARE * abs(best))
    if last - best > counts:
        return "worse"
    earlier = [loss for step, loss in pairs[:-1] if step <= 0.8 * last_step] or [pairs[0][1]]
    return "improving" if earlier[-1] - last > counts else "level"


def verdict(facts: ReportFacts) -> str:
    """The run in one sentence; the same facts give the same sentence.

    It joins, where they apply: how the run ended if not well; the bound on the test rows (else the
    training rows) with one standard error; the active latents, and that none of them is (posterior
    collapse); and how validation ended (`validation_trend`).
    """
    clauses = [_ending(facts), _bound(facts), _latents(facts), _validation(facts)]
    sentence = "; ".join(clause for clause in clauses if clause)
    return sentence[:1].upper() + sentence[1:] + "."


def _ending(facts: ReportFacts) -> str:
    progress = f"step {facts.iterations:,} of {facts.iterations_planned:,}"
    if facts.outcome == "diverged":
        why = f" ({facts.message.rstrip('.')})" if facts.message else ""
        return f"training diverged{why}, and this is the last good state, {progress}"
    if facts.outcome == "interrupted":
        return f"the run was interrupted at {progress}"
    return ""


def _bound(facts: ReportFacts) -> str:
    numbers, which = (facts.test, "test") if facts.test else (facts.train, "training")
    noun = f"{which} image" if facts.kind == "images" else f"{which} row"
    if not numbers:
        return f"the bound on a {noun} was not measured"
    if "elbo" not in numbers:
        value, error = numbers["reconstruction"], numbers["standard_error"]["reconstruction"]
        return (
            f"the log-likelihood of a {noun} at its own latent is {plus_minus(value, error)} nats "
            "on average, and there is no bound, for the posterior is a point"
        )
    elbo, error = numbers["elbo"], numbers.get("standard_error", {}).get("elbo")
    if elbo is None or not math.isfinite(elbo):
        return f"the bound on a {noun} is not a finite number"
    if facts.likelihood == "bernoulli":
        return f"the model explains a {noun} to within {plus_minus(-elbo, error)} nats"
    return f"the log-density of a {noun} is at least {plus_minus(elbo, error)} nats on average"


def _latents(facts: ReportFacts) -> str:
    active, all_ = facts.active_latents, facts.latent_dim
    if active is None:
        return ""
    if active == 0:
        which = (
            "the only latent is not active"
            if all_ == 1
            else f"none of the {all_} latents is active"
        )
        return f"{which}: the decoder ignores them, as it should only if the data have no structure"
    if all_ == 1:
        return "the only latent is active"
    return f"{active} of {all_} latents {'is' if active == 1 else 'are'} active"


def _validation(facts: ReportFacts) -> str:
    trend = validation_trend(facts.validation_steps, facts.validation_losses)
    if trend == "worse":
        best = min(v for v in facts.validation_losses if math.isfinite(v))
        step = facts.validation_steps[list(facts.validation_losses).index(best)]
        kept = (
            "the parameters of that step are the ones kept"
            if facts.kept == "best"
            else "the model overfits, and the best parameters are those of that step"
        )
        return f"validation got worse after step {step:,}: {kept}"
    return {
        "improving": "validation was still improving at the end, so longer training would help",
        "level": "validation had levelled off by the end",
        "unknown": "validation was measured too seldom to say whether longer training would help",
    }[trend]


def plus_minus(value: float, error: float | None) -> str:
    """104.2 ± 0.3, or 14.24 ± 0.05: as many decimals as the error's first digit needs."""
    if error is None or not math.isfinite(error):
        return number(value, 1)
    decimals = 1 if error == 0 else min(4, max(1, -math.floor(math.log10(error))))
    return f"{number(value, decimals)} ± {error:.{decimals}f}"


def number(value: float, decimals: int) -> str:
    """A number with so many decimals, its thousands apart and a true minus."""
    return f"{value:,.{decimals}f}".replace("-", "−")
