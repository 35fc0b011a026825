"""`python -m tests.failing MODULE ...`: a real program, in which something fails while a file is there.

FAILS_WHILE is the file; FAILS names what fails, `module:Class.method`; instead, no thread whose name begins with
NO_THREADS can be started, as in a container at its limit.
"""

from __future__ import annotations

import importlib
import os
import runpy
import sys
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

SECRET = "Dorabella, 4711"


def failing(method: Callable[..., Any], problem: Callable[..., Exception | None]) -> Callable[..., Any]:
    """The method, which raises what `problem` gives for its arguments while the file is there."""
    file = Path(os.environ["FAILS_WHILE"])

    def wrapped(*arguments: Any, **options: Any) -> Any:
        if file.exists() and (raised := problem(*arguments)) is not None:
            raise raised
        return method(*arguments, **options)

    return wrapped


def prepare() -> None:
    if names := os.environ.get("NO_THREADS"):
        full = RuntimeError("can't start new thread")
        start = failing(threading.Thread.start, lambda self: full if self.name.startswith(names) else None)
        threading.Thread.start = start  # type: ignore[method-assign]
    else:
        module, _, name = os.environ["FAILS"].partition(":")
        kind, _, attribute = name.partition(".")
        owner = getattr(importlib.import_module(module), kind)
        setattr(owner, attribute, failing(getattr(owner, attribute), lambda *_: ValueError(SECRET)))


def hurry() -> None:
    """The listener waits less long than it may."""
    from gateway_listener.settings import Settings, Timing

    read = Settings.read
    quick = Timing(follow_every=0.1, share_every=0.2, ask_every=0.2, between_identifies=0.05)
    Settings.read = lambda variables: replace(read(variables), timing=quick)  # type: ignore[method-assign]


if __name__ == "__main__":
    prepare()
    del sys.argv[0]
    if sys.argv[0] == "gateway_listener":
        hurry()
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
