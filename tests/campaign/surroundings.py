"""Environment: other locales, no home, odd folders and names, a narrow terminal, other Pythons.

Each case is a process that begins in it and calls commands one after the other: a run is trained,
trained on, measured, used to fill a table, and pictured. All that they leave and print is what it
is in the usual surroundings, or one line says what is wrong with these.
"""

import json
import os
import pty
import random
import re
import shutil
import struct
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.campaign.chain import MARK
from tests.campaign.runs import digests, table, timeless
from tests.campaign.trials import FAILED, NAMED, NOT_TRIED, SAME, Trial

NOBODY = "/dev/null/nowhere"
PYTHONS = "CAMPAIGN_PYTHONS"
"""The variable that names other interpreters that have elbax, apart by colons."""

_OPTIONS = ["--hidden", "4", "--latent-dim", "2", "--batch-size", "20", "--no-report"]
_CHAIN = {
    "train": ["train", "DATA", *_OPTIONS, "--iterations", "10", "--out", "RUN"],
    "resume": ["resume", "RUN", "--iterations", "20"],
    "evaluate": ["evaluate", "RUN", "--samples", "20", "--json"],
    "impute": ["impute", "RUN", "--data", "DATA", "--out", "OUT", "--draws", "20"],
    "plot": ["plot", "RUN", "train_process"],
}

