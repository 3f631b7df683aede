"""The package as a whole: its public names, what importing it costs, which room needs what."""

import ast
import importlib
import importlib.metadata
import json
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import elbax

ROOT = Path(elbax.__file__).parent

# What a bare accelerator machine has (DESIGN, "Rooms").
BARE = {
    "elbax", "equinox", "flowjax", "jax", "jaxtyping", "numpy", "numpyro", "optax", "orbax",
    "safetensors",
}  # fmt: skip
# What takes long to import: `elbax --help` answers within 0.3 s without them.
HEAVY = {
    "equinox", "jax", "matplotlib", "mlxtend", "numpyro", "optax", "orbax", "pandas", "pyarrow",
    "scipy", "sklearn",
}  # fmt: skip


def run_fresh(code: str) -> str:
    """Returns what `code` prints in a new Python, one without the hook that checks types."""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def modules(*rooms: str) -> list[Path]:
    return sorted(path for room in rooms for path in (ROOT / room).rglob("*.py"))


# --- public names --------------------------------------------------------------------------


@pytest.mark.parametrize("name", elbax.__all__)
def test_public_name_resolves_to_what_its_module_defines(name):
    value = getattr(elbax, name)
    if name == "__version__":
        assert value == importlib.metadata.version("elbax")
    else:
        module, own_name = elbax._HOME[name]
        assert value is getattr(importlib.import_module(module), own_name)
        assert value.__doc__


def test_public_names_are_those_of_the_import_block():
    block = Path(elbax.__file__).read_text().split("if TYPE_CHECKING:\n")[1].split("\n\n")[0]
    names = re.findall(r" as (\w+)", block)
    assert elbax.__all__ == sorted([*names, "__version__"]) == dir(elbax)


def test_a_room_is_there_without_an_import_of_its_own():
    code = "import elbax; print(elbax.evaluate.elbo.__module__)"
    assert run_fresh(code).split() == ["elbax.evaluate.bounds"]


def test_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="module 'elbax' has no attribute 'trian'"):
        _ = elbax.trian  # pyright: ignore[reportAttributeAccessIssue]


@pytest.mark.parametrize(
    "before",
    [
        "import elbax.train",
        pytest.param("elbax.train; from elbax.train.loop import fit; fit", marks=pytest.mark.slow),
    ],
)
def test_train_is_the_function_although_a_room_has_its_name(before):
    code = f"import elbax\n{before}\nprint(elbax.train.__module__, elbax.train.__qualname__)"
    assert run_fresh(code).split() == ["elbax.workflow", "train"]


# --- what an import costs ------------------------------------------------------------------


@pytest.mark.parametrize(
    "statement",
    [
        "import elbax; dir(elbax); elbax.__version__",
        "import elbax.cli",
        "import elbax.recipes.options",
    ],
)
def test_light_imports_take_nothing_heavy(statement):
    code = f"{statement}\nimport json, sys\nprint(json.dumps(sorted(sys.modules)))"
    imported = {name.partition(".")[0] for name in json.loads(run_fresh(code))}
    assert imported & HEAVY == set()


def test_data_imports_without_jax():
    code = "import elbax.data, sys; print('jax' in sys.modules)"
    assert run_fresh(code).split() == ["False"]


@pytest.mark.parametrize("path", modules("model", "train"), ids=lambda p: str(p.relative_to(ROOT)))
def test_model_and_train_import_only_what_a_bare_machine_has(path):
    tree = ast.parse(path.read_text())
    names = {
        name.partition(".")[0]
        for node in ast.walk(tree)
        for name in (
            [alias.name for alias in node.names]
            if isinstance(node, ast.Import)
            else [node.module or ""]
            if isinstance(node, ast.ImportFrom)
            else []
        )
    }
    assert names - set(sys.stdlib_module_names) - BARE == set()


# --- the wheel -----------------------------------------------------------------------------


@pytest.mark.slow
def test_wheel_holds_elbax_and_nothing_else(tmp_path):
    project = ROOT.parent
    uv = [project / "scripts" / "uv", "build", "--quiet", "--wheel", "--out-dir", tmp_path, project]
    subprocess.run(uv, check=True, timeout=120)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = {entry.filename for entry in archive.infolist() if not entry.is_dir()}
    packaged = {
        name for name in names if not name.startswith(f"elbax-{elbax.__version__}.dist-info/")
    }
    source = {str(path.relative_to(ROOT.parent)) for path in ROOT.rglob("*") if path.is_file()}
    assert packaged == {name for name in source if "__pycache__" not in name}
    assert "elbax/py.typed" in packaged
