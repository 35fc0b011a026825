"""`python -m tests.gateway_listener.impatient`: the real listener, which waits less long than it may."""

from __future__ import annotations

import asyncio
import os
import sys
from dataclasses import replace

from gateway_listener.listener import Listener
from gateway_listener.settings import Settings, Timing
from program import logs


def main() -> int:
    settings = Settings.read(os.environ)
    logs.set_up(settings.log)
    timing = Timing(between_identifies=0.05, unseen_too_long=2.0, longest_pause=0.2)
    asyncio.run(Listener(replace(settings, timing=timing)).run())
    return 0


if __name__ == "__main__":
    sys.exit(main())
