"""What the pure centre hands to the recorder, in order: records, notes, and people to forget."""

from __future__ import annotations

from typing import NamedTuple, TypeAlias

from db_client.records import Record


class Note(NamedTuple):
    """A small durable value of the listener's own; `value` None removes it."""

    key: str
    value: str | None


class Forget(NamedTuple):
    """Whatever waits about this person is removed from the queue file."""

    user_id: int


Item: TypeAlias = Record | Note | Forget
