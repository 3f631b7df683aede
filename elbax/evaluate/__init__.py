"""How good is it? Bounds, with their uncertainty; what the latents hold; what samples are like."""

from elbax.evaluate.annealed import Sandwich as Sandwich
from elbax.evaluate.annealed import annealed as annealed
from elbax.evaluate.annealed import check_annealable as check_annealable
from elbax.evaluate.annealed import sandwich as sandwich
from elbax.evaluate.bounds import ElboEstimate as ElboEstimate
from elbax.evaluate.bounds import Mean as Mean
from elbax.evaluate.bounds import bits_per_dimension as bits_per_dimension
from elbax.evaluate.bounds import elbo as elbo
from elbax.evaluate.bounds import mean as mean
from elbax.evaluate.bounds import quantity as quantity
from elbax.evaluate.disentangle import DCI as DCI
from elbax.evaluate.disentangle import attribute_predictability as attribute_predictability
from elbax.evaluate.disentangle import dci as dci
from elbax.evaluate.disentangle import factor_vae_score as factor_vae_score
from elbax.evaluate.disentangle import mutual_information_gap as mutual_information_gap
from elbax.evaluate.features import Features as Features
from elbax.evaluate.gaps import ElboSplit as ElboSplit
from elbax.evaluate.gaps import InferenceGap as InferenceGap
from elbax.evaluate.gaps import RateDistortion as RateDistortion
from elbax.evaluate.gaps import elbo_split as elbo_split
from elbax.evaluate.gaps import inference_gap as inference_gap
from elbax.evaluate.gaps import rate_distortion as rate_distortion
from elbax.evaluate.imputation import Imputation as Imputation
from elbax.evaluate.imputation import impute as impute
from elbax.evaluate.latents import Collapse as Collapse
from elbax.evaluate.latents import TotalCorrelation as TotalCorrelation
from elbax.evaluate.latents import active as active
from elbax.evaluate.latents import active_units as active_units
from elbax.evaluate.latents import collapse as collapse
from elbax.evaluate.latents import kl_by_latent as kl_by_latent
from elbax.evaluate.latents import linear_probe_accuracy as linear_probe_accuracy
from elbax.evaluate.latents import neighbour_accuracy as neighbour_accuracy
from elbax.evaluate.latents import posterior_moments as posterior_moments
from elbax.evaluate.latents import total_correlation as total_correlation
from elbax.evaluate.likelihoods import LogLikelihoodEstimate as LogLikelihoodEstimate
from elbax.evaluate.likelihoods import conditional_log_likelihoods as conditional_log_likelihoods
from elbax.evaluate.likelihoods import importance as importance
from elbax.evaluate.likelihoods import log_weights as log_weights
from elbax.evaluate.likelihoods import prior as prior
from elbax.evaluate.likelihoods import running as running
from elbax.evaluate.likelihoods import samples_needed as samples_needed
from elbax.evaluate.samples import Memorisation as Memorisation
from elbax.evaluate.samples import PrecisionRecall as PrecisionRecall
from elbax.evaluate.samples import frechet_distance as frechet_distance
from elbax.evaluate.samples import kernel_distance as kernel_distance
from elbax.evaluate.samples import memorisation as memorisation
from elbax.evaluate.samples import (
    precision_recall_density_coverage as precision_recall_density_coverage,
)
from elbax.evaluate.shares import shares as shares
from elbax.evaluate.tiles import content_numbers as content_numbers
from elbax.evaluate.tiles import map_rows as map_rows
from elbax.evaluate.weights import LogWeights as LogWeights
from elbax.evaluate.weights import pareto_k as pareto_k
from elbax.evaluate.weights import pareto_k_threshold as pareto_k_threshold
from elbax.evaluate.weights import tail_length as tail_length
