"""What elbax sets out to reach, and whether a run of the benchmark found it reached."""

import dataclasses
from typing import Any

Path = tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class Target:
    """An upper bound on one figure.

    Attributes:
        name: What is bounded, in words.
        where: The way to the figure through the results.
        limit: The bound.
        unit: Its unit; empty for a ratio.
        platforms: Where it was set: on "cpu", or on "gpu".
        aim: What we would rather have.
    """

    name: str
    where: Path
    limit: float
    unit: str = ""
    platforms: tuple[str, ...] = ("cpu", "gpu")
    aim: float | None = None


def _over(rival: str) -> Path:
    return ("step", "elbax_over", rival, "median")


_CPU = ("cpu",)

TARGETS = (
    Target("step, elbax / numpyro", _over("numpyro_svi"), 0.95, platforms=_CPU),
    Target("step, elbax / PyTorch eager", _over("torch_eager"), 0.5, platforms=_CPU),
    Target("step, elbax / pythae", _over("pythae_trainer"), 0.35, platforms=_CPU),
    Target("step, elbax / floor", _over("floor"), 1.45, platforms=_CPU, aim=1.25),
    Target(
        "step (10,000 in 1.5 s)",
        ("step", "milliseconds", "elbax_step", "median"),
        0.15,
        "ms",
        platforms=("gpu",),
    ),
    Target(
        "importance-weighted log-likelihood, elbax / its products",
        ("importance", "elbax_over", "floor", "median"),
        1.5,
        platforms=_CPU,
    ),
    Target(
        "the same, elbax / pythae",
        ("importance", "elbax_over", "pythae_trainer", "median"),
        0.25,
        platforms=_CPU,
    ),
    Target(
        "its peak memory, growth with 200 × the samples",
        ("importance", "memory", "growth"),
        50,
        "MB",
        _CPU,
    ),
    Target(
        "convolutional step, elbax / PyTorch eager",
        ("conv", "elbax_over", "torch_conv", "median"),
        1.0,
        platforms=_CPU,
    ),
    Target("compilation of a composition, the longest", ("compile", "longest"), 15, "s", _CPU),
    Target("elbax --help", ("help", "help", "median"), 0.3, "s"),
    Target("peak memory up to the saved model", ("memory", "until_model"), 750, "MB", _CPU),
)


def judge(results: dict[str, Any], platform: str) -> list[dict[str, Any]]:
    """Each target with what was measured, and whether it was met; without those not measured."""
    judged = []
    for target in TARGETS:
        value = _find(results, target.where)
        if value is None or platform not in target.platforms:
            continue
        judged.append(
            {
                "name": target.name,
                "measured": value,
                "limit": target.limit,
                "unit": target.unit,
                "aim": target.aim,
                "met": value <= target.limit,
            }
        )
    return judged


def _find(results: Any, where: Path) -> float | None:
    for name in where:
        if not isinstance(results, dict) or name not in results:
            return None
        results = results[name]
    return results
