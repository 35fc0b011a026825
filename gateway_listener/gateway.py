"""The gateway connection, which one object owns: when it is opened, whether it lives, how old its frames are, its end.

The only door to discord.py, which logs in, asks the API, and reads and writes the socket. Its models, caches, parsers,
threads and its loop of reconnects are not used: they show later states than the event at hand, keep ghosts after an
outage, end over an unexpected field, notice neither missing ACKs nor an IDENTIFY or RESUME that is never answered, and
report the heartbeats of a dead socket to the next connection. What is touched of it that is not documented is
held by tests/gateway_listener/test_discord_py.py.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import random
import sys
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, NamedTuple

import aiohttp
import discord
import discord.gateway
import discord.http
import discord.utils
import yarl

from gateway_listener.clock import Clock
from gateway_listener.frames import (
    Ack,
    Content,
    Frame,
    Hello,
    Malformed,
    Ready,
    Resumed,
    VoiceState,
    read,
    value_of,
    voice_state_of,
)
from gateway_listener.heartbeat import Heartbeat
from gateway_listener.pace import DAY_MS, StartLimit, identify_wait, moments, pause_before, renewal_wait
from gateway_listener.settings import WHERE_IT_IS, Settings
from program.logs import cause

log = logging.getLogger(__name__)

# The event loop is to come round so often (seconds).
TURN_EVERY = 0.2
# While the next IDENTIFY is waited for, Discord is asked again after so long (seconds); from `TELL_FROM` on it is said.
ASK_LIMIT_EVERY, TELL_FROM = 300.0, 20.0

HANG_UP_WITHIN = 2.0
# A connection that worked for so long (milliseconds) is made anew at once; a shorter one after a pause.
WORKED_MS = 5000
# So many connections in a row that said HELLO and did not answer RESUME, and a new session is begun.
PATIENCE = 2

# https://discord.com/developers/docs/topics/opcodes-and-status-codes#json-json-error-codes
MISSING_ACCESS, UNKNOWN_GUILD, UNKNOWN_VOICE_STATE = 50001, 10004, 10065

# https://discord.com/developers/docs/topics/opcodes-and-status-codes#gateway-gateway-close-event-codes
NO_SESSION_AFTER = frozenset({4007, 4009})
TOKEN_REFUSED = f"Discord refused the token. Set DISCORD_BOT_TOKEN anew. {WHERE_IT_IS}"
WHAT_TO_DO = {
    4004: TOKEN_REFUSED.replace("token.", "token (4004).", 1),
    4010: "Discord refused the shard (4010): SHARD_ID must be less than SHARD_COUNT.",
    4011: "Discord requires more shards (4011): raise SHARD_COUNT, for all listeners (one for about 1,000 guilds).",
    4012: "Discord no longer speaks this version of the gateway (4012): update discord.py.",
    4013: "Discord does not know the intents asked for (4013): update discord.py.",
    4014: "Discord does not allow the intents asked for (4014), though guilds and voice states need no permission:"
    " look at your application's page, https://discord.com/developers/applications.",
}
# What an attempt can end with that is nobody's mistake here.
EXPECTED = (
    discord.DiscordException,
    discord.gateway.ReconnectWebSocket,
    aiohttp.ClientError,
    OSError,
    asyncio.TimeoutError,
)
INTENTS = discord.Intents(guilds=True, voice_states=True)


class GatewayRefused(Exception):
    """Discord will not let this client in until a person changes something; the text says what."""


class GatewayLost(Exception):
    """The gateway was out of reach for too long: this process is to be started again. The text says so."""


class _Session(NamedTuple):
    """What RESUME needs."""

    session_id: str
    sequence: int
    address: str


class _Ended(Exception):
    """The connection has ended, for a reason that is not an error; the text names it."""

    def __init__(self, why: str, *, resumable: bool = True) -> None:
        self.resumable = resumable
        super().__init__(why)


class _Mistake(Exception):
    """Our own code failed: `run` raises `problem`."""

    def __init__(self, problem: Exception) -> None:
        self.problem = problem
        super().__init__()


class _Socket(discord.gateway.DiscordWebSocket):
    """One connection and its heartbeats. `hear` is called with each frame as JSON has it, parsed once, in order."""

    def __init__(
        self,
        socket: aiohttp.ClientWebSocketResponse,
        address: str,
        heart: Heartbeat,
        hear: Callable[[Heartbeat, object], None],
    ) -> None:
        super().__init__(socket, loop=asyncio.get_running_loop())
        # A timer for each message costs more than the message; silence is noticed by the heartbeats.
        self._max_heartbeat_timeout = None  # type: ignore[assignment]
        self.shard_id = None  # for the text of discord.py's exceptions
        self._address, self._heart, self._hear = address, heart, hear

    async def received_message(self, msg: Any, /) -> None:
        """In place of discord.py's, which starts a thread at HELLO, makes models, and ends over an odd field."""
        text = self._decompressor.decompress(msg) if type(msg) is bytes else msg
        if text is None:
            return  # it goes on in the next message
        frame = value_of(text)
        if not isinstance(frame, dict) or frame.get("op") == self.DISPATCH:
            if isinstance(frame, dict):
                self._note_place(frame)
            self._hear(self._heart, frame)
            if isinstance(frame, dict) and frame.get("t") == "READY" and self._heart.opened_at is None:
                raise _Ended("READY cannot be read", resumable=False)
            return
        self._hear(self._heart, frame)
        op = frame.get("op")
        if op == self.HEARTBEAT:
            self._heart.wanted()
        elif op == self.RECONNECT:
            raise _Ended("op 7")
        elif op == self.INVALIDATE_SESSION:
            raise _Ended("op 9", resumable=frame.get("d") is True)

    def _note_place(self, frame: Mapping[str, Any]) -> None:
        sequence = frame.get("s")
        if type(sequence) is int and (self.sequence is None or sequence > self.sequence):
            self.sequence = sequence
        if frame.get("t") == "READY" and isinstance(data := frame.get("d"), dict):
            self.session_id = str(data.get("session_id"))
            self._address = str(data.get("resume_gateway_url") or self._address)

    async def beat(self) -> None:
        """Sends a heartbeat; one that cannot be sent is not acknowledged either."""
        with contextlib.suppress(discord.DiscordException, aiohttp.ClientError, OSError, RuntimeError):
            await self.send_heartbeat({"op": self.HEARTBEAT, "d": self.sequence})

    @property
    def session(self) -> _Session | None:
        """What the next connection can resume."""
        if self.session_id is None or self.sequence is None:
            return None
        return _Session(self.session_id, self.sequence, self._address)

    def go_on(self, session: _Session) -> None:
        """The session that RESUME asks for: its next frames follow."""
        self.session_id, self.sequence, _ = session


