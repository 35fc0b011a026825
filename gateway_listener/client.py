"""The only door to discord.py, which speaks with Discord and decides nothing about sessions.

Its models and caches are not used: in bursts they show later states than the event at hand, after an outage they keep
ghosts, and an unexpected field in any event ends the client. So every parser but those of READY and RESUMED, which
the connection itself needs, is taken out, and each frame goes to `on_frame`, in order, at once, parsed once.

Its loop of reconnects is replaced by `Client.connect`: discord.py's ends when the first connection is refused and when
a frame is malformed, sends RESUME without a session for ever after a refused attempt, waits up to 17 minutes, and
notices neither missing ACKs nor a RESUME that is never answered.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

import aiohttp
import discord
import discord.gateway
import discord.http
import yarl

from gateway_listener.application import OtherApplication
from gateway_listener.budget import Backoff
from gateway_listener.frames import VoiceState, value_of, voice_state_of
from gateway_listener.pulse import Pulse
from gateway_listener.settings import WHERE_IT_IS, Settings

log = logging.getLogger(__name__)

FRAME, BEAT = "frame", "beat"
NEEDED_PARSERS = frozenset({"READY", "RESUMED"})

CONNECT_WITHIN = 60.0
HANG_UP_WITHIN = 2.0
# A connection that worked for so long is made anew at once; a shorter one, or one that never worked, after a pause.
WORKED = 5.0
# So many connections without an answer to RESUME, and a new session is begun.
PATIENCE = 2
# What the API answers within so long (seconds) about a guild counts, and of refusals those with Discord's own codes:
# Missing Access, Unknown Guild.
# https://discord.com/developers/docs/topics/opcodes-and-status-codes#json-json-error-codes
ANSWER_WITHIN = 15.0
NOT_THERE = frozenset({50001, 10004})
NOT_IN_VOICE = 10065

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


class _Session(NamedTuple):
    """What RESUME needs."""

    session_id: str
    sequence: int
    gateway: yarl.URL


class _WebSocket(discord.gateway.DiscordWebSocket):
    """discord.py's connection; the dispatches that it does nothing with are not parsed and looked at a second time."""

    async def received_message(self, msg: Any, /) -> None:
        text = self._decompressor.decompress(msg) if type(msg) is bytes else msg
        if text is None:
            return  # it goes on in the next message
        frame = value_of(text)
        self._dispatch(FRAME, frame)
        if isinstance(frame, dict) and frame.get("op") == self.DISPATCH and frame.get("t") not in NEEDED_PARSERS:
            if frame.get("s") is not None:
                self.sequence = frame["s"]
            if self._keep_alive:
                self._keep_alive.tick()
        else:
            await super().received_message(text)

    async def send_as_json(self, data: Any) -> None:
        if data.get("op") == self.HEARTBEAT:
            self._dispatch(BEAT)
        await super().send_as_json(data)

    async def send_heartbeat(self, data: Any) -> None:
        self._dispatch(BEAT)
        await super().send_heartbeat(data)

    async def beat(self) -> None:
        """Sends a heartbeat now, whenever the next one is due; nothing if the connection has not come so far."""
        if self._keep_alive is not None and self.open:
            await self.send_heartbeat(self._keep_alive.get_payload())

    def go_on_without_timers(self) -> None:
        """A timer for each message costs more than the message; silence is noticed by the heartbeats anyway."""
        self._max_heartbeat_timeout = None  # type: ignore[assignment]


