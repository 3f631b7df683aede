"""The objects of `elbax.run.evaluation` in a few lines for people."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from elbax.evaluate.quantities import LOG_LIKELIHOOD
from elbax.report.console import bound_in_words, codes_in_words, labels_in_words
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
    lines = _OF_ESTIMATOR.get(found["estimator"], _likelihood)(found)
    return [f"{name:<12}{words}" for name, words in lines]


def pm(found: Mapping[str, Any] | None, digits: int = 2) -> str:
    """``−104.21 ± 0.31``; a dash where there is nothing."""
    found = found or {}
    return plus_minus(found.get("mean"), found.get("standard_error"), digits)


Lines = Iterator[tuple[str, str]]  # what each line is of, and its words


def _elbo(found: Mapping[str, Any]) -> Lines:
    yield "elbo", bound_in_words(found)
    draws = f"{found['samples']} draw{'s' * (found['samples'] > 1)} z ~ q(z|x) a row"
    yield "", f"{LOG_LIKELIHOOD[found['quantity']].bound}; {draws}{_bits(found)}"
    if "labels" in found:
        yield "labels", labels_in_words(found["labels"])


def _bits(found: Mapping[str, Any]) -> str:
    bits = found["bits_per_dimension"]
    return "" if bits is None else f"; {bits:.3f} bits per dimension"


def _likelihood(found: Mapping[str, Any]) -> Lines:
    value, drawn = found["log_likelihood"], f"{found['samples']:,}"
    what = LOG_LIKELIHOOD[found["quantity"]].short
    unit = "chains" if found["estimator"] == "annealed" else "samples"
    yield found["estimator"], f"{pm(value)} nats per datum: {what}{_bits(found)}"
    monte_carlo = value["monte_carlo_error"]
    alone = "unknown" if monte_carlo is None else f"± {monte_carlo:.2g}"
    yield "", f"± is over the rows; Monte Carlo alone {alone} ({drawn} {unit} a row)"
    size, tail = found["effective_sample_size"], found["pareto_k"]
    share = ""
    if tail is not None and tail["share_above"] is not None and tail["threshold"] is not None:
        share = f"; Pareto k̂ above {tail['threshold']:.2f} for {tail['share_above']:.1%} of rows"
    line = (
        f"effective {unit}: median {number(size['median'], 1)} of {drawn}, "
        f"least {number(size['minimum'], 1)}{share}"
    )
    yield "", line
    needed = found.get("samples_needed")
    if needed is not None and needed["log10_median"] is not None:
        line = (
            f"enough would be about 10^{needed['log10_median']:.1f} samples for the median row "
            f"(10^{needed['log10_maximum']:.1f} for the worst): exp KL(posterior ‖ prior)"
        )
        yield "", line
    certified = found.get("sandwich")
    if certified is not None:
        line = (
            f"on {certified['count']} rows simulated from the model, forward and backward "
            f"annealing lie {pm(certified['gap'])} nats apart"
        )
        yield "", line
    yield "trust", f"{found['trust']}: {found['reason']}"


def _gap(found: Mapping[str, Any]) -> Lines:
    split, what = found["elbo_split"], LOG_LIKELIHOOD[found["quantity"]].short
    yield "gap", f"{what} {pm(found['log_likelihood'])}, ELBO {pm(found['elbo'])} nats"
    line = (
        f"short by approximation {pm(found['approximation'])} (the posterior's family) and "
        f"amortisation {pm(found['amortisation'])} (the encoder)"
    )
    yield "", line
    yield "rate", f"{pm(found['rate'])} nats; distortion {pm(found['distortion'])} nats"
    line = (
        f"ELBO = reconstruction {number(split['reconstruction'])} − mutual information "
        f"{number(split['mutual_information'])} − KL of the aggregate posterior "
        f"{number(split['aggregate_kl'])}"
    )
    yield "split", line
    line = (
        f"the mutual information cannot be seen above log N = {number(split['ceiling'])} "
        f"(N = {split['count']:,})"
    )
    yield "", line


def _latents(found: Mapping[str, Any]) -> Lines:
    if found["active"] is not None:
        yield "latents", f"{found['active']} of {found['latent_dim']} active"
    if "codes" in found:
        yield "codes", codes_in_words(found["codes"])
    verdict = found["collapse"]
    if verdict is not None:
        mend = f": {verdict['remedy']}" if verdict["remedy"] else ""
        yield "collapse", f"{verdict['verdict']}{mend}"
    if found["kl_by_latent"] is not None:
        values = ", ".join(number(value["mean"]) for value in found["kl_by_latent"])
        yield "KL", f"by latent, nats: {values}"
    correlation = found["total_correlation"]
    if correlation is not None:
        saturated = ", saturated: give more rows" if correlation["saturated"] else ""
        line = (
            f"total {pm(correlation)} nats (N = {correlation['count']:,}, ceiling log N = "
            f"{correlation['ceiling']:.2f}{saturated})"
        )
        yield "correlation", line
    for name, words in (
        ("neighbour_accuracy", "5 nearest neighbours"),
        ("linear_probe_accuracy", "a linear probe"),
    ):
        if found[name] is not None:
            yield "labels", f"{words} classify {pm(found[name], 3)} rightly"
    for name, why in found["undefined"].items():
        yield "undefined", f"{name}: {why}"


def _disentanglement(found: Mapping[str, Any]) -> Lines:
    dci = found["dci"]
    factors = ", ".join(found["factors"])
    yield "factors", f"{factors}; scores from 0 to 1, of {found['rows']:,} rows"
    yield "MIG", f"{pm(found['mutual_information_gap'], 3)} (mutual information gap)"
    yield "SAP", f"{pm(found['sap'], 3)} (how much better the best latent predicts a factor)"
    line = (
        f"disentanglement {number(dci['disentanglement'], 3)}, completeness "
        f"{number(dci['completeness'], 3)}, informativeness {pm(dci['informativeness'], 3)}"
    )
    yield "DCI", line
    yield "FactorVAE", f"{pm(found['factor_vae'], 3)} (a fifth is guessing)"
    if "beta_vae" in found:  # not in evaluations made before these scores were
        yield "β-VAE", f"{pm(found['beta_vae'], 3)} (a fifth is guessing)"
        line = (
            f"{pm(found['modularity'], 3)} (a latent tells of one factor only; noise is not near 0)"
        )
        yield "modularity", line
        if found["explicitness"] is not None:
            line = (
                f"{pm(found['explicitness'], 3)} (a linear classifier's area; a half is guessing)"
            )
            yield "explicit", line
        for name, why in found["undefined"].items():
            yield "undefined", f"{name}: {why}"


def _samples(found: Mapping[str, Any]) -> Lines:
    compared = f"against {found['compared']:,} rows"
    yield "samples", f"{found['generated']:,} {found['samples_are']}, {compared}"
    yield "features", found["feature_space"]
    frechet, kernel = number(found["frechet_distance"], 3), pm(found["kernel_distance"], 4)
    yield "distance", f"Fréchet {frechet}, kernel {kernel}"
    shares = ("precision", "recall", "density", "coverage")
    yield "coverage", ", ".join(f"{name} {pm(found[name])}" for name in shares)
    copies = found["memorisation"]
    line = (
        f"{pm(copies['share'], 3)} of samples lie as near to one of "
        f"{copies['training_rows']:,} training rows as the nearest "
        f"{number(copies['held_out_share'], 3)} of new rows; z-score of all distances "
        f"{number(copies['z_score'], 1)} (−3 or less: copies)"
    )
    yield "memory", line


_OF_ESTIMATOR: dict[str, Callable[[Mapping[str, Any]], Lines]] = {
    "elbo": _elbo,
    "gap": _gap,
    "latents": _latents,
    "samples": _samples,
    "disentanglement": _disentanglement,
}
