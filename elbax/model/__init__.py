"""What is the probability? Pure mathematics on one datum: no input, no output, no loops."""

from elbax.model.codes.autoregressive import AutoregressiveCodes as AutoregressiveCodes
from elbax.model.codes.families import FiniteScalar as FiniteScalar
from elbax.model.codes.families import ResidualQuantised as ResidualQuantised
from elbax.model.codes.families import UniformCodes as UniformCodes
from elbax.model.codes.families import VectorQuantised as VectorQuantised
from elbax.model.distributions.basic import GreyBernoulli as GreyBernoulli
from elbax.model.distributions.basic import location as location
from elbax.model.distributions.basic import sample as sample
from elbax.model.distributions.basic import sample_and_log_prob as sample_and_log_prob
from elbax.model.distributions.divergences import has_closed_form as has_closed_form
from elbax.model.distributions.divergences import kl_divergence as kl_divergence
from elbax.model.distributions.divergences import kl_per_dimension as kl_per_dimension
from elbax.model.interfaces import AbstractDecoder as AbstractDecoder
from elbax.model.interfaces import AbstractEncoder as AbstractEncoder
from elbax.model.interfaces import AbstractLikelihood as AbstractLikelihood
from elbax.model.interfaces import AbstractMechanism as AbstractMechanism
from elbax.model.interfaces import AbstractMissingness as AbstractMissingness
from elbax.model.interfaces import AbstractNetworkPair as AbstractNetworkPair
from elbax.model.interfaces import AbstractObjective as AbstractObjective
from elbax.model.interfaces import AbstractPosterior as AbstractPosterior
from elbax.model.interfaces import AbstractPrior as AbstractPrior
from elbax.model.interfaces import Batch as Batch
from elbax.model.interfaces import Distribution as Distribution
from elbax.model.interfaces import SamplesWithLogProb as SamplesWithLogProb
from elbax.model.latent_variable_model import ClassifyingEncoder as ClassifyingEncoder
from elbax.model.latent_variable_model import Decoder as Decoder
from elbax.model.latent_variable_model import Encoder as Encoder
from elbax.model.latent_variable_model import LatentVariableModel as LatentVariableModel
from elbax.model.likelihoods.counts import NegativeBinomial as NegativeBinomial
from elbax.model.likelihoods.counts import Poisson as Poisson
from elbax.model.likelihoods.levels import Categorical as Categorical
from elbax.model.likelihoods.levels import DiscretizedLogistic as DiscretizedLogistic
from elbax.model.likelihoods.levels import DiscretizedLogisticMixture as DiscretizedLogisticMixture
from elbax.model.likelihoods.levels import Ordinal as Ordinal
from elbax.model.likelihoods.linked import LowRankNormal as LowRankNormal
from elbax.model.likelihoods.mixed import Mixed as Mixed
from elbax.model.likelihoods.real import Laplace as Laplace
from elbax.model.likelihoods.real import LogNormal as LogNormal
from elbax.model.likelihoods.real import Normal as Normal
from elbax.model.likelihoods.real import StudentT as StudentT
from elbax.model.likelihoods.unit_interval import Bernoulli as Bernoulli
from elbax.model.likelihoods.unit_interval import ContinuousBernoulli as ContinuousBernoulli
from elbax.model.members import Members as Members
from elbax.model.members import OfMembers as OfMembers
from elbax.model.missingness import AtRandom as AtRandom
from elbax.model.missingness import SelfMasking as SelfMasking
from elbax.model.networks.columns import ColumnFeatures as ColumnFeatures
from elbax.model.networks.columns import ColumnNetwork as ColumnNetwork
from elbax.model.networks.dense import MLP as MLP
from elbax.model.networks.dense import GatedMLP as GatedMLP
from elbax.model.networks.dense import NormalizedMLP as NormalizedMLP
from elbax.model.networks.dense import ResidualMLP as ResidualMLP
from elbax.model.networks.dense import check_network as check_network
from elbax.model.networks.grids import GridPair as GridPair
from elbax.model.networks.holes import HoledNetwork as HoledNetwork
from elbax.model.networks.images import ConvDecoder as ConvDecoder
from elbax.model.networks.images import ConvEncoder as ConvEncoder
from elbax.model.networks.pairs import ConvPair as ConvPair
from elbax.model.networks.pairs import GatedMLPPair as GatedMLPPair
from elbax.model.networks.pairs import MLPPair as MLPPair
from elbax.model.networks.pairs import ResidualMLPPair as ResidualMLPPair
from elbax.model.networks.pairs import ResNetPair as ResNetPair
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
from elbax.model.objectives.discrepancy import maximum_mean_discrepancy as maximum_mean_discrepancy
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
from elbax.model.objectives.similarity import ms_ssim as ms_ssim
from elbax.model.objectives.target_rate import TargetRate as TargetRate
from elbax.model.objectives.terms import ElboTerms as ElboTerms
from elbax.model.objectives.terms import elbo_terms as elbo_terms
from elbax.model.objectives.total_correlation import BetaTC as BetaTC
from elbax.model.objectives.total_correlation import minibatch_weights as minibatch_weights
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
from elbax.model.preprocessing import Preprocessing as Preprocessing
from elbax.model.priors import ConditionalNormal as ConditionalNormal
from elbax.model.priors import FlowPrior as FlowPrior
from elbax.model.priors import MixtureOfNormals as MixtureOfNormals
from elbax.model.priors import StandardNormal as StandardNormal
from elbax.model.priors import UniformCategorical as UniformCategorical
from elbax.model.priors import UniformHypersphere as UniformHypersphere
from elbax.model.priors import VampPrior as VampPrior
from elbax.model.serialise import ModelFileError as ModelFileError
from elbax.model.serialise import load_model as load_model
from elbax.model.serialise import read_metadata as read_metadata
from elbax.model.serialise import save_model as save_model
from elbax.model.support import Support as Support
from elbax.model.support import check_support as check_support
from elbax.util import environment

environment.keep_programs()  # before anything is compiled
