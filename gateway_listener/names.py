"""What a guild and its voice channels are called, as the gateway says; in memory only."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from gateway_listener.frames import ChannelInfo


class Names(NamedTuple):
    """What one guild and its voice and stage channels are called; never changed, but replaced."""

    name: str
    afk_channel_id: int | None
    channels: Mapping[int, ChannelInfo]

    def with_channel(self, channel: ChannelInfo) -> Names:
        """The same with that channel, new or changed."""
        return self._replace(channels={**self.channels, channel.channel_id: channel})

    def without_channel(self, channel_id: int) -> Names:
        """The same without that channel."""
        return self._replace(channels={key: channel for key, channel in self.channels.items() if key != channel_id})
