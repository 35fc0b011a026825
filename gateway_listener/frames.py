"""A gateway frame into a value: only what the sessions need is read, and nothing here can raise but Malformed.

https://discord.com/developers/docs/events/gateway-events

Only the frame itself stays right in a burst and carries the sequence number; discord.py's own events do not. Discord
leaves out, repeats and reorders things at times (a state without `member`, a channel nobody has named, a snapshot with
a null channel): all of that is legal here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias

from db_client.records import Flags
from program import fast_json

VOICE, STAGE = 2, 13
NAMED_TYPES = frozenset({VOICE, STAGE})
HIDDEN = "___hidden___"
HIDDEN_FLAG = 1 << 17
"""What Discord calls a channel that the bot may not view, and the flag that it sends with it."""

_MUTED, _DEAFENED = int(Flags.MUTED), int(Flags.DEAFENED)
_VIDEO, _STREAM = int(Flags.VIDEO), int(Flags.STREAM)


class Malformed(ValueError):
    """A frame that cannot be read; the text says which kind of frame and why, and never holds anything from it.

    `user_id` is whose voice state it is and `guild_id` where, if at least that can be read.
    """

    user_id: int | None = None
    sequence: int | None = None
    """Its number within the gateway session."""
    guild_id: int | None = None


@dataclass(frozen=True, slots=True)
class Hello:
    """The first frame of a connection (op 10); what follows until READY or RESUMED happened before it arrived."""

    heartbeat_interval_ms: int


@dataclass(frozen=True, slots=True)
class Ack:
    """A heartbeat was acknowledged (op 11): everything sent before it has arrived."""


@dataclass(frozen=True, slots=True)
class Seen:
    """A dispatch that means nothing to the sessions, but proves that the gateway is being seen."""


@dataclass(frozen=True, slots=True)
class Ready:
    """A new gateway session; each of the guilds is still to send its roll call."""

    session_id: str
    guild_ids: frozenset[int]


@dataclass(frozen=True, slots=True)
class Resumed:
    """The old gateway session goes on; everything missed has been replayed."""


class VoiceState(NamedTuple):
    """Where a person of a guild is now; `channel_id` None is nowhere, where bots always are."""

    guild_id: int
    user_id: int
    channel_id: int | None
    flags: int


@dataclass(frozen=True, slots=True)
class ChannelInfo:
    """A voice or stage channel; `kind` is Discord's channel type. If it is hidden from the bot, `name` is empty."""

    channel_id: int
    name: str
    kind: int
    hidden: bool = False


@dataclass(frozen=True, slots=True)
class RollCall:
    """GUILD_CREATE: the whole truth of one guild at this moment."""

    guild_id: int
    name: str
    afk_channel_id: int | None
    channels: tuple[ChannelInfo, ...]
    voice_states: tuple[VoiceState, ...]
    unreadable: tuple[int, ...] = ()
    """Whose voice states were left out because they cannot be read, as far as that can be told."""


@dataclass(frozen=True, slots=True)
class GuildUnavailable:
    """An outage: what happens in the guild is not seen until its next roll call."""

    guild_id: int


@dataclass(frozen=True, slots=True)
class GuildUnread:
    """Something of the guild, which no person caused, cannot be read (or a GUILD_CREATE has no voice states): what is
    true there is not known until its next roll call. None: of some guild, and nobody knows which."""

    guild_id: int | None


@dataclass(frozen=True, slots=True)
class GuildGone:
    """The bot is no longer in the guild."""

    guild_id: int


@dataclass(frozen=True, slots=True)
class GuildChanged:
    """A guild's name or AFK channel."""

    guild_id: int
    name: str
    afk_channel_id: int | None


@dataclass(frozen=True, slots=True)
class ChannelChanged:
    """A channel was made or changed."""

    guild_id: int
    channel: ChannelInfo


@dataclass(frozen=True, slots=True)
class ChannelDeleted:
    """A channel is gone, and nobody can be in it."""

    guild_id: int
    channel_id: int


Content: TypeAlias = (
    Hello
    | Ack
    | Seen
    | Ready
    | Resumed
    | VoiceState
    | RollCall
    | GuildUnavailable
    | GuildUnread
    | GuildGone
    | GuildChanged
    | ChannelChanged
    | ChannelDeleted
)


class Frame(NamedTuple):
    """What a frame says, and its sequence number within the gateway session if it was read."""

    content: Content
    sequence: int | None = None


