"""Which body of the SQLite service the campaigns run against: the embedded one, or a real rqlited."""

from __future__ import annotations

from pathlib import Path

from tests.faults.campaign import Skipped
from tests.services import NO_RQLITED, RunningService, rqlited_binary, start_embedded, start_rqlited


class Chosen:
    """`body`: "embedded" or "rqlited", for all campaigns that follow."""

    body = "embedded"


def start_service(folder: Path) -> RunningService:
    """The chosen body as a process of its own."""
    if Chosen.body == "embedded":
        return start_embedded(folder)
    if rqlited_binary() is None:
        raise Skipped(NO_RQLITED)
    return start_rqlited(folder)
