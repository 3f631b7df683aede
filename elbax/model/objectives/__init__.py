"""What training minimises: one objective a file, and the terms that they are made of.

An objective sees a batch, and passes on to the model whatever mask and condition its rows have.
"""

from elbax.model.objectives.deterministic import RegularisedL2 as RegularisedL2
from elbax.model.objectives.deterministic import WassersteinMMD as WassersteinMMD
from elbax.model.objectives.discrepancy import (
    maximum_mean_discrepancy as maximum_mean_discrepancy,
)
from elbax.model.objectives.elbo import NegativeELBO as NegativeELBO
from elbax.model.objectives.factor import FactorVAE as FactorVAE
from elbax.model.objectives.geco import GECO as GECO
from elbax.model.objectives.geco import GecoState as GecoState
from elbax.model.objectives.importance_weighted import (
    DoublyReparameterised as DoublyReparameterised,
)
from elbax.model.objectives.importance_weighted import (
    ImportanceWeightedELBO as ImportanceWeightedELBO,
)
from elbax.model.objectives.importance_weighted import StickingTheLanding as StickingTheLanding
from elbax.model.objectives.info import InfoVAE as InfoVAE
from elbax.model.objectives.semi_supervised import SemiSupervised as SemiSupervised
from elbax.model.objectives.semi_supervised import conditioned as conditioned
from elbax.model.objectives.target_rate import TargetRate as TargetRate
from elbax.model.objectives.terms import ElboTerms as ElboTerms
from elbax.model.objectives.terms import KLEstimate as KLEstimate
from elbax.model.objectives.terms import elbo_terms as elbo_terms
from elbax.model.objectives.total_correlation import BetaTC as BetaTC
from elbax.model.objectives.total_correlation import minibatch_weights as minibatch_weights
