"""What has to be settled before jax is imported: the device, the compilation cache, quiet logs."""

from __future__ import annotations

import contextlib
import ctypes
import logging
import os
import shlex
import shutil
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

_computing: int | None = None  # the process in which jax began to compute
_PROGRAMS = 300_000_000  # bytes of compiled programs on disk: those of some hundred runs


class DeviceError(ValueError):
    """The device that was asked for isn't there: one line with the mend."""


def prepare(device: str | None = None) -> None:
    """Sets the environment for jax; once it is imported, its device stays what it was.

    Args:
        device: "cpu", "gpu", or None for the best that there is.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # XLA's C++ chatter
    if device is not None and "jax" not in sys.modules:
        os.environ["JAX_PLATFORMS"] = _gpu_platform() if device == "gpu" else device
    keep_programs()
    for name in ("jax", "absl", "orbax"):
        logging.getLogger(name).setLevel(logging.ERROR)


def own_process() -> None:
    """Refuses a process that was forked from one in which jax had computed: it would wait for ever.

    jax' threads are not copied by a fork, and what they hold stays locked.

    Raises:
        RuntimeError: This is such a process.
    """
    global _computing  # noqa: PLW0603 - a fork copies it, which is the point
    if _computing not in (None, os.getpid()):
        raise RuntimeError(
            "this process was forked from one in which jax had computed, and would wait for ever: "
            "use joblib's own workers (backend 'loky', its default), or multiprocessing's 'spawn'"
        )
    _computing = os.getpid()


def keep_programs() -> None:
    """Has jax keep compiled programs on disk, where nobody has chosen a folder for them.

    Whoever imports `elbax.model` has it: the command line, Python, the estimators, their workers.
    Where jax was imported before, its configuration is changed, for nothing else would tell it.
    """
    warnings.filterwarnings("ignore", "Error (reading|writing) persistent compilation cache")
    jax = sys.modules.get("jax")
    chosen = jax.config.jax_compilation_cache_dir if jax is not None else None
    if chosen or os.environ.get("JAX_COMPILATION_CACHE_DIR"):
        return
    try:
        folder = cache_folder() / "jax"
        folder.mkdir(parents=True, exist_ok=True)
        bound(folder, _PROGRAMS)
    except (OSError, ImportError):
        return  # a home that can't be written costs seconds of compilation, nothing else
    _configure(
        jax_compilation_cache_dir=str(folder),
        jax_persistent_cache_min_compile_time_secs=0.0,  # a hundred small ones take long too
    )


def _configure(**settings: Any) -> None:
    """Sets what jax reads when it is imported, or changes it where it is imported already."""
    jax = sys.modules.get("jax")
    for name, value in settings.items():
        if jax is None:
            os.environ.setdefault(name.upper(), str(value))
        elif name.upper() not in os.environ:
            jax.config.update(name, value)
    if jax is not None:  # which asks for its folder once, at the first program
        from jax.experimental.compilation_cache.compilation_cache import reset_cache

        reset_cache()


def bound(folder: Path, limit: int) -> None:
    """Keeps the files of a folder below so many bytes: those go first that nobody read for long.

    (jax has a limit of its own, under which each read takes a lock: parallel workers would wait.)
    """
    with os.scandir(folder) as entries:
        found = [(entry.path, entry.stat()) for entry in entries if entry.is_file()]
    surplus = sum(stat.st_size for _, stat in found) - limit
    if surplus <= 0:
        return
    surplus += limit // 4  # not at every start
    for path, stat in sorted(found, key=lambda one: max(one[1].st_atime, one[1].st_mtime)):
        if surplus > 0:
            Path(path).unlink(missing_ok=True)  # another process may have been faster
            surplus -= stat.st_size


def device(name: str | None) -> Any:
    """The jax device to compute on.

    Raises:
        DeviceError: There is none of that kind.
        RuntimeError: jax would hang here (`own_process`).
    """
    import jax

    own_process()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return jax.local_devices(backend=name)[0]
    except (RuntimeError, AssertionError):  # jax asserts where a platform's plugin is missing
        mend = "install jax[cuda12], or leave --device out" if name == "gpu" else "leave it out"
        raise DeviceError(f"device (--device) is {name}, and JAX finds none here: {mend}") from None


@contextlib.contextmanager
def on_device(name: str | None) -> Iterator[Any]:
    """Computes on the named device inside the block.

    Raises:
        DeviceError: There is none of that kind.
    """
    import jax

    found = device(name)
    with contextlib.nullcontext() if name is None else jax.default_device(found):
        yield found


def quick_compilation() -> dict[str, Any]:
    """Options of a program that computes little of its own beside matrix products.

    Of LLVM's three levels the first compiles in a third of the time. On a processor products are
    library calls and the rest is bound by memory, so it runs as fast (measured: within noise);
    floats may differ in their last digit. Training keeps the third level.
    """
    import jax

    chosen = "xla_backend_optimization_level" in os.environ.get("XLA_FLAGS", "")
    if chosen or jax.default_backend() != "cpu":
        return {}
    return {"compiler_options": {"xla_backend_optimization_level": 1}}


def release_memory() -> None:
    """Gives what compilation has freed back to the system: some 100 MB, which glibc would keep."""
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # musl has none
        if trim is not None:
            trim(0)


def program() -> str:
    """How this program is called here: ``elbax``, or the path it was called by, if not on PATH."""
    called = sys.argv[0] if sys.argv else ""
    if Path(called).name != "elbax" or shutil.which("elbax") == os.path.abspath(called):
        return "elbax"
    return shlex.quote(called)


def cache_folder() -> Path:
    """The user's cache folder for elbax."""
    from platformdirs import user_cache_path

    return user_cache_path("elbax", appauthor=False)


def versions() -> dict[str, str]:
    """The versions that a number depends on."""
    import platform
    from importlib.metadata import version

    names = ("elbax", "jax", "jaxlib", "equinox", "optax", "numpyro", "numpy")
    return {"python": platform.python_version(), **{name: version(name) for name in names}}


def _gpu_platform() -> str:
    """The name of jax's GPU platform here: the plugin that is installed says it."""
    from importlib.util import find_spec

    return "rocm" if find_spec("jax_rocm60_plugin") or find_spec("jax_rocm7_plugin") else "cuda"
