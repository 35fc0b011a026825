"""`python -m gateway_listener` as a process of its own, and what can be read of it from outside."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from tests.services import RunningService
from tests.simulated_discord.control import Control
from tests.waiting import eventually

PROGRAM = "gateway_listener"
IMPATIENT = "tests.gateway_listener.impatient"


@contextmanager
def listener(
    folder: Path, variables: Mapping[str, str], *, program: str = PROGRAM, log: str = "listener.log"
) -> Iterator[subprocess.Popen[bytes]]:
    """The real program with these variables and nothing of ours beside; killed at the end if it still runs."""
    environment = {"PATH": os.environ["PATH"], "METRICS_PORT": "0", "METRICS_HOST": "127.0.0.1", **variables}
    with (folder / log).open("ab") as file:
        process = subprocess.Popen([sys.executable, "-m", *program.split()], env=environment, stderr=file)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def variables_of(discord: Control, service: RunningService, folder: Path, **more: str) -> dict[str, str]:
    """What a listener of this Discord and this service is told; its disk is in the folder."""
    return {
        **discord.environment(),
        "SQLITE_SERVICE_URL": service.url,
        "QUEUE_FILE": str(folder / "queue.db"),
        **more,
    }


def logged(folder: Path, log: str = "listener.log") -> str:
    """What it wrote."""
    return (folder / log).read_text()


def pages(folder: Path, log: str = "listener.log") -> str:
    """Where the pages of the process that was started last are, once it says so."""
    found = eventually(
        lambda: re.findall(r"the listener is up .*metrics_port=(\d+)", logged(folder, log)), what="the listener is up"
    )
    return f"http://127.0.0.1:{found[-1]}"


def page(address: str, name: str) -> tuple[int, str]:
    """The status and text of one of its pages."""
    try:
        with urllib.request.urlopen(f"{address}/{name}", timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def figure(address: str, name: str, kind: str) -> int:
    """A count of its page of figures; 0 if there is none yet."""
    _, text = page(address, "metrics")
    found = re.search(rf'^bigbrother_listener_{name}_total{{kind="{kind}"}} (\S+)$', text, re.MULTILINE)
    return int(float(found[1])) if found else 0


def gauge(address: str, name: str) -> int:
    """A figure of its page that goes up and down; -1 if it is not there yet."""
    _, text = page(address, "metrics")
    found = re.search(rf"^bigbrother_listener_{name} (\S+)$", text, re.MULTILINE)
    return int(float(found[1])) if found else -1
