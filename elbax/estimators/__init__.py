"""The scikit-learn estimators, and what they draw."""

from elbax.estimators.display import LatentMapDisplay as LatentMapDisplay
from elbax.estimators.display import TrainingDisplay as TrainingDisplay
from elbax.estimators.imputer import VAEImputer as VAEImputer
from elbax.estimators.outliers import VAEOutlierDetector as VAEOutlierDetector
from elbax.estimators.vae import VAE as VAE
