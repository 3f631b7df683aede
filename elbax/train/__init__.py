"""How are the parameters trained? One loop, its driver, its checkpoints and its schedules."""

from elbax.train.checkpoint import CheckpointError as CheckpointError
from elbax.train.checkpoint import Checkpoints as Checkpoints
from elbax.train.checkpoint import Restored as Restored
from elbax.train.feed import Streamed as Streamed
from elbax.train.loop import Outcome as Outcome
from elbax.train.loop import Report as Report
from elbax.train.loop import fit as fit
from elbax.train.state import Best as Best
from elbax.train.state import State as State
from elbax.train.state import init_state as init_state
from elbax.train.state import merge as merge
from elbax.train.trainer import Diverged as Diverged
from elbax.train.trainer import History as History
from elbax.train.trainer import Trainer as Trainer
