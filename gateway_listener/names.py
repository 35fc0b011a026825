"""Names of guilds and channels, kept current where someone has consented, so that reports can say them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import NamedTuple

from db_client.records import Channel, Guild
from gateway_listener.frames import ChannelInfo


class Names(NamedTuple):
    """What one guild and its voice and stage channels are called; never changed, but replaced."""

    name: str
    afk_channel_id: int | None
    channels: Mapping[int, ChannelInfo]

    def to_json(self) -> str:
        """For the note that remembers what was announced; `from_json` reads it."""
        rows = [[channel.channel_id, channel.name, channel.kind] for channel in self.channels.values()]
        return json.dumps([self.name, self.afk_channel_id, rows], separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str) -> Names:
        """What `to_json` wrote; raises ValueError or TypeError for anything else."""
        name, afk_channel_id, rows = json.loads(text)
        return cls(name, afk_channel_id, {row[0]: ChannelInfo(*row[:3]) for row in rows})

    def with_channel(self, channel: ChannelInfo) -> Names:
        """The same with that channel, new or changed."""
        return self._replace(channels={**self.channels, channel.channel_id: channel})

    def without_channel(self, channel_id: int) -> Names:
        """The same without that channel."""
        return self._replace(channels={key: channel for key, channel in self.channels.items() if key != channel_id})


def announcements(
    guild_id: int, known: Names | None, current: Names, *, now: int, revision: Callable[[], int]
) -> Iterator[Guild | Channel]:
    """The records that bring the service from `known` (None: nothing) to `current`; a missing channel is deleted."""
    if known is None or (known.name, known.afk_channel_id) != (current.name, current.afk_channel_id):
        yield Guild(guild_id, current.name, current.afk_channel_id, revision())
    before = {} if known is None else known.channels
    for channel in current.channels.values():
        if before.get(channel.channel_id) != channel:
            yield _channel(guild_id, channel, revision())
    yield from deletions(
        guild_id, (gone for gone in before.values() if gone.channel_id not in current.channels), now, revision
    )


def deletions(
    guild_id: int, channels: Iterable[ChannelInfo], now: int, revision: Callable[[], int]
) -> Iterator[Channel]:
    """The records that say that channels are gone; their names stay, for the sessions in them."""
    for channel in channels:
        yield _channel(guild_id, channel, revision(), deleted_at=now)


def _channel(guild_id: int, channel: ChannelInfo, revision: int, deleted_at: int | None = None) -> Channel:
    return Channel(channel.channel_id, guild_id, channel.name, channel.kind, revision, deleted_at)
