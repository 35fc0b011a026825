"""program.threads: a thread that meets an error nobody foresaw ends its process; one that is not begun is told of."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

import pytest

from program import exits, threads

ROOT = Path(__file__).parents[2]
PROGRAM = """
import logging, signal, sys, threading
from program import exits, threads
from program.logs import LogSettings, set_up

set_up(LogSettings())
stopped = threading.Event()
{handler}

def work():
    raise ValueError("Dorabella, 4711")

threads.start("recorder", work)
if not stopped.wait(30):
    sys.exit(99)
print("what was begun is finished")
sys.exit(exits.AGAIN if threads.ended_unasked() else exits.ASKED)
"""


@pytest.mark.parametrize(
    ("handler", "finishes"),
    [
        ("signal.signal(signal.SIGTERM, lambda *_: stopped.set())", True),
        ("", False),
        ("signal.signal(signal.SIGTERM, signal.SIG_IGN)", False),
    ],
    ids=["handles SIGTERM", "default", "ignores SIGTERM"],
)
def test_an_error_nobody_foresaw_ends_the_process_and_says_where(handler: str, finishes: bool) -> None:
    """With status 1, in good order where the program knows one; the place is logged and what it was about is not."""
    program = PROGRAM.format(handler=handler)
    ran = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert ran.returncode == exits.AGAIN, ran.stderr
    assert ("what was begun is finished" in ran.stdout) is finishes
    assert "CRITICAL program.threads" in ran.stderr
    assert "of=recorder problem=ValueError" in ran.stderr
    assert " work" in ran.stderr
    assert "Dorabella" not in ran.stderr
    assert "4711" not in ran.stderr


def no_thread(self: threading.Thread) -> None:
    raise RuntimeError("can't start new thread")


def test_a_thread_that_cannot_be_begun(monkeypatch: pytest.MonkeyPatch) -> None:
    """Is an error of its own, which callers can tell from what the work itself raises."""
    monkeypatch.setattr(threading.Thread, "start", no_thread)
    with pytest.raises(threads.NoThread):
        threads.start("recorder", lambda: None)


async def test_work_beside_the_event_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    """Gives what it gave, raises what it raised, and NoThread only if it was not begun."""

    def fails() -> int:
        raise RuntimeError("its own")

    with monkeypatch.context() as limited:
        limited.setattr(threading.Thread, "start", no_thread)
        with pytest.raises(threads.NoThread):
            await threads.beside(threading.get_ident)
    assert await threads.beside(threading.get_ident) != threading.get_ident()
    with pytest.raises(RuntimeError, match="its own"):
        await threads.beside(fails)
