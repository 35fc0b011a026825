"""What an interaction leads to, as a value: what to keep, what to ask, and what to say to each way it can end. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from db_client.records import Record
from db_client.statements import Statement

Rows: TypeAlias = list[dict[str, Any]]
"""The rows that answer one question, as dicts by column."""


@dataclass(frozen=True, slots=True)
class Sentences:
    """What the person is told when it does not end as wished. Each says what happened and what to do."""

    kept: str
    """The records are safe on disk and will be delivered; the service does not have them yet."""
    refused: str
    """The service will never take the records; they stand in the dead letters."""
    not_kept: str
    """The disk refused: nothing was kept."""
    unread: str
    """The service has the records (if there are any), but the questions could not be answered in time."""


@dataclass(frozen=True, slots=True)
class Plan:
    """Keep `records`, then ask `questions`, then say `stored(answers)`; or say what `sentences` has for the case."""

    records: tuple[Record, ...]
    questions: tuple[Statement, ...]
    stored: Callable[[Sequence[Rows]], str]
    sentences: Sentences


@dataclass(frozen=True, slots=True)
class Say:
    """Say this; nothing is kept and nothing asked."""

    content: str