class Client(discord.Client):
    """A client of one shard: `start(token)` runs until it is closed or a person must act.

    `on_login` is awaited with the id of the token's application before the first connection. `on_frame` is called with
    every frame as JSON has it, in order, before anything else is done with it, `on_beat` before each heartbeat is sent,
    `on_hang_up` at the end of each connection. `may_identify` is awaited before each IDENTIFY. `pulse` is told of the
    frames by whoever reads them.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        on_frame: Callable[[object], None],
        on_beat: Callable[[], None],
        on_hang_up: Callable[[], None],
        on_login: Callable[[int], Awaitable[None]],
        may_identify: Callable[[], Awaitable[None]],
        pulse: Pulse,
        counts: Counter[str],
        http_trace: aiohttp.TraceConfig,
    ) -> None:
        super().__init__(
            http_trace=http_trace,
            intents=discord.Intents(guilds=True, voice_states=True),
            max_messages=None,
            member_cache_flags=discord.MemberCacheFlags.none(),
            chunk_guilds_at_startup=False,
            shard_id=settings.shard_id,
            shard_count=settings.shard_count,
        )
        self._on_frame = on_frame
        self._on_beat = on_beat
        self._on_hang_up = on_hang_up
        self._on_login = on_login
        self._may_identify = may_identify
        self._pulse = pulse
        self._counts = counts
        self._longest_pause = settings.timing.longest_pause
        self._beat = min(1.0, settings.timing.answer_within / 4)
        self._session: _Session | None = None
        self.renewal: str | None = None
        """Why the session is to be a fresh one."""
        parsers = self._connection.parsers
        for name in parsers.keys() - NEEDED_PARSERS:
            del parsers[name]
        ready = parsers["READY"]
        parsers["READY"] = lambda data: ready({**data, "guilds": []})  # of which it would make models that nobody reads

    def dispatch(self, event: str, /, *args: Any, **kwargs: Any) -> None:
        """Hands a frame on, synchronously, or the news of a heartbeat; no other event has a listener here."""
        if event == FRAME:
            self._on_frame(args[0])
        elif event == BEAT:
            self._on_beat()

    async def beat(self) -> None:
        """Sends a heartbeat now, besides the regular ones."""
        ws = self.ws
        if isinstance(ws, _WebSocket):
            with contextlib.suppress(discord.DiscordException, aiohttp.ClientError, OSError, RuntimeError):
                await ws.beat()

    async def is_in(self, guild_id: int) -> bool | None:
        """Whether our application is in the guild, as Discord's API says; None if it does not say."""
        try:
            guild: object = await asyncio.wait_for(self.http.get_guild(guild_id, with_counts=False), ANSWER_WITHIN)
        except (discord.Forbidden, discord.NotFound) as refusal:
            return False if refusal.code in NOT_THERE else None
        except Exception:  # noqa: BLE001 (whatever else comes of it is no answer)
            return None
        return True if isinstance(guild, dict) and guild.get("id") == str(guild_id) else None

    async def ask_time(self) -> None:
        """Asks Discord's API for something small: `http_trace` sees the answer, and when it was made."""
        with contextlib.suppress(Exception):
            await asyncio.wait_for(self.http.request(discord.http.Route("GET", "/gateway")), ANSWER_WITHIN)

    async def voice_channel_of(self, guild_id: int, user_id: int) -> VoiceState | None:
        """Where the person is in the guild, as Discord's API says; None if it does not say."""
        try:
            answer: object = await asyncio.wait_for(self.http.get_voice_state(guild_id, user_id), ANSWER_WITHIN)
        except discord.NotFound as refusal:
            return VoiceState(guild_id, user_id, None, 0) if refusal.code == NOT_IN_VOICE else None
        except Exception:  # noqa: BLE001 (whatever else comes of it is no answer)
            return None
        return voice_state_of(guild_id, user_id, answer)

    async def before_identify_hook(self, shard_id: int | None, *, initial: bool = False) -> None:
        """Waits until the budget allows an IDENTIFY, instead of the five seconds of discord.py."""
        await self._may_identify()

    async def connect(self, *, reconnect: bool = True) -> None:
        """One connection after another, with RESUME wherever there is a session, until the client is closed.

        Raises GatewayRefused for the close codes after which Discord asks not to reconnect, and what `on_login` raises.
        """
        if self.application_id is None:
            raise GatewayLost("no application")
        await self._on_login(self.application_id)
        backoff = Backoff(clock=time.monotonic, longest=self._longest_pause)
        while not self.is_closed():
            cause = await self._one_connection()
            worked = self._pulse.stopped(time.monotonic())
            self._on_hang_up()
            if self.is_closed():
                return
            if self._pulse.unanswered >= PATIENCE or self.renewal is not None:
                self._session = self.renewal = None
            self._counts["reconnects"] += 1
            pause = 0.0 if worked >= WORKED else backoff.delay()
            log.info("the gateway connection is made anew", extra={"cause": cause, "after": f"{pause:.1f} s"})
            await asyncio.sleep(pause)

    async def _one_connection(self) -> str:
        """Reads one connection to its end; why it ended."""
        reading = asyncio.create_task(self._read())
        try:
            while not reading.done():
                await asyncio.wait({reading}, timeout=self._beat)
                complaint = self.renewal or self._pulse.complaint(time.monotonic())
                if complaint is not None and not reading.done():
                    log.warning("the gateway does not answer", extra={"cause": complaint})
                    self._counts["complaints"] += 1
                    return complaint
            return reading.result()
        finally:
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)
            await self._hang_up()

    async def _read(self) -> str:
        try:
            await self._open()
            while True:
                await self.ws.poll_event()
        except discord.gateway.ReconnectWebSocket as end:
            if not end.resume:
                self._session = None
            return end.op
        except discord.ConnectionClosed as closed:
            if closed.code in WHAT_TO_DO:
                raise GatewayRefused(WHAT_TO_DO[closed.code]) from None
            return f"closed with {closed.code}"
        except GatewayLost:
            raise
        except Exception as problem:  # noqa: BLE001 (whatever discord.py stumbles over, the next connection goes on)
            return type(problem).__name__

    async def _open(self) -> None:
        self.ws = None  # type: ignore[assignment]  # as it is before the first connection
        resumption: dict[str, Any] = {}
        if self._session is not None:
            session_id, sequence, gateway = self._session
            resumption = {"resume": True, "session": session_id, "sequence": sequence, "gateway": gateway}
        opening = _WebSocket.from_client(self, shard_id=self.shard_id, **resumption)
        self.ws = ws = await asyncio.wait_for(opening, CONNECT_WITHIN)
        ws.go_on_without_timers()

    async def _hang_up(self) -> None:
        """Closes the connection so that the session can be resumed, and remembers the session."""
        ws = self.ws
        if ws is None:
            return
        if ws.session_id is not None and ws.sequence is not None:
            self._session = _Session(ws.session_id, ws.sequence, ws.gateway)
        if ws.open:
            try:
                await asyncio.wait_for(ws.close(4000), HANG_UP_WITHIN)
            except (asyncio.TimeoutError, aiohttp.ClientError, OSError):
                log.debug("the connection did not close in time")


