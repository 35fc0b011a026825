"""The writes this system makes, as values. Each carries its own id and absolute values, so that sent twice it is once.

A record is what stands in the queue file (as JSON) and what `statements` turns into SQL when it is delivered, so an
entry that waited through an upgrade is delivered by the new version's SQL.
"""

from __future__ import annotations

import enum
import zlib
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, NamedTuple, TypeAlias, get_args

from db_client.snowflake import created_at
from program import fast_json

Decision: TypeAlias = Literal["in", "out", "erase"]
DECISIONS: tuple[Decision, ...] = get_args(Decision)
Visibility: TypeAlias = Literal["only_me", "server", "everywhere"]
Setting: TypeAlias = Literal["time_zone", "leaderboard", "retention_days"]


EVERY_GUILD = 0
"""Where a choice is about all guilds: no guild has this id."""

_CHECKSUM = ',"crc":'


class Flags(enum.IntFlag):
    """The states of which a voice session keeps the time: bits of `VoiceSession.flags`.

    MUTED and DEAFENED are by oneself or by the server.
    """

    MUTED = 1
    DEAFENED = 2
    VIDEO = 4
    STREAM = 8


class Undecodable(ValueError):
    """An entry's body is not a record: it goes to the dead letters as it is."""


class Newer(Undecodable):
    """A sound record of a newer version of this program, which can read it: it waits for that version."""


class Record:
    """What all records share: a kind, perhaps a key, and the person it is about, if any."""

    __slots__ = ()

    kind: ClassVar[str]

    @property
    def key(self) -> str | None:
        """A newer record of the same key makes an older one that still waits needless; None: a write of its own."""
        return None

    @property
    def person(self) -> int | None:
        """The snowflake of the person this record is about; erasing that person removes it from every queue file."""
        return None

    def to_json(self) -> str:
        """The record as one JSON object: its kind under `kind`, and under `crc` a checksum of what comes before."""
        text = f'{{"kind":"{self.kind}",{fast_json.write(self._content())[1:-1]}'
        return f"{text}{_CHECKSUM}{zlib.crc32(text.encode())}}}"

    def _content(self) -> object:
        """The fields by name, for JSON."""
        return self


@dataclass(frozen=True, slots=True)
class ConsentDecision(Record):
    """A person's decision by a slash command or button; its moment is that of the interaction's snowflake.

    Profile and visibility are stored with a decision `in` only; `avatar_url` may be None. `visibility` is what the
    person chose in `guild_id` with it (None: nothing, so what was chosen before stays): `only_me`; `server`, the
    members of that guild; or `everywhere`, those of every guild. What is shown is shown from that moment on, with
    `show_past` all of it.
    """

    kind: ClassVar[str] = "consent"

    interaction_id: int
    user_id: int
    decision: Decision
    username: str = ""
    display_name: str = ""
    avatar_url: str | None = None
    visibility: Visibility | None = None
    guild_id: int | None = None
    show_past: bool = False

    @property
    def person(self) -> int | None:
        """An erasure stays in the queue when the person is erased from it: it is what must still arrive."""
        return None if self.decision == "erase" else self.user_id

    @property
    def at(self) -> int:
        """When it was decided, in milliseconds since 1970 UTC, by Discord's clock."""
        return created_at(self.interaction_id)


class _Session(NamedTuple):
    session_id: str
    guild_id: int
    channel_id: int
    user_id: int
    started_at: int
    started_by: str
    started_within_ms: int
    revision: int
    ended_at: int | None = None
    ended_by: str | None = None
    ended_within_ms: int | None = None
    afk: bool = False
    muted_ms: int = 0
    deafened_ms: int = 0
    video_ms: int = 0
    stream_ms: int = 0
    flags: int = 0
    flags_at: int = 0


class VoiceSession(_Session, Record):
    """A voice session as the listener knows it, whole: a later `revision` of the same `session_id` stands for it.

    Times are milliseconds since 1970 UTC; `ended_at`, `ended_by` and `ended_within_ms` are None while it is open. The
    true moment lies at most `*_within_ms` away from the stored one. The four durations are how much of the session up
    to `flags_at` was spent so; `flags` are the states that hold since (see `Flags`).

    A named tuple and not a dataclass, as thousands may be made in a second: it takes a fifth of the time.
    """

    __slots__ = ()

    kind: ClassVar[str] = "voice_session"

    @property
    def person(self) -> int | None:
        """Whose session it is."""
        return self.user_id

    def _content(self) -> object:
        return self._asdict()


@dataclass(frozen=True, slots=True)
class Retraction(Record):
    """A session that must not stand after all (the person's consent turns out not to cover any of it)."""

    kind: ClassVar[str] = "retraction"

    session_id: str
    user_id: int
    revision: int

    @property
    def person(self) -> int | None:
        """Whose session it was."""
        return self.user_id


@dataclass(frozen=True, slots=True)
class Guild(Record):
    """What a guild in which something was recorded is called, as last seen on the gateway."""

    kind: ClassVar[str] = "guild"

    guild_id: int
    name: str
    afk_channel_id: int | None
    revision: int

    @property
    def key(self) -> str:
        """The guild."""
        return f"guild:{self.guild_id}"


@dataclass(frozen=True, slots=True)
class GuildPresence(Record):
    """Whether the bot is in a guild: `left_at` is when it was noticed that it is not; None: it is there.

    `confirmed_at` is when Discord said once more that it is not, long after that. Milliseconds since 1970 UTC.
    """

    kind: ClassVar[str] = "guild_presence"

    guild_id: int
    revision: int
    left_at: int | None
    confirmed_at: int | None = None

    @property
    def key(self) -> str:
        """The guild."""
        return f"presence:{self.guild_id}"


