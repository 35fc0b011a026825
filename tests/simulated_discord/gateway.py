"""The gateway: connections, sessions, and who is told what. https://discord.com/developers/docs/events/gateway"""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from itertools import count
from typing import Any

from aiohttp import WSMsgType, web

from tests.simulated_discord import handshake, payloads
from tests.simulated_discord.connection import Close, Connection, reset_tcp
from tests.simulated_discord.dispatches import dispatch_of, guild_create
from tests.simulated_discord.encoding import Plain, encoding_for
from tests.simulated_discord.faults import Faults
from tests.simulated_discord.handshake import Identify, Refused
from tests.simulated_discord.history import History
from tests.simulated_discord.identity import Identity
from tests.simulated_discord.model import Change
from tests.simulated_discord.session import Session
from tests.simulated_discord.snowflakes import shard_of
from tests.simulated_discord.world import World

RECONNECT = '{"op":7,"d":null,"t":null,"s":null}'
HEARTBEAT_ACK = '{"op":11,"d":null,"t":null,"s":null}'

# A client that went away can resume for so long (Discord does not say how long; minutes are what is seen).
_RESUMABLE_SECONDS = 180.0
# Guilds sent after READY before other connections get a turn.
_GUILDS_AT_ONCE = 20
_FRAMES_PER_MINUTE = 120


