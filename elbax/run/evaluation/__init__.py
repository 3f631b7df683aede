"""What ``elbax evaluate`` measures: each estimator's result as an object ready for JSON.

Every object has `schema`, `estimator`, `data`, `split`, `count` (rows), `seed` and `seconds`. All
averages are in nats per datum, with `standard_error` over the rows; `monte_carlo_error` is the
standard deviation of an average over the draws alone. Neither covers bias.
"""

from elbax.run.evaluation.estimators import ESTIMATORS as ESTIMATORS
from elbax.run.evaluation.estimators import LIKELIHOODS as LIKELIHOODS
from elbax.run.evaluation.estimators import check as check
from elbax.run.evaluation.estimators import default as default
from elbax.run.evaluation.estimators import make_task as make_task
from elbax.run.evaluation.estimators import measure as measure
from elbax.run.evaluation.task import Task as Task
from elbax.run.evaluation.task import number as number
from elbax.run.evaluation.task import plain as plain
