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


IN_A_CALLBACK = """
import gc, os, signal, time
from elbax.run.signals import Interrupted, SignalWatch
def callback(phase, info):
    gc.callbacks.clear()
    os.kill(os.getpid(), signal.{number})
    for _ in range(1000):  # the handler runs here, and what it raises is dropped
        pass
gc.callbacks.append(callback)
try:
    with SignalWatch():
        gc.collect()
        time.sleep(30)
        print("never", flush=True)
except Interrupted as stop:
    print(stop.exit_status, flush=True)
"""


@pytest.mark.parametrize(("number", "status"), [("SIGINT", 130), ("SIGTERM", 143)])
def test_in_a_callback_whose_errors_python_drops_it_is_raised_again(number, status):
    script = IN_A_CALLBACK.format(number=number)
    done = subprocess.run(
        [sys.executable, "-c", script], check=False, capture_output=True, text=True
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, f"{status}\n", "")


def test_an_error_of_somebody_else_is_told_as_before(monkeypatch):
    told = []
    monkeypatch.setattr(sys, "unraisablehook", told.append)

    class Bad:
        def __del__(self):
            raise ValueError("mine")

    with SignalWatch():
        bad = Bad()
        del bad
    assert [str(one.exc_value) for one in told] == ["mine"]
    assert sys.unraisablehook == told.append


AT_THE_END = """
import os, signal, time
from elbax.run.signals import Interrupted, SignalWatch
try:
    with SignalWatch() as watch:
        watch.ends = {ends}
        os.kill(os.getpid(), signal.SIGINT)
except Interrupted:
    print(signal.getsignal(signal.SIGINT) == signal.SIG_DFL, flush=True)
os.kill(os.getpid(), signal.SIGINT)
time.sleep(30)  # another thread may be the one that is told first
"""


@pytest.mark.parametrize("ends", [True, False])
def test_a_second_signal_while_the_process_ends_shows_nothing(ends):
    script = AT_THE_END.format(ends=ends)
    done = subprocess.run(
        [sys.executable, "-c", script], check=False, capture_output=True, text=True
    )
    assert done.stdout == f"{ends}\n"
    assert (done.stderr == "") == ends  # Python's own handler, which came back, shows a traceback
    assert done.returncode == -signal.SIGINT


def test_what_an_inner_one_received_was_the_first_of_the_outer_too():
    before = signal.getsignal(signal.SIGINT)
    with SignalWatch() as outer:
        with pytest.raises(Interrupted), SignalWatch():
            os.kill(os.getpid(), signal.SIGINT)
        assert outer.received == signal.SIGINT
        assert signal.getsignal(signal.SIGINT) == signal.SIG_DFL
    assert signal.getsignal(signal.SIGINT) is before
