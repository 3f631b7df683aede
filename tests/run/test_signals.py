"""The first signal is noted or raised, a second ends the process at once."""

import os
import signal
import subprocess
import sys

import pytest

from elbax.run.signals import Interrupted, SignalWatch

TWICE = """
import os, signal, time
from elbax.run.signals import SignalWatch
with SignalWatch() as watch:
    watch.defer = True
    os.kill(os.getpid(), signal.{first})
    assert watch.received == signal.{first}
    print("saving", flush=True)
    os.kill(os.getpid(), signal.{second})
    time.sleep(30)
    print("never", flush=True)
"""


@pytest.mark.parametrize("first", ["SIGINT", "SIGTERM"])
@pytest.mark.parametrize("second", ["SIGINT", "SIGTERM"])
def test_a_second_signal_ends_the_process_at_once(first, second):
    script = TWICE.format(first=first, second=second)
    done = subprocess.run(
        [sys.executable, "-c", script], check=False, capture_output=True, text=True
    )
    assert done.returncode == -getattr(signal, second), done.stderr
    assert done.stdout == "saving\n"


def test_undeferred_it_raises_where_the_program_stands_and_gives_the_handlers_back():
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(Interrupted) as stop, SignalWatch():
        os.kill(os.getpid(), signal.SIGTERM)
    assert stop.value.exit_status == 143
    assert signal.getsignal(signal.SIGTERM) is before
