"""Commands that use a trained run: evaluate, sample, reconstruct, encode, decode, plot."""

import csv
import json

import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits

import elbax as library


def test_evaluate_gives_the_numbers_of_training(elbax, finished_run):
    status, out, _ = elbax("evaluate", finished_run, "--json", "--samples", 20)
    found = json.loads(out)
    results = json.loads((finished_run / "results.json").read_text())
    assert status == 0
    assert found["schema"] == 1
    assert (found["split"], found["rows"]) == ("test", 180)
    for name in ("elbo", "reconstruction", "kl", "standard_error"):
        assert found[name] == results["test"][name]


def test_evaluate_in_words(elbax, finished_run):
    status, out, _ = elbax(
        "evaluate", finished_run, "--split", "all", "--data", "digits", "--samples", 10
    )
    assert status == 0
    assert "1,797 rows" in out
    assert "±" in out


def test_samples_are_the_same_for_the_same_seed(elbax, finished_run, tmp_path):
    for name, words in {
        "a": ["--count", 30, "--mean"],
        "b": ["--count", 10],
        "c": ["--count", 10, "--draw"],
        "d": ["--count", 10, "--seed", 1],
    }.items():
        assert elbax("sample", finished_run, "--out", tmp_path / f"{name}.npz", *words)[0] == 0
    a, b, c, d = (np.load(tmp_path / f"{name}.npz") for name in "abcd")
    assert a["x"].shape == (30, 8, 8, 1)
    assert a["z"].shape == (30, 2)
    np.testing.assert_array_equal(a["x"][:10], b["x"])  # a smaller count is the beginning
    np.testing.assert_array_equal(b["z"], c["z"])  # mean and draw show the same latents
    assert set(np.unique(c["x"])) <= {0.0, 1.0}
    assert (b["x"] > 0).all()
    assert (b["x"] < 1).all()
    assert not np.array_equal(b["z"], d["z"])


def test_samples_of_a_prior_that_is_fitted_afterwards(elbax, finished_run, tmp_path):
    out = tmp_path / "x.npz"
    words = ("--sampler", "gaussian-mixture", "--components", 2, "--count", 4)
    assert elbax("sample", finished_run, *words, "--out", out)[0] == 0
    assert np.load(out)["x"].shape == (4, 8, 8, 1)


def test_a_sheet_of_samples(elbax, finished_run, tmp_path):
    out = tmp_path / "sheet.png"
    assert elbax("sample", finished_run, "--count", 9, "--out", out)[0] == 0
    with Image.open(out) as image:
        assert image.size == (3 * 8 + 2, 3 * 8 + 2)


def test_reconstructions_stand_beside_their_originals(elbax, finished_run, tmp_path):
    out = tmp_path / "r.npz"
    assert elbax("reconstruct", finished_run, "--out", out, "--count", 5)[0] == 0
    arrays = np.load(out)
    dataset = library.load_data("digits")
    np.testing.assert_allclose(arrays["original"], dataset.test.x[:5] / 16, rtol=1e-6)
    assert arrays["reconstruction"].shape == (5, 8, 8, 1)


