"""Which program gets which environment when all of them run on one machine. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, urlsplit

from program.environment import Environment

# What a simulation must not take over from the person's shell: it has its own Discord and its own data.
OURS = ("DISCORD_", "SQLITE_", "QUEUE_", "SHARD_", "METRICS_", "INTERACTION_", "GUNICORN_")
OURS_EXACTLY = ("PORT", "HOST", "GAP_TOLERANCE", "RECONCILE_EVERY", "WEB_CONCURRENCY")

LOOPBACK = ("127.0.0.1", "localhost", "::1")


@dataclass(frozen=True)
class Ports:
    """Where the three programs listen on loopback."""

    web: int = 8000
    sqlite: int = 8080
    listener: int = 9100


@dataclass(frozen=True)
class Plan:
    """The environment of each program that is ours to start, by its name in the Procfile."""

    environments: dict[str, dict[str, str]]
    ports: Ports
    queue_file: Path
    sqlite_url: str

    def url(self, name: str, path: str) -> str:
        """A page of one of the programs."""
        if name == "sqlite":
            return f"{self.sqlite_url.rstrip('/')}{path}"
        return f"http://127.0.0.1:{getattr(self.ports, name)}{path}"


def is_ours(name: str) -> bool:
    """Whether a variable belongs to the programs, so that a simulation leaves it out."""
    return name.startswith(OURS) or name in OURS_EXACTLY


def wanted_ports(variables: Mapping[str, str]) -> Ports:
    """The ports that the settings ask for; raises SettingsError for one that is no number."""
    environment = Environment(variables)
    ports = Ports(
        web=environment.integer("PORT", Ports.web, least=1, most=65535),
        sqlite=environment.parsed("SQLITE_SERVICE_URL", _port, Ports.sqlite, hint="it takes a URL."),
        listener=environment.integer("METRICS_PORT", Ports.listener, least=1, most=65535),
    )
    environment.check()
    return ports


def _port(url: str) -> int:
    parts = urlsplit(url)
    return parts.port or (443 if parts.scheme == "https" else 80)


def plan(variables: Mapping[str, str], ports: Ports, folder: Path, *, sqlite_url: str = "") -> Plan:
    """All programs on this machine, with their data in `folder` unless the variables say otherwise.

    The SQLite service is started here unless SQLITE_SERVICE_URL, or `sqlite_url`, names another one.
    """
    wanted = sqlite_url or variables.get("SQLITE_SERVICE_URL", "")
    elsewhere = bool(sqlite_url) or (bool(wanted) and urlsplit(wanted).hostname not in LOOPBACK)
    url = wanted or f"http://{_credentials(variables)}127.0.0.1:{ports.sqlite}"
    queue_file = Path(variables.get("QUEUE_FILE") or folder / "queue.db")
    shared = {**variables, "SQLITE_SERVICE_URL": url, "QUEUE_FILE": str(queue_file)}
    environments = {
        "web": {
            **shared,
            "PORT": str(ports.web),
            "GUNICORN_CMD_ARGS": f"--bind 127.0.0.1:{ports.web} {variables.get('GUNICORN_CMD_ARGS', '')}".strip(),
        },
        "listener": {
            **shared,
            "METRICS_HOST": variables.get("METRICS_HOST") or "127.0.0.1",
            "METRICS_PORT": str(ports.listener),
        },
    }
    if not elsewhere:
        file = variables.get("SQLITE_FILE") or str(folder / "bigbrother.db")
        environments["sqlite"] = {**shared, "SQLITE_FILE": file, "HOST": "127.0.0.1", "PORT": str(ports.sqlite)}
    return Plan(environments, ports, queue_file, url)


def _credentials(variables: Mapping[str, str]) -> str:
    name, password = variables.get("SQLITE_USERNAME", ""), variables.get("SQLITE_PASSWORD", "")
    return f"{quote(name, safe='')}:{quote(password, safe='')}@" if name and password else ""
