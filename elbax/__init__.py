"""elbax: variational autoencoders in JAX, from data to a trained, measured and explorable model.

`import elbax` is instant: a public name is looked up, and its module imported, when it is used.
To add one, write it twice below: in the import block, which type checkers and editors read, and in
`_HOME`, which Python reads. `tests/test_package.py` holds them together.
"""

import importlib
import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from elbax.data import DataError as DataError
    from elbax.data import Dataset as Dataset
    from elbax.data import load as load_data
    from elbax.estimators import VAE as VAE
    from elbax.estimators import LatentMapDisplay as LatentMapDisplay
    from elbax.estimators import TrainingDisplay as TrainingDisplay
    from elbax.estimators import VAEImputer as VAEImputer
    from elbax.estimators import VAEOutlierDetector as VAEOutlierDetector
    from elbax.model.distributions.divergences import kl_divergence as kl_divergence
    from elbax.model.interfaces import Batch as Batch
    from elbax.model.latent_variable_model import ClassifyingEncoder as ClassifyingEncoder
    from elbax.model.latent_variable_model import Decoder as Decoder
    from elbax.model.latent_variable_model import Encoder as Encoder
    from elbax.model.latent_variable_model import LatentVariableModel as LatentVariableModel
    from elbax.model.likelihoods import Bernoulli as Bernoulli
    from elbax.model.likelihoods import Categorical as Categorical
    from elbax.model.likelihoods import ContinuousBernoulli as ContinuousBernoulli
    from elbax.model.likelihoods import DiscretizedLogistic as DiscretizedLogistic
    from elbax.model.likelihoods import DiscretizedLogisticMixture as DiscretizedLogisticMixture
    from elbax.model.likelihoods import Laplace as Laplace
    from elbax.model.likelihoods import LogNormal as LogNormal
    from elbax.model.likelihoods import Mixed as Mixed
    from elbax.model.likelihoods import NegativeBinomial as NegativeBinomial
    from elbax.model.likelihoods import Normal as Normal
    from elbax.model.likelihoods import Ordinal as Ordinal
    from elbax.model.likelihoods import Poisson as Poisson
    from elbax.model.likelihoods import StudentT as StudentT
    from elbax.model.networks.dense import MLP as MLP
    from elbax.model.networks.dense import GatedMLP as GatedMLP
    from elbax.model.networks.dense import NormalizedMLP as NormalizedMLP
    from elbax.model.networks.dense import ResidualMLP as ResidualMLP
    from elbax.model.networks.dense import check_network as check_network
    from elbax.model.networks.images import ConvDecoder as ConvDecoder
    from elbax.model.networks.images import ConvEncoder as ConvEncoder
    from elbax.model.objectives import GECO as GECO
    from elbax.model.objectives import BetaTC as BetaTC
    from elbax.model.objectives import DoublyReparameterised as DoublyReparameterised
    from elbax.model.objectives import FactorVAE as FactorVAE
    from elbax.model.objectives import ImportanceWeightedELBO as ImportanceWeightedELBO
    from elbax.model.objectives import InfoVAE as InfoVAE
    from elbax.model.objectives import NegativeELBO as NegativeELBO
    from elbax.model.objectives import RegularisedL2 as RegularisedL2
    from elbax.model.objectives import SemiSupervised as SemiSupervised
    from elbax.model.objectives import StickingTheLanding as StickingTheLanding
    from elbax.model.objectives import TargetRate as TargetRate
    from elbax.model.objectives import WassersteinMMD as WassersteinMMD
    from elbax.model.objectives import conditioned as conditioned
    from elbax.model.posteriors import CouplingFlow as CouplingFlow
    from elbax.model.posteriors import Deterministic as Deterministic
    from elbax.model.posteriors import DiagonalNormal as DiagonalNormal
    from elbax.model.posteriors import DiagonalStudentT as DiagonalStudentT
    from elbax.model.posteriors import FullNormal as FullNormal
    from elbax.model.posteriors import GumbelSoftmax as GumbelSoftmax
    from elbax.model.posteriors import InverseAutoregressiveFlow as InverseAutoregressiveFlow
    from elbax.model.posteriors import PlanarFlow as PlanarFlow
    from elbax.model.posteriors import PowerSpherical as PowerSpherical
    from elbax.model.posteriors import SylvesterFlow as SylvesterFlow
    from elbax.model.priors import ConditionalNormal as ConditionalNormal
    from elbax.model.priors import FlowPrior as FlowPrior
    from elbax.model.priors import MixtureOfNormals as MixtureOfNormals
    from elbax.model.priors import StandardNormal as StandardNormal
    from elbax.model.priors import UniformCategorical as UniformCategorical
    from elbax.model.priors import UniformHypersphere as UniformHypersphere
    from elbax.model.priors import VampPrior as VampPrior
    from elbax.model.serialise import load_model as load
    from elbax.model.serialise import save_model as save_model
    from elbax.run.run import Run as Run
    from elbax.workflow import open_run as open_run
    from elbax.workflow import resume as resume
    from elbax.workflow import train as train

    __version__: str

