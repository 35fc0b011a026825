"""`python -m tests.gateway_listener.impatient`: the real listener, which waits less long than it may."""

from __future__ import annotations

import sys
from dataclasses import replace

from gateway_listener import __main__ as program
from gateway_listener.settings import Settings, Timing

TIMING = Timing(between_identifies=0.05, unseen_too_long=2.0, longest_pause=0.2)


class _Settings(Settings):
    @classmethod
    def read(cls, variables):
        return replace(Settings.read(variables), timing=TIMING)


if __name__ == "__main__":
    program.Settings = _Settings
    sys.exit(program.main())
