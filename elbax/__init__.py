"""elbax: variational autoencoders in JAX, from data to a trained, measured and explorable model.

`import elbax` is instant: a public name is looked up, and its module imported, when it is used.
To add one, write it three times below: in the import block, which type checkers and editors read,
in `_HOME`, which Python reads, and in `__all__`. `tests/test_package.py` holds them together.
"""

import importlib
import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from elbax.app.run import Run as Run
    from elbax.app.run import open_run as open_run
    from elbax.app.run import resume as resume
    from elbax.app.run import train as train
    from elbax.data import DataError as DataError
    from elbax.data import Dataset as Dataset
    from elbax.data import load as load_data
    from elbax.model.divergences import kl_divergence as kl_divergence
    from elbax.model.interfaces import Batch as Batch
    from elbax.model.latent_variable_model import Decoder as Decoder
    from elbax.model.latent_variable_model import Encoder as Encoder
    from elbax.model.latent_variable_model import LatentVariableModel as LatentVariableModel
    from elbax.model.likelihoods import Bernoulli as Bernoulli
    from elbax.model.likelihoods import Normal as Normal
    from elbax.model.networks import MLP as MLP
    from elbax.model.objectives import NegativeELBO as NegativeELBO
    from elbax.model.posteriors import DiagonalNormal as DiagonalNormal
    from elbax.model.posteriors import FullNormal as FullNormal
    from elbax.model.priors import StandardNormal as StandardNormal
    from elbax.model.serialise import load_model as load
    from elbax.model.serialise import save_model as save_model

    __version__: str

# Public name -> "module" where it lives under that name, or "module:name" where it has another.
_HOME = {
    "Batch": "elbax.model.interfaces",
    "Bernoulli": "elbax.model.likelihoods",
    "DataError": "elbax.data",
    "Dataset": "elbax.data",
    "Decoder": "elbax.model.latent_variable_model",
    "DiagonalNormal": "elbax.model.posteriors",
    "Encoder": "elbax.model.latent_variable_model",
    "FullNormal": "elbax.model.posteriors",
    "LatentVariableModel": "elbax.model.latent_variable_model",
    "MLP": "elbax.model.networks",
    "NegativeELBO": "elbax.model.objectives",
    "Normal": "elbax.model.likelihoods",
    "Run": "elbax.app.run",
    "StandardNormal": "elbax.model.priors",
    "kl_divergence": "elbax.model.divergences",
    "load": "elbax.model.serialise:load_model",
    "load_data": "elbax.data:load",
    "open_run": "elbax.app.run",
    "resume": "elbax.app.run",
    "save_model": "elbax.model.serialise",
    "train": "elbax.app.run",
}

__all__ = [
    "Batch",
    "Bernoulli",
    "DataError",
    "Dataset",
    "Decoder",
    "DiagonalNormal",
    "Encoder",
    "FullNormal",
    "LatentVariableModel",
    "MLP",
    "NegativeELBO",
    "Normal",
    "Run",
    "StandardNormal",
    "__version__",
    "kl_divergence",
    "load",
    "load_data",
    "open_run",
    "resume",
    "save_model",
    "train",
]


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        value = version("elbax")
    elif name in _HOME:
        module, _, attribute = _HOME[name].partition(":")
        value = getattr(importlib.import_module(module), attribute or name)
    else:
        raise AttributeError(f"module 'elbax' has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return [*__all__]


class _Package(ModuleType):
    """Keeps `elbax.train` the function, although `elbax/train/` is a folder of modules.

    Python binds every imported submodule to its parent, so the first import of `elbax.train.loop`
    would put the module in the function's place. Modules of that room are reached as
    `from elbax.train.loop import ...`.
    """

    def __setattr__(self, name: str, value: object) -> None:
        if not (name in _HOME and isinstance(value, ModuleType)):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package
