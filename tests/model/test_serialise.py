"""The model file: read back whole and by its names, or refused in one line; never executed."""

import json
import os
import pickle
import resource
import shutil

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import save_file

from elbax.model import (
    MLP,
    AbstractDecoder,
    Bernoulli,
    Decoder,
    DiagonalNormal,
    Encoder,
    GreyBernoulli,
    LatentVariableModel,
    ModelFileError,
    Preprocessing,
    StandardNormal,
    load_model,
    read_metadata,
    save_model,
    serialise,
)
from tests.laws import filled, numbers

METADATA = {"recipe": "vae", "numbers": [1, 2.5, None], "words": "höchst"}


def vae():
    key = jax.random.key(0)
    return LatentVariableModel(
        prior=StandardNormal(2),
        encoder=Encoder(MLP(4, (5, 3), 4, key=key), DiagonalNormal(2)),
        decoder=Decoder(MLP(2, (3,), 4, "tanh", key=key), Bernoulli((2, 2, 1))),
        preprocessing=Preprocessing(1 / 255, "dynamic"),
    )


MODEL = filled(vae, seed=1)


@pytest.fixture
def path(tmp_path):
    save_model(tmp_path / "model.safetensors", MODEL, METADATA)
    return tmp_path / "model.safetensors"


def bits(model):
    arrays = jax.tree.leaves(eqx.filter(model, eqx.is_array))
    return [(a.dtype, a.shape, np.asarray(a).tobytes()) for a in arrays]


def refused(path, **options):
    """The one line with which a file is refused; it names the file."""
    with pytest.raises(ModelFileError) as caught:
        load_model(path, **options)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert "\n" not in message
    return message


# --- what is written -----------------------------------------------------------------------


def test_a_model_comes_back_with_all_that_it_is(path):
    loaded = load_model(path)
    assert jax.tree.structure(loaded) == jax.tree.structure(MODEL)
    assert bits(loaded) == bits(MODEL)
    assert loaded.preprocessing == Preprocessing(1 / 255, "dynamic")
    assert read_metadata(path) == METADATA


def test_a_folder_of_a_run_is_as_good_as_its_file(path):
    assert bits(load_model(path.parent)) == bits(load_model(str(path))) == bits(MODEL)
    assert read_metadata(path.parent) == METADATA


def test_arrays_have_the_names_that_scripts_rely_on(path):
    expected = {
        f"{room}.network.layers.{n}.{kind}"
        for room, layers in (("encoder", 3), ("decoder", 2))
        for n in range(layers)
        for kind in ("weight", "bias")
    }
    with safe_open(path, framework="numpy") as file:
        assert set(file.keys()) == expected
        weight = file.get_tensor("encoder.network.layers.2.weight")
        bias = file.get_tensor("encoder.network.layers.2.bias")
        assert weight.shape == (4, 3)  # (out, in); out is 2 × latents: means, then log-variances
        # Read as the README says, without elbax: mean and scale of q(z|x) from the last layer.
        h = numbers((4,), seed=2)
        for n in range(2):
            layer = f"encoder.network.layers.{n}"
            h = file.get_tensor(f"{layer}.weight") @ h + file.get_tensor(f"{layer}.bias")
            h = np.maximum(h, 0)
    mean, log_variance = np.split(weight @ h + bias, 2)
    q = MODEL.encode(jnp.asarray(numbers((4,), seed=2)))
    assert np.allclose(q.mean, mean, rtol=1e-5)
    assert np.allclose(q.variance, np.exp(log_variance), rtol=1e-5)


def test_saving_again_replaces_the_file(path):
    other = filled(vae, seed=3)
    save_model(path, other)
    assert bits(load_model(path)) == bits(other) != bits(MODEL)
    assert read_metadata(path) == {}


def test_nothing_is_lost_when_the_disk_is_full(path):
    before = path.read_bytes()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, hard))
    try:
        with pytest.raises(OSError, match="file too large"):
            save_model(path, filled(vae, seed=3))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]


