"""Words: help, versions, and everything that can be wrong with them."""

import errno
import gzip
import io
import os
import shutil
import subprocess
import sys
import time

import numpy as np
import pytest
from PIL import Image

from elbax.cli.main import COMMANDS, main
from tests.command import SMALL, command


def test_help_lists_every_command_and_is_quick():
    seconds = []
    for _ in range(3):
        start = time.perf_counter()
        done = command("--help")
        seconds.append(time.perf_counter() - start)
        assert done.returncode == 0
        assert all(name in done.stdout for name in COMMANDS)
    # The promise is 0.3 s on an idle machine; the tests' one may be busy.
    assert min(seconds) < 1.0


def test_help_imports_nothing_heavy():
    code = "import sys; from elbax.cli import main; main(['--help']); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert not loaded & {"jax", "numpy", "argparse", "matplotlib", "rich", "elbax.data"}


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help(name, capsys):
    with pytest.raises(SystemExit) as stop:
        main([name, "--help"])
    assert stop.value.code == 0
    said = capsys.readouterr().out
    assert f"elbax {name}" in said
    assert "--" in said


def test_version(elbax):
    status, out, _ = elbax("--version")
    assert status == 0
    assert out.startswith("elbax ")


@pytest.mark.parametrize(("words", "status"), [(["datasets"], 1), (["nothing"], 2)])
def test_a_full_disk_under_what_is_printed_is_a_status(words, status):
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "elbax", *words], stdout=full, stderr=full, check=False
        )
    assert done.returncode == status


def test_a_closed_pipe_is_no_error():
    writer = subprocess.Popen(
        [sys.executable, "-m", "elbax", "datasets"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )  # fmt: skip
    assert writer.stdout is not None
    writer.stdout.close()
    writer.stdout = None
    _, err = writer.communicate()
    assert (err, writer.returncode) == ("", 1)


def test_a_bug_is_one_line_and_says_how_to_see_more(elbax, monkeypatch):
    import elbax.cli.about.recipes as module

    def fail(_words):
        raise KeyError("oops")

    monkeypatch.setattr(module, "main", fail)
    status, _, err = elbax("recipes")
    assert status == 1
    assert err == "elbax: KeyError: 'oops' (set ELBAX_DEBUG=1 to see where)\n"
    monkeypatch.setenv("ELBAX_DEBUG", "1")
    assert "Traceback" in elbax("recipes")[2]


@pytest.mark.parametrize(
    ("error", "status", "said"),
    [
        (OSError(errno.EIO, os.strerror(errno.EIO)), 1, "input/output error"),
        (OSError(errno.ENAMETOOLONG, "File name too long", "rrr"), 2, "rrr: file name too long"),
        (RuntimeError("RESOURCE_EXHAUSTED: Out of memory"), 1, "RESOURCE_EXHAUSTED: Out of memory"),
    ],
)
def test_what_the_machine_says_no_to_is_no_bug(elbax, monkeypatch, error, status, said):
    import elbax.cli.about.recipes as module

    def fail(_words):
        raise error

    monkeypatch.setattr(module, "main", fail)
    assert elbax("recipes") == (status, "", f"elbax: {said}\n")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["trian"], "unknown command 'trian': did you mean 'train'?"),
        (["--hepl"], "unknown option '--hepl'"),
        (["train"], "needs DATA"),
        (["train", "digits", "--hidden", "9" * 30], "give whole numbers from 1 to 16777216"),
        (["train", "digits", "more"], "takes no 'more'"),
        (["train", "digits", "--latentdim", "3"], "did you mean '--latent-dim'?"),
        (["train", "digits", "--latent-dim"], "--latent-dim needs a value"),
        (["train", "digits", "--latent-dim", "x"], "(--latent-dim) is 'x': give a whole number"),
        (["train", "digits", "--latent-dim", "0"], "latent_dim (--latent-dim) is 0"),
        (["train", "digits", "--latent-dim", "-3"], "(--latent-dim) is -3"),
        (["train", "digits", "--hidden", "8,0"], "(--hidden) is '8,0'"),
        (["train", "digits", "--hidden", "8,a"], "(--hidden) is '8,a': give whole numbers"),
        (["train", "digits", "--batch-size", "-1"], "(--batch-size) is -1"),
        (["train", "digits", "--batch-size", "9999"], "there are 1437 rows to train on"),
        (["train", "digits", "--iterations", "0"], "(--iterations) is 0"),
        (["train", "digits", "--learning-rate", "nan"], "(--learning-rate) is nan"),
        (["train", "digits", "--seed", "-1"], "(--seed) is -1"),
        (["train", "digits", "--recipe", "vea"], "unknown recipe 'vea': did you mean 'vae'?"),
        (["train", "digits", "--likelihood", "normel"], "did you mean 'normal'?"),
        (["train", "digits", "--activation", "rellu"], "did you mean 'relu'?"),
        (["train", "digitz"], "did you mean 'digits'"),
        (["train", "nowhere/x.npy"], "no such file"),
        (["train", "digits", "--validation", "5000"], "leaves nothing to train on"),
        (["train", "digits", "--validation", "0", "--patience", "2"], "needs validation rows"),
        (["inspect", "digits", "--recipe", "veb"], "unknown recipe"),
        (["resume", "nowhere"], "there is no folder nowhere"),
        (["resume", "."], "holds no run"),
        (["resume", "nowhere", "--iterations", "-5"], "(--iterations) is -5"),
    ],
)
def test_wrong_words(refused, tmp_path, monkeypatch, words, said):
    monkeypatch.chdir(tmp_path)
    assert said in refused(*words)
    assert list(tmp_path.iterdir()) == []


