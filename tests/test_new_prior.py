"""A new prior, for real: three places of a copy of elbax, and no existing line anywhere."""

import difflib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

PRIOR = '''

class LooseNormal(AbstractPrior):
    """p(z): independent normal variables of one scale, which need not be one (Gauss 1809).

    Attributes:
        latent_dim: The number of dimensions of z.
        scale: Of each.
    """

    name: ClassVar[str] = "own-normal"

    latent_dim: int = eqx.field(static=True)
    scale: float = eqx.field(static=True, default=1.0)

    def __call__(
        self, encoder: AbstractEncoder | None = None, condition: Array | None = None
    ) -> dist.Distribution:
        """The variables, whatever the encoder and the condition are."""
        del encoder, condition
        zeros = jnp.zeros(self.latent_dim)
        return dist.Normal(zeros, zeros + self.scale).to_event(1)
'''
PUBLIC = {
    "    from elbax.model.priors import MixtureOfNormals as": (
        "    from elbax.model.priors import LooseNormal as LooseNormal\n"
    ),
}
REGISTRY = {
    "from elbax.model.support import Support": "from elbax.model.priors import LooseNormal\n",
    '    "hypersphere": UniformHypersphere,': '    "own-normal": LooseNormal,\n',
}
PLACES = {"elbax/model/priors.py", "elbax/__init__.py", "tests/laws.py"}


def insert(path: Path, lines: dict[str, str]) -> None:
    """Puts each line before the first one that begins so."""
    text = path.read_text()
    for before, line in lines.items():
        place = text.index(f"\n{before}") + 1
        text = text[:place] + line + text[place:]
    path.write_text(text)


@pytest.mark.slow
def test_a_new_prior_touches_three_places_and_no_existing_line(tmp_path):
    for name in ("elbax", "tests", "pyproject.toml"):
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, tmp_path / name)
    with open(tmp_path / "elbax" / "model" / "priors.py", "a") as file:
        file.write(PRIOR)
    insert(tmp_path / "elbax" / "__init__.py", PUBLIC)
    insert(tmp_path / "tests" / "laws.py", REGISTRY)

    changed = set()
    for path in [*ROOT.glob("elbax/**/*.py"), *ROOT.glob("tests/**/*.py")]:
        place = str(path.relative_to(ROOT))
        old, new = path.read_text(), (tmp_path / place).read_text()
        if old != new:
            changed.add(place)
            lines = difflib.ndiff(old.splitlines(), new.splitlines())
            assert not [line for line in lines if line.startswith("- ")]
    assert changed == PLACES

    def run(*words: str) -> str:
        done = subprocess.run(
            [sys.executable, "-m", *words], cwd=tmp_path, capture_output=True, text=True,
            env={**os.environ, "PYTHONPATH": str(tmp_path)}, check=False, timeout=300,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    (listed,) = (part for part in json.loads(run("elbax", "parts", "prior", "--json"))
                 if part["name"] == "own-normal")  # fmt: skip
    assert listed["source"] == "Gauss 1809"
    assert [option["name"] for option in listed["options"]] == ["scale"]
    trained = run(
        "elbax", "train", "digits", "--prior", "own-normal", "--prior.scale", "0.5",
        "--hidden", "8", "--iterations", "3", "--no-report", "--out", "run", "--json",
    )  # fmt: skip
    assert json.loads(trained)["test"]["kl"] > 0
    run(
        "pytest", "-q", "-p", "no:cacheprovider", "tests/model/test_laws.py",
        "tests/test_package.py", "-k",
        "registered or import_block or (own-normal and (density or bit_for_bit))",
    )  # fmt: skip