def test_nothing_is_lost_when_the_last_step_fails(path, monkeypatch):
    before = path.read_bytes()

    def fail(*_):
        raise OSError("no")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(OSError, match="no"):
        save_model(path, filled(vae, seed=3))
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]


def test_metadata_that_json_cannot_say_writes_nothing(tmp_path):
    with pytest.raises(TypeError, match="not JSON serializable"):
        save_model(tmp_path / "model.safetensors", MODEL, {"array": np.ones(3)})
    assert list(tmp_path.iterdir()) == []


# --- damaged and foreign files -------------------------------------------------------------


def test_no_file_is_said_so(tmp_path):
    for path in (tmp_path / "none.safetensors", tmp_path):
        for read in (load_model, read_metadata):
            with pytest.raises(FileNotFoundError, match="there is no such model file"):
                read(path)


def header_length(path):
    return 8 + int.from_bytes(path.read_bytes()[:8], "little")


def flipped(path, place, bit):
    content = bytearray(path.read_bytes())
    content[place] ^= 1 << bit
    path.write_bytes(content)


def test_a_flipped_bit_in_the_header_is_noticed(path, tmp_path):
    length = header_length(path)
    for place in range(length):
        copy = shutil.copy(path, tmp_path / "damaged.safetensors")
        flipped(copy, place, place % 8)
        refused(copy)
        with pytest.raises(ModelFileError):
            read_metadata(copy)


def test_a_flipped_bit_in_the_numbers_is_noticed(path, tmp_path):
    first, last = header_length(path), path.stat().st_size
    for place in range(first, last, 3):
        copy = shutil.copy(path, tmp_path / "damaged.safetensors")
        flipped(copy, place, place % 8)
        assert "SHA-256" in refused(copy)


def test_a_truncated_file_is_noticed(path, tmp_path):
    content = path.read_bytes()
    for length in [*range(40), *range(40, len(content), 37), len(content) - 1]:
        copy = tmp_path / "damaged.safetensors"
        copy.write_bytes(content[:length])
        refused(copy)


class _Trap:
    """Would leave a mark if it were ever unpickled."""

    def __reduce__(self):
        return os.mkdir, ("unpickled",)


