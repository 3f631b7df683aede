"""What a sweep was asked for, read back: as it was written, or one line."""

import itertools
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

import elbax
from elbax.recipes.options import Options, replace
from elbax.report.console import Console
from elbax.run import training
from elbax.run.folder import RunFolderError
from elbax.sweep import axes, sweep
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


class Killed(BaseException):
    """What SIGKILL is, in one process."""


@pytest.mark.slow  # two small sweeps; the campaign kills real ones
@pytest.mark.parametrize("begun", [0, 1])
@pytest.mark.parametrize("again", ["resume", "the same call"])
def test_killed_before_all_runs_are_begun_it_is_taken_up(begun, again, tmp_path, monkeypatch):
    data, out = np.random.default_rng(0).normal(size=(60, 3)).astype(np.float32), tmp_path / "out"
    np.save(tmp_path / "rows.npy", data)
    given = {
        "hidden": (4,),
        "latent_dim": 1,
        "batch_size": 10,
        "iterations": 10,
        "validation": 10,
        "seed": 7,
        "objective.beta": [0.5, 1],
        "report": False,
        "verbose": False,
    }
    whole = elbax.sweep(tmp_path / "rows.npy", out=tmp_path / "whole", **given)
    real, count = training.write_config, itertools.count()

    def write_config(*arguments):
        if next(count) == begun:
            raise Killed
        real(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(training, "write_config", write_config)
        with pytest.raises(Killed):
            elbax.sweep(tmp_path / "rows.npy", out=out, **given)
    assert len(list(out.glob("*/config.json"))) == begun
    if again == "resume":
        assert sweep.resume(out, Console()).results["runs"]
    else:
        elbax.sweep(tmp_path / "rows.npy", out=out, **given)
    for run in map(Path, whole["run"]):
        for name in ("model.safetensors", "best.safetensors"):
            one, other = load_file(run / name), load_file(out / run.name / name)
            assert {k: v.tobytes() for k, v in one.items()} == {
                k: v.tobytes() for k, v in other.items()
            }
        assert (out / run.name / "metrics.jsonl").read_bytes() == (
            run / "metrics.jsonl"
        ).read_bytes()
    assert not (out / "checkpoints").exists()


def test_another_seed_is_another_sweep(tmp_path):
    base = replace(Options(), {"hidden": (4,), "iterations": 10, "seed": 3})
    varied = axes.of({"latent_dim": [1, 2]})
    spec = sweep._spec(varied, base, "digits", varied.runs(), 32)
    write_sealed(tmp_path / SPEC, spec)
    assert sweep._same(tmp_path, spec)
    other = sweep._spec(varied, replace(base, {"seed": 4}), "digits", varied.runs(), 32)
    assert not sweep._same(tmp_path, other)
    before = {name: value for name, value in spec.items() if name not in ("run", "asked")}
    write_sealed(tmp_path / SPEC, before)  # as earlier versions wrote it
    assert sweep._same(tmp_path, spec)
    with pytest.raises(RunFolderError, match="does not say how to begin them"):
        sweep._base(tmp_path, before)
    assert sweep._base(tmp_path, spec) == base
