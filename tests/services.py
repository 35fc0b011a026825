"""Real bodies of the SQLite service as processes of their own: the embedded one, and rqlited where there is one."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType

REPOSITORY = Path(__file__).parent.parent
START_SECONDS = 30.0
_LISTENING = re.compile(r"listening on (http://\S+)")

NO_RQLITED = "no rqlited: neither the variable RQLITED nor PATH names one (tools/rqlited/build makes it where go is)"


class RunningService:
    """A service that answers at `url`; a context manager that stops it.

    `kill` is SIGKILL; `restart` starts it again, after either end, on the same port and files.
    """

    def __init__(self, folder: Path, start: Callable[[int, Path], subprocess.Popen[bytes]]) -> None:
        self.folder = folder
        self.log = folder / "service.log"
        self._start = start
        self._port = 0
        self.url = ""
        self.process = self._started()

    def _started(self) -> subprocess.Popen[bytes]:
        offset = self.log.stat().st_size if self.log.exists() else 0
        process = self._start(self._port, self.log)
        deadline = time.monotonic() + START_SECONDS
        while not (self._find_url(offset) and self.ready()):
            if process.poll() is not None:
                raise AssertionError(
                    f"the service ended with {process.returncode} at its start:\n{self.log.read_text()}"
                )
            if time.monotonic() > deadline:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
                raise AssertionError(f"the service was not ready within {START_SECONDS} s:\n{self.log.read_text()}")
            time.sleep(0.02)
        return process

    def _find_url(self, offset: int) -> bool:
        if not self.url:
            with self.log.open() as log:
                log.seek(offset)
                match = _LISTENING.search(log.read())
            if match is None:
                return False
            self.url = match[1]
        self._port = int(self.url.rsplit(":", 1)[1])
        return True

    def ready(self) -> bool:
        """True if /readyz answers 200 now."""
        try:
            with urllib.request.urlopen(f"{self.url}/readyz", timeout=2) as answer:
                return answer.status == 200
        except OSError:
            return False

    @property
    def port(self) -> int:
        """The port it listens on, the same after a restart."""
        return self._port

    def stop(self, *, within: float = 40.0) -> int:
        """SIGTERM, and the exit code once it has ended."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.process.wait(within)

    def kill(self) -> None:
        """SIGKILL for the whole service; returns when it is gone."""
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(10)

    def restart(self) -> None:
        """Starts the stopped or killed service again; returns when it is ready."""
        if self.process.poll() is None:
            self.stop()
        self.process = self._started()

    def __enter__(self) -> RunningService:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self.stop()
        except subprocess.TimeoutExpired:
            self.kill()


def start_embedded(folder: Path, **env: str) -> RunningService:
    """`python -m sqlite_service` with its file at folder/bigbrother.db, on any free port unless PORT is given."""
    folder.mkdir(parents=True, exist_ok=True)

    def start(port: int, log: Path) -> subprocess.Popen[bytes]:
        variables = {"SQLITE_FILE": str(folder / "bigbrother.db"), "PORT": "0", **env}
        if port:
            variables["PORT"] = str(port)
        return spawn([sys.executable, "-m", "sqlite_service"], log, variables)

    return RunningService(folder, start)


def rqlited_binary() -> str | None:
    """The path of a real rqlited, or None; then NO_RQLITED is the reason for a skip."""
    return shutil.which(os.environ.get("RQLITED") or "rqlited")


def start_rqlited(folder: Path, *options: str) -> RunningService:
    """A single-node rqlited with foreign keys on, its files in folder/rqlite; `options` are further flags."""
    binary = rqlited_binary()
    if binary is None:
        raise AssertionError(NO_RQLITED)
    folder.mkdir(parents=True, exist_ok=True)
    http, raft = free_ports(2)
    arguments = ["-fk", "-node-id=1", f"-http-addr=127.0.0.1:{http}", f"-raft-addr=127.0.0.1:{raft}", *options]

    def start(port: int, log: Path) -> subprocess.Popen[bytes]:
        if not port:
            log.write_text(f"listening on http://127.0.0.1:{http}\n")
        return spawn([binary, *arguments, str(folder / "rqlite")], log, {})

    return RunningService(folder, start)


def free_ports(count: int) -> list[int]:
    """Ports that nothing listens on, for programs that cannot choose one themselves."""
    holders = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [holder.getsockname()[1] for holder in holders]
    for holder in holders:
        holder.close()
    return ports


def spawn(
    command: Sequence[str],
    log: Path,
    variables: Mapping[str, str],
    *,
    without: tuple[str, ...] = ("SQLITE_", "RQLITE_"),
) -> subprocess.Popen[bytes]:
    """A program in the checkout and in a process group of its own; what it writes goes to the end of `log`.

    Of this process's variables those that begin with one of `without` are left out.
    """
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(without)}
    with log.open("ab") as output:
        return subprocess.Popen(
            command,
            cwd=REPOSITORY,
            env={**inherited, **variables},
            stdout=output,
            stderr=output,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )
