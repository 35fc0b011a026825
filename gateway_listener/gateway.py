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
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
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
from gateway_listener.settings import WHERE_IT_IS, Settings
from program.logs import cause

log = logging.getLogger(__name__)

# The event loop is to come round so often (seconds).
TURN_EVERY = 0.2
# Heartbeats that are sent only to know have such a distance (milliseconds); Discord allows 120 messages a minute.
ASK_EVERY_MS = 1000

HOUR_MS = 60 * 60 * 1000
DAY_MS = 24 * HOUR_MS
# Discord resets the token of a bot that sends more IDENTIFYs in a day; what /gateway/bot says counts before this.
# https://discord.com/developers/docs/events/gateway#session-start-limit-object
A_DAY = 1000
# So many IDENTIFYs within an hour are only a pause apart. The last so many of a shard are spread until the reset.
FREE_AN_HOUR, RESERVE = 10, 20
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


# --- one connection's heartbeats ---


class _Beat(NamedTuple):
    """A heartbeat that was sent and not acknowledged; what it finds in its way may be as old as `clear_at`."""

    sent_at: int
    clear_at: int


class Heartbeat:
    """The heartbeats of one connection: when one is due, whether the other side is dead, whether frames are read late.

    Discord gives voice states no time of their own, so a moment is when its frame was read. After a sleep of the
    machine, a stall of the process, a long burst, or on a network that stood still, frames are read late, and nothing
    in them says so. What does say so: the event loop that did not come round in time, and a heartbeat whose ACK is not
    there in time. From the first such sign until the ACK of a heartbeat sent after it, what is read may be as old as
    the last moment at which all was well: an ACK comes behind everything that Discord sent before it.

    `since` is None while frames are read as they come, else the last moment up to which they were. Pure; times are
    milliseconds of a clock that only runs forward.
    """

    def __init__(self, now: int, *, late_ms: int, answer_within_ms: int = 30_000) -> None:
        self.since: int | None = None
        self.interval: int | None = None
        """As HELLO said; None before."""
        self.opened_at: int | None = None
        """When READY or RESUMED came."""
        self._late_ms = late_ms
        self._answer_within = answer_within_ms
        self._began_at = self._turned_at = self._heard_at = self._hello_at = self._asked_at = now
        self._in_time = True
        self._wanted = self._opening = False
        self._beats: deque[_Beat] = deque()
        self._until: _Beat | None = None
        """The heartbeat whose ACK ends the lateness; None: it is still to be sent."""

    def hello(self, interval_ms: int, now: int) -> None:
        """HELLO: from here on the loop's turns tell."""
        self.interval, self.since = interval_ms, None
        self._hello_at = self._heard_at = self._turned_at = self._asked_at = now

    def opened(self, now: int) -> None:
        """READY or RESUMED: much may follow at once, and a heartbeat shows when it is through."""
        self.opened_at, self._opening = now, True

    def wanted(self) -> None:
        """Discord asks for a heartbeat."""
        self._wanted = True

    def turned(self, now: int) -> bool:
        """The event loop has come round; True if a heartbeat is to be sent now."""
        self._look(now)
        self._in_time = now - self._turned_at <= self._late_ms
        self._turned_at = now
        if self.interval is None:
            return False
        waited = now - self._asked_at
        unasked = self.since is not None and self._until is None
        if self._wanted or self._opening or waited >= self.interval or (unasked and waited >= ASK_EVERY_MS):
            self._asked_at = now
            return True
        return False

    def read(self, now: int) -> int | None:
        """Something is read now; since when it may have waited, None if it has not."""
        self._look(now)
        return self.since

    def heard(self, now: int) -> None:
        """What is read now may tell how long a later heartbeat's way had been free. (No stranger caused it.)"""
        self._heard_at = now

    def beat(self, now: int) -> None:
        """A heartbeat is sent."""
        beat = _Beat(now, self._hello_at if self._opening else self._heard_at)
        self._beats.append(beat)
        self._wanted = self._opening = False
        if self.since is not None and self._until is None:
            self._until = beat

    def acknowledged(self) -> None:
        """An ACK has been read: it is the oldest heartbeat's, as none names its own."""
        if self._beats and self._beats.popleft() is self._until:
            self.since = self._until = None

    def complaint(self, now: int) -> str | None:
        """Why the connection must be made anew, or None; never before what waits has been read.

        https://discord.com/developers/docs/events/gateway#heartbeat-interval
        """
        if not self._in_time:
            return None
        if self.opened_at is None and now - self._began_at > self._answer_within:
            return f"neither READY nor RESUMED within {self._answer_within / 1000:g} s"
        if self.interval is not None and self._beats and now - self._beats[0].sent_at >= self.interval:
            return "a heartbeat was not acknowledged before the next"
        return None

    def _look(self, now: int) -> None:
        if now - self._turned_at > self._late_ms:
            self.since = self._turned_at if self.since is None else self.since
            self._until = None
        elif self._beats and self.since is None and now - self._beats[0].sent_at > self._late_ms:
            self.since, self._until = self._beats[0].clear_at, self._beats[0]


