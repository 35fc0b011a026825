"""What the listener reads from the SQLite service, off the event loop; nothing is ever concluded from an error."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from itertools import pairwise
from typing import Any, NamedTuple, TypeVar

from db_client.errors import DbClientError, ServiceUnavailable
from db_client.reading_statements import (
    application,
    channel_names,
    consent_after,
    consent_between,
    guild_names,
    guilds_of_shard,
    nameless_channels,
    newest_seq,
    open_guild_marks,
    recording_after,
    unseen_guilds,
    watermark,
)
from db_client.reading_statements import open_sessions as open_sessions_of
from db_client.records import Channel, Guild, GuildPresence, GuildSight, VoiceSession
from db_client.rows import number, values_of
from db_client.statements import Statement
from db_client.store import Store
from gateway_listener.consent import Decision
from gateway_listener.notes import Memory
from gateway_listener.position import Position, Row
from gateway_listener.recording import ChannelDecision
from program import threads

T = TypeVar("T")

WITHIN = 2.5
PAGE = 1000


class CannotRead(Exception):
    """The service gave no answer, or one that is none; the text is a word for the log."""


class _Query(NamedTuple):
    """What is asked, and what is made of each row of the answer."""

    statement: Statement
    make: Callable[[Mapping[str, Any]], Any]


def session_of(row: Mapping[str, Any]) -> VoiceSession:
    """A row of `voice_sessions` as the record that would write it."""
    return VoiceSession(**{name: row[name] for name in VoiceSession._fields if name != "afk"}, afk=bool(row["afk"]))


async def _ask(store: Store, *queries: _Query) -> list[list[Any]]:
    """What was made of the rows of each answer; raises CannotRead, also for an answer that makes no sense."""

    def ask() -> list[list[Any]]:
        answers = store.query(*(query.statement for query in queries), within=WITHIN)
        return [values_of(rows, query.make) for query, rows in zip(queries, answers, strict=True)]

    try:
        return await threads.beside(ask)
    except ServiceUnavailable as problem:
        raise CannotRead(problem.cause) from None
    except (DbClientError, threads.NoThread) as problem:
        raise CannotRead(type(problem).__name__) from None


def _one(values: Sequence[T]) -> T:
    """The only one there can be."""
    if len(values) != 1:
        raise CannotRead("garbage")
    return values[0]


async def open_sessions(store: Store, shard_id: int, shard_count: int) -> list[VoiceSession]:
    """The open sessions of the shard's guilds, page by page: all in one answer would take memory that is not needed
    again. What this shard writes meanwhile may be in it or not."""

    def ask(guild_id: int, user_id: int) -> Statement:
        return open_sessions_of(shard_id, shard_count, after=(guild_id, user_id), limit=PAGE)

    pages = _pages(store, ask, session_of, "guild_id", "user_id")
    return [session async for sessions in pages for session in sessions]


async def names(store: Store, shard_id: int, shard_count: int) -> AsyncIterator[list[Guild] | list[Channel]]:
    """What the shard's guilds, and then its channels that are not marked deleted, are called there, page by page."""
    shard = shard_id, shard_count

    def guild(row: Mapping[str, Any]) -> Guild:
        return Guild(**row)

    def channel(row: Mapping[str, Any]) -> Channel:
        return Channel(**row)

    async for guilds in _pages(store, lambda after: guild_names(*shard, after=after, limit=PAGE), guild, "guild_id"):
        yield guilds
    asked = _pages(store, lambda after: channel_names(*shard, after=after, limit=PAGE), channel, "channel_id")
    async for channels in asked:
        yield channels


async def nameless(store: Store, channel_ids: Sequence[int]) -> AsyncIterator[set[int]]:
    """Of these channels those that should have a name there, and have none, page by page."""
    for start in range(0, len(channel_ids), PAGE):
        asked = nameless_channels(channel_ids[start : start + PAGE])
        (found,) = await _ask(store, _Query(asked, number("channel_id")))
        yield set(found)


