"""A program of ours by a machine's clock that is beside the truth: it reads from CLOCK_FILE by how many seconds.

`python -m tests.soak.clocked gateway_listener` is the listener, `gunicorn 'tests.soak.clocked:create_app()'` the
endpoint; the file may change at any time, as when a clock is set.
"""

from __future__ import annotations

import json
import os
import runpy
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any


def set_clock(file: Path, seconds: float) -> None:
    """The clock of every program that reads the file is so far ahead from now on."""
    fresh = file.with_suffix(".new")
    fresh.write_text(repr(seconds))
    fresh.replace(file)


def _go_by(file: Path) -> None:
    true, true_ns = time.time, time.time_ns
    time.time = lambda: true() + float(file.read_text())
    time.time_ns = lambda: true_ns() + int(float(file.read_text()) * 1e9)


def create_app() -> Any:
    """The endpoint."""
    _go_by(Path(os.environ["CLOCK_FILE"]))
    from interactions_api import app

    return app.create_app()


def _hasten(timing: dict[str, float]) -> None:
    """The listener waits less long than it may."""
    read = settings.Settings.read
    settings.Settings.read = staticmethod(lambda variables: replace(read(variables), timing=settings.Timing(**timing)))


if __name__ == "__main__":
    _go_by(Path(os.environ["CLOCK_FILE"]))
    from gateway_listener import settings

    _hasten(json.loads(os.environ.get("TIMING", "{}")))
    runpy.run_module(sys.argv.pop(1), run_name="__main__", alter_sys=True)
