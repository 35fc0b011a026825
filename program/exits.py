"""What the exit status of a program says to whoever started it: one table for all of them, in the README too."""

from __future__ import annotations

from types import MappingProxyType

ASKED = 0
"""It was asked to stop, or did what it was to do."""
AGAIN = 1
"""An end that nobody asked for, or something out of reach: start it again, after a pause that grows."""
SETTINGS = 2
"""A person must act: settings or data are wrong. Starting it again changes nothing."""
DISCORD_REFUSES = 3
"""A person must act: Discord will not have it. Starting it again changes nothing."""

GUNICORN_CANNOT_LOAD = 4
"""gunicorn's own word for `SETTINGS`: by it a worker keeps it from starting worker after worker.

Its own 3, for a worker that did not come up, would be `DISCORD_REFUSES` here; our gunicorn.conf.py makes it `AGAIN`.
"""

WHAT_TO_DO = MappingProxyType(
    {
        SETTINGS: "its settings or data are wrong: mend what it says, and start it again",
        GUNICORN_CANNOT_LOAD: "its settings are wrong: mend what it says, and start it again",
        DISCORD_REFUSES: "Discord refuses it: do what it says, and start it again",
    }
)
"""By status, where only a person can help. Every other one but `ASKED`, a signal's too, is as `AGAIN`."""
