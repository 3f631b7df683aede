"""What is being done after the last step: said on a terminal, gone when it is done."""

import io

import jax
import numpy as np
import optax

from elbax.model import DiagonalNormal, NegativeELBO, Normal
from elbax.report.console import Console, mean_losses
from elbax.train import Report, init_state
from tests.linear_gaussian import untrained


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_terminal_is_told_what_is_being_done_and_keeps_no_line_of_it(monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    stream = Terminal()
    console = Console(stream)
    console.doing("measuring the model on 10 test rows")
    console.doing("drawing bound, picture 6 of 13")
    console.settled()
    said = stream.getvalue()
    assert "measuring the model on 10 test rows" in said
    assert "drawing bound, picture 6 of 13" in said
    assert said.endswith("\x1b[2K")  # the line is erased
    assert "\n" not in said.partition("drawing")[0]


def test_a_file_is_told_nothing_of_it():
    stream = io.StringIO()
    console = Console(stream)
    console.doing("drawing bound")
    console.settled()
    assert stream.getvalue() == ""


def test_losses_near_the_end_of_float32_are_averaged_without_a_warning():
    model = untrained(3, DiagonalNormal(2), Normal((3,), "shared"), seed=1)
    state = init_state(model, NegativeELBO(), optax.sgd(0.1), jax.random.key(0))
    loss = np.full(4, 2e38, np.float32)  # their sum is no float32
    report = Report(state, 0, 4, {"loss": loss, "kl_per_latent": np.zeros((4, 2))})
    assert mean_losses(report) == {"loss": float(loss[0])}
