"""A model to and from one safetensors file.

The parameters are its tensors, the architecture is JSON in its header. Nothing of what a file says
is executed: a module is rebuilt only if its class is one of elbax' own (or Equinox' `LayerNorm`),
field by field. Any other network is never imported by name: the caller hands it over.
"""

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save as to_bytes

from elbax.model import interfaces
from elbax.model.codes import autoregressive, families
from elbax.model.compatibility import has_density
from elbax.model.distributions.basic import sample
from elbax.model.distributions.flows import NeuralFlow
from elbax.model.interfaces import AbstractDecoder
from elbax.model.latent_variable_model import (
    ClassifyingEncoder,
    Decoder,
    Encoder,
    LatentVariableModel,
)
from elbax.model.members import Members
from elbax.model.missingness import AtRandom
from elbax.model.networks import columns, dense, grids, holes, images
from elbax.model.objectives.terms import ElboTerms, elbo_terms
from elbax.model.preprocessing import Preprocessing
from elbax.util import files, words

FORMAT = 1
_MAX_HEADER = 10_000_000  # bytes of JSON; a real one has some thousands
# What Python and JAX raise where an undamaged header describes something impossible.
_NONSENSE = (AttributeError, LookupError, StopIteration, TypeError, ValueError)


class ModelFileError(ValueError):
    """A model file is damaged, foreign, or needs a part that was not handed over."""


def save_model(
    path: str | Path, model: eqx.Module, metadata: Mapping[str, Any] | None = None
) -> None:
    """Writes a model to one safetensors file, which appears whole or not at all.

    Args:
        path: The file.
        model: A module whose parts are elbax' own, or the caller's: then `load_model` will ask for
            them.
        metadata: Anything that JSON can say, to be read back by `read_metadata`.

    Raises:
        WriteError: (an OSError) It could not be written; what stood there before still does.
    """
    tensors: dict[str, np.ndarray] = {}
    architecture = _describe(model, "", tensors)
    header = {
        "format": "elbax",
        "version": str(FORMAT),
        "architecture": json.dumps(architecture, allow_nan=False),
        "metadata": json.dumps(dict(metadata or {})),
    }
    header["sha256"] = _digest(header, tensors)
    files.write_bytes(Path(path), to_bytes(tensors, metadata=header))


def load_model(path: str | Path, parts: Mapping[str, Any] | None = None) -> Any:
    """Reads a model back from its file alone.

    Args:
        path: The file, or the folder of a run that holds `model.safetensors`.
        parts: Modules of the caller's own, by their place (`{"encoder.network": network}`): their
            arrays are filled from the file.

    Returns:
        The model, usually a `LatentVariableModel`.

    Raises:
        FileNotFoundError: There is no such file.
        ModelFileError: The file is damaged or foreign, or needs a part that was not handed over.
    """
    path = _file(path)
    header, tensors = _read(path)
    try:
        architecture = json.loads(header["architecture"])
        rebuild = _Rebuild(tensors, dict(parts or {}))
        model = rebuild.value(architecture, "")
    except ModelFileError as error:
        raise ModelFileError(f"{path}: {error}") from None
    except (*_NONSENSE, RecursionError) as error:
        raise ModelFileError(
            f"{path}: the architecture in the header is damaged ({words.reason(error)})"
        ) from error
    if rebuild.unused:
        raise ModelFileError(
            f"{path}: no place in the architecture for {', '.join(sorted(rebuild.unused)[:3])}"
        )
    _check_that_it_runs(path, model)
    return model


def read_metadata(path: str | Path) -> dict[str, Any]:
    """What `save_model` was given as metadata.

    Raises:
        FileNotFoundError: There is no such file.
        ModelFileError: The file is damaged or foreign.
    """
    path = _file(path)
    header, _ = _read(path)
    try:
        return dict(json.loads(header["metadata"]))
    except (KeyError, TypeError, ValueError) as error:
        raise ModelFileError(
            f"{path}: the metadata in the header is damaged ({words.reason(error)})"
        ) from error


