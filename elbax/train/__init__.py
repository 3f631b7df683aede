"""How do the parameters move? One loop, its checkpoints, its schedules."""

from elbax.train.checkpoint import CheckpointError as CheckpointError
from elbax.train.checkpoint import Checkpoints as Checkpoints
from elbax.train.checkpoint import Restored as Restored
from elbax.train.loop import Best as Best
from elbax.train.loop import Outcome as Outcome
from elbax.train.loop import Report as Report
from elbax.train.loop import State as State
from elbax.train.loop import fit as fit
from elbax.train.loop import init_state as init_state
from elbax.train.loop import merge as merge