class Gateway:
    """Follows one shard: `run` keeps a connection until `stopping` is set, within what Discord allows.

    `on_login` is awaited with the id of the token's application before the first connection. `on_frame` is called with
    every frame, in order, as soon as it is read, with when that was and since when it may have waited (None: it has
    not), and says whether no stranger caused it; `on_malformed` with what cannot be read; `on_hang_up` at the end of
    each connection. `spent` is what `note_spent` was given last. `http_trace` sees the API's answers.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        on_frame: Callable[[Frame, int, int | None], bool],
        on_malformed: Callable[[Malformed], None],
        on_hang_up: Callable[[], None],
        on_login: Callable[[int], Awaitable[None]],
        spent: str,
        note_spent: Callable[[str], None],
        stopping: asyncio.Event,
        clock: Clock,
        http_trace: aiohttp.TraceConfig,
    ) -> None:
        self.counts: Counter[str] = Counter()
        self.waits = False
        """Discord's limit, not Discord, is what keeps it from being connected."""
        self._settings, self._timing = settings, settings.timing
        self._address = settings.gateway_url or str(discord.gateway.DiscordWebSocket.DEFAULT_GATEWAY)
        self._on_frame, self._on_malformed, self._on_hang_up = on_frame, on_malformed, on_hang_up
        self._on_login = on_login
        self._noted, self._note_spent = spent, note_spent
        self._spent: list[int] = []
        """When this shard sent IDENTIFY in the last day, by `_ms`: what lies between two is not another if the clock is
        set."""
        self._clock, self._ms = clock, clock.steady_ms
        self._http_trace = http_trace
        self._stopping = stopping
        self._client: discord.Client | None = None
        self._application_id = 0
        self._heart: Heartbeat | None = None
        self._socket: _Socket | None = None
        self._session: _Session | None = None
        self._unanswered = self._unreached = 0
        self._reached_at = self._ms()
        """When the gateway was last in reach; waiting for the limit does not count."""
        self._attempt = 1
        """Which one the next is since a connection that worked."""
        self._turned_away = False
        self._renewal: str | None = None
        self._renewed: list[int] = []
        """When fresh sessions were begun that something lost had asked for."""
        self._told_late = False
        _prepare(settings)

    async def run(self) -> None:
        """One connection after another, until `stopping`, which ends the session too.

        Raises GatewayRefused when a person must act, GatewayLost when the process is to be started again, and what
        it was given to call raises.
        """
        going = asyncio.create_task(self._go())
        stopping = asyncio.create_task(self._stopping.wait())
        try:
            await asyncio.wait({going, stopping}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            going.cancel()
            stopping.cancel()
            await asyncio.gather(going, stopping, return_exceptions=True)
            if self._client is not None:
                await _within(HANG_UP_WITHIN, self._client.close())
        if not going.cancelled():
            try:
                going.result()
            except _Mistake as mistake:
                raise mistake.problem from None

    def renew(self, why: str) -> None:
        """Asks for a fresh session: something was lost on this one. Until its pace allows it, this one goes on."""
        self._renewal = self._renewal or why

    def late_since(self) -> int | None:
        """Since when what is read now may have waited (milliseconds since 1970 UTC); None: it has not."""
        if self._heart is None:
            return None
        since = self._heart.read(self._ms())
        return None if since is None else self._clock.at(since)

    # --- the API ---

    async def is_in(self, guild_id: int) -> bool | None:
        """Whether our application is in the guild, as Discord's API says; None if it does not say."""
        guild = await self._answer("/guilds/{guild_id}", MISSING_ACCESS, UNKNOWN_GUILD, guild_id=guild_id)
        if guild is False:
            return False
        return True if isinstance(guild, dict) and guild.get("id") == str(guild_id) else None

    async def voice_channel_of(self, guild_id: int, user_id: int) -> VoiceState | None:
        """Where the person is in the guild, as Discord's API says (in no channel, if it says so); None: no answer."""
        path = "/guilds/{guild_id}/voice-states/{user_id}"
        state = await self._answer(path, UNKNOWN_VOICE_STATE, guild_id=guild_id, user_id=user_id)
        if state is False:
            return VoiceState(guild_id, user_id, None, 0)
        return voice_state_of(guild_id, user_id, state)

    async def ask_time(self) -> None:
        """Asks Discord for anything: the answer's `Date` is for `http_trace`."""
        await self._answer("/gateway")

    async def _answer(self, path: str, *no: int, **ids: int) -> Any:
        """What GET answers; False if Discord refuses with one of these codes; None: that is no answer."""
        try:
            return await self._ask(path, **ids)
        except (discord.Forbidden, discord.NotFound) as refusal:
            return False if refusal.code in no else None
        except Exception:  # noqa: BLE001 (whatever else comes of it is no answer)
            return None

    async def _ask(self, path: str, **ids: Any) -> Any:
        """What GET answers; raises whatever keeps it from answering, and always within a time."""
        if self._client is None:
            raise ConnectionError("nobody is logged in")
        asking = self._client.http.request(discord.http.Route("GET", path, **ids))
        return await asyncio.wait_for(asking, self._timing.api_answers_within)

    # --- one attempt after another ---

    async def _go(self) -> None:
        while True:
            if self._client is not None:
                end = await self._tried(self._connection())
            elif not (end := await self._tried(self._log_in())):
                await self._on_login(self._application_id)
                continue
            unseen = (self._ms() - self._reached_at) / 1000
            if unseen > self._timing.unseen_too_long:
                raise GatewayLost(
                    f"The gateway has been out of reach for {unseen:.0f} s (the last attempt: {end}): this process"
                    " ends, to be started again."
                )
            if self._unanswered >= PATIENCE or unseen > self._timing.resume_within:
                self._session = None
            elif self._session is not None and self._unreached >= PATIENCE:
                self._session = self._session._replace(address=self._address)
            self.counts["reconnects"] += 1
            pause = pause_before(self._attempt, random.random(), self._timing.longest_pause)
            self._attempt += 1
            log.info("the gateway connection is made anew", extra={"cause": end, "after": f"{pause:.1f} s"})
            await asyncio.sleep(pause)

    async def _tried(self, attempt: Awaitable[None]) -> str:
        """Makes one attempt; what came of it, empty if it succeeded. What that means for the session is noted."""
        try:
            await attempt
        except _Ended as end:
            if not end.resumable:
                self._turned_away = self._session is None
                self._session = None
            return str(end)
        except discord.gateway.ReconnectWebSocket:
            code = self._socket.socket.close_code if self._socket else None
            if code in NO_SESSION_AFTER:
                self._session = None
            return f"closed with {code}"
        except discord.ConnectionClosed as closed:
            if closed.code in WHAT_TO_DO:
                raise GatewayRefused(WHAT_TO_DO[closed.code]) from None
            return f"closed with {closed.code}"
        except discord.LoginFailure:
            raise GatewayRefused(TOKEN_REFUSED) from None
        except discord.HTTPException as problem:
            return f"HTTP status {problem.status}"
        except asyncio.TimeoutError:
            return "no answer in time"
        except EXPECTED as problem:
            return type(problem).__name__
        return ""

    async def _log_in(self) -> None:
        options: dict[str, Any] = {"max_messages": None, "http_trace": self._http_trace}
        client = discord.Client(intents=INTENTS, **options)
        try:
            await _foreseen(asyncio.wait_for(client.login(self._settings.token), self._timing.api_answers_within))
            if client.application_id is None:
                raise _Ended("no application")
            self._client, self._application_id = client, client.application_id
            # Discord's time is known now, in which they are noted.
            self._spent = [moment - self._clock.at(0) for moment in moments(self._noted, self._clock.now())]
        finally:
            if self._client is None:
                await _within(HANG_UP_WITHIN, client.close())

    async def _connection(self) -> None:
        """One connection to its end."""
        if self._session is None:
            await self._until_identify_is_allowed()
        answer_within = int(self._timing.answer_within * 1000)
        self._heart = heart = Heartbeat(
            self._ms(), late_ms=int(self._timing.late * 1000), answer_within_ms=answer_within
        )
        self._socket = None
        reading = asyncio.create_task(_foreseen(self._follow(heart)))
        beating: asyncio.Task[None] | None = None
        try:
            while not reading.done():
                await asyncio.wait({reading}, timeout=TURN_EVERY)
                due = self._come_round(heart)
                if not reading.done():
                    self._complain(heart)
                    # It is not awaited: a connection that takes nothing must not stop the turning.
                    if due and self._socket is not None and (beating is None or beating.done()):
                        heart.beat(self._ms())
                        beating = asyncio.create_task(self._socket.beat())
            reading.result()
        finally:
            for task in filter(None, (reading, beating)):
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
            await self._hang_up(heart)

    async def _follow(self, heart: Heartbeat) -> None:
        assert self._client is not None  # noqa: S101 (for the type checker)
        session = self._session
        address = self._address if session is None else session.address
        compression = discord.utils._ActiveDecompressionContext.COMPRESSION_TYPE
        url = yarl.URL(address).with_query(v="10", encoding="json", compress=compression)
        self._socket = ws = _Socket(await self._client.http.ws_connect(str(url)), address, heart, self._hear)
        while heart.interval is None:
            await ws.poll_event()
        if session is None:
            _ours(self._spend)
            await ws.send_as_json({"op": ws.IDENTIFY, "d": self._identify()})
        else:
            ws.go_on(session)
            resume = {"token": self._settings.token, "session_id": session.session_id, "seq": session.sequence}
            await ws.send_as_json({"op": ws.RESUME, "d": resume})
        while True:
            await ws.poll_event()

    def _identify(self) -> dict[str, Any]:
        """https://discord.com/developers/docs/events/gateway-events#identify"""
        return {
            "token": self._settings.token,
            "properties": {"os": sys.platform, "browser": "discord.py", "device": "discord.py"},
            "large_threshold": 250,
            "shard": [self._settings.shard_id, self._settings.shard_count],
            "intents": INTENTS.value,
        }

    def _complain(self, heart: Heartbeat) -> None:
        complaint = heart.complaint(self._ms())
        if complaint is not None:
            log.warning("the gateway does not answer", extra={"cause": complaint})
            self.counts["complaints"] += 1
            raise _Ended(complaint)
        if self._renewal is not None and heart.opened_at is not None:
            now = self._ms()
            self._renewed = [moment for moment in self._renewed if now - moment < DAY_MS]
            if renewal_wait(self._renewed, now, pause_ms=self._pause_ms) <= 0:
                why, self._renewal = self._renewal, None
                self._renewed.append(now)
                self.counts["renewals"] += 1
                raise _Ended(why, resumable=False)

    async def _hang_up(self, heart: Heartbeat) -> None:
        """Closes the connection so that the session can be resumed, if it is to go on, and remembers it."""
        ws, now = self._socket, self._ms()
        self._heart = None
        self._told_late = False
        if heart.opened_at is not None:
            self._reached_at = now
            if now - heart.opened_at >= WORKED_MS:
                self._attempt = 0
            self._unanswered = self._unreached = 0
        elif heart.interval is not None:
            self._unanswered += 1
        else:
            self._unreached += 1
        _ours(self._on_hang_up)
        if ws is not None:
            self._session = ws.session or self._session
            await _within(HANG_UP_WITHIN, ws.close(1000 if self._stopping.is_set() else 4000))

    # --- what comes in, and when ---

    def _hear(self, heart: Heartbeat, received: object) -> None:
        _ours(self._take, heart, received)

    def _take(self, heart: Heartbeat, received: object) -> None:
        try:
            frame = read(received)
        except Malformed as problem:
            self._on_malformed(problem)
            return
        if frame is None:
            return
        now = self._ms()
        since = heart.read(now)
        if type(frame.content) is not VoiceState:
            since = self._feel(heart, frame.content, now)
        clock = self._clock
        if self._on_frame(frame, clock.at(now), None if since is None else clock.at(since)):
            heart.heard(now)

    def _feel(self, heart: Heartbeat, content: Content, now: int) -> int | None:
        """What the frame says about the connection; since when frames are being read late after it."""
        if isinstance(content, Ack):
            self._tell_late(heart, now)
            heart.acknowledged()
        elif isinstance(content, Hello):
            heart.hello(content.heartbeat_interval_ms, now)
        elif isinstance(content, (Ready, Resumed)):
            heart.opened(now)
            self._turned_away = False
            if isinstance(content, Ready):
                self._renewal = None
        return heart.since

    def _come_round(self, heart: Heartbeat) -> bool:
        """The event loop has come round; True if a heartbeat is to be sent."""
        now = self._ms()
        due = heart.turned(now)
        self._tell_late(heart, now)
        return due

    def _tell_late(self, heart: Heartbeat, now: int) -> None:
        """Says it once, whatever is read late: the clock and the heartbeats say it, not the frames."""
        since = heart.since
        if since is not None and not self._told_late:
            self.counts["late"] += 1
            by = f"{now - since} ms"
            log.info("frames are read late: what is in them is stored with its doubt", extra={"by_up_to": by})
        self._told_late = since is not None

    # --- IDENTIFY ---

    @property
    def _pause_ms(self) -> int:
        return int(self._timing.between_identifies * 1000)

    async def _until_identify_is_allowed(self) -> None:
        told = False
        while True:
            limit = await self._start_limit()
            spent = self._spent_today()
            wait_ms = identify_wait(
                spent,
                limit,
                self._clock.now(),
                shard=(self._settings.shard_id, self._settings.shard_count),
                pause_ms=self._pause_ms,
                turned_away=self._turned_away,
            )
            if wait_ms <= 0:
                return
            if wait_ms > TELL_FROM * 1000 and not told:
                told = True
                figures = {"seconds": wait_ms // 1000, "sent": len(spent), "left": limit and limit.remaining}
                log.warning(
                    "a fresh session is waited for, so that Discord's limit of IDENTIFYs lasts: something makes the"
                    " bot start over and over, look further up in the log",
                    extra=figures,
                )
            waiting_since = self._ms()
            self.waits = True
            await asyncio.sleep(min(wait_ms / 1000, ASK_LIMIT_EVERY))
            self.waits = False
            self._reached_at += self._ms() - waiting_since

    async def _start_limit(self) -> StartLimit | None:
        """What Discord says of how many IDENTIFYs are left, if it answers; raises GatewayRefused for the token."""
        try:
            answer = await self._ask("/gateway/bot")
        except Exception as problem:  # noqa: BLE001 (whatever else comes of it is no answer)
            if isinstance(problem, discord.HTTPException) and problem.status == 401:
                raise GatewayRefused(TOKEN_REFUSED) from None
            answer = None
        return StartLimit.of(answer)

    def _spent_today(self) -> list[int]:
        """When this shard sent IDENTIFY in the last day, as the clock shows it now."""
        since = self._ms() - DAY_MS
        self._spent = [moment for moment in self._spent if moment > since]
        return [self._clock.at(moment) for moment in self._spent]

    def _spend(self) -> None:
        self._spent.append(self._ms())
        self.counts["identifies"] += 1
        self._note_spent(json.dumps(self._spent_today(), separators=(",", ":")))


def _ours(act: Callable[..., None], *arguments: object) -> None:
    """Does what is ours; what that raises is no failed attempt, whatever it looks like."""
    try:
        act(*arguments)
    except Exception as problem:
        raise _Mistake(problem) from problem


async def _foreseen(act: Awaitable[None]) -> None:
    """Awaits what discord.py does; an error of its own that nobody foresaw ends this attempt, and not the process."""
    try:
        await act
    except (_Ended, _Mistake, *EXPECTED):
        raise
    except Exception as problem:  # noqa: BLE001
        log.error("discord.py met an error that nobody foresaw", extra=cause(problem))
        raise _Ended(type(problem).__name__) from None


async def _within(seconds: float, act: Awaitable[object]) -> None:
    """Awaits it for so long; whatever goes wrong, what it was for is over."""
    with contextlib.suppress(Exception):
        await asyncio.wait_for(act, seconds)


def _prepare(settings: Settings) -> None:
    """Points discord.py at another Discord if the settings say so, and keeps its log clean."""
    if settings.api_url:
        discord.http.Route.BASE = settings.api_url
    discord.VoiceClient.warn_nacl = discord.VoiceClient.warn_dave = False  # nobody speaks here
    # Below `info` discord.py writes whole frames, with everyone's ids and names, into the log.
    logging.getLogger("discord").setLevel(max(logging.INFO, logging.getLogger().getEffectiveLevel()))