def _describe(value: Any, place: str, tensors: dict[str, np.ndarray]) -> Any:
    """The JSON of a value; its arrays go to `tensors` under their place."""
    if isinstance(value, eqx.Module):
        fields = {
            field.name: _describe(getattr(value, field.name), _join(place, field.name), tensors)
            for field in dataclasses.fields(value)
        }
        return {"module": type(value).__name__, "fields": fields}
    if _is_array(value):
        tensors[place] = np.asarray(value)
        return {"array": [str(tensors[place].dtype), list(tensors[place].shape)]}
    if isinstance(value, tuple | list):
        items = [_describe(v, _join(place, str(i)), tensors) for i, v in enumerate(value)]
        return {type(value).__name__: items}
    if isinstance(value, dict):
        # Sorted, as JAX flattens them.
        return {
            "dict": {k: _describe(value[k], _join(place, str(k)), tensors) for k in sorted(value)}
        }
    if value is None or isinstance(value, bool | int | float | str):
        return value
    return {"part": getattr(value, "__name__", type(value).__name__)}


class _Rebuild:
    """The way back from the JSON and the tensors to the modules."""

    def __init__(self, tensors: dict[str, np.ndarray], parts: dict[str, Any]) -> None:
        self._tensors = tensors
        self._parts = parts
        self._allowed = _allowed()
        self.unused = set(tensors)

    def value(self, described: Any, place: str) -> Any:
        if place in self._parts:
            return self._fill(self._parts[place], place)
        if not isinstance(described, dict):
            return described
        kind, content = next(iter(described.items()))
        if kind == "module":
            return self._module(content, described["fields"], place)
        if kind == "array":
            return self._array(content, place)
        if kind in ("tuple", "list"):
            items = [self.value(item, _join(place, str(i))) for i, item in enumerate(content)]
            return tuple(items) if kind == "tuple" else items
        if kind == "dict":
            return {k: self.value(v, _join(place, k)) for k, v in content.items()}
        if kind == "part":
            raise self._missing(str(content), place)
        raise ModelFileError(f"the header has an unknown kind {kind!r} at {place!r}")

    def _module(self, name: str, fields: dict[str, Any], place: str) -> Any:
        if name not in self._allowed:
            raise self._missing(name, place)
        kind = self._allowed[name]
        expected = {field.name for field in dataclasses.fields(kind)}
        if name == LatentVariableModel.__name__:  # files of before conditions and mechanisms
            fields = {"condition_dim": 0, **fields}
            fields = {"missing": {"module": AtRandom.__name__, "fields": {}}, **fields}
        if name == Preprocessing.__name__:  # … and of before real values were standardised
            fields = {"shift": 0.0, "log_jacobian": {"tuple": []}, **fields}
        if name in ("ConvEncoder", "ConvDecoder"):  # … and of before large images had patches
            fields = {"stem": None, **fields}
        if set(fields) != expected:
            raise ModelFileError(
                f"the fields of {name} at {place!r} are {sorted(fields)}, not {sorted(expected)}"
            )
        module = object.__new__(kind)
        for field, described in fields.items():
            object.__setattr__(module, field, self.value(described, _join(place, field)))
        if hasattr(module, "__check_init__"):
            module.__check_init__()
        return module

    def _array(self, described: Any, place: str) -> jax.Array:
        dtype, shape = described
        if place not in self._tensors:
            raise ModelFileError(f"the tensor {place!r} is missing")
        found = self._tensors[place]
        if str(found.dtype) != dtype or list(found.shape) != shape:
            raise ModelFileError(
                f"{place!r} is {found.dtype}{list(found.shape)}, not {dtype}{shape}"
            )
        self.unused.discard(place)
        return jax.device_put(found)

    def _fill(self, part: Any, place: str) -> Any:
        """The caller's part with the arrays of the file, which must be those of its own shapes."""
        tensors: dict[str, np.ndarray] = {}
        _describe(part, place, tensors)
        new = {
            name: self._array([str(a.dtype), list(a.shape)], name) for name, a in tensors.items()
        }
        arrays, static = eqx.partition(part, _is_array)
        # `_describe` met the arrays in the order in which JAX flattens them.
        return eqx.combine(jax.tree.unflatten(jax.tree.structure(arrays), new.values()), static)

    @staticmethod
    def _missing(name: str, place: str) -> ModelFileError:
        return ModelFileError(
            f"{place or 'the model'} is {name}, which is not one of elbax' own parts and is never "
            f"imported by name; hand it over: load(path, parts={{{place!r}: …}})"
        )


def _allowed() -> dict[str, type]:
    """The classes that a file may name: elbax' own; a new part needs no line here."""
    roots: list[type] = [
        getattr(interfaces, name) for name in vars(interfaces) if name.startswith("Abstract")
    ]
    found: dict[str, type] = {
        kind.__name__: kind
        for kind in (LatentVariableModel, Members, Preprocessing, NeuralFlow, eqx.nn.LayerNorm)
    }
    for module in (dense, images, grids, columns, holes, families, autoregressive):
        for kind in vars(module).values():
            if isinstance(kind, type) and kind.__module__ == module.__name__:
                found[kind.__name__] = kind
    while roots:
        kind = roots.pop()
        roots.extend(kind.__subclasses__())
        if kind.__module__.startswith("elbax.model.") and not kind.__name__.startswith("Abstract"):
            found[kind.__name__] = kind
    return found


def _check_that_it_runs(path: Path, model: Any) -> None:
    """Finds sizes that do not fit together here, not in the middle of an evaluation."""
    if not isinstance(model, LatentVariableModel) or (
        isinstance(model.decoder, AbstractDecoder) and not isinstance(model.decoder, Decoder)
    ):
        return  # the caller's own, which does not say what shape a datum has

    def once(x: jax.Array, key: jax.Array) -> ElboTerms | jax.Array:
        x = model.preprocessing(x, key)
        # A conditional prior says how long its condition is; both networks take it too.
        prior: Any = model.prior
        length = prior.condition_dim if prior.conditional else model.condition_dim
        if isinstance(model.encoder, ClassifyingEncoder):
            length = model.encoder.classes
        condition = jnp.zeros(length) if length else None
        if not has_density(model):
            z = sample(model.encode(x, condition), key)
            return model.log_likelihood(x, z, condition=condition)
        return elbo_terms(model, x, key, condition=condition)

    try:
        jax.eval_shape(
            once,
            jax.ShapeDtypeStruct(model.shape, jax.dtypes.canonicalize_dtype(float)),
            jax.random.key(0),
        )
        if isinstance(model.encoder, Encoder):
            latents = model.encoder.posterior.latent_dim
            if latents != model.latent_dim:
                raise ValueError(
                    f"{latents} latents in the posterior, {model.latent_dim} in the prior"
                )
    except _NONSENSE as error:
        raise ModelFileError(
            f"{path}: the parts do not fit together ({words.reason(error)})"
        ) from error


def _file(path: str | Path) -> Path:
    path = Path(path)
    if path.is_dir():
        path = path / "model.safetensors"
    if not path.is_file():
        raise FileNotFoundError(f"{path}: there is no such model file")
    return path


def _open(path: Path) -> Any:
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
    if length > _MAX_HEADER:
        raise ModelFileError(
            f"{path}: not a model file of elbax (its header claims {length:,} bytes)"
        )
    try:
        return safe_open(path, framework="numpy")
    except (SafetensorError, OSError) as error:
        raise ModelFileError(f"{path}: damaged, or not a safetensors file ({error})") from error


def _header(path: Path, file: Any) -> dict[str, str]:
    header = file.metadata() or {}
    if header.get("format") != "elbax":
        raise ModelFileError(f"{path}: a safetensors file, but not one that elbax wrote")
    if header.get("version") != str(FORMAT):
        raise ModelFileError(
            f"{path}: written in format {header.get('version')}, and this elbax reads {FORMAT}; "
            "use the elbax that wrote it"
        )
    for field in ("architecture", "metadata", "sha256"):
        if field not in header:
            raise ModelFileError(f"{path}: damaged (its header lacks {field})")
    return header


def _read(path: Path) -> tuple[dict[str, str], dict[str, np.ndarray]]:
    with _open(path) as file:
        header = _header(path, file)
        try:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        except (SafetensorError, ValueError, TypeError) as error:
            raise ModelFileError(f"{path}: damaged ({error})") from error
    if header.get("sha256") != _digest(header, tensors):
        raise ModelFileError(f"{path}: damaged (its content does not match its SHA-256)")
    return header, tensors


def _digest(header: Mapping[str, str], tensors: Mapping[str, np.ndarray]) -> str:
    digest = hashlib.sha256(header["architecture"].encode() + header["metadata"].encode())
    for name in sorted(tensors):
        digest.update(name.encode() + np.ascontiguousarray(tensors[name]).tobytes())
    return digest.hexdigest()


def _is_array(value: Any) -> bool:
    return eqx.is_array(value) or isinstance(value, np.ndarray | np.generic)


def _join(place: str, name: str) -> str:
    return f"{place}.{name}" if place else name
