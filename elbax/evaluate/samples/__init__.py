"""What are samples like? Distances to the data, coverage and copies, in a feature space."""

from elbax.evaluate.samples.distances import Memorisation as Memorisation
from elbax.evaluate.samples.distances import PrecisionRecall as PrecisionRecall
from elbax.evaluate.samples.distances import frechet_distance as frechet_distance
from elbax.evaluate.samples.distances import kernel_distance as kernel_distance
from elbax.evaluate.samples.distances import memorisation as memorisation
from elbax.evaluate.samples.distances import (
    precision_recall_density_coverage as precision_recall_density_coverage,
)
from elbax.evaluate.samples.features import Features as Features
