"""`scripts/bench`: measures, and writes benchmarks/results/DATE-MACHINE.json and .md.

Parts that are measured one by one (`--only`) on the same day come together in the same record.
"""

import argparse
import contextlib
import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

from benchmarks import (
    compilation,
    conv,
    first_step,
    importance,
    machine,
    memory,
    start_up,
    step,
    table,
    targets,
    workload,
)
from benchmarks.protocol import THREAD_VARIABLES, Rival
from benchmarks.throughput import measure as measure_throughput

PARTS = ("step", "conv", "throughput", "importance", "first-step", "compile", "memory", "help")
RESULTS = Path(__file__).parent / "results"


def main() -> None:
    """Runs the parts that were asked for and writes the record."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the rivals are ended too
    options = _options()
    record: dict[str, Any] = {
        "schema": 1,
        "machine": machine.describe(),
        "workload": workload.facts(),
        "threads": options.threads,
        "settings": {
            "affinity": f"each process keeps to {options.threads} cores, where the system can",
            "variables": [f"{name}={options.threads}" for name in THREAD_VARIABLES],
            "torch": f"torch.set_num_threads({options.threads})",
        },
    }
    results = _measure(options)
    platform = results.pop("platform")
    now = {key: record["machine"].pop(key) for key in ("date", "commit", "load_before")}
    record |= {"results": results, "measured": dict.fromkeys(results, now)}
    stem = options.out / f"{now['date'][:10]}-{record['machine']['slug']}"
    if not options.dry_run:
        record = _joined(record, stem.with_suffix(".json"))
    record["targets"] = targets.judge(record["results"], platform)
    text = table.render(record)
    print(text)
    if options.dry_run:
        return
    options.out.mkdir(parents=True, exist_ok=True)
    stem.with_suffix(".json").write_text(json.dumps(record, indent=1) + "\n")
    stem.with_suffix(".md").write_text(text)
    print(f"written: {stem}.json and .md", file=sys.stderr)


def _joined(record: dict[str, Any], path: Path) -> dict[str, Any]:
    """With the parts that were measured earlier that day, where nothing but the commit differs."""
    if not path.exists():
        return record
    earlier = json.loads(path.read_text())
    if any(earlier.get(key) != record[key] for key in record if key not in ("results", "measured")):
        return record
    both = {key: {**earlier[key], **record[key]} for key in ("results", "measured")}
    return {**record, **both}


def _measure(options: argparse.Namespace) -> dict[str, Any]:
    results: dict[str, Any] = {"platform": "cpu"}
    rounds, threads = options.rounds, options.threads
    if "help" in options.only:
        results["help"] = start_up.measure(max(rounds, 10))
    if "first-step" in options.only:
        results["first-step"] = first_step.measure(min(rounds, 5), threads)
    if "compile" in options.only:
        results["compile"] = compilation.measure(threads)
    if "conv" in options.only:
        results["conv"] = conv.measure(rounds, max(1, options.steps // 5), threads)
        results["platform"] = results["conv"]["facts"][conv.OURS]["platform"]
    if "memory" in options.only:
        results["memory"] = memory.measure(options.memory_iterations, threads)
    wanted = [name for name in options.rivals if "step" in options.only or name in _BESIDE_PYTHAE]
    if {"step", "throughput", "importance"}.isdisjoint(options.only):
        return results
    with contextlib.ExitStack() as stack:
        rivals = {}
        for name in wanted:
            print(f"starting {name}", file=sys.stderr)
            rivals[name] = stack.enter_context(
                Rival(name, {"threads": threads, "steps": options.steps})
            )
        results["platform"] = rivals[step.OURS].facts["platform"]
        if "step" in options.only:
            results["step"] = step.measure(rivals, rounds, options.steps)
        if not set(_BESIDE_PYTHAE) <= set(rivals):
            return results
        if "throughput" in options.only:
            results["throughput"] = measure_throughput(rivals, rounds)
        if "importance" in options.only:
            results["importance"] = importance.measure(
                rivals, min(rounds, 5), options.digits, options.samples
            )
    return results


_BESIDE_PYTHAE = ("elbax_step", "pythae_trainer")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="scripts/bench", description=__doc__)
    parser.add_argument("--rounds", type=int, default=12, help="interleaved rounds (default 12)")
    parser.add_argument(
        "--steps", type=int, default=250, help="steps a round and rival, at most 550 (default 250)"
    )
    parser.add_argument(
        "--only",
        type=_among(PARTS),
        default=PARTS,
        metavar="PART,…",
        help=f"only these parts: {', '.join(PARTS)}",
    )
    parser.add_argument(
        "--rivals",
        type=_among(step.RIVALS),
        default=step.RIVALS,
        metavar="NAME,…",
        help=f"only these rivals beside elbax: {', '.join(step.RIVALS[1:])}",
    )
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    parser.add_argument(
        "--threads", type=int, default=min(2, cores or 1), help="for everybody (default 2)"
    )
    parser.add_argument(
        "--digits", type=int, default=100, metavar="N", help="of `importance` (default 100)"
    )
    parser.add_argument(
        "--samples", type=int, default=1000, metavar="N", help="of `importance` (default 1000)"
    )
    parser.add_argument("--memory-iterations", type=int, default=1500, metavar="N")
    parser.add_argument("--out", type=Path, default=RESULTS, help="where the record goes")
    parser.add_argument("--dry-run", action="store_true", help="print, write nothing")
    options = parser.parse_args()
    if not 1 <= options.steps <= workload.ROWS // workload.BATCH:
        parser.error(f"--steps is {options.steps}; an epoch has {workload.ROWS // workload.BATCH}")
    if min(options.rounds, options.threads, options.digits, options.samples) < 1:
        parser.error("--rounds, --threads, --digits and --samples must be at least 1")
    options.rivals = tuple(dict.fromkeys((step.OURS, *options.rivals)))
    return options


def _among(known: tuple[str, ...]) -> Any:
    def parse(text: str) -> tuple[str, ...]:
        words = tuple(word for word in text.split(",") if word)
        for word in words:
            if word not in known:
                raise argparse.ArgumentTypeError(f"{word!r} is none of {', '.join(known)}")
        return words

    return parse


if __name__ == "__main__":
    main()