# --- when the next attempt is made ---


class StartLimit(NamedTuple):
    """How many sessions the bot, with all its shards, may still begin, and after how long (milliseconds) it is more."""

    remaining: int
    reset_after: int
    max_concurrency: int

    @classmethod
    def of(cls, answer: object) -> StartLimit | None:
        """What GET /gateway/bot answers; None if it does not say."""
        said = answer.get("session_start_limit") if isinstance(answer, dict) else None
        if not isinstance(said, dict):
            return None
        numbers: list[Any] = [said.get(name) for name in cls._fields]
        if not all(type(number) is int and number >= 0 for number in numbers):
            return None
        remaining, reset_after, max_concurrency = numbers
        return cls(remaining, min(reset_after, DAY_MS), max(1, max_concurrency))


def identify_wait(
    spent: Sequence[int],
    limit: StartLimit | None,
    now: int,
    *,
    shard: tuple[int, int] = (0, 1),
    pause_ms: int = 5000,
    turned_away: bool = False,
) -> int:
    """For how long (milliseconds) the next IDENTIFY is still to wait.

    `spent` are this shard's own IDENTIFYs of the last day, oldest first; `shard` its number and the count; `limit` is
    None if Discord did not say it: then all shards are taken to have sent as many as this one. The pause grows with
    what was spent in the last hour; the last ones of a day are spread evenly until the reset, among all shards;
    and none is sent beyond what remains. Shards that Discord wants one after another cannot see each other: one
    that was `turned_away` (op 9) takes its turn by the clock.
    """
    shard_id, shard_count = shard
    begun = spent[0] if spent else now
    remaining, reset_after, concurrency = limit or (A_DAY - shard_count * len(spent), begun + DAY_MS - now, 1)
    if remaining <= 0:
        return max(reset_after, pause_ms)
    if not spent:
        return 0
    apart = pause_ms * max(1, sum(now - moment < HOUR_MS for moment in spent) - FREE_AN_HOUR + 1)
    if remaining < RESERVE * shard_count:
        apart = max(apart, min(reset_after, shard_count * reset_after // remaining))
    at = max(now, spent[-1] + apart)
    return (_own_turn(at, shard_id, shard_count, concurrency, 2 * pause_ms) if turned_away else at) - now


def _own_turn(at: int, shard_id: int, shard_count: int, concurrency: int, turn_ms: int) -> int:
    """`at`, or the next moment after it that is in the first half of a turn of this shard's.

    Those with the same `shard_id % max_concurrency` take turns: https://discord.com/developers/docs/events/gateway
    """
    peers = len(range(shard_id % concurrency, shard_count, concurrency))
    turn, within = divmod(at, turn_ms)
    ahead = (shard_id // concurrency - turn) % peers
    if peers == 1 or (ahead == 0 and within <= turn_ms // 2):
        return at
    return (turn + (ahead or peers)) * turn_ms


def renewal_wait(renewed: Sequence[int], now: int, *, pause_ms: int = 5000) -> int:
    """For how long a connection that lives must wait until it is given up for a fresh session, after those of the last
    day: what goes wrong at every roll call must not make everybody unseen over and over, so the pause grows fourfold,
    to an hour."""
    return max(0, renewed[-1] + min(HOUR_MS, pause_ms << 2 * min(len(renewed), 8)) - now) if renewed else 0


def moments(text: str) -> list[int]:
    """The note of when IDENTIFYs were sent; what cannot be read is an empty one."""
    try:
        return sorted(int(moment) for moment in json.loads(text or "[]"))
    except (ValueError, TypeError):
        return []


def pause_before(attempt: int, chance: float, longest: float) -> float:
    """Seconds before that attempt since the last connection that worked, 1 the first: any time up to twice as long as
    before, at most `longest`; `chance` is a random number from 0 to 1."""
    return chance * min(longest, 2.0 ** min(attempt, 16))


# --- the connection ---


class _Session(NamedTuple):
    """What RESUME needs."""

    session_id: str
    sequence: int
    address: str


class _Ended(Exception):
    """The connection has ended, for a reason that is not an error; the text names it."""

    def __init__(self, cause: str, *, resumable: bool = True) -> None:
        self.resumable = resumable
        super().__init__(cause)


class _Mistake(Exception):
    """Our own code failed: `run` raises `problem`."""

    def __init__(self, problem: Exception) -> None:
        self.problem = problem
        super().__init__()


def _call_ours(act: Callable[..., object], *arguments: object) -> None:
    """Calls our own code: what fails there is no fault of the connection's, whatever its type."""
    try:
        act(*arguments)
    except Exception as problem:
        raise _Mistake(problem) from problem


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
        self._spent_before, self._spent = moments(spent), list[int]()
        """When IDENTIFYs were sent by earlier runs (Discord's time) and by this one (steady milliseconds)."""
        self._note_spent = note_spent
        self._clock, self._now, self._ms = clock, clock.now, clock.steady_ms
        self._http_trace = http_trace
        self._stopping = stopping
        self._client: discord.Client | None = None
        self._application_id = 0
        self._heart: Heartbeat | None = None
        self._socket: _Socket | None = None
        self._session: _Session | None = None
        self._unanswered = self._unreached = 0
        self._reached_at = self._ms()
        """When a connection that had said READY or RESUMED ended; waiting for the limit does not count."""
        self._worked_ms = 0
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
            if going.done():
                going.result()
        except _Mistake as mistake:
            raise mistake.problem from None
        finally:
            going.cancel()
            stopping.cancel()
            await asyncio.gather(going, stopping, return_exceptions=True)
            if self._client is not None:
                await _within(HANG_UP_WITHIN, self._client.close())

    def renew(self, cause: str) -> None:
        """Asks for a fresh session: something was lost on this one. Until its pace allows it, this one goes on."""
        self._renewal = self._renewal or cause

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
        attempt = 0
        while True:
            self._worked_ms = 0
            cause = ""
            if self._client is None:
                cause = await self._tried(self._log_in)
                if not cause:
                    await self._on_login(self._application_id)
            if not cause:
                cause = await self._tried(self._connection)
            unseen = (self._ms() - self._reached_at) / 1000
            if unseen > self._timing.unseen_too_long:
                raise GatewayLost(
                    f"The gateway has been out of reach for {unseen:.0f} s (the last attempt: {cause}): this process"
                    " ends, to be started again."
                )
            if self._unanswered >= PATIENCE or unseen > self._timing.resume_within:
                self._session = None
            elif self._session is not None and self._unreached >= PATIENCE:
                self._session = self._session._replace(address=self._address)
            self.counts["reconnects"] += 1
            attempt = 0 if self._worked_ms >= WORKED_MS else attempt + 1
            pause = pause_before(attempt, random.random(), self._timing.longest_pause) if attempt else 0.0
            log.info("the gateway connection is made anew", extra={"cause": cause, "after": f"{pause:.1f} s"})
            await asyncio.sleep(pause)

    async def _tried(self, attempt: Callable[[], Awaitable[None]]) -> str:
        """Makes one attempt; what came of it, empty if it succeeded. What that means for the session is noted."""
        try:
            await attempt()
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
            self._spend()
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
                cause, self._renewal = self._renewal, None
                self._renewed.append(now)
                self.counts["renewals"] += 1
                raise _Ended(cause, resumable=False)

    async def _hang_up(self, heart: Heartbeat) -> None:
        """Closes the connection so that the session can be resumed, if it is to go on, and remembers it."""
        ws, now = self._socket, self._ms()
        self._heart = None
        self._told_late = False
        if heart.opened_at is not None:
            self._worked_ms, self._reached_at = now - heart.opened_at, now
            self._unanswered = self._unreached = 0
        elif heart.interval is not None:
            self._unanswered += 1
        else:
            self._unreached += 1
        _call_ours(self._on_hang_up)
        if ws is not None:
            self._session = ws.session or self._session
            await _within(HANG_UP_WITHIN, ws.close(1000 if self._stopping.is_set() else 4000))

    # --- what comes in, and when ---

    def _hear(self, heart: Heartbeat, received: object) -> None:
        _call_ours(self._take, heart, received)

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
                self._now(),
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
            try:
                await asyncio.sleep(min(wait_ms / 1000, ASK_LIMIT_EVERY))
            finally:
                self.waits = False
                self._reached_at += self._ms() - waiting_since

    async def _start_limit(self) -> StartLimit | None:
        """What Discord says of how many IDENTIFYs are left, if it answers; raises GatewayRefused for the token."""
        try:
            return StartLimit.of(await self._ask("/gateway/bot"))
        except discord.HTTPException as problem:
            if problem.status == 401:
                raise GatewayRefused(TOKEN_REFUSED) from None
        except Exception:  # noqa: BLE001 (whatever else comes of it is no answer)
            log.debug("Discord does not say how many IDENTIFYs are left")
        return None

    def _spent_today(self) -> list[int]:
        """When this shard sent IDENTIFYs in the last day; what a wrong clock noted for the future does not count."""
        now = self._now()
        spent = (*self._spent_before, *map(self._clock.at, self._spent))
        return sorted(moment for moment in spent if now - DAY_MS < moment <= now)

    def _spend(self) -> None:
        now = self._ms()
        self._spent = [*(moment for moment in self._spent if now - moment < DAY_MS), now]
        self.counts["identifies"] += 1
        _call_ours(self._note_spent, json.dumps(self._spent_today(), separators=(",", ":")))


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
    with contextlib.suppress(asyncio.TimeoutError, aiohttp.ClientError, OSError, RuntimeError):
        await asyncio.wait_for(act, seconds)


def _prepare(settings: Settings) -> None:
    """Points discord.py at another Discord if the settings say so, and keeps its log clean."""
    if settings.api_url:
        discord.http.Route.BASE = settings.api_url
    discord.VoiceClient.warn_nacl = discord.VoiceClient.warn_dave = False  # nobody speaks here
    # Below `info` discord.py writes whole frames, with everyone's ids and names, into the log.
    logging.getLogger("discord").setLevel(max(logging.INFO, logging.getLogger().getEffectiveLevel()))
