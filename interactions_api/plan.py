"""What an interaction leads to, as a value: what to keep, what to ask, and what to say to each way it can end. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol, TypeAlias

from db_client.records import Record
from db_client.statements import Statement
from interactions_api.reply import Said

Rows: TypeAlias = list[dict[str, Any]]
"""The rows that answer one question, as dicts by column."""


class Ask(Protocol):
    """Reads from the service, for as long as it takes within reason; raises DbClientError."""

    def __call__(self, *questions: Statement) -> list[Rows]:
        """The rows of each question."""


class File(NamedTuple):
    """A message with one file."""

    content: str
    name: str
    file: bytes


class Later(NamedTuple):
    """Discord shows that we think, and what `make` makes follows, from a thread in the background.

    `make` may ask more than once and is called again if that fails. The sentences stand for a file that Discord does
    not take, and for one that could not be made within the token's fifteen minutes.
    """

    make: Callable[[Ask], File]
    too_large: str
    failed: str
    busy: str
    """So many files are being made already that this one is not begun; said at once."""


class Sentences(NamedTuple):
    """What the person is told when it does not end as wished. Each says what happened and what to do."""

    kept: Said
    """The records are safe on disk and will be delivered; the service does not have them yet."""
    refused: Said
    """The service will never take the records; they stand in the dead letters."""
    not_kept: Said
    """The disk refused: nothing was kept."""
    unread: Said
    """The service has the records (if there are any), but the questions could not be answered in time."""


class Plan(NamedTuple):
    """Keep `records`, then ask `questions`, then say `stored(answers)`; or say what `sentences` has for the case.

    `stored` may give a further plan instead: a report must know the server's time zone before it can ask. The budget is
    one for all steps. `slow` questions read much; they are asked by themselves and waited for longer. With `told`, what
    the service answers to the records (the rows their statements return) is the answer to the one question already.
    """

    records: tuple[Record, ...]
    questions: tuple[Statement, ...]
    stored: Callable[[Sequence[Rows]], Next]
    sentences: Sentences
    slow: bool = False
    told: bool = False


Next: TypeAlias = Said | Plan | Later


def reading(
    questions: Sequence[Statement], say: Callable[[Sequence[Rows]], Next], unread: Said, *, slow: bool = False
) -> Plan:
    """A plan that keeps nothing: ask, then say."""
    return Plan((), tuple(questions), say, Sentences(unread, unread, unread, unread), slow)


class Say(NamedTuple):
    """Say this; nothing is kept and nothing asked."""

    content: Said
