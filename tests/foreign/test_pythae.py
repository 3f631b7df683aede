"""A model of pythae computes in elbax what pythae computed; nothing of its file is executed."""

import json
import math
import pickle
import shutil
import zipfile
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import elbax
from elbax.foreign import torch_file

FIXTURES = Path(__file__).parents[1] / "fixtures" / "pythae"


@pytest.fixture
def folder(tmp_path):
    """A copy of a model, to be spoiled."""
    return shutil.copytree(FIXTURES / "vae", tmp_path / "vae")


def changed(folder, **entries):
    path = folder / "model_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **entries}))


def programmed(path, program, **entries):
    """A file as `torch.save` writes one, of any program."""
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("model/data.pkl", program)
        for name, content in entries.items():
            archive.writestr(f"model/data/{name[1:]}", content)
    return path


def channels_last(x):
    return np.moveaxis(x, 1, -1) if x.ndim == 4 else x


@pytest.mark.parametrize("name", ["vae", "beta_vae"])
def test_what_it_computes_is_what_pythae_computes(name):
    model = elbax.from_pythae(FIXTURES / name)
    expected = np.load(FIXTURES / name / "expected.npz")
    x, z = jnp.asarray(channels_last(expected["x"])), jnp.asarray(expected["z"])

    def of_one(x, z):
        q = model.encode(x)
        return (
            q.mean, jnp.log(q.variance), model.decode(z).mean, model.log_likelihood(x, z),
            elbax.kl_divergence(q, model.prior_distribution()),
        )  # fmt: skip

    mean, log_variance, decoded, log_likelihood, kl = jax.vmap(of_one)(x, z)
    np.testing.assert_allclose(mean, expected["mean"], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(log_variance, expected["log_variance"], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(decoded, channels_last(expected["decoded"]), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(kl, expected["kl"], rtol=1e-5, atol=1e-6)
    constant = 0.5 * math.log(2 * math.pi) * math.prod(x.shape[1:]) if name == "vae" else 0.0
    np.testing.assert_allclose(-log_likelihood, expected["loss"] + constant, rtol=1e-5)


def test_it_is_kept_as_any_model(tmp_path):
    model = elbax.from_pythae(FIXTURES / "vae")
    elbax.save_model(tmp_path / "model.safetensors", model)
    again = elbax.load(tmp_path / "model.safetensors")
    z = jnp.asarray([0.5, -1.0, 2.0])
    np.testing.assert_array_equal(again.decode(z).mean, model.decode(z).mean)


def test_networks_of_its_own_are_refused(folder):
    changed(folder, uses_default_encoder=False)
    with pytest.raises(ValueError, match=r"encoder of its own \(encoder.pkl\)"):
        elbax.from_pythae(folder)


@pytest.mark.parametrize(
    ("entries", "said"),
    [
        ({"name": "VQVAEConfig"}, "is of a VQVAEConfig"),
        ({"input_dim": None}, "lacks input_dim"),
        ({"latent_dim": True}, "lacks input_dim or latent_dim"),
        ({"latent_dim": 4}, r"no encoder.embedding.weight of shape \(4, 512\)"),
        ({"input_dim": [1, 3, 2]}, r"no encoder.layers.0.0.weight of shape \(512, 6\)"),
        ({"reconstruction_loss": "other"}, "neither 'bce' nor 'mse'"),
    ],
)
def test_another_model_is_refused(folder, entries, said):
    changed(folder, **entries)
    with pytest.raises(ValueError, match=said):
        elbax.from_pythae(folder)


def test_what_is_missing_or_damaged_is_refused(folder):
    whole = (folder / "model.pt").read_bytes()
    (folder / "model.pt").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match="can't be read as tensors"):
        elbax.from_pythae(folder)
    (folder / "model.pt").unlink()
    with pytest.raises(FileNotFoundError):
        elbax.from_pythae(folder)
    (folder / "model_config.json").write_text("[]")
    with pytest.raises(ValueError, match="of pythae"):
        elbax.from_pythae(folder)


def test_a_pickle_that_calls_something_is_refused_and_calls_nothing(tmp_path):
    class Attack:
        def __reduce__(self):
            return (Path.touch, (tmp_path / "was here",))

    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        program = pickle.dumps({"model_state_dict": Attack()}, protocol)
        with pytest.raises(ValueError, match="can't be read as tensors"):
            torch_file.read(programmed(tmp_path / "model.pt", program))
    assert not (tmp_path / "was here").exists()


STORAGE = b"((X\x07\0\0\0storagectorch\nFloatStorage\nX\x01\0\0\0aX\x03\0\0\0cpuK\x04tQ"


def tensor(offset, shape, strides):
    """The program of a tensor of a storage of four numbers."""
    numbers = [b"(" + b"".join(b"J" + n.to_bytes(4, "little", signed=True) for n in some) + b"t"
               for some in (shape, strides)]  # fmt: skip
    at = b"J" + offset.to_bytes(4, "little", signed=True)
    return (
        b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n" + STORAGE + at + b"".join(numbers) + b"tR."
    )


def test_a_tensor_is_a_view_of_its_storage(tmp_path):
    numbers = np.arange(4, dtype="<f4")
    for offset, shape, strides in ((0, (2, 2), (2, 1)), (0, (2, 2), (1, 2)), (1, (3,), (1,))):
        path = programmed(tmp_path / "t", tensor(offset, shape, strides), _a=numbers.tobytes())
        rows = [offset + sum(i * s for i, s in zip(at, strides, strict=True))
                for at in np.ndindex(*shape)]  # fmt: skip
        np.testing.assert_array_equal(torch_file.read(path), numbers[rows].reshape(shape))


@pytest.mark.parametrize(
    ("offset", "shape", "strides"),
    [(0, (5,), (1,)), (2, (3,), (1,)), (-1, (2,), (1,)), (3, (2,), (-1,)), (0, (100_000,), (0,)),
     (0, (2, 2), (2, 2)), (0, (2,), (1, 1))],
)  # fmt: skip
def test_a_tensor_outside_of_its_storage_is_refused(tmp_path, offset, shape, strides):
    path = programmed(tmp_path / "t", tensor(offset, shape, strides), _a=bytes(16))
    with pytest.raises(ValueError, match="can't be read as tensors"):
        torch_file.read(path)


def test_a_storage_of_another_size_is_refused(tmp_path):
    path = programmed(tmp_path / "t", tensor(0, (4,), (1,)), _a=bytes(12))
    with pytest.raises(ValueError, match="has not the size that it says"):
        torch_file.read(path)
