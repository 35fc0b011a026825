"""What the pure centre hands to the recorder, in order: records, notes, and people to forget."""

from __future__ import annotations

from typing import NamedTuple, TypeAlias

from db_client.erasure import LAST_DECISION
from db_client.records import Record


class Note(NamedTuple):
    """A small durable value of the listener's own; `value` None removes it."""

    key: str
    value: str | None


class Forget(NamedTuple):
    """What waits about this person from before that decision (a snowflake) is removed from the queue file."""

    user_id: int
    before: int = LAST_DECISION


Item: TypeAlias = Record | Note | Forget
