"""Which command was asked for, and what becomes of its errors: one line and an exit status.

0    done
1    the work failed (a diverged loss, a full disk, a bug)
2    the words or the input were wrong
130  stopped by Ctrl-C; 143 by SIGTERM
"""

from __future__ import annotations

import errno
import importlib
import os
import sys
from collections.abc import Sequence

from elbax.run.signals import SignalWatch
from elbax.util import processes

COMMANDS: dict[str, tuple[str, str]] = {
    # name: (the folder of its file, what it does)
    "train": ("runs", "train a model on data, measure it and draw its figures"),
    "sweep": ("runs", "train a run for each combination of options, many in one program"),
    "resume": ("runs", "resume a run, or a sweep, exactly where it was interrupted"),
    "evaluate": ("runs", "bounds, log-likelihoods, latents and samples, with their errors"),
    "diagnose": ("runs", "what ails a run: each figure, its threshold, and the flag to try"),
    "compare": ("runs", "runs side by side: paired differences, one table, one page"),
    "sample": ("runs", "new data from the prior"),
    "reconstruct": ("runs", "data through encoder and decoder, beside the originals"),
    "encode": ("runs", "the posterior of each datum, as a table or arrays"),
    "decode": ("runs", "data from latents that you give"),
    "impute": ("runs", "a table with its missing cells filled, and how sure that is"),
    "score": ("runs", "how likely each row is, and each column's share of that"),
    "plot": ("runs", "draw a run's figures"),
    "explore": ("runs", "a page to move a model by hand, of a run on images or a table"),
    "export": ("runs", "the model for ONNX or PyTorch"),
    "serve": ("runs", "answer requests with runs: over HTTP, or as an assistant's tools"),
    "push": ("runs", "send a run to the Hugging Face Hub"),
    "pull": ("runs", "fetch a run from the Hugging Face Hub"),
    "inspect": ("about", "what data are, and what training on them would take"),
    "datasets": ("about", "the data sets known by name"),
    "recipes": ("about", "the recipes known by name"),
    "parts": ("about", "the parts that a model is composed of, and their options"),
    "completion": ("about", "a script by which the shell completes words"),
}

TOGETHER = ("train", "resume", "evaluate", "score", "impute")
"""The commands that several processes run together."""

_HELP = """usage: elbax COMMAND … [--help]

Variational autoencoders: trained in one compiled program, measured with error bars, explored in
pictures.

commands:
{commands}

`elbax COMMAND --help` says more of one. To begin: elbax train mnist-5k
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command.

    Args:
        argv: The words after ``elbax``; by default those of the process.

    Returns:
        The exit status; never raises for a user's mistake, and never prints a traceback for one.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    with SignalWatch() as watch:
        watch.ends = argv is None
        return _answered(words)


def _answered(words: list[str]) -> int:
    """The exit status of a command, which may raise what it wants."""
    try:
        status = _dispatch(words)
        sys.stdout.flush()
    except BrokenPipeError:
        # Whoever read our output has closed it (`elbax datasets | head -1`): nothing is left to
        # say.
        _silence_output()
        return 1
    except KeyboardInterrupt as stop:
        return _say_stopped(stop)
    except Exception as error:  # noqa: BLE001 - the last resort: one line, and how to see the rest
        status = _say_failed(error)
        if processes.called():  # the others wait for this one: they are not to be waited for
            processes.give_up(status)
        return status
    return status


def _dispatch(words: list[str]) -> int:
    if not words or words[0] in ("-h", "--help", "help"):
        sys.stdout.write(_top_help())
        return 0 if words else 2
    if words[0] in ("-V", "--version"):
        from importlib.metadata import version

        sys.stdout.write(f"elbax {version('elbax')}\n")
        return 0
    name = words[0]
    if name not in COMMANDS:
        from elbax.util.words import did_you_mean

        kind = "option" if name.startswith("-") else "command"
        raise ValueError(f"unknown {kind} '{name}': {did_you_mean(name, COMMANDS)}")
    if processes.launched() and name not in TOGETHER:
        raise ValueError(
            f"`elbax {name}` is the work of one process, and scripts/launch has started several: "
            f"call it alone (of several are {', '.join(TOGETHER)})"
        )
    module = importlib.import_module(f"elbax.cli.{COMMANDS[name][0]}.{name}")
    if name in ("train", "sweep"):  # whose options come from a recipe and a file too
        module.main(words[1:])
        return 0
    from elbax.cli.parsing import parse

    module.main(parse(module.Arguments, name, words[1:]))
    return 0


def _top_help() -> str:
    lines = [f"  {name:<12} {summary}" for name, (_, summary) in COMMANDS.items()]
    return _HELP.format(commands="\n".join(lines))


def _say_stopped(stop: KeyboardInterrupt) -> int:
    message = getattr(stop, "message", "") or "stopped"
    _complain(message)
    return getattr(stop, "exit_status", 130)


def _say_failed(error: Exception) -> int:
    """One line on stderr, and the status: 2 where the words or the input were wrong, else 1."""
    if os.environ.get("ELBAX_DEBUG"):
        import traceback

        traceback.print_exception(error)
    from elbax.util.words import one_line

    line = one_line(error)
    if _is_users(error):
        _complain(line)
        return 2
    if not _is_expected(error):
        line = f"{type(error).__name__}: {line}"
        if not os.environ.get("ELBAX_DEBUG"):
            line += " (set ELBAX_DEBUG=1 to see where)"
    _complain(line)
    return 1


def _is_users(error: Exception) -> bool:
    """Whether a wrong word or a wrong input raised this, and not a bug.

    A ValueError that our own code raised on purpose is the user's to mend; one from the depths of a
    library isn't.
    """
    if isinstance(error, FileNotFoundError | NotADirectoryError | IsADirectoryError):
        return True
    if isinstance(error, PermissionError):
        return True
    if isinstance(error, OSError) and error.errno == errno.ENAMETOOLONG:
        return True
    return isinstance(error, ValueError) and _raised_by_us(error)


def _is_expected(error: Exception) -> bool:
    """Whether the machine is what failed, or the training, and not a line of ours."""
    if isinstance(error, OSError | MemoryError) or "RESOURCE_EXHAUSTED" in str(error):
        return True
    from elbax.train import Diverged

    return isinstance(error, Diverged | processes.LostProcess)


def _raised_by_us(error: Exception) -> bool:
    frame = error.__traceback__
    while frame is not None and frame.tb_next is not None:
        frame = frame.tb_next
    module = frame.tb_frame.f_globals.get("__name__", "") if frame is not None else ""
    return module.split(".")[0] == "elbax"


def _complain(line: str) -> None:
    encoding = getattr(sys.stderr, "encoding", None) or "utf-8"
    try:
        line = f"elbax: {processes.called()}{line}\n"
        sys.stderr.write(line.encode(encoding, "replace").decode(encoding))
        sys.stderr.flush()
    except (OSError, ValueError):  # nobody listens any more, or a full disk takes no more
        _silence_output()


def _silence_output() -> None:
    """Points both streams at nothing, so that the interpreter's last flush is quiet too."""
    nothing = os.open(os.devnull, os.O_WRONLY)
    for stream in (sys.stdout, sys.stderr):
        try:
            os.dup2(nothing, stream.fileno())
        except (OSError, ValueError):
            continue
