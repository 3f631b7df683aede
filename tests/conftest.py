"""What holds for every test: a closed world, the CPU, and checked types.

The environment is set before anything imports jax, and subprocesses inherit it: tests neither
read nor write the user's caches, configuration or data sets.
"""

import os
import tempfile

for name in [name for name in os.environ if name.startswith(("ELBAX_", "JAX_", "XDG_"))]:
    del os.environ[name]
if "PYTEST_XDIST_WORKER" not in os.environ:  # a worker inherits the folder of its parent
    # Kept in a module variable: the folder is removed when the process ends.
    _home = tempfile.TemporaryDirectory(prefix="elbax-tests-", ignore_cleanup_errors=True)
    os.environ["HOME"] = _home.name
os.environ["XDG_CACHE_HOME"] = os.path.join(os.environ["HOME"], ".cache")
os.environ["JAX_PLATFORMS"] = "cpu"
os.environ["MPLBACKEND"] = "agg"

# Every annotated shape and type in elbax is checked when a function is called or a module built.
# Subprocesses (the command line's tests) run without: as a user does.
from jaxtyping import install_import_hook  # noqa: E402

install_import_hook("elbax", "beartype.beartype")

import hypothesis  # noqa: E402
import jax  # noqa: E402
import pytest  # noqa: E402

# Compilation makes the first example slow: no deadline. The same examples each time: green stays.
hypothesis.settings.register_profile("elbax", deadline=None, derandomize=True, database=None)
hypothesis.settings.load_profile("elbax")


def pytest_configure(config: pytest.Config) -> None:
    """Keeps what takes long to make between runs: Matplotlib's font list, compiled programs.

    Most of the time goes into compiling small programs; the second run finds them. Each worker has
    a folder of its own: jax does not write there atomically. (Processes that tests start compile
    for themselves, in the user's cache of this closed world.)
    """
    cache = getattr(config, "cache", None)  # absent under -p no:cacheprovider
    if cache is None:
        return
    os.environ["MPLCONFIGDIR"] = str(cache.mkdir("matplotlib"))
    worker = os.environ.get("PYTEST_XDIST_WORKER", "main")
    jax.config.update("jax_compilation_cache_dir", str(cache.mkdir(f"jax-{worker}")))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)
