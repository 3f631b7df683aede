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


class DeviceError(ValueError):
    """The device that was asked for isn't there: one line with the mend."""


def prepare(device: str | None = None) -> None:
    """Sets the environment for jax; later calls, and calls after jax was imported, change nothing.

    Args:
        device: "cpu", "gpu", or None for the best that there is.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # XLA's C++ chatter
    if device is not None and "jax" not in sys.modules:
        os.environ["JAX_PLATFORMS"] = _gpu_platform() if device == "gpu" else device
    if "jax" not in sys.modules and "JAX_COMPILATION_CACHE_DIR" not in os.environ:
        folder = cache_folder() / "jax"
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError:
            return  # a home that can't be written costs a second of compilation, nothing else
        os.environ["JAX_COMPILATION_CACHE_DIR"] = str(folder)
        os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
    warnings.filterwarnings("ignore", "Error (reading|writing) persistent compilation cache")
    for name in ("jax", "absl", "orbax"):
        logging.getLogger(name).setLevel(logging.ERROR)


def device(name: str | None) -> Any:
    """The jax device to compute on.

    Raises:
        DeviceError: There is none of that kind.
    """
    import jax

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return jax.devices(name)[0]
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
