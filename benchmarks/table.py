"""The results as Markdown, for people and for the README."""

from typing import Any

_NAMES = {
    "elbax_step": "**elbax** (`fit` as it runs)",
    "numpyro_svi": "numpyro, compiled loop",
    "torch_eager": "PyTorch, eager, fused Adam",
    "torch_compile": "PyTorch, `torch.compile`",
    "pythae_trainer": "pythae, its own trainer",
    "elbax_conv": "**elbax** (`fit` as it runs)",
    "torch_conv": "PyTorch, eager, fused Adam, the same layers",
    "floor": "floor: the FLOPs at XLA's 2048³ rate",
    "products": "the step's matrix products alone, compiled",
}


_REST = ("first-step", "compile", "memory", "help", "throughput", "importance")


def render(record: dict[str, Any]) -> str:
    """The whole record, one section a measurement."""
    results = record["results"]
    parts = [_head(record)]
    if "step" in results:
        parts.append(_step(results["step"], "One training step", "elbax_step"))
    if "conv" in results:
        title = "One training step with 4 × 4 convolutions of stride 2 (32, 64; dense 256)"
        parts.append(_step(results["conv"], title, "elbax_conv"))
    if not results.keys().isdisjoint(_REST):
        parts.append(_others(results))
    if record["targets"]:
        parts.append(_targets(record["targets"]))
    return "\n\n".join(parts) + "\n"


def _head(record: dict[str, Any]) -> str:
    machine, work = record["machine"], record["workload"]
    versions = ", ".join(f"{k} {v}" for k, v in machine["versions"].items() if v)
    where = f"{machine['cpu']}, {machine['cores']} cores, {machine['memory_gib']} GiB"
    if machine["gpu"]:
        where += f"; GPU: {machine['gpu']}"
    lines = [
        f"# Benchmark, {_days(record)}",
        "",
        (
            f"{where}; {machine['os']}; Python {machine['python']}; {versions}; "
            f"{_commits(record)}. {record['threads']} threads for everybody, float32."
        ),
        "",
        (
            f"The work: {work['network']}, {work['optimizer']}, batch {work['batch']}, "
            f"{work['objective']}; data: {work['data']}; seed {work['seed']}."
        ),
    ]
    return "\n".join(lines)


def _days(record: dict[str, Any]) -> str:
    return ", ".join(sorted({part["date"][:10] for part in record["measured"].values()}))


def _commits(record: dict[str, Any]) -> str:
    """The commit, or each with what was measured at it."""
    parts: dict[str, list[str]] = {}
    for name, part in record["measured"].items():
        parts.setdefault(part["commit"], []).append(name)
    if len(parts) == 1:
        return f"commit {next(iter(parts))}"
    told = (f"{commit} ({', '.join(names)})" for commit, names in parts.items())
    return f"commits {', '.join(told)}"


def _step(step: dict[str, Any], title: str, ours: str) -> str:
    lines = [
        (
            f"## {title}, medians of {step['rounds']} interleaved rounds of "
            f"{step['steps_per_round']} steps"
        ),
        "",
        "| | device | ms a step (quartiles) | elbax takes, of that (min–max over rounds) |",
        "|---|---|---|---|",
    ]
    for name, ms in step["milliseconds"].items():
        device = step["facts"].get(name, step["facts"][ours]).get("device", "")
        low, high = ms["quartiles"]
        ratio = step["elbax_over"].get(name)
        shown = f"{ratio['median']:.2f} × ({ratio['min']:.2f}–{ratio['max']:.2f})" if ratio else ""
        figures = f"{ms['median']:.3g} ({low:.3g}–{high:.3g})"
        lines.append(f"| {_NAMES[name]} | {device} | {figures} | {shown} |")
    return "\n".join(lines)


def _others(results: dict[str, Any]) -> str:
    lines = ["## The rest", "", "| | measured |", "|---|---|"]
    if "first-step" in results:
        first = results["first-step"]
        for name, words in (("cold", "no compilation cached"), ("warm", "compilation cached")):
            s = first[name]
            lines.append(
                f"| a fresh process to the end of its first step, {words} | "
                f"{s['median']:.2f} s ({s['min']:.2f}–{s['max']:.2f}) |"
            )
    for name, seconds in results.get("compile", {}).get("seconds", {}).items():
        lines.append(f"| compilation of the training step, cold: {name} | {seconds:.1f} s |")
    memory = results.get("memory", {})
    if memory.get("until_model") is not None:
        lines.append(
            f"| peak memory of `elbax train` up to the saved model ({memory['data']}, "
            f"{memory['iterations']:,} iterations) | {memory['until_model']:.0f} MB |"
        )
        lines.append(
            f"| the same to the end, training process / largest child | "
            f"{memory['training_process']:.0f} / {memory['largest_child']:.0f} MB |"
        )
    if "help" in results:
        s, bare = results["help"]["help"], results["help"]["python"]
        lines.append(
            f"| `elbax --help` (a python that does nothing) | {s['median']:.3f} s "
            f"({bare['median']:.3f} s) |"
        )
    if "throughput" in results:
        lines += [_rate(results["throughput"], action) for action in ("encode", "sample")]
    if "importance" in results:
        lines += _importance(results["importance"])
    return "\n".join(lines)


def _rate(throughput: dict[str, Any], action: str) -> str:
    found = throughput[action]
    ours, theirs = (s["median"] for s in found["images_per_second"].values())
    ratio = found["elbax_over_pythae"]
    return (
        f"| {action} {throughput['images']:,} images: elbax / pythae | {ours:,.0f} / {theirs:,.0f} "
        f"images/s: {ratio['median']:.1f} × ({ratio['min']:.1f}–{ratio['max']:.1f}) |"
    )


def _importance(found: dict[str, Any]) -> list[str]:
    ours, theirs, floor = (s["median"] for s in found["seconds"].values())
    to_theirs, to_floor = (
        f"{r['median']:.2f} × ({r['min']:.2f}–{r['max']:.2f})" for r in found["elbax_over"].values()
    )
    few, many = found["memory"]["samples"]
    work = (
        f"importance-weighted log p(x), {found['digits']:,} digits × {found['samples']:,} samples"
    )
    return [
        f"| {work}: elbax / pythae | {ours:.3g} / {theirs:.3g} s: {to_theirs} |",
        f"| the same: elbax / its own matrix products | {ours:.3g} / {floor:.3g} s: {to_floor} |",
        f"| its peak memory, {few:,} to {many:,} samples | {found['memory']['growth']:+.0f} MB |",
    ]


def _targets(targets: list[dict[str, Any]]) -> str:
    lines = ["## Targets", "", "| | measured | at most | met |", "|---|---|---|---|"]
    for target in targets:
        unit = f" {target['unit']}" if target["unit"] else ""
        aim = f" (aim {target['aim']:g})" if target["aim"] else ""
        met = "yes" if target["met"] else "no"
        lines.append(
            f"| {target['name']} | {target['measured']:.3g}{unit} | "
            f"{target['limit']:g}{unit}{aim} | {met} |"
        )
    return "\n".join(lines)
