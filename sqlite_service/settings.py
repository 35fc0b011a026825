"""The service's settings, read once from the environment before anything starts."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from program.environment import Environment
from program.logs import LogSettings

MIB = 1024 * 1024


@dataclass(frozen=True)
class Settings:
    """How the service runs; sizes in bytes, times in seconds. `port` 0 takes any free port."""

    file: Path = Path("data/bigbrother.db")
    host: str = "127.0.0.1"
    port: int = 8080
    username: str = ""
    password: str = field(default="", repr=False)
    body_limit: int = 16 * MIB
    statement_seconds: float = 5.0
    read_seconds: float = 10.0
    logs: LogSettings = field(default_factory=LogSettings)

    @classmethod
    def read(cls, variables: Mapping[str, str]) -> Settings:
        """The settings in `variables`; raises SettingsError with every problem found."""
        environment = Environment(variables)
        settings = cls(
            file=environment.parsed("SQLITE_FILE", Path, cls.file, hint="it takes a path."),
            host=environment.text("HOST", cls.host),
            port=environment.integer("PORT", cls.port, most=65535),
            username=environment.text("SQLITE_USERNAME", ""),
            password=environment.text("SQLITE_PASSWORD", ""),
            body_limit=environment.integer("SQLITE_BODY_LIMIT", cls.body_limit, least=1024),
            statement_seconds=environment.integer("SQLITE_STATEMENT_MS", 5000, least=10) / 1000,
            read_seconds=environment.integer("SQLITE_READ_MS", 10_000, least=100) / 1000,
            logs=LogSettings.read(environment),
        )
        if bool(settings.username) != bool(settings.password):
            missing = "SQLITE_PASSWORD" if settings.username else "SQLITE_USERNAME"
            environment.problems.append(
                f"{missing} is not set. Set both SQLITE_USERNAME and SQLITE_PASSWORD, or neither."
            )
        elif ":" in settings.username:
            environment.problems.append("SQLITE_USERNAME is malformed: it cannot hold a colon (basic authentication).")
        elif not (settings.username or is_loopback(settings.host)) and not _truth(environment):
            environment.problems.append(
                f"HOST is {settings.host}, which other machines can reach, and nobody would be asked for a password. "
                "Set SQLITE_USERNAME and SQLITE_PASSWORD, or HOST=127.0.0.1, or ALLOW_UNAUTHENTICATED=1 if the "
                "network keeps strangers out."
            )
        environment.check()
        return settings


def _truth(environment: Environment) -> bool:
    return environment.choice("ALLOW_UNAUTHENTICATED", "0", ("0", "1", "false", "true", "no", "yes")) in (
        "1",
        "true",
        "yes",
    )


def is_loopback(host: str) -> bool:
    """True if only this machine can reach a server that listens there; any name but localhost counts as reachable."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False
