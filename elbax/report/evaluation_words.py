"""The objects of `elbax.run.evaluation` in a few lines for people."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from elbax.evaluate.quantities import LOG_LIKELIHOOD
from elbax.report.console import bound_in_words, labels_in_words
from elbax.util.words import number, plus_minus

BIAS = (
    "No error above covers bias: every estimate of log p is on average too low, the more so the "
    "fewer its effective samples, and other training would give another model."
)


def heading(found: Mapping[str, Any]) -> str:
    """``mnist, test: 10,000 rows``."""
    binarised = "" if found["binarize"] == "none" else f", binarised ({found['binarize']})"
    return f"{found['data']}, {found['split']}: {found['count']:,} rows{binarised}"


def in_words(found: Mapping[str, Any]) -> list[str]:
    """An estimator's result."""
    estimator = found["estimator"]
    if estimator == "elbo":
        return _elbo(found)
    if estimator == "gap":
        return _gap(found)
    if estimator == "latents":
        return _latents(found)
    if estimator == "samples":
        return _samples(found)
    if estimator == "disentanglement":
        return _disentanglement(found)
    return _likelihood(found)


def pm(found: Mapping[str, Any] | None, digits: int = 2) -> str:
    """``−104.21 ± 0.31``; a dash where there is nothing."""
    found = found or {}
    return plus_minus(found.get("mean"), found.get("standard_error"), digits)


def _line(name: str, words: str) -> str:
    return f"{name:<12}{words}"


def _elbo(found: Mapping[str, Any]) -> list[str]:
    lines = [_line("elbo", bound_in_words(found))]
    draws = f"{found['samples']} draw{'s' * (found['samples'] > 1)} z ~ q(z|x) a row"
    what = LOG_LIKELIHOOD[found["quantity"]].bound
    lines.append(_line("", f"{what}; {draws}{_bits(found)}"))
    if "labels" in found:
        lines.append(_line("labels", labels_in_words(found["labels"])))
    return lines


def _what(found: Mapping[str, Any]) -> str:
    """What the estimate is of."""
    return LOG_LIKELIHOOD[found["quantity"]].short


def _bits(found: Mapping[str, Any]) -> str:
    bits = found["bits_per_dimension"]
    return "" if bits is None else f"; {bits:.3f} bits per dimension"


def _likelihood(found: Mapping[str, Any]) -> list[str]:
    value = found["log_likelihood"]
    unit = "chains" if found["estimator"] == "annealed" else "samples"
    lines = [
        _line(
            found["estimator"],
            f"{pm(value)} nats per datum: {_what(found)}{_bits(found)}",
        ),
    ]
    monte_carlo = value["monte_carlo_error"]
    alone = "unknown" if monte_carlo is None else f"± {monte_carlo:.2g}"
    lines.append(
        _line(
            "", f"± is over the rows; Monte Carlo alone {alone} ({found['samples']:,} {unit} a row)"
        )
    )
    size = found["effective_sample_size"]
    tail = found["pareto_k"]
    share = ""
    if tail is not None and tail["share_above"] is not None and tail["threshold"] is not None:
        share = f"; Pareto k̂ above {tail['threshold']:.2f} for {tail['share_above']:.1%} of rows"
    lines.append(
        _line(
            "",
            f"effective {unit}: median {number(size['median'], 1)} of {found['samples']:,}, "
            f"least {number(size['minimum'], 1)}{share}",
        )
    )
    needed = found.get("samples_needed")
    if needed is not None and needed["log10_median"] is not None:
        lines.append(
            _line(
                "",
                f"enough would be about 10^{needed['log10_median']:.1f} samples for the median row "
                f"(10^{needed['log10_maximum']:.1f} for the worst): exp KL(posterior ‖ prior)",
            )
        )
    certified = found.get("sandwich")
    if certified is not None:
        lines.append(
            _line(
                "",
                f"on {certified['count']} rows simulated from the model, forward and backward "
                f"annealing lie {pm(certified['gap'])} nats apart",
            )
        )
    lines.append(_line("trust", f"{found['trust']}: {found['reason']}"))
    return lines