CASES: dict[str, dict[str, Any]] = {
    "LC_ALL=C": {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
    "no HOME": {"HOME": None, "XDG_CACHE_HOME": None},
    "HOME that is no folder": {"HOME": NOBODY, "XDG_CACHE_HOME": None},
    "a cache that cannot be made": {"XDG_CACHE_HOME": NOBODY},
    "a cache that is read-only": {"XDG_CACHE_HOME": "cache", "read-only": "cache"},
    "a temporary folder that is none": {"TMPDIR": NOBODY},
    "NO_COLOR": {"NO_COLOR": "1", "terminal": 80},
    "a terminal": {"terminal": 120},
    "40 columns": {"terminal": 40},
    "40 columns, no terminal": {"COLUMNS": "40"},
    "TERM=dumb": {"TERM": "dumb", "terminal": 80},
    "no TERM": {"TERM": None},
    "another time zone": {"TZ": "Pacific/Kiritimati"},
    "hash seed 0": {"PYTHONHASHSEED": "0"},
    "umask 077": {"umask": 0o077},
    "umask 777": {"umask": 0o777, "bound": True},
    "no standard input": {"stdin": None},
    "a space": {"out": "a run", "data": "a table.csv"},
    "quotes": {"out": 'it\'s "so"', "data": 'it\'s "so".csv'},
    "a newline": {"out": "two\nlines", "data": "two\nlines.csv"},
    "bytes that are no UTF-8": {"out": os.fsdecode(b"caf\xe9"), "data": os.fsdecode(b"\xe9.csv")},
    "bytes that are no UTF-8, LC_ALL=C": {
        "out": os.fsdecode(b"caf\xe9"),
        "data": os.fsdecode(b"\xe9.csv"),
        "LC_ALL": "C",
        "PYTHONUTF8": "0",
        "PYTHONCOERCECLOCALE": "0",
    },
    "a snowman": {"out": "\N{SNOWMAN} run", "data": "\N{SNOWMAN}.csv"},
    "a leading hyphen": {"out": "./-run", "data": "./-table.csv"},
    "a dollar": {"out": "$(touch ran)", "data": "$(touch ran).csv"},
    "a percent sign": {"out": "100%s", "data": "100%s.csv"},
    "200 letters": {"out": "r" * 200, "data": "t" * 200 + ".csv"},
    "300 letters": {"out": "r" * 300},
    "deep folders": {"out": "a/b/c/d/e"},
}


def trials(chance: random.Random, folder: Path) -> Iterator[Trial]:
    """Each case once, other interpreters last; the commands of each are a trial each."""
    usual = _chain(folder / "usual", {})
    assert all(step.status == 0 for step in usual.values()), usual
    cases = {**CASES, **{f"Python {v}": {"python": p} for v, p in _others().items()}}
    if not _others():
        yield Trial("Python 3.12, Python 3.13", "train", NOT_TRIED, f"{PYTHONS} names none")
    order = list(cases)
    chance.shuffle(order)
    for number, name in enumerate(order):
        found = _chain(folder / f"case {number}", cases[name])
        for command, step in found.items():
            yield Trial(name, command, *_judged(step, usual[command], cases[name]))


@dataclass(frozen=True)
class _Step:
    """What a command did: its status, what it printed, what it left."""

    status: int
    out: str
    err: str
    left: dict[str, str]


def _judged(step: _Step, usual: _Step, case: dict[str, Any]) -> tuple[str, str]:
    said = [line for line in step.err.splitlines() if line.startswith("elbax: ")]
    detail = f"status {step.status}, {step.err[-500:]!r}"
    if step.status != 0:
        right = len(said) == 1 and step.status in (1, 2) and "ELBAX_DEBUG" not in step.err
    else:
        differing = sorted(n for n in usual.left if step.left.get(n) != usual.left[n])
        right = not differing and not said
        detail += f", differing {differing}"
    right = right and "Traceback" not in step.err
    if "NO_COLOR" in case:
        right = right and not re.search(r"\x1b\[[\d;]*m", step.out + step.err)
    if "odd" in step.left:
        right, detail = False, f"{detail}, {step.left['odd']}"
    return (FAILED if not right else NAMED if step.status else SAME), detail


def _chain(folder: Path, case: dict[str, Any]) -> dict[str, _Step]:
    """The commands one after the other, as far as they go."""
    folder.mkdir()
    places = {"RUN": case.get("out", "run"), "DATA": case.get("data", "table.csv")}
    places["OUT"] = f"{places['DATA'][:-4]}-filled.csv"
    table(folder / places["DATA"])
    if "read-only" in case:
        (folder / case["read-only"]).mkdir(mode=0o500)
    chain = [[places.get(word, word) for word in words] for words in _CHAIN.values()]
    asked = folder.with_name(f"{folder.name}.json")
    asked.write_text(json.dumps(chain), encoding="ascii")
    command = [case.get("python", sys.executable), "-m", "tests.campaign.chain", str(asked)]
    if "bound" in case or "read-only" in case:
        command = [*_bound(), *command]
    status, out, err = _ran(command, folder, _environment(folder, case), case)
    outs, errs = (_parts(text, 4 if "terminal" in case else 2) for text in (out, err))
    found: dict[str, _Step] = {}
    for i, name in enumerate(_CHAIN):
        if i < len(errs) and (not found or list(found.values())[-1].status == 0):
            own = errs[i][1]
            own = (status or 70) if own is None else own
            found[name] = _Step(own, outs[i][0], errs[i][0], {})
    _add_left(found, folder, places, case)
    return found


def _environment(folder: Path, case: dict[str, Any]) -> dict[str, str]:
    given = {k: str(v) for k, v in case.items() if k[0].isupper() and v is not None}
    gone = {k for k, v in case.items() if k[0].isupper() and v is None}
    environment = {k: v for k, v in {**os.environ, **given}.items() if k not in gone}
    environment["PYTHONPATH"] = str(Path(__file__).parents[2])
    if given.get("XDG_CACHE_HOME") == "cache":
        environment["XDG_CACHE_HOME"] = str(folder / "cache")
    return environment


def _parts(text: str, every: int) -> list[tuple[str, int | None]]:
    """What was printed of each command, with its status: of the last that died, None."""
    pieces = re.split(f"{MARK}(-?\\d+){MARK}\n", text)
    found = [(pieces[i], int(pieces[i + 1])) for i in range(0, len(pieces) - 1, every)]
    rest = pieces[-1] if len(pieces) % 2 else ""
    return [*found, (rest, None)]


def _add_left(
    found: dict[str, _Step], folder: Path, places: dict[str, str], case: dict[str, Any]
) -> None:
    """Adds to the commands what they have left, each to the one that left it."""
    run, filled = folder / places["RUN"], folder / places["OUT"]
    if "resume" in found and (run / "results.json").exists():
        found["resume"].left.update(digests(run))
    if "evaluate" in found:
        found["evaluate"].left["printed"] = _numbers(found["evaluate"].out)
    if "impute" in found and filled.exists():
        found["impute"].left["filled"] = filled.read_text()
    if odd := _odd(folder, case):
        list(found.values())[-1].left["odd"] = odd


def _numbers(out: str) -> str:
    """The object that a command printed, without its times and the names of files."""
    lines = [line for line in timeless(out).splitlines() if line.startswith("{")]
    found = json.loads(lines[-1]) if lines else {}
    for one in (found, *found.get("estimates", [])):
        for name in ("run", "data"):
            one.pop(name, None)
    return json.dumps(found, sort_keys=True)


def _odd(folder: Path, case: dict[str, Any]) -> str:
    """What should not be in the folder of a case."""
    if (folder / "ran").exists():
        return "a name was run"
    unfinished = [path.name for path in folder.rglob(".elbax-*")]
    if unfinished:
        return f"left over: {unfinished}"
    own = [path for path in folder.rglob("*") if path.suffix != ".csv" or "filled" in path.name]
    open_ = [path.name for path in own if path.stat().st_mode & 0o077]
    return f"open to others: {open_}" if case.get("umask") == 0o077 and open_ else ""


def _bound() -> list[str]:
    """What makes the modes of files hold for a command of root's too."""
    if os.geteuid() or not shutil.which("setpriv"):
        return []
    return ["setpriv", "--bounding-set=-dac_override,-dac_read_search", "--inh-caps=-all"]


def _ran(
    command: list[str], folder: Path, environment: dict[str, str], case: dict[str, Any]
) -> tuple[int, str, str]:
    """Status, standard output and standard error; of a terminal what is seen there is both."""
    usual: dict[str, Any] = {"cwd": folder, "env": environment, "umask": case.get("umask", -1)}
    if "terminal" in case:
        status, seen = _in_terminal(command, case["terminal"], usual)
        return status, seen, seen
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        stdin = None if "stdin" in case else subprocess.DEVNULL
        close = (lambda: os.close(0)) if "stdin" in case else None
        done = subprocess.run(
            command, stdin=stdin, stdout=out, stderr=err, check=False, timeout=1200,
            preexec_fn=close, **usual,
        )  # fmt: skip
        out.seek(0)
        err.seek(0)
        texts = [file.read().decode(errors="replace") for file in (out, err)]
    return done.returncode, texts[0], texts[1]


def _in_terminal(command: list[str], columns: int, usual: dict[str, Any]) -> tuple[int, str]:
    """The status of a command in a terminal of so many columns, and what is seen there."""
    import fcntl
    import termios

    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    seen = bytearray()

    def read() -> None:
        while True:
            try:
                piece = os.read(ours, 1 << 16)
            except OSError:  # nobody has it open any more
                return
            if not piece:
                return
            seen.extend(piece)

    reader = threading.Thread(target=read)
    reader.start()
    done = subprocess.run(
        command, stdin=theirs, stdout=theirs, stderr=theirs, check=False, timeout=1200, **usual
    )
    os.close(theirs)
    reader.join()
    os.close(ours)
    return done.returncode, seen.decode(errors="replace").replace("\r\n", "\n")


def _others() -> dict[str, str]:
    """Other interpreters by their version."""
    found = {}
    for path in filter(None, os.environ.get(PYTHONS, "").split(":")):
        said = subprocess.run([path, "--version"], capture_output=True, text=True, check=True)
        found[said.stdout.split()[1]] = path
    return found