@dataclass(frozen=True, slots=True)
class Installation(Record):
    """Whose application's data these are; the first one stands."""

    kind: ClassVar[str] = "installation"

    application_id: int

    @property
    def key(self) -> str:
        """There is one."""
        return "installation"


@dataclass(frozen=True, slots=True)
class Channel(Record):
    """A voice or stage channel in which something was recorded, as last seen on the gateway.

    `channel_type` is Discord's number (2 voice, 13 stage).
    """

    kind: ClassVar[str] = "channel"

    channel_id: int
    guild_id: int
    name: str
    channel_type: int
    revision: int
    deleted_at: int | None = None

    @property
    def key(self) -> str:
        """The channel."""
        return f"channel:{self.channel_id}"


@dataclass(frozen=True, slots=True)
class Watermark(Record):
    """The moment (milliseconds since 1970 UTC) up to which a shard saw its guilds, but for those with a `GuildSight`.

    The last one written stands, also if it is earlier: a clock may have been ahead.
    """

    kind: ClassVar[str] = "watermark"

    shard_id: int
    observed_at: int
    shard_count: int = 1

    @property
    def key(self) -> str:
        """The shard."""
        return f"watermark:{self.shard_id}/{self.shard_count}"


@dataclass(frozen=True, slots=True)
class GuildSight(Record):
    """That a guild is not seen while its shard is, since `unseen_since` (ms since 1970 UTC; None: it never was).

    With `seen` it is seen again, and its shard's mark holds for it. The newest revision stands.
    """

    kind: ClassVar[str] = "guild_sight"

    guild_id: int
    revision: int
    seen: bool
    unseen_since: int | None = None

    @property
    def key(self) -> str:
        """The guild."""
        return f"sight:{self.guild_id}"


@dataclass(frozen=True, slots=True)
class GuildSetting(Record):
    """One setting of a guild as a manager decided it; None is the default. The newest interaction's value stands.

    `time_zone`: an IANA name (default UTC). `leaderboard`: on or off (default on). `retention_days`: a whole number of
    days after which sessions go (default: they stay).
    """

    kind: ClassVar[str] = "guild_setting"

    interaction_id: int
    guild_id: int
    setting: Setting
    value: str | None


@dataclass(frozen=True, slots=True)
class ChannelRecording(Record):
    """A manager's decision whether a channel is recorded, from the interaction's moment on; the newest stands.

    `name` is what the channel is called, so that the decision can be shown when the channel is gone.
    """

    kind: ClassVar[str] = "channel_recording"

    interaction_id: int
    guild_id: int
    channel_id: int
    recorded: bool
    name: str | None = None

    @property
    def at(self) -> int:
        """When it was decided, in milliseconds since 1970 UTC, by Discord's clock."""
        return created_at(self.interaction_id)


@dataclass(frozen=True, slots=True)
class Lease(Record):
    """A process's wish to be the only one that does something, from `at` until `until_at` (ms since 1970 UTC).

    Granted if nobody else holds it at `at`; the holder may extend it. Whether it was granted is read afterwards.
    """

    kind: ClassVar[str] = "lease"

    name: str
    holder: str
    at: int
    until_at: int

    @property
    def key(self) -> str:
        """What is leased, and by whom."""
        return f"lease:{self.name}:{self.holder}"


@dataclass(frozen=True, slots=True)
class Removal(Record):
    """One small batch of what a guild's data must lose by `at`: sessions past its retention, or all, long after the bot
    left it. Removes nothing unless `holder` has the lease `removal` at that moment.
    """

    kind: ClassVar[str] = "removal"

    guild_id: int
    at: int
    holder: str
    most: int = 500

    @property
    def key(self) -> str:
        """The guild: of several batches that wait, one is enough."""
        return f"removal:{self.guild_id}"


@dataclass(frozen=True, slots=True)
class TotalsRebuild(Record):
    """The wish to make one guild's totals anew from its sessions."""

    kind: ClassVar[str] = "totals_rebuild"

    guild_id: int

    @property
    def key(self) -> str:
        """The guild."""
        return f"totals_rebuild:{self.guild_id}"


KINDS: dict[str, type[Record]] = {
    record.kind: record
    for record in (
        ConsentDecision,
        VoiceSession,
        Retraction,
        Guild,
        GuildPresence,
        Installation,
        Channel,
        Watermark,
        GuildSight,
        GuildSetting,
        ChannelRecording,
        Lease,
        Removal,
        TotalsRebuild,
    )
}


_FIELDS_BEFORE = {VoiceSession.kind: ("alone_ms",), Guild.kind: ("left_at",), Channel.kind: ("parent_id",)}
_ALL_FLAGS = sum(Flags)


def from_json(text: str) -> Record:
    """The record that `to_json` wrote; raises Undecodable for anything else, also if a byte of it has changed.

    Raises Newer if it is whole and yet of no kind, or not of the fields, that this version knows. Records of earlier
    versions have no checksum, or fields that are no more; they are taken without.
    """
    whole = False
    try:
        fields: dict[str, Any] = fast_json.read(text)
        checksum = fields.pop("crc", None)
        if checksum is not None and checksum != zlib.crc32(text[: text.rindex(_CHECKSUM)].encode()):
            raise Undecodable("damaged on the disk: its checksum is another")
        whole = checksum is not None
        kind = fields.pop("kind")
        for name in _FIELDS_BEFORE.get(kind, ()):
            fields.pop(name, None)
        if kind == VoiceSession.kind:
            fields["flags"] &= _ALL_FLAGS
        return KINDS[kind](**fields)
    except Undecodable:
        raise
    except (ValueError, TypeError, KeyError, AttributeError) as problem:
        if whole:
            raise Newer("a newer version of this program kept this: run that version") from problem
        raise Undecodable(f"not a record of this version: {type(problem).__name__}") from problem
