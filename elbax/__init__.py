"""elbax: variational autoencoders in JAX, from data to a trained, measured and explorable model.

`import elbax` is instant: a public name is looked up, and its module imported, when it is used.
To add one, write it in the import block below. Type checkers and editors read the block; Python
does not run it, but takes from its lines where each name lives.
"""

import ast
import importlib
import pkgutil
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
    from elbax.evaluate.pooling import pool as pool
    from elbax.foreign.pythae import from_pythae as from_pythae
    from elbax.hub.pulling import load as load
    from elbax.model.codes.autoregressive import AutoregressiveCodes as AutoregressiveCodes
    from elbax.model.codes.families import FiniteScalar as FiniteScalar
    from elbax.model.codes.families import ResidualQuantised as ResidualQuantised
    from elbax.model.codes.families import UniformCodes as UniformCodes
    from elbax.model.codes.families import VectorQuantised as VectorQuantised
    from elbax.model.distributions.divergences import kl_divergence as kl_divergence
    from elbax.model.interfaces import Batch as Batch
    from elbax.model.latent_variable_model import ClassifyingEncoder as ClassifyingEncoder
    from elbax.model.latent_variable_model import Decoder as Decoder
    from elbax.model.latent_variable_model import Encoder as Encoder
    from elbax.model.latent_variable_model import LatentVariableModel as LatentVariableModel
    from elbax.model.likelihoods.counts import NegativeBinomial as NegativeBinomial
    from elbax.model.likelihoods.counts import Poisson as Poisson
    from elbax.model.likelihoods.levels import Categorical as Categorical
    from elbax.model.likelihoods.levels import DiscretizedLogistic as DiscretizedLogistic
    from elbax.model.likelihoods.levels import (
        DiscretizedLogisticMixture as DiscretizedLogisticMixture,
    )
    from elbax.model.likelihoods.levels import Ordinal as Ordinal
    from elbax.model.likelihoods.linked import LowRankNormal as LowRankNormal
    from elbax.model.likelihoods.mixed import Mixed as Mixed
    from elbax.model.likelihoods.real import Laplace as Laplace
    from elbax.model.likelihoods.real import LogNormal as LogNormal
    from elbax.model.likelihoods.real import Normal as Normal
    from elbax.model.likelihoods.real import StudentT as StudentT
    from elbax.model.likelihoods.unit_interval import Bernoulli as Bernoulli
    from elbax.model.likelihoods.unit_interval import ContinuousBernoulli as ContinuousBernoulli
    from elbax.model.missingness import AtRandom as AtRandom
    from elbax.model.missingness import SelfMasking as SelfMasking
    from elbax.model.networks.dense import MLP as MLP
    from elbax.model.networks.dense import GatedMLP as GatedMLP
    from elbax.model.networks.dense import NormalizedMLP as NormalizedMLP
    from elbax.model.networks.dense import ResidualMLP as ResidualMLP
    from elbax.model.networks.dense import check_network as check_network
    from elbax.model.networks.images import ConvDecoder as ConvDecoder
    from elbax.model.networks.images import ConvEncoder as ConvEncoder
    from elbax.model.objectives.bounds.importance_weighted import (
        DoublyReparameterised as DoublyReparameterised,
    )
    from elbax.model.objectives.bounds.importance_weighted import (
        ImportanceWeightedELBO as ImportanceWeightedELBO,
    )
    from elbax.model.objectives.bounds.importance_weighted import (
        StickingTheLanding as StickingTheLanding,
    )
    from elbax.model.objectives.bounds.partial import (
        CombinedImportanceWeighted as CombinedImportanceWeighted,
    )
    from elbax.model.objectives.bounds.partial import (
        MultiplyImportanceWeighted as MultiplyImportanceWeighted,
    )
    from elbax.model.objectives.bounds.partial import (
        PartiallyImportanceWeighted as PartiallyImportanceWeighted,
    )
    from elbax.model.objectives.bounds.renyi import RenyiBound as RenyiBound
    from elbax.model.objectives.bounds.thermodynamic import (
        ThermodynamicObjective as ThermodynamicObjective,
    )
    from elbax.model.objectives.deterministic import RegularisedL2 as RegularisedL2
    from elbax.model.objectives.deterministic import WassersteinMMD as WassersteinMMD
    from elbax.model.objectives.elbo import NegativeELBO as NegativeELBO
    from elbax.model.objectives.factor import FactorVAE as FactorVAE
    from elbax.model.objectives.geco import GECO as GECO
    from elbax.model.objectives.inferred_prior import (
        DisentangledInferredPrior as DisentangledInferredPrior,
    )
    from elbax.model.objectives.info import InfoVAE as InfoVAE
    from elbax.model.objectives.quantised import QuantisedELBO as QuantisedELBO
    from elbax.model.objectives.semi_supervised import SemiSupervised as SemiSupervised
    from elbax.model.objectives.semi_supervised import conditioned as conditioned
    from elbax.model.objectives.similarity import StructuralSimilarity as StructuralSimilarity
    from elbax.model.objectives.target_rate import TargetRate as TargetRate
    from elbax.model.objectives.total_correlation import BetaTC as BetaTC
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
    from elbax.model.serialise import save_model as save_model
    from elbax.run.run import Run as Run
    from elbax.sweep.sweep import sweep as sweep
    from elbax.workflow import open_run as open_run
    from elbax.workflow import resume as resume
    from elbax.workflow import train as train

    __version__: str


def _homes() -> dict[str, tuple[str, str]]:
    """The module of each public name and its name there, by the import block above."""
    tree = ast.parse(pkgutil.get_data(__name__, "__init__.py") or b"")
    (block,) = (node for node in tree.body if isinstance(node, ast.If))
    lines = [node for node in block.body if isinstance(node, ast.ImportFrom)]
    return {n.asname or n.name: (str(line.module), n.name) for line in lines for n in line.names}


_HOME = _homes()
__all__ = sorted([*_HOME, "__version__"])  # pyright: ignore[reportUnsupportedDunderAll]


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        value = version("elbax")
    elif name in _HOME:
        module, own_name = _HOME[name]
        value = getattr(importlib.import_module(module), own_name)
    elif any(one.name == name and one.ispkg for one in pkgutil.iter_modules(__path__)):
        return importlib.import_module(f"{__name__}.{name}")  # a room: elbax.evaluate.elbo
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
