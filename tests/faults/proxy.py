"""A TCP proxy between client and SQLite service that does to single requests what networks and services do.

It understands just enough HTTP to see where requests and answers end, so a fault is chosen request by request.
"""

from __future__ import annotations

import asyncio
import socket
import struct
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto
from types import TracebackType
from urllib.parse import urlsplit

from tests.accepting import Acceptor

LEADERSHIP_LOST = b'{"results":[],"error":"leadership lost while committing log"}'


class Do(Enum):
    """What happens to a request."""

    PASS = auto()
    RESET = auto()  # the connection is reset and nothing was applied
    HANG = auto()  # nothing is applied and nothing is answered
    HANG_AFTER = auto()  # it is applied, and nothing is answered
    DRIP = auto()  # it is applied, and the answer comes one byte at a time, `seconds` apart
    DRIP_HEADERS = auto()  # the same from the first byte of the status line on
    CUT = auto()  # it is applied, and the answer is cut after `size` bytes
    SWALLOW = auto()  # it is applied, and the connection closed without an answer
    FAIL_BEFORE = auto()  # nothing is applied; 200 with a request-level error
    FAIL_AFTER = auto()  # it is applied; 200 with a request-level error
    TWICE = auto()  # it is applied twice
    STATUS = auto()  # nothing is applied; `status`, with Retry-After: 3600
    GARBAGE = auto()  # nothing is applied; 200 with a body that is no JSON
    CLOSE_IDLE = auto()  # it is applied and answered, and the connection closed behind the answer without a word


@dataclass(frozen=True)
class Fault:
    do: Do = Do.PASS
    seconds: float = 0.1
    size: int = 20
    status: int = 503


PASS = Fault()
Plan = Callable[[str], Fault]


@dataclass
class Message:
    start: bytes
    headers: bytes
    body: bytes

    @property
    def whole(self) -> bytes:
        return self.start + self.headers + self.body


class FaultProxy:
    """Listens at `url`. `plan` is asked for each request, by its path, what to do to it; replace it at will."""

    def __init__(self, upstream: str, plan: Plan = lambda path: PASS) -> None:
        parts = urlsplit(upstream)
        self._upstream = (parts.hostname or "127.0.0.1", parts.port or 80)
        self.plan = plan
        self.poison = b""  # requests whose body holds this are reset, whatever the plan
        self.done: Counter[Do] = Counter()
        self.connections = 0
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="fault proxy", daemon=True)
        self._acceptor: Acceptor | None = None
        self.port = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> FaultProxy:
        self._thread.start()
        self.listen()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._run(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def listen(self) -> None:
        """Takes connections, always on the same port."""
        self._run(self._listen())

    def refuse(self) -> None:
        """Connections are refused, and those that stand are closed, until `listen`."""
        self._run(self._refuse())

    def _run(self, coroutine: object) -> None:
        asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(20)  # type: ignore[arg-type]

    async def _listen(self) -> None:
        if self._acceptor is None:
            self._acceptor = Acceptor("127.0.0.1", 0, self._serve)
            self.port = self._acceptor.number
        self._acceptor.accept()

    async def _refuse(self) -> None:
        assert self._acceptor is not None
        self._acceptor.refuse()
        await self._acceptor.drop()

    async def _close(self) -> None:
        assert self._acceptor is not None
        await self._acceptor.close()

    def _next(self) -> tuple[str, int]:
        """Where the next connection goes."""
        return self._upstream

    async def _serve(self, connection: socket.socket) -> None:
        self.connections += 1
        writers: list[asyncio.StreamWriter] = []
        try:
            reader, writer = await asyncio.open_connection(sock=connection, limit=2**26)
            writers.append(writer)
            answers, upstream = await asyncio.open_connection(*self._next(), limit=2**26)
            writers.append(upstream)
            while (request := await _message(reader)) is not None:
                fault = self.plan(request.start.split(b" ")[1].decode())
                if self.poison and self.poison in request.body:
                    fault = Fault(Do.RESET)
                self.done[fault.do] += 1
                if not await _carry_out(fault, request, answers, upstream, writer):
                    break
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            for one in writers:
                one.close()
                try:
                    await one.wait_closed()
                except (OSError, asyncio.CancelledError):
                    one.transport.abort()
            if not writers:
                connection.close()


async def _carry_out(
    fault: Fault,
    request: Message,
    answers: asyncio.StreamReader,
    upstream: asyncio.StreamWriter,
    writer: asyncio.StreamWriter,
) -> bool:
    """Does to the request what the fault says; True if the connection stays open."""

    async def apply() -> bytes:
        upstream.write(request.whole)
        answer = await _message(answers)
        if answer is None:
            raise OSError("the service closed the connection")
        return answer.whole

    match fault.do:
        case Do.PASS | Do.CLOSE_IDLE:
            writer.write(await apply())
            await writer.drain()
            return fault.do is Do.PASS
        case Do.TWICE:
            await apply()
            writer.write(await apply())
        case Do.RESET:
            _reset(writer)
            return False
        case Do.HANG:
            await asyncio.sleep(3600)
        case Do.HANG_AFTER:
            await apply()
            await asyncio.sleep(3600)
        case Do.SWALLOW:
            await apply()
            return False
        case Do.CUT:
            writer.write((await apply())[: fault.size])
            return False
        case Do.DRIP | Do.DRIP_HEADERS:
            answer = await apply()
            head = 0 if fault.do is Do.DRIP_HEADERS else answer.index(b"\r\n\r\n") + 4
            writer.write(answer[:head])
            for byte in answer[head:]:
                writer.write(bytes([byte]))
                await writer.drain()
                await asyncio.sleep(fault.seconds)
        case Do.FAIL_BEFORE:
            writer.write(_answer(200, LEADERSHIP_LOST))
        case Do.FAIL_AFTER:
            await apply()
            writer.write(_answer(200, LEADERSHIP_LOST))
        case Do.GARBAGE:
            writer.write(_answer(200, b"<html>It works!</html>"))
        case Do.STATUS:
            writer.write(_answer(fault.status, b"leader not found"))
    await writer.drain()
    return True


def _answer(status: int, body: bytes) -> bytes:
    return b"HTTP/1.1 %d Fault\r\nContent-Length: %d\r\nRetry-After: 3600\r\n\r\n%b" % (status, len(body), body)


def _reset(writer: asyncio.StreamWriter) -> None:
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


async def _message(reader: asyncio.StreamReader) -> Message | None:
    start = await reader.readline()
    if not start:
        return None
    headers = b""
    length = 0
    chunked = False
    while (line := await reader.readline()) not in (b"\r\n", b""):
        headers += line
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            length = int(value)
        chunked |= name.lower() == b"transfer-encoding" and b"chunked" in value
    body = await _chunks(reader) if chunked else await reader.readexactly(length)
    return Message(start, headers + b"\r\n", body)


async def _chunks(reader: asyncio.StreamReader) -> bytes:
    """A chunked body as it came, without trailers, which nobody here sends."""
    body = b""
    while True:
        line = await reader.readline()
        size = int(line, 16)
        body += line + await reader.readexactly(size + 2)
        if not size:
            return body