def _gap(found: Mapping[str, Any]) -> list[str]:
    split = found["elbo_split"]
    return [
        _line(
            "gap",
            f"{_what(found)} {pm(found['log_likelihood'])}, ELBO {pm(found['elbo'])} nats",
        ),
        _line(
            "",
            f"short by approximation {pm(found['approximation'])} (the posterior's family) and "
            f"amortisation {pm(found['amortisation'])} (the encoder)",
        ),
        _line("rate", f"{pm(found['rate'])} nats; distortion {pm(found['distortion'])} nats"),
        _line(
            "split",
            f"ELBO = reconstruction {number(split['reconstruction'])} − mutual information "
            f"{number(split['mutual_information'])} − KL of the aggregate posterior "
            f"{number(split['aggregate_kl'])}",
        ),
        _line(
            "",
            f"the mutual information cannot be seen above log N = {number(split['ceiling'])} "
            f"(N = {split['count']:,})",
        ),
    ]


def _latents(found: Mapping[str, Any]) -> list[str]:
    lines = []
    if found["active"] is not None:
        lines.append(_line("latents", f"{found['active']} of {found['latent_dim']} active"))
    verdict = found["collapse"]
    if verdict is not None:
        mend = f": {verdict['remedy']}" if verdict["remedy"] else ""
        lines.append(_line("collapse", f"{verdict['verdict']}{mend}"))
    if found["kl_by_latent"] is not None:
        values = ", ".join(number(value["mean"]) for value in found["kl_by_latent"])
        lines.append(_line("KL", f"by latent, nats: {values}"))
    correlation = found["total_correlation"]
    if correlation is not None:
        saturated = ", saturated: give more rows" if correlation["saturated"] else ""
        lines.append(
            _line(
                "correlation",
                f"total {pm(correlation)} nats (N = {correlation['count']:,}, ceiling log N = "
                f"{correlation['ceiling']:.2f}{saturated})",
            )
        )
    for name, words in (
        ("neighbour_accuracy", "5 nearest neighbours"),
        ("linear_probe_accuracy", "a linear probe"),
    ):
        if found[name] is not None:
            lines.append(_line("labels", f"{words} classify {pm(found[name], 3)} rightly"))
    lines += [_line("undefined", f"{name}: {why}") for name, why in found["undefined"].items()]
    return lines


def _disentanglement(found: Mapping[str, Any]) -> list[str]:
    dci = found["dci"]
    return [
        _line(
            "factors",
            f"{', '.join(found['factors'])}; scores from 0 to 1, of {found['rows']:,} rows",
        ),
        _line("MIG", f"{pm(found['mutual_information_gap'], 3)} (mutual information gap)"),
        _line("SAP", f"{pm(found['sap'], 3)} (how much better the best latent predicts a factor)"),
        _line(
            "DCI",
            f"disentanglement {number(dci['disentanglement'], 3)}, completeness "
            f"{number(dci['completeness'], 3)}, informativeness {pm(dci['informativeness'], 3)}",
        ),
        _line("FactorVAE", f"{pm(found['factor_vae'], 3)} (a fifth is guessing)"),
    ]


def _samples(found: Mapping[str, Any]) -> list[str]:
    copies = found["memorisation"]
    shares = ", ".join(
        f"{name} {pm(found[name])}" for name in ("precision", "recall", "density", "coverage")
    )
    return [
        _line(
            "samples",
            f"{found['generated']:,} {found['samples_are']}, against {found['compared']:,} rows",
        ),
        _line("features", found["feature_space"]),
        _line(
            "distance",
            f"Fréchet {number(found['frechet_distance'], 3)}, kernel "
            f"{pm(found['kernel_distance'], 4)}",
        ),
        _line("coverage", shares),
        _line(
            "memory",
            f"{pm(copies['share'], 3)} of samples lie as near to one of "
            f"{copies['training_rows']:,} training rows as the nearest "
            f"{number(copies['held_out_share'], 3)} of new rows; z-score of all distances "
            f"{number(copies['z_score'], 1)} (−3 or less: copies)",
        ),
    ]
