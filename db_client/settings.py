"""Settings of the queue file and of the way to the SQLite service."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from program.environment import Environment

MIB = 1024 * 1024
LEAST_QUEUE_BYTES = 256 * 1024


@dataclass(frozen=True)
class StoreSettings:
    """SQLITE_SERVICE_URL (may hold `user:password@`), QUEUE_FILE and QUEUE_MAX_BYTES."""

    service_url: str = "http://sqlite-service:8080"
    queue_file: Path = Path("data/queue.db")
    queue_max_bytes: int = 256 * MIB

    @classmethod
    def read(cls, environment: Environment) -> StoreSettings:
        """Reads the three variables; what is malformed is noted in `environment`."""
        return cls(
            service_url=environment.parsed(
                "SQLITE_SERVICE_URL",
                service_url,
                cls.service_url,
                hint="it takes the base URL of the SQLite service, such as http://127.0.0.1:8080",
            ),
            queue_file=environment.parsed("QUEUE_FILE", Path, cls.queue_file, hint="it takes the path of a file"),
            queue_max_bytes=environment.integer("QUEUE_MAX_BYTES", cls.queue_max_bytes, least=LEAST_QUEUE_BYTES),
        )


def service_url(text: str) -> str:
    """The base URL without a slash at its end; raises ValueError for what is not an http or https URL."""
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
        raise ValueError(text)
    _ = parts.port  # raises ValueError when it is no port
    return text.rstrip("/")
