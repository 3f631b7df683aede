"""What do the latents hold? Which are used, what they share, what can be read from them."""

from elbax.evaluate.latents.aggregate_posterior import AggregatePosterior as AggregatePosterior
from elbax.evaluate.latents.aggregate_posterior import ElboSplit as ElboSplit
from elbax.evaluate.latents.aggregate_posterior import TotalCorrelation as TotalCorrelation
from elbax.evaluate.latents.aggregate_posterior import aggregate_posterior as aggregate_posterior
from elbax.evaluate.latents.aggregate_posterior import elbo_split as elbo_split
from elbax.evaluate.latents.aggregate_posterior import total_correlation as total_correlation
from elbax.evaluate.latents.disentangle import DCI as DCI
from elbax.evaluate.latents.disentangle import attribute_predictability as attribute_predictability
from elbax.evaluate.latents.disentangle import dci as dci
from elbax.evaluate.latents.disentangle import factor_vae_score as factor_vae_score
from elbax.evaluate.latents.disentangle import mutual_information_gap as mutual_information_gap
from elbax.evaluate.latents.probes import linear_probe_accuracy as linear_probe_accuracy
from elbax.evaluate.latents.probes import neighbour_accuracy as neighbour_accuracy
from elbax.evaluate.latents.units import ACTIVE as ACTIVE
from elbax.evaluate.latents.units import Collapse as Collapse
from elbax.evaluate.latents.units import active as active
from elbax.evaluate.latents.units import active_units as active_units
from elbax.evaluate.latents.units import collapse as collapse
from elbax.evaluate.latents.units import kl_by_latent as kl_by_latent
