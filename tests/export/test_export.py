"""`elbax export`: what it writes and says, and what it is refused for."""

import json

import pytest


def test_a_run_is_exported(elbax, finished_run, tmp_path):
    out = tmp_path / "onnx"
    status, said, err = elbax("export", finished_run, "--out", out, "--json")
    assert status == 0, err
    found = json.loads(said)
    assert {*found["deviations"]} == {"encode", "decode", "reconstruct", "score"}
    assert max(found["deviations"].values()) < 1e-4
    assert {path.name for path in out.iterdir()} == {f"{name}.onnx" for name in found["deviations"]}


def test_as_a_module(elbax, finished_run, tmp_path):
    status, said, err = elbax("export", finished_run, "--format", "torch", "--out", tmp_path / "t")
    assert status == 0, err
    assert "reconstruct" in said
    assert {path.name for path in (tmp_path / "t").iterdir()} == {"model.py", "model.safetensors"}


@pytest.mark.parametrize("out", ["none/here", "file"])
def test_a_folder_that_cannot_be_made_is_refused(elbax, finished_run, tmp_path, out):
    (tmp_path / "file").write_text("")
    status, _, err = elbax("export", finished_run, "--out", tmp_path / out)
    assert status == 2
    assert "folder" in err
