"""The endpoint as people run it: gunicorn as a process."""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from nacl.signing import SigningKey

from tests import services
from tests.interactions_api import discord
from tests.waiting import eventually

REPOSITORY = Path(__file__).parents[2]
OURS = ("DISCORD_", "SQLITE_", "QUEUE_", "LOG_", "INTERACTION_", "PROMETHEUS_", "GUNICORN_", "WEB_CONCURRENCY", "PORT")


def spawn(log: Path, *options: str, **variables: str) -> subprocess.Popen[bytes]:
    """`gunicorn 'interactions_api.app:create_app()'` on any free port, its output alone in `log`."""
    log.unlink(missing_ok=True)
    command = [sys.executable, "-m", "gunicorn", "interactions_api.app:create_app()", "--bind", "127.0.0.1:0", *options]
    return services.spawn(command, log, variables, without=OURS)


class Running:
    """An endpoint that answers on a port of this machine."""

    def __init__(self, process: subprocess.Popen[bytes], log: Path, key: SigningKey) -> None:
        self.process = process
        self.log = log
        self._key = key
        self.port = int(eventually(self._listening, what="gunicorn listens")[1])
        eventually(lambda: self._answers(), what="gunicorn answers")

    def _listening(self) -> re.Match[str] | None:
        return re.search(r"Listening at: http://127\.0\.0\.1:(\d+)", self.log.read_text())

    def _answers(self) -> bool:
        assert self.process.poll() is None, self.log.read_text()
        try:
            return self.request("GET", "/livez")[0] == 200
        except OSError:
            return False

    def request(self, method: str, path: str, *args: Any, **kwargs: Any) -> tuple[int, bytes]:
        """One HTTP request on a connection of its own: status and body."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            connection.request(method, path, *args, **kwargs)
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def says(self, interaction: Any) -> str:
        """The content of the reply to a signed interaction."""
        body = discord.body(interaction)
        status, answer = self.request("POST", "/interactions", body, discord.headers(self._key, body))
        assert status == 200, answer
        content: str = json.loads(answer)["data"]["content"]
        return content

    def stop(self) -> int:
        """SIGTERM, and the exit status."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(30)


@contextmanager
def running(folder: Path, key: SigningKey, service_url: str, *options: str, **variables: str) -> Iterator[Running]:
    """A running endpoint on that service, its queue file in the folder; ended, by force if need be, afterwards."""
    settings = {
        "DISCORD_PUBLIC_KEY": key.verify_key.encode().hex(),
        "SQLITE_SERVICE_URL": service_url,
        "QUEUE_FILE": str(folder / "queue.db"),
        "TMPDIR": str(folder),  # one that is killed leaves its folder of metrics to the next start
        **variables,
    }
    log = folder / "gunicorn.log"
    process = spawn(log, *options, **settings)
    try:
        yield Running(process, log, key)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(10)
