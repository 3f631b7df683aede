"""Models of pythae: its folder of `model_config.json` and `model.pt`, as a model of elbax."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from elbax.foreign import torch_file
from elbax.model.latent_variable_model import Decoder, Encoder, LatentVariableModel
from elbax.model.likelihoods.real import Normal
from elbax.model.likelihoods.unit_interval import Bernoulli
from elbax.model.networks.dense import MLP, Squashed
from elbax.model.posteriors import DiagonalNormal
from elbax.model.priors import StandardNormal
from elbax.util import words

_CONFIG, _WEIGHTS = "model_config.json", "model.pt"

# Those whose model is N(0, I), a diagonal normal q(z|x) and a decoder: their objectives differ.
_KINDS = (
    *("VAEConfig", "BetaVAEConfig", "DisentangledBetaVAEConfig", "BetaTCVAEConfig"),
    *("FactorVAEConfig", "INFOVAE_MMD_Config"),
    *("IWAEConfig", "MIWAEConfig", "PIWAEConfig", "CIWAEConfig"),
)


def from_pythae(folder: str | Path) -> LatentVariableModel:
    """A model that pythae trained, from the folder that its `save` wrote.

    VAE, BetaVAE, DisentangledBetaVAE, BetaTCVAE, FactorVAE, INFOVAE_MMD, IWAE, MIWAE, PIWAE and
    CIWAE with pythae's default networks: they are one model, trained for different objectives.
    Neither pythae nor PyTorch is needed, and no pickle is loaded: of `model.pt` only the tensors
    are read.

    `reconstruction_loss="bce"` is a Bernoulli likelihood, `"mse"` a normal one of scale 1 (pythae
    leaves out its constant, log(2π)/2 an element), whose mean is between 0 and 1, as pythae's is.

    Args:
        folder: The folder, such as `my_model/VAE_training_…/final_model`.

    Returns:
        The model. Images are channels-last, `(height, width, channels)`, and not channels-first as
        pythae's.

    Raises:
        FileNotFoundError: A file is missing.
        ValueError: The model is of another kind, has networks of its own, or a file is damaged.
    """
    folder = Path(folder)
    config = _config(folder)
    data_shape, latents = _sizes(folder, config)
    weights = _weights(folder, math.prod(data_shape), latents)
    images = len(data_shape) == 3
    shape = (*data_shape[1:], data_shape[0]) if images else data_shape
    order = np.arange(math.prod(data_shape)).reshape(data_shape)
    order = (np.moveaxis(order, 0, -1) if images else order).ravel()

    heads = [f"encoder.{name}" for name in ("embedding", "log_var")]
    last = [np.concatenate([weights[f"{head}.{part}"] for head in heads]) for part in _PARTS]
    first = (weights["encoder.layers.0.0.weight"][:, order], weights["encoder.layers.0.0.bias"])
    encoder = Encoder(_mlp(first, (last[0], last[1])), DiagonalNormal(latents))

    inner, outer = ([weights[f"decoder.layers.{i}.0.{part}"] for part in _PARTS] for i in (0, 1))
    network = _mlp((inner[0], inner[1]), (outer[0][order], outer[1][order]))
    if config["reconstruction_loss"] == "bce":
        decoder = Decoder(network, Bernoulli(shape))
    else:
        decoder = Decoder(Squashed(network), Normal(shape, scale=1.0))
    return LatentVariableModel(StandardNormal(latents), encoder, decoder)


_PARTS = ("weight", "bias")


def _config(folder: Path) -> dict[str, Any]:
    """What pythae says of the model, checked."""
    path = folder / _CONFIG
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
        kind = config["name"]
    except FileNotFoundError:
        raise
    except (OSError, ValueError, LookupError, TypeError, RecursionError) as error:
        raise ValueError(
            f"{path} is no model_config.json of pythae ({words.reason(error)})"
        ) from None
    if kind not in _KINDS:
        raise ValueError(
            f"{path} is of a {words.shown(str(kind))}; what can be read are {', '.join(_KINDS)}"
        )
    for part in ("encoder", "decoder"):
        if not config.get(f"uses_default_{part}", True):
            raise ValueError(
                f"{folder} has an {part} of its own ({part}.pkl), and a pickle is not loaded: "
                "write the network as an Equinox module, and see 'Composing' in the guide"
            )
    if config.get("reconstruction_loss") not in ("bce", "mse"):
        raise ValueError(f"{path} has a reconstruction_loss that is neither 'bce' nor 'mse'")
    return config


def _sizes(folder: Path, config: dict[str, Any]) -> tuple[tuple[int, ...], int]:
    """The shape of a datum as pythae takes it, and the number of latents."""
    shape, latents = config.get("input_dim"), config.get("latent_dim")
    sizes = [*shape, latents] if isinstance(shape, list) and shape else [0]
    if not all(type(size) is int and size > 0 for size in sizes):
        raise ValueError(f"{folder / _CONFIG} lacks input_dim or latent_dim")
    return tuple(sizes[:-1]), sizes[-1]


def _weights(folder: Path, size: int, latents: int) -> dict[str, np.ndarray]:
    """The tensors by pythae's names, with the shapes that the default networks have."""
    path = folder / _WEIGHTS
    saved = torch_file.read(path)
    found = saved.get("model_state_dict") if isinstance(saved, dict) else None
    if not isinstance(found, dict):
        raise ValueError(f"{path} has no model_state_dict: was it written by pythae's save?")
    hidden = {
        side: _length(found.get(f"{side}.layers.0.0.bias")) for side in ("encoder", "decoder")
    }
    expected = {
        "encoder.layers.0.0": (hidden["encoder"], size),
        "encoder.embedding": (latents, hidden["encoder"]),
        "encoder.log_var": (latents, hidden["encoder"]),
        "decoder.layers.0.0": (hidden["decoder"], latents),
        "decoder.layers.1.0": (size, hidden["decoder"]),
    }
    for name, shape in expected.items():
        for part, wanted in (("weight", shape), ("bias", shape[:1])):
            tensor = found.get(f"{name}.{part}")
            if not isinstance(tensor, np.ndarray) or tensor.shape != wanted:
                raise ValueError(f"{path} has no {name}.{part} of shape {wanted}")
    return found


def _length(tensor: Any) -> int:
    return len(tensor) if isinstance(tensor, np.ndarray) and tensor.ndim == 1 else 0


def _mlp(*layers: tuple[np.ndarray, np.ndarray]) -> MLP:
    """A network of given weights and biases, with a relu between its layers."""
    sizes = [layers[0][0].shape[1], *(len(bias) for _, bias in layers)]
    empty = MLP(sizes[0], sizes[1:-1], sizes[-1], "relu", key=jax.random.key(0))
    arrays = [jnp.asarray(array, jnp.float32) for layer in layers for array in layer]
    return eqx.tree_at(
        lambda m: [a for one in m.layers for a in (one.weight, one.bias)], empty, arrays
    )
