"""What the world is made of, and what can happen in it: plain values, no wire and no clock."""

from __future__ import annotations

from dataclasses import dataclass, field

# https://discord.com/developers/docs/resources/channel#channel-object-channel-types
CHANNEL_TYPES = {"text": 0, "voice": 2, "category": 4, "stage": 13}
TALKABLE = ("voice", "stage")

FLAGS = ("self_mute", "self_deaf", "mute", "deaf", "self_video", "self_stream", "suppress")


class Impossible(Exception):
    """The action contradicts the world as it is (a join of someone who is already there); nothing was changed."""


class NotConnected(Exception):
    """The listeners did not connect in time."""


@dataclass
class User:
    """A person or a bot."""

    id: int
    name: str
    display_name: str | None = None
    avatar: str | None = None
    bot: bool = False


@dataclass
class Channel:
    """A channel of a guild; one that is not `announced` is in no snapshot and no event."""

    id: int
    guild_id: int
    name: str
    kind: str
    parent: int | None = None
    announced: bool = True
    position: int = 0
    hidden: bool = False


@dataclass(frozen=True)
class VoiceState:
    """Where a user is in one guild's voice; `channel_id` None only in the event that says he left."""

    user_id: int
    guild_id: int
    channel_id: int | None
    session_id: str
    self_mute: bool = False
    self_deaf: bool = False
    mute: bool = False
    deaf: bool = False
    self_video: bool = False
    self_stream: bool = False
    suppress: bool = False


@dataclass
class Guild:
    """A guild; `joined` says whether our bot is in it, `available` whether Discord can serve it at the moment."""

    id: int
    name: str
    locale: str = "en-US"
    joined: bool = True
    available: bool = True
    afk_channel_id: int | None = None
    channels: dict[int, Channel] = field(default_factory=dict)
    members: set[int] = field(default_factory=set)
    voice: dict[int, VoiceState] = field(default_factory=dict)

    @property
    def visible(self) -> bool:
        """Whether the bot is told what happens here."""
        return self.joined and self.available


@dataclass(frozen=True)
class VoiceChanged:
    """Someone joined, moved, left or changed a flag: the new state."""

    state: VoiceState


@dataclass(frozen=True)
class GuildArrived:
    """The bot came into a guild, or (`recovered`) an outage ended."""

    guild_id: int
    recovered: bool


@dataclass(frozen=True)
class GuildGone:
    """The bot is out of a guild, or (`unavailable`) an outage began."""

    guild_id: int
    unavailable: bool


@dataclass(frozen=True)
class GuildChanged:
    """A guild's own properties changed."""

    guild_id: int


@dataclass(frozen=True)
class ChannelChanged:
    """A channel was made, changed or deleted: `how` is create, update or delete."""

    how: str
    channel: Channel


Change = VoiceChanged | GuildArrived | GuildGone | GuildChanged | ChannelChanged
