"""One sentence about a run, by a stated rule; the same run gives the same sentence."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from elbax.run.run import Run
from elbax.util.words import plus_minus

Trend = Literal["improving", "level", "worse", "unknown"]

# A change of the validation loss counts from 0.2% of the best one on, and from 0.05 nats: below
# that lies the noise of one draw z per row.
TREND_SHARE, TREND_NATS = 0.002, 0.05


def verdict(run: Run) -> str:
    """The run in one sentence.

    It joins, where they apply: how the run ended if not well; the bound on the test rows (else the
    training rows) with one standard error; the active latents, and that none of them is (posterior
    collapse); and how validation ended (`validation_trend`).
    """
    results = run.results or {}
    clauses = [
        _ending(results, run.config["iterations"]),
        _bound(results, run.config),
        _latents(results.get("active_latents"), run.config["model"]["latent_dim"]),
        _validation(run.history.get("validation") or {}, results.get("model")),
    ]
    sentence = "; ".join(clause for clause in clauses if clause)
    return sentence[:1].upper() + sentence[1:] + "."


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


def _ending(results: Mapping[str, Any], planned: int) -> str:
    progress = f"step {results['iterations']:,} of {planned:,}"
    if results["outcome"] == "diverged":
        message = results.get("message", "")
        why = f" ({message.rstrip('.')})" if message else ""
        return f"training diverged{why}, and this is the last good state, {progress}"
    if results["outcome"] == "interrupted":
        return f"the run was interrupted at {progress}"
    return ""


def _bound(results: Mapping[str, Any], config: Mapping[str, Any]) -> str:
    which = "test" if results.get("test") else "train"
    numbers = results.get(which)
    datum = "image" if config["data"]["kind"] == "images" else "row"
    noun = f"{which.replace('train', 'training')} {datum}"
    if not numbers:
        return f"the bound on a {noun} was not measured"
    errors = numbers.get("standard_error", {})
    if "elbo" not in numbers:
        value = plus_minus(numbers["reconstruction"], errors["reconstruction"])
        return (
            f"the log-likelihood of a {noun} at its own latent is {value} nats "
            "on average, and there is no bound, for the posterior is a point"
        )
    elbo, error = numbers["elbo"], errors.get("elbo")
    if elbo is None or not math.isfinite(elbo):
        return f"the bound on a {noun} is not a finite number"
    if config["likelihood"]["name"] == "bernoulli":
        return f"the model explains a {noun} to within {plus_minus(-elbo, error)} nats"
    return f"the log-density of a {noun} is at least {plus_minus(elbo, error)} nats on average"


def _latents(active: int | None, total: int) -> str:
    if active is None:
        return ""
    if active == 0:
        which = f"none of the {total} latents is" if total > 1 else "the only latent is not"
        return (
            f"{which} active: the decoder ignores them, as it should only if the data have no "
            "structure"
        )
    if total == 1:
        return "the only latent is active"
    return f"{active} of {total} latents {'is' if active == 1 else 'are'} active"


def _validation(validation: Mapping[str, Any], model: str | None) -> str:
    steps = [int(step) for step in validation.get("step", ())]
    losses = validation_losses(validation)
    trend = validation_trend(steps, losses)
    if trend == "worse":
        step = steps[losses.index(min(loss for loss in losses if math.isfinite(loss)))]
        kept = (
            "the parameters of that step are the ones kept"
            if model == "best"
            else "the model overfits, and the best parameters are those of that step"
        )
        return f"validation got worse after step {step:,}: {kept}"
    return {
        "improving": "validation was still improving at the end, so longer training would help",
        "level": "validation had levelled off by the end",
        "unknown": "validation was measured too seldom to say whether longer training would help",
    }[trend]


def validation_losses(validation: Mapping[str, Any]) -> list[float]:
    """−ELBO at each validation, nats per datum; the loss, where there is no bound."""
    if "elbo" in validation:
        return [-float(elbo) for elbo in validation["elbo"]]
    return [float(loss) for loss in validation.get("loss", ())]
