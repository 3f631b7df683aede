"""The scikit-learn estimators, and what they draw."""

from elbax.app.estimator.display import LatentMapDisplay as LatentMapDisplay
from elbax.app.estimator.display import TrainingDisplay as TrainingDisplay
from elbax.app.estimator.imputer import VAEImputer as VAEImputer
from elbax.app.estimator.outliers import VAEOutlierDetector as VAEOutlierDetector
from elbax.app.estimator.vae import VAE as VAE
