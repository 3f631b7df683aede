"""Environment: other locales, no home, odd folders and names, a narrow terminal, permissions."""

import json
import os
import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.campaign.trials import FAILED, NAMED, SAME, Trial

WORDS = ["train", "digits", "--hidden", "4", "--latent-dim", "2", "--iterations", "10"]
NOBODY = "/dev/null/nowhere"

CASES: dict[str, dict[str, Any]] = {
    "LC_ALL=C": {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
    "no HOME": {"HOME": None, "XDG_CACHE_HOME": None},
    "HOME that is no folder": {"HOME": NOBODY, "XDG_CACHE_HOME": None},
    "a cache that cannot be written": {"XDG_CACHE_HOME": NOBODY},
    "a temporary folder that is none": {"TMPDIR": NOBODY},
    "NO_COLOR": {"NO_COLOR": "1"},
    "40 columns": {"COLUMNS": "40"},
    "TERM=dumb": {"TERM": "dumb"},
    "no TERM": {"TERM": None},
    "another time zone": {"TZ": "Pacific/Kiritimati"},
    "hash seed 0": {"PYTHONHASHSEED": "0"},
    "umask 077": {"umask": 0o077},
    "umask 777": {"umask": 0o777},
    "no standard input": {"stdin": None},
    "a space": {"out": "a run"},
    "quotes": {"out": 'it\'s "so"'},
    "a newline": {"out": "two\nlines"},
    "bytes that are no UTF-8": {"out": os.fsdecode(b"caf\xe9")},
    "an emoji": {"out": "\N{SNOWMAN} run"},
    "a leading hyphen": {"out": "./-run"},
    "a dollar": {"out": "$(touch ran)"},
    "a percent sign": {"out": "100%s"},
    "200 letters": {"out": "r" * 200},
    "300 letters": {"out": "r" * 300},
    "deep folders": {"out": "a/b/c/d/e"},
}


def trials(chance: random.Random, folder: Path) -> Iterator[Trial]:
    """Each case once: a run is trained, and asked for its results."""
    del chance
    usual = _numbers(_run(folder, {}, "usual")[1])
    for name, case in CASES.items():
        own = folder / f"case {list(CASES).index(name)}"
        own.mkdir()
        out = case.get("out", "run")
        done, content = _run(own, case, out)
        lines = done.stderr.decode(errors="replace").splitlines()
        if done.returncode == 0 and content is not None:
            right, verdict = _numbers(content) == usual, SAME
        else:
            said = [line for line in lines if line.startswith("elbax: ")]
            right, verdict = len(said) == 1 and done.returncode in (1, 2), NAMED
        right = right and not any("Traceback" in line for line in lines)
        right = right and not (own / "ran").exists()
        detail = f"status {done.returncode}, {lines[-3:]}"
        yield Trial("environment", name, verdict if right else FAILED, detail)


def _run(folder: Path, case: dict[str, Any], out: str) -> tuple[Any, dict[str, Any] | None]:
    given = {k: str(v) for k, v in case.items() if k.isupper() and v is not None}
    gone = {k for k, v in case.items() if k.isupper() and v is None}
    environment = {k: v for k, v in {**os.environ, **given}.items() if k not in gone}
    environment["PYTHONPATH"] = str(Path(__file__).parents[2])
    done = subprocess.run(
        [sys.executable, "-m", "elbax", *WORDS, "--out", out],
        cwd=folder,
        env=environment,
        capture_output=True,
        stdin=None if "stdin" in case else subprocess.DEVNULL,
        umask=case.get("umask", -1),
        timeout=300,
        check=False,
    )
    path = folder / out / "results.json"
    return done, json.loads(path.read_text()) if path.exists() else None


def _numbers(content: dict[str, Any] | None) -> Any:
    assert content is not None
    return content["test"], content["train"], content["iterations"]