def test_a_pickle_is_refused_and_not_loaded(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "model.safetensors"
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        path.write_bytes(pickle.dumps({"model": _Trap()}, protocol))
        refused(path)
    np.save(path.with_suffix(".npy"), np.array([_Trap()], object), allow_pickle=True)
    refused(path.with_suffix(".npy"))
    assert not (tmp_path / "unpickled").exists()


@pytest.mark.parametrize("metadata", [None, {"format": "pt"}, {"format": "elbax"}])
def test_a_safetensors_file_of_somebody_else_is_refused(tmp_path, metadata):
    path = tmp_path / "model.safetensors"
    save_file({"weight": np.ones((2, 2), np.float32)}, path, metadata=metadata)
    words = (
        "written in format None" if metadata == {"format": "elbax"} else "not one that elbax wrote"
    )
    assert words in refused(path)


def test_a_header_that_claims_to_be_huge_is_not_read(path):
    content = bytearray(path.read_bytes())
    content[:8] = (2**62).to_bytes(8, "little")
    path.write_bytes(content)
    assert "its header claims 4,611,686,018,427,387,904 bytes" in refused(path)


# --- files that are whole and say something else -------------------------------------------


def forge(path, change=None, tensors=None, **fields):
    """Writes the file anew, changed, with the SHA-256 that fits."""
    with safe_open(path, framework="numpy") as file:
        header = dict(file.metadata())
        arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    architecture = json.loads(header["architecture"])
    if change is not None:
        change(architecture)
    if tensors is not None:
        tensors(arrays)
    header |= {"architecture": json.dumps(architecture)} | fields
    header["sha256"] = serialise._digest(header, arrays)
    save_file(arrays, path, metadata=header)


def encoder_network(architecture):
    return architecture["fields"]["encoder"]["fields"]["network"]


def test_the_forger_alone_changes_nothing(path):
    forge(path)
    assert bits(load_model(path)) == bits(MODEL)


def test_another_format_version_is_refused(path):
    forge(path, version="2")
    assert "written in format 2, and this elbax reads 1" in refused(path)


@pytest.mark.parametrize("name", ["os.system", "Linear2", "AbstractPrior", "Encoderr", "object"])
def test_an_unknown_class_is_never_imported(path, name):
    forge(path, lambda a: encoder_network(a).update(module=name))
    message = refused(path)
    assert f"encoder.network is {name}" in message
    assert "never imported by name" in message
    assert "parts={'encoder.network': …}" in message


def test_a_tensor_that_is_missing_is_named(path):
    forge(path, tensors=lambda arrays: arrays.pop("encoder.network.layers.1.bias"))
    assert "the tensor 'encoder.network.layers.1.bias' is missing" in refused(path)


def test_a_tensor_that_has_no_place_is_named(path):
    forge(path, tensors=lambda arrays: arrays.update(stray=np.ones(3)))
    assert "no place in the architecture for stray" in refused(path)


def test_a_tensor_of_another_shape_or_type_is_named(path):
    name = "decoder.network.layers.0.weight"
    forge(path, tensors=lambda arrays: arrays.update({name: np.ones((3, 3), np.float32)}))
    assert f"'{name}' is float32[3, 3], not float32[3, 2]" in refused(path)
    forge(path, tensors=lambda arrays: arrays.update({name: np.ones((3, 2), np.float16)}))
    assert f"'{name}' is float16[3, 2], not float32[3, 2]" in refused(path)


def test_parts_that_do_not_fit_together_are_refused(path):
    name = "decoder.network.layers.0.weight"

    def widen(architecture):
        layers = architecture["fields"]["decoder"]["fields"]["network"]["fields"]["layers"]
        layers["tuple"][0]["fields"]["weight"] = {"array": ["float32", [3, 7]]}

    forge(path, widen, lambda arrays: arrays.update({name: np.ones((3, 7), np.float32)}))
    assert "the parts do not fit together" in refused(path)


def _fields_of(architecture, place):
    for name in place:
        architecture = architecture["fields"][name]
    return architecture["fields"]


@pytest.mark.parametrize(
    ("place", "field", "value"),
    [
        (("encoder", "network"), "activation", "rleu"),
        (("encoder", "network"), "compute_dtype", "float99"),
        (("preprocessing",), "binarize", "static"),
        (("preprocessing",), "scale", "large"),
        (("encoder", "posterior"), "latent_dim", 3),
        (("encoder", "posterior"), "latent_dim", "two"),
        (("decoder", "likelihood"), "shape", {"tuple": [2, 2, 7]}),
        (("decoder", "likelihood"), "shape", None),
        (("decoder",), "likelihood", {"surprise": 1}),
        ((), "prior", 5),
        ((), "decoder", None),
        ((), "encoder", {}),
        ((), "encoder", {"module": "Encoder"}),
        ((), "encoder", {"module": ["Encoder"], "fields": {}}),
        ((), "encoder", {"array": 5}),
        ((), "encoder", {"tuple": 5}),
    ],
)
def test_an_architecture_that_says_nonsense_is_refused(path, place, field, value):
    forge(path, lambda a: _fields_of(a, place).update({field: value}))
    refused(path)


def test_fields_that_a_class_does_not_have_are_refused(path):
    forge(path, lambda a: encoder_network(a)["fields"].update(evil=1))
    assert "the fields of MLP at 'encoder.network'" in refused(path)
    forge(path, lambda a: [encoder_network(a)["fields"].pop(n) for n in ("evil", "activation")])
    assert "the fields of MLP at 'encoder.network'" in refused(path)


def test_an_architecture_that_is_nested_without_end_is_refused(path):
    with safe_open(path, framework="numpy") as file:
        arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        header = dict(file.metadata())
    header["architecture"] = '{"tuple": [' * 100_000 + "]}" * 100_000
    header["sha256"] = serialise._digest(header, arrays)
    save_file(arrays, path, metadata=header)
    refused(path)


# --- somebody's own parts ------------------------------------------------------------------


class Scaled(eqx.Module):
    """A network that elbax does not know, with its arrays in a dictionary, a list and a field."""

    weights: dict[str, jax.Array]
    biases: list[jax.Array]
    gain: jax.Array
    name: str = eqx.field(static=True, default="scaled")

    def __call__(self, x):
        hidden = jnp.tanh(self.weights["a"] @ jnp.ravel(x) + self.biases[0])
        return self.gain * (self.weights["b"] @ hidden + self.biases[1])


def scaled(seed, width=3):
    rng = np.random.default_rng(seed)
    draw = lambda *shape: jnp.asarray(rng.normal(size=shape), jnp.float32)  # noqa: E731
    # Not in the order of the alphabet: JAX flattens dictionaries in that order.
    return Scaled({"b": draw(4, width), "a": draw(width, 4)}, [draw(width), draw(4)], draw())


@pytest.fixture
def own(tmp_path):
    model = eqx.tree_at(lambda m: m.encoder.network, MODEL, scaled(1))
    save_model(tmp_path / "own.safetensors", model)
    return tmp_path / "own.safetensors", model


def test_a_callers_own_network_is_asked_for_by_its_place(own):
    path, _ = own
    assert "encoder.network is Scaled" in refused(path)
    assert "encoder.network is Scaled" in refused(path, parts={"decoder.network": scaled(2)})


def test_a_callers_own_network_is_filled_from_the_file(own):
    path, model = own
    part = scaled(2)
    before = bits(part)
    loaded = load_model(path, parts={"encoder.network": part})
    assert jax.tree.structure(loaded) == jax.tree.structure(model)
    assert bits(loaded) == bits(model)
    x = jnp.asarray(numbers((2, 2, 1), seed=4))
    assert np.array_equal(loaded.encode(x).mean, model.encode(x).mean)
    assert bits(part) == before  # the caller's own stays as it was


def test_a_callers_own_network_of_other_sizes_is_refused(own):
    path, _ = own
    message = refused(path, parts={"encoder.network": scaled(2, width=6)})
    assert "'encoder.network.weights.a' is float32[3, 4], not float32[6, 4]" in message


def test_a_function_is_a_part_without_arrays(tmp_path):
    def decode(z):
        return jnp.tile(z, 2)

    model = eqx.tree_at(lambda m: m.decoder.network, MODEL, decode)
    save_model(tmp_path / "own.safetensors", model)
    assert "decoder.network is decode" in refused(tmp_path / "own.safetensors")
    loaded = load_model(tmp_path / "own.safetensors", parts={"decoder.network": decode})
    assert loaded.decoder.network is decode
    assert bits(loaded) == bits(model)


class OwnDecoder(AbstractDecoder):
    """A decoder that is not a network followed by a family, and does not say its shape."""

    weight: jax.Array

    def __call__(self, z, condition=None):
        return GreyBernoulli((self.weight @ z).reshape(2, 2, 1))


def test_a_callers_own_decoder_is_filled_from_the_file(tmp_path):
    weight = jnp.asarray(numbers((4, 2), seed=5))
    model = eqx.tree_at(lambda m: m.decoder, MODEL, OwnDecoder(weight))
    save_model(tmp_path / "own.safetensors", model)
    assert "decoder is OwnDecoder" in refused(tmp_path / "own.safetensors")
    part = OwnDecoder(jnp.zeros((4, 2)))
    loaded = load_model(tmp_path / "own.safetensors", parts={"decoder": part})
    assert bits(loaded) == bits(model)
