"""What the listener reads from the SQLite service, off the event loop; nothing is ever concluded from an error."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Any, NamedTuple

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
from db_client.statements import Statement
from db_client.store import Store
from gateway_listener.consent import Decision
from gateway_listener.notes import Memory
from gateway_listener.position import Position, Row
from gateway_listener.recording import ChannelDecision

WITHIN = 2.5
PAGE = 1000


class CannotRead(Exception):
    """The service gave no answer, or one that is none; the text is a word for the log."""


def session_of(row: Mapping[str, Any]) -> VoiceSession:
    """A row of `voice_sessions` as the record that would write it."""
    return VoiceSession(**{name: row[name] for name in VoiceSession._fields if name != "afk"}, afk=bool(row["afk"]))


async def _query(store: Store, *statements: Statement) -> list[list[dict[str, Any]]]:
    try:
        return await asyncio.to_thread(lambda: store.query(*statements, within=WITHIN))
    except ServiceUnavailable as problem:
        raise CannotRead(problem.cause) from None
    except DbClientError as problem:
        raise CannotRead(type(problem).__name__) from None


async def open_sessions(store: Store, shard_id: int, shard_count: int) -> list[VoiceSession]:
    """The open sessions of the shard's guilds, page by page: all in one answer would take memory that is not needed
    again. What this shard writes meanwhile may be in it or not."""

    def ask(guild_id: int, user_id: int) -> Statement:
        return open_sessions_of(shard_id, shard_count, after=(guild_id, user_id), limit=PAGE)

    return [session_of(row) async for rows in _pages(store, ask, "guild_id", "user_id") for row in rows]


async def names(store: Store, shard_id: int, shard_count: int) -> AsyncIterator[list[Guild] | list[Channel]]:
    """What the shard's guilds, and then its channels that are not marked deleted, are called there, page by page."""
    shard = shard_id, shard_count
    async for rows in _pages(store, lambda after: guild_names(*shard, after=after, limit=PAGE), "guild_id"):
        yield [Guild(**row) for row in rows]
    async for rows in _pages(store, lambda after: channel_names(*shard, after=after, limit=PAGE), "channel_id"):
        yield [Channel(**row) for row in rows]


async def nameless(store: Store, channel_ids: Sequence[int]) -> AsyncIterator[set[int]]:
    """Of these channels those that should have a name there, and have none, page by page."""
    for start in range(0, len(channel_ids), PAGE):
        (rows,) = await _query(store, nameless_channels(channel_ids[start : start + PAGE]))
        yield {row["channel_id"] for row in rows}


async def _pages(store: Store, ask: Callable[..., Statement], *key: str) -> AsyncIterator[list[dict[str, Any]]]:
    """What `ask` gives for the rows after a key, a value for each of its columns, from the beginning to the end."""
    after = [0 for _ in key]
    while True:
        (rows,) = await _query(store, ask(*after))
        yield rows
        if len(rows) < PAGE:
            return
        after = [rows[-1][column] for column in key]


async def baseline(store: Store, disk: Memory) -> Memory:
    """What a listener takes up whose disk does not know all that is open in its guilds: see `Memory.completed`."""
    # The marks before the sessions: older ones are only less sure.
    seen, marks, unseen = await _query(
        store, watermark(*disk.shard), open_guild_marks(*disk.shard), unseen_guilds(*disk.shard)
    )
    return disk.completed(
        watermark=next((row["observed_at"] for row in seen), None),
        marks={row["guild_id"]: row["mark"] for row in marks},
        sights=[GuildSight(**row, seen=False) for row in unseen],
        sessions=await open_sessions(store, *disk.shard),
    )


class OtherLog(Exception):
    """The consent log is not the one that was read up to the known position: the service was restored from a backup."""


async def consent_log(store: Store, position: Position) -> tuple[list[tuple[int, Decision]], Position]:
    """Every decision that arrived after the position, with its row, and the position behind them; read to the end, for
    half of it could mislead.

    Raises OtherLog if what is known does not stand in the log.
    """
    read: list[tuple[int, Decision]] = []
    while True:
        rows, newest, standing = await _query(
            store,
            consent_after(position.seq, PAGE),
            newest_seq(),
            consent_between(position.first, position.seq),
        )
        known = [Row(row["seq"], row["interaction_id"]) for row in standing]
        if not position.is_in(known, newest[0]["seq"]):
            raise OtherLog
        read.extend((row["seq"], Decision.from_row(row)) for row in rows)
        position = position.moved(known, [Row(row["seq"], row["interaction_id"]) for row in rows])
        if len(rows) < PAGE:
            return read, position


async def channel_decisions(store: Store, after: int, shard_id: int, shard_count: int) -> list[ChannelDecision]:
    """What managers decided about the shard's channels after version `after`, oldest first."""
    (rows,) = await _query(store, recording_after(after, shard_id, shard_count))
    return [ChannelDecision.from_row(row) for row in rows]


async def owner(store: Store) -> int | None:
    """Whose data these are, an application's id; None if nobody has said so."""
    (rows,) = await _query(store, application())
    return _owner(rows)


def _owner(rows: Sequence[Mapping[str, Any]]) -> int | None:
    return int(rows[0]["value"]) if rows else None


class StoredGuilds(NamedTuple):
    """What the service has about one shard's guilds, at one moment."""

    owner: int | None
    presences: list[GuildPresence]
    channels: list[ChannelDecision]
    sights: list[GuildSight]


async def guilds(store: Store, shard_id: int, shard_count: int) -> StoredGuilds:
    """Whose data these are, in which guilds the bot is said to be, and everything decided about their channels."""
    shard = shard_id, shard_count
    owned, presences, channels, sights = await _query(
        store, application(), guilds_of_shard(*shard), recording_after(0, *shard), unseen_guilds(*shard)
    )
    return StoredGuilds(
        _owner(owned),
        [GuildPresence(**row) for row in presences],
        [ChannelDecision.from_row(row) for row in channels],
        [GuildSight(**row, seen=False) for row in sights],
    )
