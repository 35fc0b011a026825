"""The floor of the listener: discord.py with our intents and a voice handler that does nothing.

Prints `ready` once, and `seen SECONDS CALLS` whenever the user named on the command line was told of: when that was,
since 1970, and how often the handler has been called for anybody. That user comes last in a burst.
"""

from __future__ import annotations

import os
import sys
import time

import discord
import yarl
from discord.gateway import DiscordWebSocket
from discord.http import Route


class BareListener(discord.Client):
    """Keeps the connection and the cache, as discord.py does by itself."""

    def __init__(self, last: int) -> None:
        super().__init__(intents=discord.Intents(guilds=True, voice_states=True), max_messages=None)
        self._last = last
        self._calls = 0

    async def on_ready(self) -> None:
        print("ready", flush=True)

    async def on_voice_state_update(
        self, member: discord.Member, before: discord.VoiceState, after: discord.VoiceState
    ) -> None:
        self._calls += 1
        if member.id == self._last:
            print("seen", time.time(), self._calls, flush=True)


def main() -> None:
    """Runs until it is killed."""
    Route.BASE = os.environ["DISCORD_API_URL"]
    DiscordWebSocket.DEFAULT_GATEWAY = yarl.URL(os.environ["DISCORD_GATEWAY_URL"])
    BareListener(int(sys.argv[1])).run(os.environ["DISCORD_BOT_TOKEN"], log_handler=None)


if __name__ == "__main__":
    main()
