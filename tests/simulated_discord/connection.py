"""One WebSocket connection: an outbox that keeps the order, and the task that empties it."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from aiohttp import web

from tests.simulated_discord.encoding import Encoding


@dataclass(frozen=True)
class Close:
    """Stands in the outbox where the connection is to be closed."""

    code: int


class Connection:
    """Sends texts, raw bytes and a Close in the order given, and calls what stands between; holds everything back while
    `pause()`d."""

    def __init__(self, number: int, ws: web.WebSocketResponse, request: web.Request, encoding: Encoding) -> None:
        self.number = number
        self.ws = ws
        self.encoding = encoding
        self.shard: tuple[int, int] | None = None
        self.session_id: str | None = None
        self.closing = False
        self.acks_to_lose = 0
        self._frames: deque[float] = deque()
        self._request = request
        self._outbox: deque[str | bytes | Close | Callable[[], object]] = deque()
        self._wake = asyncio.Event()
        self._flowing = asyncio.Event()
        self._flowing.set()

    def send(self, message: str | bytes | Close | Callable[[], object]) -> None:
        """Puts one message behind those that wait: text is encoded for this connection, bytes go as they are, and a
        function is called when all before it is on the wire."""
        self.closing = self.closing or isinstance(message, Close)
        self._outbox.append(message)
        self._wake.set()

    def too_many(self, per_minute: int) -> bool:
        """Counts one frame of the client; True if there were more than that many within a minute."""
        now = time.monotonic()
        self._frames.append(now)
        while self._frames[0] < now - 60:
            self._frames.popleft()
        return len(self._frames) > per_minute

    def pause(self, paused: bool) -> None:
        """Stops or starts sending; what is sent meanwhile waits."""
        if paused:
            self._flowing.clear()
        else:
            self._flowing.set()

    def abort(self) -> None:
        """Resets the TCP connection: what waits is lost, the peer reads ECONNRESET."""
        if self._request.transport is not None:
            reset_tcp(self._request.transport)

    async def write(self) -> None:
        """Empties the outbox until a Close stood in it or the connection is gone."""
        with contextlib.suppress(ConnectionError, RuntimeError):
            while not self.ws.closed:
                await self._wake.wait()
                self._wake.clear()
                while self._outbox:
                    await self._flowing.wait()
                    message = self._outbox.popleft()
                    if isinstance(message, Close):
                        await self.ws.close(code=message.code)
                        return
                    if callable(message):
                        message()
                    else:
                        await self._write_one(message)

    async def _write_one(self, message: str | bytes) -> None:
        encoded = self.encoding.encode(message) if isinstance(message, str) else message
        if isinstance(encoded, bytes):
            await self.ws.send_bytes(encoded)
        else:
            await self.ws.send_str(encoded)


def reset_tcp(transport: asyncio.Transport) -> None:
    """What waits is lost, and the peer reads ECONNRESET."""
    raw: socket.socket | None = transport.get_extra_info("socket")
    if raw is not None:
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()