_SEEN = Seen()
_ACK = Frame(Ack())


def snowflake(value: object) -> int:
    """An id as Discord writes it (a string of digits) as a number that SQLite can hold; raises Malformed."""
    if isinstance(value, (str, int)) and value is not True and value is not False:
        try:
            number = int(value)
        except ValueError:
            number = 0
        if 0 < number < 2**63:
            return number
    raise Malformed("an id is not a snowflake")


def _optional(value: object) -> int | None:
    return None if value is None else snowflake(value)


def _flags(state: Mapping[str, Any]) -> int:
    """The states, by oneself or by the server; `member.mute` and `member.deaf` hold older values.

    https://discord.com/developers/docs/resources/voice#voice-state-object
    """
    return (
        (_MUTED if state.get("self_mute") or state.get("mute") else 0)
        | (_DEAFENED if state.get("self_deaf") or state.get("deaf") else 0)
        | (_VIDEO if state.get("self_video") else 0)
        | (_STREAM if state.get("self_stream") else 0)
    )


def _is_bot(member: object) -> bool:
    user = member.get("user") if isinstance(member, dict) else None
    return isinstance(user, dict) and bool(user.get("bot", False))


def _ready(data: Mapping[str, Any]) -> Ready:
    return Ready(str(data["session_id"]), frozenset(snowflake(guild["id"]) for guild in data["guilds"]))


def _resumed(data: object) -> Resumed:
    return Resumed()


def _voice_state(data: Mapping[str, Any]) -> VoiceState | Seen:
    if data.get("guild_id") is None:
        return _SEEN  # a call outside any guild
    return VoiceState(
        snowflake(data["guild_id"]),
        snowflake(data["user_id"]),
        None if _is_bot(data.get("member")) else _optional(data.get("channel_id")),
        _flags(data),
    )


def _name(data: Mapping[str, Any]) -> str:
    """The name; JSON can spell half a surrogate pair, which no UTF-8 can hold: it becomes the replacement character."""
    return str(data.get("name") or "").encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _channel(data: Mapping[str, Any]) -> ChannelInfo:
    flags = data.get("flags")
    hidden = data.get("name") == HIDDEN or bool(isinstance(flags, int) and flags & HIDDEN_FLAG)
    return ChannelInfo(
        channel_id=snowflake(data["id"]),
        name="" if hidden else _name(data),
        kind=int(data["type"]),
        hidden=hidden,
    )


def _readable(make: Callable[[Any], Any], entries: object) -> tuple[list[Any], list[object]]:
    """What `make` makes of the entries, and those that it could not read."""
    made: list[Any] = []
    unreadable: list[object] = []
    for entry in entries if isinstance(entries, list) else ():
        try:
            made.append(make(entry))
        except (Malformed, KeyError, TypeError, ValueError, AttributeError):
            unreadable.append(entry)
    return made, unreadable


def _id_of(state: object, name: str) -> int | None:
    """Whose voice state it is, or where; None if that cannot be read."""
    try:
        return snowflake(state.get(name)) if isinstance(state, dict) else None
    except Malformed:
        return None


def _guild_create(data: Mapping[str, Any]) -> RollCall | GuildUnavailable | GuildUnread:
    guild_id = snowflake(data["id"])
    if data.get("unavailable"):
        return GuildUnavailable(guild_id)
    if not isinstance(data.get("voice_states"), list):
        return GuildUnread(guild_id)
    members, _ = _readable(lambda member: (snowflake(member["user"]["id"]), _is_bot(member)), data.get("members"))
    bots = {user_id for user_id, is_bot in members if is_bot}

    def present(state: Mapping[str, Any]) -> VoiceState:
        user_id = snowflake(state["user_id"])
        is_bot = user_id in bots or _is_bot(state.get("member"))
        return VoiceState(
            guild_id=guild_id,
            user_id=user_id,
            channel_id=None if is_bot else _optional(state.get("channel_id")),
            flags=_flags(state),
        )

    states, unreadable = _readable(present, data["voice_states"])
    channels, _ = _readable(_channel, data.get("channels"))
    return RollCall(
        guild_id=guild_id,
        name=_name(data),
        afk_channel_id=_optional(data.get("afk_channel_id")),
        channels=tuple(channel for channel in channels if channel.kind in NAMED_TYPES),
        voice_states=tuple(states),
        unreadable=tuple(user_id for state in unreadable if (user_id := _id_of(state, "user_id")) is not None),
    )


