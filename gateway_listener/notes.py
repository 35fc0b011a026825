"""The listener's own durable values in the queue file: what it needs at its next start, even with the service down.

| key | value |
|-|-|
| `baseline` | `id/count` of the shard whose open sessions this queue file knows; `1`: by an earlier version, its own |
| `open:<session_id>` | the open session, as its record |
| `consent:<user_id>` | `version at` of the decision by which the person is in; nobody else has one |
| `application` | whose data these are |
| `consent_seq` | the last rows of the consent log that were followed, each with its interaction |
| `watermark` | when the gateway was last seen, and nothing missed, milliseconds since 1970 UTC |
| `unseen:<guild_id>` | the same of a guild in an outage; `0`: never |
| `there:<guild_id>` | the bot is in the guild, as this disk's listener knows |
| `left:<guild_id>` | since when the bot is, or was, not in a guild |
| `recording:<channel_id>` | guild, version and times of a channel that is, or was, not recorded |
| `identifies` | when IDENTIFY was sent in the last day |
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from db_client.records import GuildSight, Record, Retraction, Undecodable, VoiceSession, from_json
from gateway_listener.clock import NEAR_MS
from gateway_listener.consent import Decision
from gateway_listener.position import Position
from gateway_listener.recording import Unrecorded

log = logging.getLogger(__name__)

APPLICATION = "application"
BASELINE = "baseline"
CONSENT_SEQ = "consent_seq"
IDENTIFIES = "identifies"
WATERMARK = "watermark"


def open_key(session_id: str) -> str:
    """The note of an open session."""
    return f"open:{session_id}"


def recording_key(channel_id: int) -> str:
    """The note of when a channel is not recorded."""
    return f"recording:{channel_id}"


def unseen_key(guild_id: int) -> str:
    """The note of when a guild in an outage was last seen."""
    return f"unseen:{guild_id}"


def there_key(guild_id: int) -> str:
    """The note of a guild in which the bot is."""
    return f"there:{guild_id}"


def left_key(guild_id: int) -> str:
    """The note of since when the bot is, or was, not in a guild."""
    return f"left:{guild_id}"


def consent_key(user_id: int) -> str:
    """The note of a person who is in."""
    return f"consent:{user_id}"


def consent_note(version: int, at: int) -> str:
    """The text of a person's consent note."""
    return f"{version} {at}"


def past(moment: int | None, now: int) -> int | None:
    """The moment, unless it is so much later than `now` that the clock which gave it was ahead; then None."""
    return None if moment is None or moment > now + NEAR_MS else moment


def note_of(record: Record) -> tuple[str, str | None] | None:
    """The note that must change together with a record: the open session, or that it is none."""
    if isinstance(record, VoiceSession):
        return open_key(record.session_id), record.to_json() if record.ended_at is None else None
    if isinstance(record, Retraction):
        return open_key(record.session_id), None
    return None


