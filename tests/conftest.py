"""What holds for every test: a closed world, the CPU, and checked types.

The environment is set before anything imports jax, and subprocesses inherit it: tests neither
read nor write the user's configuration, data sets, or any cache but one of their own: that of
compiled programs, since compiling takes most of the time. It stands beside the user's other caches,
so that a fresh clone finds it.
"""

import fcntl
import gc
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

_cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
_programs = os.environ.get("PYTEST_JAX_CACHE") or str(Path(_cache) / "elbax-tests" / "jax")
for name in [name for name in os.environ if name.startswith(("ELBAX_", "JAX_", "XDG_"))]:
    del os.environ[name]
if "PYTEST_XDIST_WORKER" not in os.environ:  # a worker inherits the folder of its parent
    # Kept in a module variable: the folder is removed when the process ends.
    _home = tempfile.TemporaryDirectory(prefix="elbax-tests-", ignore_cleanup_errors=True)
    os.environ["HOME"] = _home.name
os.environ["XDG_CACHE_HOME"] = os.path.join(os.environ["HOME"], ".cache")
os.environ["JAX_PLATFORMS"] = "cpu"
os.environ["PYTEST_JAX_CACHE"] = _programs  # for the workers, whose home is another
os.environ["JAX_COMPILATION_CACHE_DIR"] = _programs
os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0"
os.environ["JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES"] = "-1"
# A program of the tests runs for an instant, so compiling is what it costs: LLVM without its
# optimisation, and the older emitters of code, take a sixth of the time. Flags of the user win.
_flags = os.environ.get("XLA_FLAGS", "").split()
for flag in (
    "--xla_backend_optimization_level=0",
    "--xla_cpu_use_fusion_emitters=false",
    "--xla_cpu_parallel_codegen_split_count=1",
):
    if not any(own.startswith(flag.partition("=")[0]) for own in _flags):
        _flags.append(flag)
os.environ["XLA_FLAGS"] = " ".join(_flags)
if sys.dont_write_bytecode:
    # Where Python is to leave no bytecode beside the sources, it stands beside the programs: else
    # each worker and each command compiles all that it imports, for four seconds.
    sys.dont_write_bytecode, sys.pycache_prefix = False, str(Path(_programs, "bytecode"))
    del os.environ["PYTHONDONTWRITEBYTECODE"]
    os.environ["PYTHONPYCACHEPREFIX"] = sys.pycache_prefix
os.environ["MPLBACKEND"] = "agg"
os.environ["SCIPY_ARRAY_API"] = "1"  # for scikit-learn's check of its array dispatch

# Every annotated shape and type in elbax is checked when a function is called or a module built.
# Subprocesses (the command line's tests) run without: as a user does.
from jaxtyping import install_import_hook  # noqa: E402

install_import_hook("elbax", "beartype.beartype")

import hypothesis  # noqa: E402
import jax  # noqa: E402
import pytest  # noqa: E402

from elbax.cli import main  # noqa: E402
from tests.command import SMALL, command  # noqa: E402

# Compilation makes the first example slow: no deadline. The same examples each time: green stays.
hypothesis.settings.register_profile("elbax", deadline=None, derandomize=True, database=None)
hypothesis.settings.load_profile("elbax")


def pytest_configure(config: pytest.Config) -> None:
    """Keeps Matplotlib's font list, which takes seconds to make, between runs of the tests."""
    cache = getattr(config, "cache", None)  # absent under -p no:cacheprovider
    if cache is not None:
        os.environ["MPLCONFIGDIR"] = str(cache.mkdir("matplotlib"))


# Linux gives a process 65,530 pieces of memory, and each compiled program takes some of them.
_MANY_PIECES = 45_000


@pytest.fixture(autouse=True, scope="module")
def no_heap_of_programs() -> Iterator[None]:
    """Lets go of compiled programs, which JAX keeps for ever, before there are too many of them."""
    yield
    pieces = Path("/proc/self/maps")
    if pieces.exists() and len(pieces.read_bytes().splitlines()) > _MANY_PIECES:
        jax.clear_caches()
        gc.collect()


@pytest.fixture(scope="session")
def finished_run(tmp_path_factory) -> Path:
    """A finished run with figures and report, trained by the command line as a user would.

    The first worker to ask trains it, and the others wait for it: tests only read it.
    """
    folder = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        folder = folder.parent  # of all workers
    folder = folder / "finished"
    folder.mkdir(exist_ok=True)
    words = ["train", "digits", *SMALL, "--iterations", 60, "--out", folder / "run", "--json"]
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "stderr").exists():  # written last
            done = command(*words)
            assert done.returncode == 0, done.stderr
            (folder / "stdout").write_text(done.stdout)
            (folder / "stderr").write_text(done.stderr)
    return folder / "run"


@pytest.fixture
def elbax(capsys):
    """The command line in this process: status, standard output, standard error."""

    def call(*words):
        status = main([str(word) for word in words])
        captured = capsys.readouterr()
        return status, captured.out, captured.err

    return call


@pytest.fixture
def refused(elbax):
    """Calls the command line and expects one line of refusal; answers with it."""

    def call(*words, status=2):
        got, out, err = elbax(*words)
        lines = [line for line in err.splitlines() if line.startswith("elbax: ")]
        assert got == status, err
        assert out == ""
        assert len(lines) == 1, err
        assert err.splitlines()[-1] == lines[0]
        assert "Traceback" not in err
        assert "ELBAX_DEBUG" not in err
        return lines[0]

    return call
