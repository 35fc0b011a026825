"""The only door to discord.py, which keeps the gateway connection and decides nothing about sessions.

Its models and caches are not used: in bursts they show later states than the event at hand, after an outage they keep
ghosts, and an unexpected field in any event ends the client. So every parser but those of READY and RESUMED, which
the connection itself needs, is taken out, and the text of each frame goes to `on_frame`, in order, at once.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp
import discord
import discord.client
import discord.gateway
import discord.http
import yarl

from gateway_listener.budget import Backoff
from gateway_listener.settings import WHERE_IT_IS, Settings

log = logging.getLogger(__name__)

RAW_FRAME = "socket_raw_receive"
NEEDED_PARSERS = frozenset({"READY", "RESUMED"})

# https://discord.com/developers/docs/topics/opcodes-and-status-codes#gateway-gateway-close-event-codes
WHAT_TO_DO = {
    4004: f"Discord refused the token (4004). Set DISCORD_BOT_TOKEN anew. {WHERE_IT_IS}",
    4010: "Discord refused the shard (4010): SHARD_ID must be less than SHARD_COUNT.",
    4011: "Discord requires more shards (4011): raise SHARD_COUNT, for all listeners (one for about 1,000 guilds).",
    4012: "Discord no longer speaks this version of the gateway (4012): update discord.py.",
    4013: "Discord does not know the intents asked for (4013): update discord.py.",
    4014: "Discord does not allow the intents asked for (4014), though guilds and voice states need no permission:"
    " look at your application's page, https://discord.com/developers/applications.",
}


class GatewayRefused(Exception):
    """Discord will not let this client in until a person changes something; the text says what."""


class GatewayLost(Exception):
    """The client ended; starting it anew is right. The text is a word or two for the log and the metrics."""


class _BoundedBackoff(Backoff):
    """discord.py's own waits reach 17 minutes after a long outage."""

    def __init__(self, base: float = 1.0) -> None:
        super().__init__(base, clock=time.monotonic)


class Client(discord.Client):
    """One client life: `start(token)` runs until it is closed or cannot go on.

    `on_frame` is called with the text of every frame, in order, before anything else is done with it. `may_identify`
    is awaited before each IDENTIFY.
    """

    def __init__(
        self, settings: Settings, *, on_frame: Callable[[str], None], may_identify: Callable[[], Awaitable[None]]
    ) -> None:
        super().__init__(
            intents=discord.Intents(guilds=True, voice_states=True),
            max_messages=None,
            member_cache_flags=discord.MemberCacheFlags.none(),
            chunk_guilds_at_startup=False,
            enable_debug_events=True,
            shard_id=settings.shard_id,
            shard_count=settings.shard_count,
        )
        self._on_frame = on_frame
        self._may_identify = may_identify
        parsers = self._connection.parsers
        for name in parsers.keys() - NEEDED_PARSERS:
            del parsers[name]

    def dispatch(self, event: str, /, *args: Any, **kwargs: Any) -> None:
        """Hands the text of a frame on, synchronously; no other event has a listener here."""
        if event == RAW_FRAME:
            self._on_frame(args[0])

    async def before_identify_hook(self, shard_id: int | None, *, initial: bool = False) -> None:
        """Waits until the budget allows an IDENTIFY, instead of the five seconds of discord.py."""
        await self._may_identify()

    async def reconnect(self) -> None:
        """Drops the connection so that discord.py makes it anew and resumes."""
        if self.ws is not None:
            await self.ws.close(4000)


def prepare(settings: Settings) -> None:
    """Points discord.py at another Discord if the settings say so, bounds its pauses, and keeps its log clean."""
    if settings.api_url:
        discord.http.Route.BASE = settings.api_url
    if settings.gateway_url:
        discord.gateway.DiscordWebSocket.DEFAULT_GATEWAY = yarl.URL(settings.gateway_url)
    discord.client.ExponentialBackoff = _BoundedBackoff  # type: ignore[attr-defined, assignment]
    # Below `info` discord.py writes whole frames, with everyone's ids and names, into the log.
    logging.getLogger("discord").setLevel(max(logging.INFO, logging.getLogger().getEffectiveLevel()))
    logging.getLogger("discord.client").addFilter(_one_line)


def _one_line(record: logging.LogRecord) -> bool:
    """A refused connection is told in one line, not in a page of traceback."""
    if record.exc_info and record.exc_info[0] is not None:
        record.cause = record.exc_info[0].__name__
        record.exc_info = None
        record.levelno, record.levelname = logging.WARNING, "WARNING"
    return True


async def live(client: Client, token: str) -> None:
    """Runs one client life to its end; raises GatewayRefused or GatewayLost if it was not closed by us."""
    try:
        async with client:
            await client.start(token)
    except discord.LoginFailure:
        raise GatewayRefused(WHAT_TO_DO[4004].replace(" (4004)", "")) from None
    except discord.PrivilegedIntentsRequired:
        raise GatewayRefused(WHAT_TO_DO[4014]) from None
    except discord.ConnectionClosed as closed:
        if closed.code in WHAT_TO_DO:
            raise GatewayRefused(WHAT_TO_DO[closed.code]) from None
        raise GatewayLost(f"closed with {closed.code}") from None
    except discord.HTTPException as problem:
        raise GatewayLost(f"HTTP status {problem.status}") from None
    except (discord.DiscordException, aiohttp.ClientError, OSError, asyncio.TimeoutError) as problem:
        raise GatewayLost(type(problem).__name__) from None
    except GatewayRefused:
        raise
    except Exception as problem:  # noqa: BLE001 (whatever discord.py stumbles over, a new client can go on)
        raise GatewayLost(type(problem).__name__) from None