def _guild_delete(data: Mapping[str, Any]) -> GuildUnavailable | GuildGone:
    guild_id = snowflake(data["id"])
    return GuildUnavailable(guild_id) if data.get("unavailable") else GuildGone(guild_id)


def _guild_update(data: Mapping[str, Any]) -> GuildChanged:
    return GuildChanged(snowflake(data["id"]), _name(data), _optional(data.get("afk_channel_id")))


def _channel_changed(data: Mapping[str, Any]) -> ChannelChanged | Seen:
    if data.get("guild_id") is None:
        return _SEEN
    channel = _channel(data)
    return ChannelChanged(snowflake(data["guild_id"]), channel) if channel.kind in NAMED_TYPES else _SEEN


def _channel_deleted(data: Mapping[str, Any]) -> ChannelDeleted | Seen:
    if data.get("guild_id") is None:
        return _SEEN
    return ChannelDeleted(snowflake(data["guild_id"]), snowflake(data["id"]))


_DISPATCHES: dict[str, Callable[[Any], Content]] = {
    "READY": _ready,
    "RESUMED": _resumed,
    "VOICE_STATE_UPDATE": _voice_state,
    "GUILD_CREATE": _guild_create,
    "GUILD_UPDATE": _guild_update,
    "GUILD_DELETE": _guild_delete,
    "CHANNEL_CREATE": _channel_changed,
    "CHANNEL_UPDATE": _channel_changed,
    "CHANNEL_DELETE": _channel_deleted,
}

# Where the guild stands in what is about a guild, and about no person.
_OF_A_GUILD = {
    "GUILD_CREATE": "id",
    "GUILD_UPDATE": "id",
    "GUILD_DELETE": "id",
    "CHANNEL_CREATE": "guild_id",
    "CHANNEL_UPDATE": "guild_id",
    "CHANNEL_DELETE": "guild_id",
}


def value_of(text: str) -> object:
    """What the text of a frame is as JSON; None for what is no JSON."""
    try:
        value: object = fast_json.read(text)
    except (ValueError, RecursionError):
        return None
    return value


def read(frame: object) -> Frame | None:
    """What a frame, as JSON has it, says; None for the ops between discord.py and Discord. Raises Malformed."""
    if not isinstance(frame, dict):
        raise Malformed("a frame is no JSON object")
    op = frame.get("op")
    if op == 0:
        return _dispatch(frame)
    if op == 11:
        return _ACK
    if op == 10:
        return Frame(Hello(_interval(frame.get("d"))))
    if isinstance(op, int):
        return None
    raise Malformed("a frame has no op")


def _interval(data: object) -> int:
    interval = data.get("heartbeat_interval") if isinstance(data, dict) else None
    if isinstance(interval, (int, float)) and interval > 0:
        return int(interval)
    raise Malformed("HELLO has no heartbeat interval")


def _dispatch(frame: dict[str, Any]) -> Frame:
    kind = frame.get("t")
    make = _DISPATCHES.get(kind) if isinstance(kind, str) else None
    number = frame.get("s")
    sequence = number if isinstance(number, int) else None
    if make is None:
        return Frame(_SEEN, sequence)
    try:
        return Frame(make(frame.get("d")), sequence)
    except Malformed as problem:
        malformed = Malformed(f"{kind}: {problem}")
    except (KeyError, TypeError, ValueError, AttributeError) as problem:
        malformed = Malformed(f"{kind}: {type(problem).__name__}")
    if kind in _OF_A_GUILD:
        return Frame(GuildUnread(_id_of(frame.get("d"), _OF_A_GUILD[kind])), sequence)
    malformed.user_id, malformed.guild_id = (_id_of(frame.get("d"), name) for name in ("user_id", "guild_id"))
    malformed.sequence = sequence
    raise malformed


def voice_state_of(guild_id: int, user_id: int, answer: object) -> VoiceState | None:
    """Where the API says that the person is (Get User Voice State); None if it is not about them, or cannot be read.

    https://discord.com/developers/docs/resources/voice#get-user-voice-state
    """
    try:
        state = _voice_state({**answer, "guild_id": guild_id}) if isinstance(answer, dict) else None
    except (Malformed, KeyError, TypeError, ValueError, AttributeError):
        return None
    return state if isinstance(state, VoiceState) and state.user_id == user_id else None
