"""Ctrl-C and SIGTERM: the first is noted so that training can be saved, a second ends at once."""

from __future__ import annotations

import os
import signal
import sys
import threading
from types import FrameType, TracebackType
from typing import Any


class Interrupted(KeyboardInterrupt):
    """Somebody stopped the program; what could be saved is saved.

    Attributes:
        exit_status: 128 + the signal's number, as shells have it: 130 for Ctrl-C, 143 for SIGTERM.
    """

    def __init__(self, number: int, message: str = "") -> None:
        super().__init__(message)
        self.number = number
        self.message = message

    @property
    def exit_status(self) -> int:
        """What the process should exit with."""
        return 128 + self.number


class SignalWatch:
    """Catches both signals while its block runs; does nothing outside the main thread.

    While `defer` is on, the first signal is only noted in `received`; otherwise it raises
    `Interrupted` where the program stands. After the first, the system's own handling is back: the
    next signal ends the process. Where the program stands in a callback whose errors Python drops
    (a finaliser, one of the garbage collector's), it is raised again once that is over.

    Attributes:
        defer: Whether the first is only noted.
        received: Its number.
        ends: Whether the process ends with the block, so that after a signal the handlers of before
            do not come back: they would show a traceback of how the process ends.
    """

    _WATCHED = (signal.SIGINT, signal.SIGTERM)
    _SOON = 0.05  # seconds, in which a callback is over

    def __init__(self) -> None:
        self.defer = False
        self.received: int | None = None
        self.ends = False
        self._before: dict[int, Any] = {}
        self._hook: Any = None

    def __enter__(self) -> SignalWatch:  # noqa: PYI034 - beartype can't check Self on a method
        if threading.current_thread() is threading.main_thread():
            for number in self._WATCHED:
                self._before[number] = signal.signal(number, self._handle)
            self._hook, sys.unraisablehook = sys.unraisablehook, self._dropped
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for number, handler in self._before.items():
            outer = getattr(handler, "__self__", None)
            if self.received is not None and isinstance(outer, SignalWatch):
                outer.received = self.received  # the first of it too: the next ends the process
            elif self.received is None or not self.ends:
                signal.signal(number, handler)
        if self._before:
            sys.unraisablehook = self._hook
        self._before.clear()

    def _handle(self, number: int, _frame: FrameType | None) -> None:
        self.received = number
        for watched in self._WATCHED:
            signal.signal(watched, signal.SIG_DFL)
        if not self.defer:
            raise Interrupted(number)

    def _dropped(self, what: Any) -> None:
        """Told of an error that Python drops: one of ours comes again, and no other is ours."""
        if not isinstance(what.exc_value, Interrupted):
            self._hook(what)
            return
        number = what.exc_value.number
        threading.Timer(self._SOON, os.kill, (os.getpid(), number)).start()
        signal.signal(number, self._handle)  # last: what it raises in here would be dropped too