@dataclass(slots=True)
class Memory:
    """What an earlier run left behind."""

    shard: tuple[int, int] = (0, 1)
    """Whose it is now: a shard's number, and how many there are."""
    known: tuple[int, int] | None = None
    """Of which shard's guilds it is known on this disk which sessions are open; None: of none."""
    noted: bool = True
    """False if the sessions were asked of the service, and are not on this disk yet."""
    sessions: list[VoiceSession] = field(default_factory=list)
    consents: dict[int, Decision] = field(default_factory=dict)
    application: int | None = None
    """Whose data these are."""
    position: Position = field(default_factory=Position)
    """How far the consent log was followed."""
    watermark: int | None = None
    unseen: dict[int, int | None] = field(default_factory=dict)
    """Up to when guilds were seen that were not seen up to the watermark (None: never)."""
    sights: list[GuildSight] = field(default_factory=list)
    """What the service has of that, if it was asked."""
    there: set[int] = field(default_factory=set)
    """The guilds in which the bot was."""
    away: dict[int, int] = field(default_factory=dict)
    """By guild: since when the bot is, or was, not in it."""
    unrecorded: dict[int, Unrecorded] = field(default_factory=dict)
    """By channel."""
    foreign: list[str] = field(default_factory=list)
    """The notes that are left out and to be removed: about guilds of another shard, or names, which none is kept of."""

    @property
    def complete(self) -> bool:
        """False on a new disk, and where guilds have come to the shard: what is open must be asked of the service."""
        if self.known is None:
            return False
        shard_id, shard_count = self.known
        return self.shard[1] % shard_count == 0 and self.shard[0] % shard_count == shard_id

    def knows(self, guild_id: int) -> bool:
        """True if this disk knows what is open in the guild."""
        return self.known is not None and _is_of(guild_id, self.known)

    def completed(
        self,
        *,
        watermark: int | None,
        marks: Mapping[int, int],
        sights: list[GuildSight],
        sessions: Iterable[VoiceSession],
    ) -> Memory:
        """This, and for the guilds of which this disk does not know what is open what the service has: the open
        sessions, and up to when each of these guilds was seen (`marks`; 0: never)."""
        elsewhere = {guild_id: mark or None for guild_id, mark in marks.items() if not self.knows(guild_id)}
        return replace(
            self,
            noted=False,
            sessions=[*self.sessions, *(session for session in sessions if not self.knows(session.guild_id))],
            watermark=self.watermark if self.known else watermark,
            unseen={**self.unseen, **elsewhere},
            sights=sights,
        )

    @property
    def shard_note(self) -> str:
        """The text of the note `baseline`, once all is known of the shard's guilds."""
        return "{}/{}".format(*self.shard)

    def leave_out_future(self, now: int) -> None:
        """What was seen by a clock that was ahead of Discord's, where it is `now`, says nothing of when that was."""
        self.watermark = past(self.watermark, now)
        self.unseen = {guild_id: past(moment, now) for guild_id, moment in self.unseen.items()}


def remembered(notes: Mapping[str, str], shard_id: int = 0, shard_count: int = 1) -> Memory:
    """The notes as values; one that cannot be read is left out, counted in the log by its kind only.

    What is about a guild of another shard (the bot was sharded anew, or the disk was another listener's) is `foreign`:
    https://discord.com/developers/docs/events/gateway#sharding
    """
    memory = Memory(shard=(shard_id, shard_count))
    unreadable = 0
    for key, value in notes.items():
        kind, _, name = key.partition(":")
        try:
            guild_id = _guild_of(kind, name, value)
            if kind == "names" or (guild_id is not None and not _is_of(guild_id, memory.shard)):
                memory.foreign.append(key)
            else:
                _take(memory, kind, name, value)
        except (ValueError, TypeError, IndexError, Undecodable):
            unreadable += 1
    if unreadable:
        log.warning("some notes in the queue file cannot be read and are left out", extra={"notes": unreadable})
    return memory


def _is_of(guild_id: int, shard: tuple[int, int]) -> bool:
    """https://discord.com/developers/docs/events/gateway#sharding"""
    shard_id, shard_count = shard
    return (guild_id >> 22) % shard_count == shard_id


def _guild_of(kind: str, name: str, value: str) -> int | None:
    """The guild that a note is about, if it is about one."""
    if kind == "open":
        session = from_json(value)
        return session.guild_id if isinstance(session, VoiceSession) else None
    if kind == "recording":
        return Unrecorded.from_json(value).guild_id
    return int(name) if kind in ("unseen", "there", "left") else None


def _take(memory: Memory, kind: str, name: str, value: str) -> None:
    if kind == "open":
        session = from_json(value)
        if isinstance(session, VoiceSession):
            memory.sessions.append(session)
    elif kind == "consent":
        version, at = value.split()
        memory.consents[int(name)] = Decision(int(version), int(name), "in", int(at))
    elif kind == "unseen":
        memory.unseen[int(name)] = int(value) or None
    elif kind == "there":
        memory.there.add(int(name))
    elif kind == "left":
        memory.away[int(name)] = int(value)
    elif kind == "recording":
        memory.unrecorded[int(name)] = Unrecorded.from_json(value)
    elif kind == BASELINE:
        shard_id, _, shard_count = value.partition("/")
        memory.known = (int(shard_id), int(shard_count)) if shard_count else memory.shard
    elif kind == CONSENT_SEQ:
        memory.position = Position.from_text(value)
    elif kind == APPLICATION:
        memory.application = int(value)
    elif kind == WATERMARK:
        memory.watermark = int(value)