# Public name -> "module" where it lives under that name, or "module:name" where it has another.
_HOME = {
    "Batch": "elbax.model.interfaces",
    "Bernoulli": "elbax.model.likelihoods",
    "BetaTC": "elbax.model.objectives",
    "Categorical": "elbax.model.likelihoods",
    "ClassifyingEncoder": "elbax.model.latent_variable_model",
    "ConditionalNormal": "elbax.model.priors",
    "ContinuousBernoulli": "elbax.model.likelihoods",
    "ConvDecoder": "elbax.model.networks.images",
    "ConvEncoder": "elbax.model.networks.images",
    "CouplingFlow": "elbax.model.posteriors",
    "DataError": "elbax.data",
    "Dataset": "elbax.data",
    "Decoder": "elbax.model.latent_variable_model",
    "Deterministic": "elbax.model.posteriors",
    "DiagonalNormal": "elbax.model.posteriors",
    "DiagonalStudentT": "elbax.model.posteriors",
    "DiscretizedLogistic": "elbax.model.likelihoods",
    "DiscretizedLogisticMixture": "elbax.model.likelihoods",
    "DoublyReparameterised": "elbax.model.objectives",
    "Encoder": "elbax.model.latent_variable_model",
    "FactorVAE": "elbax.model.objectives",
    "FlowPrior": "elbax.model.priors",
    "FullNormal": "elbax.model.posteriors",
    "GECO": "elbax.model.objectives",
    "GatedMLP": "elbax.model.networks.dense",
    "GumbelSoftmax": "elbax.model.posteriors",
    "ImportanceWeightedELBO": "elbax.model.objectives",
    "InfoVAE": "elbax.model.objectives",
    "InverseAutoregressiveFlow": "elbax.model.posteriors",
    "Laplace": "elbax.model.likelihoods",
    "LatentMapDisplay": "elbax.estimators",
    "LatentVariableModel": "elbax.model.latent_variable_model",
    "LogNormal": "elbax.model.likelihoods",
    "MLP": "elbax.model.networks.dense",
    "Mixed": "elbax.model.likelihoods",
    "MixtureOfNormals": "elbax.model.priors",
    "NegativeBinomial": "elbax.model.likelihoods",
    "NegativeELBO": "elbax.model.objectives",
    "Normal": "elbax.model.likelihoods",
    "NormalizedMLP": "elbax.model.networks.dense",
    "Ordinal": "elbax.model.likelihoods",
    "PlanarFlow": "elbax.model.posteriors",
    "Poisson": "elbax.model.likelihoods",
    "PowerSpherical": "elbax.model.posteriors",
    "RegularisedL2": "elbax.model.objectives",
    "ResidualMLP": "elbax.model.networks.dense",
    "Run": "elbax.run.run",
    "SemiSupervised": "elbax.model.objectives",
    "StandardNormal": "elbax.model.priors",
    "StickingTheLanding": "elbax.model.objectives",
    "StudentT": "elbax.model.likelihoods",
    "SylvesterFlow": "elbax.model.posteriors",
    "TargetRate": "elbax.model.objectives",
    "TrainingDisplay": "elbax.estimators",
    "UniformCategorical": "elbax.model.priors",
    "UniformHypersphere": "elbax.model.priors",
    "VAE": "elbax.estimators",
    "VAEImputer": "elbax.estimators",
    "VAEOutlierDetector": "elbax.estimators",
    "VampPrior": "elbax.model.priors",
    "WassersteinMMD": "elbax.model.objectives",
    "check_network": "elbax.model.networks.dense",
    "conditioned": "elbax.model.objectives",
    "kl_divergence": "elbax.model.distributions.divergences",
    "load": "elbax.model.serialise:load_model",
    "load_data": "elbax.data:load",
    "open_run": "elbax.workflow",
    "resume": "elbax.workflow",
    "save_model": "elbax.model.serialise",
    "train": "elbax.workflow",
}

__all__ = sorted([*_HOME, "__version__"])  # pyright: ignore[reportUnsupportedDunderAll]


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