def _npz_with_pickle(path):
    np.savez(path, x=np.array([{}, {}], dtype=object))


def _png(path, size, kind="L"):
    Image.new(kind, size).save(path)


def _folder(path, sizes):
    path.mkdir()
    for i, size in enumerate(sizes):
        _png(path / f"{i}.png", size)


def _save(array):
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


INFINITE = np.random.default_rng(0).random((9, 4)).astype(np.float32)
INFINITE[4, 2] = np.inf
IDX = bytes([0, 0, 8, 3]) + b"".join(n.to_bytes(4, "big") for n in (50, 28, 28))


@pytest.mark.parametrize(
    ("name", "make", "said"),
    [
        ("a.idx", lambda p: p.write_bytes(IDX + bytes(1000)), "a.idx"),
        ("a-idx3-ubyte", lambda p: p.write_bytes(b"not an IDX file at all"), "a-idx3-ubyte"),
        ("a.gz", lambda p: p.write_bytes(gzip.compress(IDX + bytes(50 * 784))[:40]), "a.gz"),
        ("a.npz", _npz_with_pickle, "pickle"),
        ("a.npy", lambda p: p.write_bytes(b"\x93NUMPY\x01\x00garbage"), "a.npy"),
        ("a.npy", lambda p: p.write_bytes(_save(np.zeros((0, 4), np.float32))), "a.npy"),
        ("a.npy", lambda p: p.write_bytes(_save(np.zeros((1, 8, 8), np.uint8))), "at least 3"),
        ("a.npy", lambda p: p.write_bytes(_save(INFINITE)), "infin"),
        ("images", lambda p: _folder(p, [(8, 8)] * 4 + [(9, 8)]), "images"),
        ("images", lambda p: _folder(p, [(8, 8)]), "images"),
        ("images", lambda p: _folder(p, []), "images"),
    ],
)  # fmt: skip
def test_wrong_data(refused, tmp_path, name, make, said):
    make(tmp_path / name)
    out = tmp_path / "run"
    assert said in refused("train", tmp_path / name, "--out", out)
    assert not out.exists()