class Gateway:
    """Answers WebSocket clients and tells every session what changes in the world."""

    def __init__(
        self,
        identity: Identity,
        world: World,
        faults: Faults,
        history: History,
        *,
        seed: int,
        shards: int,
        heartbeat_interval: int,
        replay_limit: int,
        privileged_intents: bool,
        session_starts: int,
        reset_after: int,
        max_concurrency: int,
        identify_interval: int,
    ) -> None:
        self.url = ""
        self.shards = shards
        self.session_starts, self.reset_after, self.max_concurrency = session_starts, reset_after, max_concurrency
        self.connections: set[Connection] = set()
        self.sessions: dict[str, Session] = {}
        self.identifies = self.resumes = self.dispatched = 0
        self._identity, self._world, self._faults, self._history = identity, world, faults, history
        self._heartbeat_interval = heartbeat_interval
        self._identify_interval = identify_interval / 1000
        self._identified_at: dict[int, float] = {}
        self._replay_limit = replay_limit
        self._privileged = privileged_intents
        self._random = random.Random(f"gateway {seed}")
        self._numbers = count(1)
        self._greetings: set[asyncio.Task[None]] = set()
        self.once: list[tuple[str, str]] = []
        """Faults that wait for the next connection that comes so far: phase and what."""

    # The world changes

    def tell(self, change: Change) -> None:
        """Dispatches one change to every session that may see it; returns before it is on the wire."""
        if self._faults.lose:
            return
        dispatch = dispatch_of(change, self._world, self._identity.bot, self._faults)
        if dispatch is None:
            return
        for session in self.sessions.values():
            if not session.intents & dispatch.intent:
                continue
            if shard_of(dispatch.guild_id, session.shard[1]) != session.shard[0]:
                continue
            if dispatch.guild_id in session.awaited and dispatch.name != "GUILD_DELETE":
                continue  # its GUILD_CREATE is still to come and will show it
            session.awaited.discard(dispatch.guild_id)
            if self._faults.drop:
                session.drop()
                continue
            session.dispatch(dispatch.name, dispatch.data, duplicate=self._faults.duplicate)
            self.dispatched += 1

    # A client connects

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """One connection from its upgrade to its end."""
        if self._faults.upgrade_status is not None:
            return web.Response(status=self._faults.upgrade_status, text="upstream connect error")
        if (what := self._due("accept")) is not None:
            await _go_no_further(request, reset=what == "reset")
        encoding = encoding_for(request.query.get("compress"))
        if encoding is None or request.query.get("encoding", "json") != "json":
            return web.Response(status=400, text="this encoding or compression is not offered here")
        ws = web.WebSocketResponse(timeout=1.0, max_msg_size=0, compress=False)
        await ws.prepare(request)
        connection = Connection(next(self._numbers), ws, request, encoding)
        connection.pause(self._faults.silent)
        self.connections.add(connection)
        self._note(connection, "connected")
        writer = asyncio.create_task(connection.write())
        try:
            self._greet(connection, request.query.get("v", "10"))
            await self._read(connection)
        finally:
            self.connections.discard(connection)
            self._detach(connection, ws.close_code)
            if not connection.closing:
                writer.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await writer
        return ws

    def _greet(self, connection: Connection, version: str) -> None:
        if self._reach(connection, "upgrade"):
            return
        instead = self._faults.before_hello
        if instead == "abort":
            connection.abort()
        elif instead == "reconnect":
            connection.send(RECONNECT)
        elif instead is not None:
            connection.send(Close(int(instead)))
        elif version not in ("9", "10"):
            connection.send(Close(handshake.INVALID_VERSION))
        else:
            hello = {
                "op": 10,
                "d": {"heartbeat_interval": self._heartbeat_interval, "_trace": []},
                "t": None,
                "s": None,
            }
            connection.send(payloads.text(hello))
            self._reach(connection, "hello")

    async def _read(self, connection: Connection) -> None:
        patience = 2 * self._heartbeat_interval / 1000
        while True:
            try:
                message = await connection.ws.receive(timeout=patience)
            except asyncio.TimeoutError:
                connection.send(Close(handshake.TIMED_OUT))
                continue
            if message.type not in (WSMsgType.TEXT, WSMsgType.BINARY):
                return
            if connection.closing:
                continue
            try:
                self._on_frame(connection, message.data)
            except Refused as refused:
                self._note(connection, "refused", code=refused.code, why=str(refused))
                connection.send(Close(refused.code))

    def _on_frame(self, connection: Connection, frame: str | bytes) -> None:
        opcode, data = handshake.read_frame(frame)
        if opcode == handshake.HEARTBEAT:
            if connection.acks_to_lose:
                connection.acks_to_lose -= 1
            elif not self._faults.no_ack:
                connection.send(HEARTBEAT_ACK)
            return
        if connection.too_many(_FRAMES_PER_MINUTE):
            raise Refused(handshake.RATE_LIMITED, "more than 120 frames in a minute")
        if opcode == handshake.IDENTIFY:
            self._on_identify(connection, data)
        elif opcode == handshake.RESUME:
            self._on_resume(connection, data)
        elif opcode not in handshake.IGNORED:
            raise Refused(handshake.UNKNOWN_OPCODE, f"opcode {opcode}")
        elif connection.session_id is None:
            raise Refused(handshake.NOT_AUTHENTICATED, "no IDENTIFY yet")

    def _on_identify(self, connection: Connection, data: Any) -> None:
        if connection.session_id is not None:
            raise Refused(handshake.ALREADY_AUTHENTICATED, "a second IDENTIFY")
        identify = handshake.read_identify(
            data, token=self._identity.bot_token, shards=self.shards, privileged=self._privileged
        )
        if self.identifies >= self.session_starts:
            raise Refused(handshake.AUTHENTICATION_FAILED, "all of a day's sessions were begun: the token is reset")
        self.identifies += 1
        connection.shard = identify.shard
        self._note(connection, "identified", intents=identify.intents)
        if self._too_soon(identify.shard[0] % self.max_concurrency):
            self.invalidate_connection(connection, resumable=False)
            return
        if self._faults.ignore_identify or self._answered(connection, self._faults.identify_answer):
            return
        if self._reach(connection, "identify"):
            return
        if isinstance(connection.encoding, Plain):
            connection.encoding.compress = identify.compress
        greeting = asyncio.create_task(self._welcome(connection, identify))
        self._greetings.add(greeting)
        greeting.add_done_callback(self._greetings.discard)

    def _too_soon(self, key: int) -> bool:
        """Whether a shard with the same key has sent IDENTIFY just now."""
        now = time.monotonic()
        last, self._identified_at[key] = self._identified_at.get(key, -1e9), now
        return now - last < self._identify_interval

    async def _welcome(self, connection: Connection, identify: Identify) -> None:
        if self._faults.ready_delay:
            await asyncio.sleep(self._faults.ready_delay / 1000)
        if connection not in self.connections:
            return
        session = Session(f"{self._random.getrandbits(128):032x}", identify.shard, identify.intents, self._replay_limit)
        self.sessions[session.id] = session
        session.connection, connection.session_id = connection, session.id
        guilds = list(self._world.of_shard(identify.shard))
        session.awaited = {guild.id for guild in guilds}
        session.dispatch("READY", payloads.text(self._ready(session)))
        self._note(connection, "ready")
        self._reach(connection, "ready")
        for number, guild in enumerate(guilds):
            if guild.id in session.awaited and guild.available:
                created = guild_create(guild, self._world, self._identity.bot, self._faults, known=True)
                session.dispatch(created.name, created.data)
                self._reach(connection, "guild")
            session.awaited.discard(guild.id)
            if number % _GUILDS_AT_ONCE == _GUILDS_AT_ONCE - 1:
                await asyncio.sleep(0)

    def _ready(self, session: Session) -> dict[str, Any]:
        return {
            "v": 10,
            "user": {**payloads.user(self._identity.bot), "email": None, "mfa_enabled": True, "verified": True},
            "session_id": session.id,
            "session_type": "normal",
            "resume_gateway_url": self._faults.resume_url or self.url,
            "shard": list(session.shard),
            "guilds": [{"id": str(guild_id), "unavailable": True} for guild_id in session.awaited],
            "application": {"id": str(self._identity.application_id), "flags": 0},
            "private_channels": [],
            "_trace": [],
        }

    def _on_resume(self, connection: Connection, data: Any) -> None:
        resume = handshake.read_resume(data, token=self._identity.bot_token)
        session = self.sessions.get(resume.session_id)
        self.resumes += 1
        connection.shard = session.shard if session else None
        self._note(connection, "resume asked", session=resume.session_id, sequence=resume.sequence)
        if self._faults.ignore_resume or self._answered(connection, self._faults.resume_answer):
            return
        if self._reach(connection, "resume"):
            return
        if session is not None and resume.sequence > session.sequence:
            raise Refused(handshake.INVALID_SEQUENCE, "a sequence number from the future")
        if session is None or not session.can_replay(resume.sequence):
            self.sessions.pop(resume.session_id, None)
            self.invalidate_connection(connection, resumable=False)
            return
        if session.connection is not None:
            session.connection.session_id = None
            session.connection.send(Close(4000))
        if session.expiry is not None:
            session.expiry.cancel()
        session.connection, connection.session_id = connection, session.id
        replayed = session.replay(resume.sequence, lambda: self._reach(connection, "replay"))
        session.dispatch("RESUMED", '{"_trace":[]}')
        self._note(connection, "resumed", replayed=replayed)
        self._reach(connection, "resumed")

    def _due(self, phase: str) -> str | None:
        """The fault that waits for this phase, which is not to happen again."""
        fault = next((fault for fault in self.once if fault[0] == phase), None)
        if fault is None:
            return None
        self.once.remove(fault)
        self._history.add("fault", what=f"{fault[1]} at {phase}", shard=None)
        return fault[1]

    def _reach(self, connection: Connection, phase: str) -> bool:
        """The connection has come so far; True if a fault waited for it that ends or silences it."""
        what = self._due(phase)
        if what == "lost ack":
            connection.acks_to_lose += 1
        elif what == "reset":
            connection.send(connection.abort)
        elif what == "close":
            connection.send(Close(4000))
        elif what == "op 7":
            connection.send(RECONNECT)
        elif what == "silence":
            connection.send(lambda: connection.pause(True))
        elif what is not None:
            self.invalidate_connection(connection, resumable=what == "op 9 true")
        return what not in (None, "lost ack")

    def _answered(self, connection: Connection, answer: bool | int | None) -> bool:
        if answer is None:
            return False
        if isinstance(answer, bool):
            self.invalidate_connection(connection, resumable=answer)
        else:
            connection.send(Close(answer))
        return True

    # Connections and sessions end

    def invalidate_connection(self, connection: Connection, *, resumable: bool) -> None:
        """Op 9; a session that is not resumable is forgotten, and neither gets anything more on this connection."""
        session = self.sessions.get(connection.session_id or "")
        if session is not None:
            session.connection = connection.session_id = None
            self._forget_later(session)
            if not resumable:
                del self.sessions[session.id]
        connection.send(f'{{"op":9,"d":{"true" if resumable else "false"},"t":null,"s":null}}')

    def _detach(self, connection: Connection, close_code: int | None) -> None:
        self._note(connection, "disconnected", code=close_code)
        session = self.sessions.get(connection.session_id or "")
        if session is None or session.connection is not connection:
            return
        session.connection = None
        if close_code in (1000, 1001) and not connection.closing:
            del self.sessions[session.id]  # the client said good-bye
        else:
            self._forget_later(session)

    def _forget_later(self, session: Session) -> None:
        loop = asyncio.get_running_loop()
        session.expiry = loop.call_later(_RESUMABLE_SECONDS, self.sessions.pop, session.id, None)

    def connected_shards(self) -> set[int]:
        """Shards of which some session is connected and has all its guilds."""
        return {one.shard[0] for one in self.sessions.values() if one.connection is not None and not one.awaited}

    def a_guild_of(self, session: Session) -> int:
        """The first guild that the session is told about, or 0."""
        return next((guild.id for guild in self._world.of_shard(session.shard)), 0)

    async def shut_down(self) -> None:
        """Closes every connection."""
        for greeting in self._greetings:
            greeting.cancel()
        for connection in list(self.connections):
            connection.pause(False)
            connection.send(Close(1001))

    def _note(self, connection: Connection, what: str, **fields: Any) -> None:
        self._history.add(
            "session",
            what=what,
            connection=connection.number,
            shard=None if connection.shard is None else connection.shard[0],
            session_id=connection.session_id,
            **fields,
        )


async def _go_no_further(request: web.Request, *, reset: bool) -> None:
    """The TCP connection stands, and its upgrade is not answered: a reset, or nothing until the client goes."""
    while (transport := request.transport) is not None and not transport.is_closing():
        if reset:
            reset_tcp(transport)
        await asyncio.sleep(0.01)
