"""Our programs and their floors as processes, each with a log of its own."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

from demo.programs import Fleet, Program, answers, free_port, with_this_python

T = TypeVar("T")

__all__ = ["Fleet", "Program", "answers", "cpu_seconds", "free_port", "gunicorn", "resident_bytes", "start", "wait_for"]

_OURS = ("DISCORD_", "SQLITE_", "QUEUE_", "SHARD_", "METRICS_", "LOG_", "GUNICORN_", "PROMETHEUS_")


def start(fleet: Fleet, name: str, command: str, variables: Mapping[str, str]) -> Program:
    """Starts a program with these variables; none of ours is taken over from the caller's environment."""
    inherited = {key: value for key, value in os.environ.items() if not key.startswith((*_OURS, "PORT"))}
    program = fleet.add(name, command, with_this_python({**inherited, "LOG_LEVEL": "warning", **variables}))
    program.start()
    return program


def gunicorn(fleet: Fleet, name: str, app: str, variables: Mapping[str, str]) -> str:
    """Starts gunicorn as gunicorn.conf.py has it, on a free port; the URL of its /interactions once it listens."""
    port = free_port()
    program = start(fleet, name, f"gunicorn --bind 127.0.0.1:{port} '{app}()'", variables)
    wait_for(lambda: "Booting worker" in program.log.read_text(), program, f"{name} boots a worker")
    return f"http://127.0.0.1:{port}/interactions"


def wait_for(condition: Callable[[], T], program: Program, what: str, within: float = 60.0, step: float = 0.02) -> T:
    """The first truthy answer; raises with the end of the program's log if it ends, or after `within` seconds."""
    deadline = time.monotonic() + within
    while not (answer := condition()):
        if not program.running or time.monotonic() > deadline:
            tail = "\n".join(program.log.read_text("utf-8", "replace").splitlines()[-20:])
            raise RuntimeError(f"it did not come true that {what}; the end of {program.name}'s log:\n{tail}")
        time.sleep(step)
    return answer


def cpu_seconds(program: Program) -> float:
    """The processor time that the program's process has used, in all its threads."""
    fields = Path(f"/proc/{program.process_group}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def resident_bytes(program: Program) -> int:
    """The memory the program's process holds now (VmRSS)."""
    status = Path(f"/proc/{program.process_group}/status").read_text()
    (line,) = [line for line in status.splitlines() if line.startswith("VmRSS:")]
    return int(line.split()[1]) * 1024
