"""Running programs as processes: start, look at, stop. Every child has a process group and a log file of its own."""

from __future__ import annotations

import base64
import contextlib
import http.client
import os
import random
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from urllib.parse import unquote, urlsplit

ROOT = Path(__file__).resolve().parents[1]

# Below the range from which Linux takes the ports of outgoing connections, so that none of those takes it meanwhile.
_OWN_PORTS = range(15_000, 32_000)


class Program:
    """One program of the Procfile, or the simulated Discord: started, stopped, killed, started again.

    `command` is a shell command, run in the checkout with exactly `environment`. What the program writes goes to the
    end of `log`.
    """

    def __init__(self, name: str, command: str, environment: Mapping[str, str], log: Path) -> None:
        self.name = name
        self.command = command
        self.environment = dict(environment)
        self.log = log
        self.stopped_by_us = False
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Starts the program; raises RuntimeError if it is running already."""
        if self.running:
            raise RuntimeError(f"{self.name} is running already")
        self.stopped_by_us = False
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                ["/bin/sh", "-c", f"exec {self.command}"],
                cwd=ROOT,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    @property
    def running(self) -> bool:
        """Whether the process is there."""
        return self._process is not None and self._process.poll() is None

    @property
    def process_group(self) -> int:
        """The group of the program and its children; 0 if it was never started."""
        return 0 if self._process is None else self._process.pid

    @property
    def exit_status(self) -> int | None:
        """As `subprocess` gives it: negative for a signal; None while running or never started."""
        return None if self._process is None else self._process.poll()

    def ask_to_stop(self) -> None:
        """SIGTERM to the program, which tells its own children."""
        self.stopped_by_us = True
        if self.running and self._process is not None:
            self._process.terminate()

    def stop(self, *, within: float = 15.0) -> bool:
        """SIGTERM, and SIGKILL to the whole group after `within` seconds; True if it ended by itself."""
        self.ask_to_stop()
        if self._process is None:
            return True
        try:
            self._process.wait(timeout=within)
        except subprocess.TimeoutExpired:
            self.kill()
            return False
        self._kill_group()
        return True

    def kill(self) -> None:
        """SIGKILL to the program and all its children: what a crash or the kernel's memory killer does."""
        self.stopped_by_us = True
        self._kill_group()
        if self._process is not None:
            self._process.wait()

    def _kill_group(self) -> None:
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)

    def last_lines(self, count: int = 10) -> list[str]:
        """The end of its log."""
        if not self.log.exists():
            return []
        return self.log.read_text("utf-8", "replace").splitlines()[-count:]


class Fleet:
    """Programs that end together: on leaving the `with` block all are stopped, the last started first."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.programs: dict[str, Program] = {}

    def add(self, name: str, command: str, environment: Mapping[str, str]) -> Program:
        """A program whose log is `NAME.log` in the folder; it is not started yet."""
        program = Program(name, command, environment, self.folder / f"{name}.log")
        self.programs[name] = program
        return program

    def __getitem__(self, name: str) -> Program:
        return self.programs[name]

    def __enter__(self) -> Fleet:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    def stop(self, *, within: float = 15.0) -> None:
        """Stops one after the other, the last started first, so that each can still tell the earlier ones what it has.

        What is still running after that many seconds in all is killed.
        """
        deadline = time.monotonic() + within
        for program in reversed(self.programs.values()):
            program.stop(within=max(0.0, deadline - time.monotonic()))


def with_this_python(variables: Mapping[str, str]) -> dict[str, str]:
    """The variables for a child that is to find this interpreter's `python` and `gunicorn` first."""
    return {**variables, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{variables.get('PATH', os.defpath)}"}


def is_free(port: int, host: str = "127.0.0.1") -> bool:
    """Whether a server could listen there now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def free_port(preferred: int | None = None) -> int:
    """The preferred port if it is free on loopback, else another that is."""
    if preferred is not None and is_free(preferred):
        return preferred
    candidates = (random.choice(_OWN_PORTS) for _ in range(200))
    return next(port for port in candidates if is_free(port))


def answers(url: str, *, within: float = 1.0) -> bool:
    """Whether a GET of a page (`user:password@` in the URL is sent as Basic credentials) is answered with 200."""
    parts = urlsplit(url)
    request = urllib.request.Request(parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl())  # noqa: S310
    if parts.username is not None:
        pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        request.add_header("Authorization", f"Basic {base64.b64encode(pair.encode()).decode()}")
    try:
        with urllib.request.urlopen(request, timeout=within) as answer:  # noqa: S310
            return bool(answer.status == 200)
    except (OSError, http.client.HTTPException):
        return False