def prepare(settings: Settings) -> None:
    """Points discord.py at another Discord if the settings say so, and keeps its log clean."""
    if settings.api_url:
        discord.http.Route.BASE = settings.api_url
    if settings.gateway_url:
        discord.gateway.DiscordWebSocket.DEFAULT_GATEWAY = yarl.URL(settings.gateway_url)
    discord.VoiceClient.warn_nacl = discord.VoiceClient.warn_dave = False  # nobody speaks here
    # Below `info` discord.py writes whole frames, with everyone's ids and names, into the log.
    logging.getLogger("discord").setLevel(max(logging.INFO, logging.getLogger().getEffectiveLevel()))


async def live(client: Client, token: str) -> None:
    """Runs one client to its end; raises GatewayRefused, OtherApplication or GatewayLost if it was not closed by us."""
    try:
        async with client:
            await client.start(token)
    except discord.LoginFailure:
        raise GatewayRefused(WHAT_TO_DO[4004].replace(" (4004)", "")) from None
    except discord.HTTPException as problem:
        raise GatewayLost(f"HTTP status {problem.status}") from None
    except (GatewayRefused, GatewayLost, OtherApplication):
        raise
    except Exception as problem:  # noqa: BLE001 (whatever discord.py stumbles over, a new client can go on)
        raise GatewayLost(type(problem).__name__) from None
