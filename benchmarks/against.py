"""The training step of the recipe `vae` at an earlier commit and now, interleaved.

Run it as `.venv/bin/python -m benchmarks.against COMMIT`; it writes
`benchmarks/results/against-COMMIT.json` and `.md`.
"""

import argparse
import contextlib
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks import machine, spread
from benchmarks.protocol import Rival
from benchmarks.step import OURS

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benchmarks" / "results"


def main() -> None:
    """Measures, prints and writes the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.against", description=__doc__)
    parser.add_argument("commit", help="an earlier one, which has benchmarks/rivals/elbax_step.py")
    parser.add_argument("--rounds", type=int, default=10, help="interleaved rounds (default 10)")
    parser.add_argument("--steps", type=int, default=250, help="steps a round (default 250)")
    parser.add_argument("--threads", type=int, default=2, help="of each (default 2)")
    asked = parser.parse_args()
    commit = _git("rev-parse", "--short=12", asked.commit)
    record = {"commit": commit, "machine": machine.describe(), **_measure(commit, asked)}
    text = _table(record)
    print(text)
    stem = RESULTS / f"against-{commit}"
    stem.with_suffix(".json").write_text(json.dumps(record, indent=1) + "\n")
    stem.with_suffix(".md").write_text(text)


def _measure(commit: str, asked: argparse.Namespace) -> dict[str, Any]:
    options = {"threads": asked.threads, "steps": asked.steps}
    times: dict[str, list[float]] = {"then": [], "now": []}
    with _worktree(commit) as earlier, contextlib.ExitStack() as stack:
        rivals = {
            name: stack.enter_context(Rival(OURS, options, root))
            for name, root in (("then", earlier), ("now", ROOT))
        }
        for number in range(asked.rounds):
            for name in ("then", "now") if number % 2 else ("now", "then"):
                answer = rivals[name].ask("run", steps=asked.steps)
                times[name].append(1000 * answer["seconds"] / answer["steps"])
            shown = ", ".join(f"{name} {values[-1]:.2f}" for name, values in times.items())
            print(f"round {number + 1}/{asked.rounds}: {shown} ms a step", file=sys.stderr)
    return {
        "rounds": asked.rounds,
        "steps_per_round": asked.steps,
        "threads": asked.threads,
        "milliseconds": {name: spread.summary(values) for name, values in times.items()},
        "now_over_then": spread.ratios(times["now"], times["then"]),
    }


@contextlib.contextmanager
def _worktree(commit: str) -> Iterator[Path]:
    """A checkout of the commit, for as long as it is needed."""
    with tempfile.TemporaryDirectory(prefix="elbax-against-") as folder:
        path = Path(folder) / "elbax"
        _git("worktree", "add", "--detach", str(path), commit)
        try:
            yield path
        finally:
            _git("worktree", "remove", "--force", str(path))


def _git(*words: str) -> str:
    done = subprocess.run(("git", *words), cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"git {' '.join(words)}: {done.stderr.strip()}")
    return done.stdout.strip()


def _table(record: dict[str, Any]) -> str:
    described, ratio = record["machine"], record["now_over_then"]
    names = {"then": f"at {record['commit']}", "now": f"at {described['commit']}"}
    versions = ", ".join(f"{name} {described['versions'][name]}" for name in ("jax", "numpy"))
    work = (
        f"{described['cpu']}, {described['cores']} cores; {versions}; {record['threads']} threads; "
        f"{described['date'][:10]}. One training step of the recipe `vae` (batch 100, float32), "
        f"medians of {record['rounds']} interleaved rounds of {record['steps_per_round']} steps."
    )
    lines = [work, "", "| | ms a step (quartiles) |", "|---|---|"]
    for name, found in record["milliseconds"].items():
        low, high = found["quartiles"]
        lines.append(f"| {names[name]} | {found['median']:.2f} ({low:.2f}–{high:.2f}) |")
    lines.append(
        f"| now / then | {ratio['median']:.2f} × ({ratio['min']:.2f}–{ratio['max']:.2f}) |"
    )
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
