"""Ctrl-C, SIGTERM and a closed terminal as something to ask for, never as an exception in the middle of a step."""

from __future__ import annotations

import os
import select
import signal
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interrupted(Exception):
    """The person, or the system, asked to end."""


class Interruption:
    """Made once, in the main thread, before the first child: from then on the three signals only set `signal`."""

    def __init__(self) -> None:
        self.signal: int | None = None
        self._awake, self._wake = os.pipe()
        os.set_blocking(self._wake, False)
        for number in SIGNALS:
            signal.signal(number, self._note)

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.signal = self.signal or number
        os.write(self._wake, b".")

    def pause(self, seconds: float) -> None:
        """Waits that long, or raises Interrupted as soon as one of the signals comes (or came before)."""
        select.select([self._awake], [], [], max(0.0, seconds))
        if self.signal is not None:
            raise Interrupted(signal.Signals(self.signal).name)
