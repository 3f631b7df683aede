"""Families of p(x|z), elementwise: the distribution's batch shape is the datum's shape.

A family that wants several numbers an element takes them number by number: the network gives the
first of all elements, in the order of the datum, then the second. Each says in `support` what
values the data must have, which `elbax.model.support.check_support` compares.
"""

from elbax.model.likelihoods.counts import NegativeBinomial as NegativeBinomial
from elbax.model.likelihoods.counts import Poisson as Poisson
from elbax.model.likelihoods.levels import Categorical as Categorical
from elbax.model.likelihoods.levels import DiscretizedLogistic as DiscretizedLogistic
from elbax.model.likelihoods.levels import DiscretizedLogisticMixture as DiscretizedLogisticMixture
from elbax.model.likelihoods.levels import Ordinal as Ordinal
from elbax.model.likelihoods.mixed import Mixed as Mixed
from elbax.model.likelihoods.real import Laplace as Laplace
from elbax.model.likelihoods.real import LogNormal as LogNormal
from elbax.model.likelihoods.real import Normal as Normal
from elbax.model.likelihoods.real import StudentT as StudentT
from elbax.model.likelihoods.unit_interval import Bernoulli as Bernoulli
from elbax.model.likelihoods.unit_interval import ContinuousBernoulli as ContinuousBernoulli