@pytest.mark.parametrize("suffix", ["npz", "csv", "parquet"])
def test_latents_in_three_formats_agree(elbax, finished_run, tmp_path, suffix):
    out = tmp_path / f"latents.{suffix}"
    assert elbax("encode", finished_run, "--out", out, "--split", "test")[0] == 0
    if suffix == "npz":
        arrays = dict(np.load(out))
    elif suffix == "csv":
        header, *rows = list(csv.reader(out.read_text().splitlines()))
        table = np.array(rows, dtype=np.float32)
        arrays = _arrays({name: table[:, i] for i, name in enumerate(header)})
    else:
        import pyarrow.parquet as pq

        arrays = _arrays(pq.read_table(out).to_pydict())
    dataset, model = library.load_data("digits"), library.load(finished_run)
    np.testing.assert_array_equal(arrays["label"], dataset.test.label)
    q = model.encode(model.preprocessing(jnp.asarray(dataset.test.x[7])))
    np.testing.assert_allclose(arrays["mean"][7], q.mean, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(arrays["scale"][7], np.sqrt(q.variance), rtol=1e-4, atol=1e-5)


def _arrays(columns):
    arrays = {
        name: np.stack([columns[f"{name}_0"], columns[f"{name}_1"]], axis=1)
        for name in ("mean", "scale")
    }
    return {**arrays, "label": np.asarray(columns["label"])}


def test_an_own_file_is_encoded_in_its_own_order(elbax, finished_run, tmp_path):
    x = (load_digits(return_X_y=True)[0][:50].reshape(-1, 8, 8) / 16).astype(np.float32)
    np.save(tmp_path / "mine.npy", x)
    out = tmp_path / "latents.npz"
    assert elbax("encode", finished_run, "--data", tmp_path / "mine.npy", "--out", out)[0] == 0
    mean, model = np.load(out)["mean"], library.load(finished_run)
    for row in (0, 17, 49):
        # The run was trained on bytes 0–16, and these are floats 0–1: the scale is the file's.
        expected = model.encode(jnp.asarray(x[row][..., None])).mean
        np.testing.assert_allclose(mean[row], expected, rtol=1e-4, atol=1e-5)


def test_what_encode_wrote_decodes(elbax, finished_run, tmp_path):
    for suffix in ("npz", "csv"):
        latents, out = tmp_path / f"latents.{suffix}", tmp_path / f"{suffix}.npy"
        elbax("encode", finished_run, "--out", latents, "--split", "test")
        assert elbax("decode", finished_run, "--latents", latents, "--out", out)[0] == 0
    a, b = np.load(tmp_path / "npz.npy"), np.load(tmp_path / "csv.npy")
    assert a.shape == (180, 8, 8, 1)
    np.testing.assert_array_equal(a, b)


def test_one_latent_on_the_command_line(elbax, finished_run, tmp_path):
    out = tmp_path / "one.npz"
    assert elbax("decode", finished_run, "--z=-1,0.5", "--out", out)[0] == 0
    expected = library.load(finished_run).decode(jnp.array([-1, 0.5])).mean
    np.testing.assert_allclose(np.load(out)["x"][0], expected, rtol=1e-5, atol=1e-6)


def test_plot_writes_the_figures_asked_for(elbax, finished_run, tmp_path):
    status, out, _ = elbax("plot", finished_run, "normal", "--out", tmp_path / "pictures")
    assert status == 0
    assert out.split() == [str(tmp_path / "pictures" / "normal.png")]
    with Image.open(tmp_path / "pictures" / "normal.png") as image:
        assert image.width > 300


class TestRefused:
    """Each in one line, with nothing written."""

    def test_another_shape_is_named_with_both(self, refused, finished_run, tmp_path):
        np.save(tmp_path / "x.npy", np.zeros((5, 7, 9), np.float32))
        words = refused(
            "encode", finished_run, "--data", tmp_path / "x.npy", "--out", tmp_path / "l.csv"
        )
        assert "7 × 9" in words
        assert "8 × 8" in words
        assert not (tmp_path / "l.csv").exists()

    def test_values_outside_the_support(self, refused, finished_run, tmp_path):
        np.save(tmp_path / "x.npy", np.full((5, 8, 8), 200, np.float32))
        words = refused("evaluate", finished_run, "--data", tmp_path / "x.npy")
        assert "grey levels" in words

    def test_figures(self, refused, finished_run):
        assert "did you mean 'generated'" in refused("plot", finished_run, "genrated")

    @pytest.mark.parametrize("name", ["x.txt", "x"])
    def test_formats(self, refused, finished_run, tmp_path, name):
        words = refused("sample", finished_run, "--out", tmp_path / name)
        assert ".npz" in words
        assert list(tmp_path.iterdir()) == []

    def test_targets(self, refused, finished_run, tmp_path):
        missing = tmp_path / "nowhere" / "x.npz"
        assert "there is no folder" in refused("sample", finished_run, "--out", missing)
        (tmp_path / "x.npz").mkdir()
        assert "is a folder" in refused("sample", finished_run, "--out", tmp_path / "x.npz")

    def test_counts(self, refused, finished_run, tmp_path):
        out = tmp_path / "x.npz"
        assert "count" in refused("sample", finished_run, "--out", out, "--count", 0)
        assert "--mean and --draw" in refused(
            "sample", finished_run, "--out", out, "--mean", "--draw"
        )

    @pytest.mark.parametrize(
        ("content", "words"),
        [
            (np.zeros((3, 5), np.float32), "takes (n, 2)"),
            (np.array([[0.0, np.nan]], np.float32), "row 0"),
            (np.zeros((0, 2), np.float32), "no latents"),
            (np.array([["a", "b"]]), "not numbers"),
        ],
    )
    def test_latents(self, refused, finished_run, tmp_path, content, words):
        np.save(tmp_path / "z.npy", content)
        out = tmp_path / "x.npy"
        assert words in refused(
            "decode", finished_run, "--latents", tmp_path / "z.npy", "--out", out
        )
        assert not out.exists()

    def test_pickles(self, refused, finished_run, tmp_path):
        np.save(tmp_path / "z.npy", np.array([{}], dtype=object), allow_pickle=True)
        words = refused(
            "decode", finished_run, "--latents", tmp_path / "z.npy", "--out", tmp_path / "x.npy"
        )
        assert "can't read latents" in words

    def test_a_damaged_model(self, refused, finished_run, tmp_path):
        run = tmp_path / "run"
        run.mkdir()
        for name in ("config.json", "metrics.jsonl", "results.json"):
            (run / name).write_bytes((finished_run / name).read_bytes())
        whole = (finished_run / "model.safetensors").read_bytes()
        (run / "model.safetensors").write_bytes(whole[: len(whole) // 2])
        words = refused("sample", run, "--out", tmp_path / "x.npz")
        assert "model.safetensors" in words
        assert "damaged" in words

    def test_an_unfinished_run(self, refused, finished_run, tmp_path):
        run = tmp_path / "run"
        run.mkdir()
        (run / "config.json").write_bytes((finished_run / "config.json").read_bytes())
        assert "elbax resume" in refused("sample", run, "--out", tmp_path / "x.npz")
