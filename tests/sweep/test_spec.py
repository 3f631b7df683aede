"""What a sweep was asked for, read back: as it was written, or one line."""

import pytest

from elbax.run.folder import RunFolderError
from elbax.sweep.sweep import SCHEMA, SPEC, read
from elbax.util.files import write_json, write_sealed

ASKED = {"schema": SCHEMA, "runs": {"seed-0": {"seed": 0}, "seed-1": {"seed": 1}}}


def test_a_changed_digit_is_told(tmp_path):
    write_sealed(tmp_path / SPEC, ASKED)
    assert read(tmp_path) == ASKED
    content = (tmp_path / SPEC).read_text()
    (tmp_path / SPEC).write_text(content.replace('"seed": 1', '"seed": 2'))
    with pytest.raises(RunFolderError, match="damaged, or changed by hand"):
        read(tmp_path)


def test_a_sweep_of_earlier_versions_has_no_sum(tmp_path):
    write_json(tmp_path / SPEC, ASKED)
    assert read(tmp_path) == ASKED
