"""The SQLite service as this package sees it: statements in, results or the right error out."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

from db_client import migrations, rqlite
from db_client.errors import DbClientError
from db_client.statements import Statement
from db_client.transport import Transport

MIGRATION_SECONDS = 30.0
HEALTH_SECONDS = 5.0


class Service:
    """Sends statements by a transport. Every call raises ServiceUnavailable or Refused, as `rqlite` has it."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport
        self._migrated = False
        self._migrating = threading.Lock()

    def execute_encoded(self, encoded: Sequence[str], count: int, within: float) -> list[dict[str, Any]]:
        """Runs `count` statements, encoded and joined by commas in each text, in one transaction."""
        return self._ask(rqlite.EXECUTE, f"[{','.join(encoded)}]", count, within)

    def query(self, statements: Sequence[Statement], within: float) -> list[list[dict[str, Any]]]:
        """The rows of each statement."""
        results = self._ask(rqlite.QUERY, rqlite.encode(statements), len(statements), within)
        return rqlite.rows_of(results)

    def migrate_once(self, now: int) -> None:
        """Brings the service's tables up to date, until it once succeeded. `now`: ms since 1970 UTC."""
        if not self._migrated:
            self.migrate(now)

    def migrate(self, now: int) -> int:
        """Brings the service's tables up to date; how many migrations this call applied."""
        with self._migrating:
            applied = migrations.migrate(
                lambda statements: self._ask(
                    rqlite.EXECUTE, rqlite.encode(statements), len(statements), MIGRATION_SECONDS
                ),
                lambda statements: self.query(statements, MIGRATION_SECONDS),
                now=now,
            )
            self._migrated = True
        return applied

    def takes_writes(self) -> bool:
        """True if the service answers a write that changes nothing."""
        try:
            self._ask(rqlite.EXECUTE, rqlite.encode([migrations.CREATE_TABLE]), 1, HEALTH_SECONDS)
        except DbClientError:
            return False
        return True

    def _ask(self, path: str, body: str, count: int, within: float) -> list[dict[str, Any]]:
        answer = self._transport.post(path, body.encode(), within=within)
        return rqlite.results_of(answer.status, answer.body, sent=count, from_service=answer.from_service)