def test_a_damaged_png_is_named(refused, tmp_path):
    _folder(tmp_path / "images", [(8, 8)] * 4)
    (tmp_path / "images" / "2.png").write_bytes(b"\x89PNG\r\n\x1a\n and no more")
    assert "2.png" in refused("train", tmp_path / "images", "--out", tmp_path / "run")


def test_bytes_as_floats_are_called_that(elbax, tmp_path):
    x = np.random.default_rng(0).integers(0, 256, (40, 8, 8)).astype(np.float32)
    np.save(tmp_path / "x.npy", x)
    status, _, said = elbax("train", tmp_path / "x.npy", "--dry-run")
    assert status == 0
    assert "float32 from 0 to 255 read as grey levels" in said


class TestFolders:
    """What `--out` may be, and what it does to what is there."""

    def _train(self, *words):
        return ["train", "digits", *SMALL, "--iterations", 3, "--no-report", "--out", *words]

    def test_a_file_in_its_place(self, refused, tmp_path):
        (tmp_path / "run").write_text("mine")
        assert "is a file" in refused(*self._train(tmp_path / "run"))
        assert "is a file" in refused(*self._train(tmp_path / "run" / "below"))
        assert (tmp_path / "run").read_text() == "mine"

    def test_where_nothing_can_be_made(self, refused):
        assert "/proc/run" in refused(*self._train("/proc/run"))

    def test_somebody_elses_folder(self, refused, tmp_path):
        (tmp_path / "thesis.txt").write_text("mine")
        assert "thesis.txt" in refused(*self._train(tmp_path))
        (tmp_path / "config.json").write_text("{}")
        assert "overwrite config.json" in refused(*self._train(tmp_path, "--force"))
        assert (tmp_path / "config.json").read_text() == "{}"

    def test_force_deletes_only_what_elbax_wrote(self, elbax, refused, tmp_path):
        run = tmp_path / "run"
        assert elbax(*self._train(run))[0] == 0
        (run / "notes.txt").write_text("mine")
        (run / "figures").mkdir()
        (run / "figures" / "mine.png").write_text("mine")
        (run / "figures" / "normal.png").write_text("elbax's")
        (run / "checkpoints" / "mine").mkdir()
        before = (run / "model.safetensors").read_bytes()
        assert "holds a run already" in refused(*self._train(run))
        assert "latent" in refused(*self._train(run, "--force", "--latent-dim", 0))
        assert (run / "model.safetensors").read_bytes() == before  # a mistake costs nothing
        status, _, err = elbax(*self._train(run, "--force", "--seed", 1))
        assert status == 0
        assert "notes.txt" in err
        assert (run / "notes.txt").read_text() == "mine"
        assert (run / "figures" / "mine.png").exists()
        assert (run / "checkpoints" / "mine").exists()
        assert not (run / "figures" / "normal.png").exists()
        assert (run / "model.safetensors").read_bytes() != before

    def test_numbers_go_on(self, elbax, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        (tmp_path / "runs" / "digits-007").mkdir(parents=True)
        words = [word for word in self._train() if word != "--out"]
        assert elbax(*words)[0] == 0
        assert (tmp_path / "runs" / "digits-008" / "model.safetensors").exists()

    def test_two_processes_never_share_a_folder(self, refused, finished_run, tmp_path):
        from elbax.run.folder import locked

        run = shutil.copytree(finished_run, tmp_path / "run")
        with locked(run):
            assert "another process is writing" in refused("resume", run)


def test_a_missing_gpu_is_one_line(tmp_path):
    if _has_gpu():
        return
    done = command("train", "digits", "--device", "gpu", "--out", tmp_path / "run")
    assert done.returncode == 2
    assert done.stderr.startswith("elbax: device (--device) is gpu, and JAX finds none here")
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "run").exists()


def _has_gpu():
    import jax

    return jax.default_backend() == "gpu"
