"""Runs that several of the files here look at."""

from pathlib import Path

import pytest

from tests.command import called
from tests.run.tables import FAST, holed


@pytest.fixture(scope="session")
def table_run(tmp_path_factory) -> Path:
    """A folder with a .csv with holes, a finished run on it, and what training said: copy it."""
    folder = tmp_path_factory.mktemp("table-run")
    holed().to_csv(folder / "holes.csv", index=False)
    words = ["train", folder / "holes.csv", *FAST, "--no-report", "--out", folder / "run"]
    (folder / "said").write_text("".join(called(*words)))
    return folder