async def _pages(
    store: Store, ask: Callable[..., Statement], make: Callable[[Mapping[str, Any]], T], *key: str
) -> AsyncIterator[list[T]]:
    """What `make` gives for the rows that `ask` asks for, those after a key, a value for each of its fields, from the
    beginning to the end."""
    after = [0 for _ in key]
    while True:
        (page,) = await _ask(store, _Query(ask(*after), make))
        yield page
        if len(page) < PAGE:
            return
        last = [getattr(page[-1], column) for column in key]
        if last <= after:
            raise CannotRead("garbage")  # it would go on for ever
        after = last


class _GuildMark(NamedTuple):
    """Up to when a guild was seen."""

    guild_id: int
    mark: int


def _unseen(row: Mapping[str, Any]) -> GuildSight:
    return GuildSight(**row, seen=False)


async def baseline(store: Store, disk: Memory) -> Memory:
    """What a listener takes up whose disk does not know all that is open in its guilds: see `Memory.completed`."""
    # The marks before the sessions: older ones are only less sure.
    seen, marks, sights = await _ask(
        store,
        _Query(watermark(*disk.shard), number("observed_at")),
        _Query(open_guild_marks(*disk.shard), lambda row: _GuildMark(**row)),
        _Query(unseen_guilds(*disk.shard), _unseen),
    )
    return disk.completed(
        watermark=seen[0] if seen else None,
        marks=dict(marks),
        sights=sights,
        sessions=await open_sessions(store, *disk.shard),
    )


class OtherLog(Exception):
    """The consent log is not the one that was read up to the known position: the service was restored from a backup."""


class _Read(NamedTuple):
    """A row of the consent log, whole."""

    row: Row
    decision: Decision

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> _Read:
        return cls(_place(row), Decision.from_row(row))


def _place(row: Mapping[str, Any]) -> Row:
    return Row(row["seq"], row["interaction_id"])


async def consent_log(store: Store, position: Position) -> tuple[list[tuple[int, Decision]], Position]:
    """Every decision that arrived after the position, with its row, and the position behind them; read to the end, for
    half of it could mislead.

    Raises OtherLog if what is known does not stand in the log.
    """
    read: list[tuple[int, Decision]] = []
    while True:
        page, ends, standing = await _ask(
            store,
            _Query(consent_after(position.seq, PAGE), _Read.from_row),
            _Query(newest_seq(), number("seq")),
            _Query(consent_between(position.first, position.seq), _place),
        )
        if not position.is_in(standing, _one(ends)):
            raise OtherLog
        rows = [one.row for one in page]
        if any(later.seq <= earlier.seq for earlier, later in pairwise([Row(position.seq, 0), *rows])):
            raise CannotRead("garbage")
        read.extend((one.row.seq, one.decision) for one in page)
        position = position.moved(standing, rows)
        if len(page) < PAGE:
            return read, position


async def channel_decisions(store: Store, after: int, shard_id: int, shard_count: int) -> list[ChannelDecision]:
    """What managers decided about the shard's channels after version `after`, oldest first."""
    asked = _Query(recording_after(after, shard_id, shard_count), ChannelDecision.from_row)
    (decisions,) = await _ask(store, asked)
    return decisions


async def owner(store: Store) -> int | None:
    """Whose data these are, an application's id; None if nobody has said so."""
    (owners,) = await _ask(store, _Query(application(), _owner))
    return owners[0] if owners else None


def _owner(row: Mapping[str, Any]) -> int:
    return int(row["value"])


class StoredGuilds(NamedTuple):
    """What the service has about one shard's guilds, at one moment."""

    owner: int | None
    presences: list[GuildPresence]
    channels: list[ChannelDecision]
    sights: list[GuildSight]


async def guilds(store: Store, shard_id: int, shard_count: int) -> StoredGuilds:
    """Whose data these are, in which guilds the bot is said to be, and everything decided about their channels."""
    shard = shard_id, shard_count
    owners, presences, channels, sights = await _ask(
        store,
        _Query(application(), _owner),
        _Query(guilds_of_shard(*shard), lambda row: GuildPresence(**row)),
        _Query(recording_after(0, *shard), ChannelDecision.from_row),
        _Query(unseen_guilds(*shard), _unseen),
    )
    return StoredGuilds(owners[0] if owners else None, presences, channels, sights)
