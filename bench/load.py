"""A cheap load generator: many prepared HTTP requests over a few keep-alive connections, from one thread.

It parses no more of an answer than where it ends and its status, so that the machine is left to what is measured.
"""

from __future__ import annotations

import re
import selectors
import socket
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from urllib.parse import urlsplit

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_CHUNKED = re.compile(rb"\r\ntransfer-encoding: *chunked", re.IGNORECASE)
_CLOSES = re.compile(rb"\r\nconnection: *close", re.IGNORECASE)


@dataclass
class Load:
    """What became of the requests: seconds in all, seconds of each answer, how often each status came."""

    seconds: float = 0.0
    latencies: list[float] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)
    last_body: bytes = b""

    @property
    def rate(self) -> float:
        """Answers per second."""
        return len(self.latencies) / self.seconds


def post(url: str, body: bytes, headers: dict[str, str] | None = None) -> bytes:
    """One POST as the bytes that go over the wire."""
    parts = urlsplit(url)
    path = parts.path + (f"?{parts.query}" if parts.query else "")
    lines = [
        f"POST {path} HTTP/1.1",
        f"Host: {parts.netloc}",
        "Content-Type: application/json",
        f"Content-Length: {len(body)}",
        *(f"{name}: {value}" for name, value in (headers or {}).items()),
    ]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def send_all(url: str, requests: Sequence[bytes], connections: int) -> Load:
    """Sends every request once, each connection its next when the answer is there; raises if a connection breaks."""
    parts = urlsplit(url)
    address = (parts.hostname or "", parts.port or 80)
    load = Load()
    waiting = iter(requests)
    with selectors.DefaultSelector() as selector:
        open_connections = [_Connection(address, selector) for _ in range(min(connections, len(requests)))]
        started = time.perf_counter()
        open_count = sum(connection.send_next(waiting) for connection in open_connections)
        while open_count:
            for key, _ in selector.select(timeout=30) or _gave_up():
                connection: _Connection = key.data
                if connection.receive(load) and not connection.send_next(waiting):
                    open_count -= 1
        load.seconds = time.perf_counter() - started
        for connection in open_connections:
            connection.socket.close()
    return load


def _gave_up() -> Iterator[tuple[selectors.SelectorKey, int]]:
    raise TimeoutError("no answer for 30 s")


class _Connection:
    """One keep-alive connection with at most one request under way."""

    def __init__(self, address: tuple[str, int], selector: selectors.BaseSelector) -> None:
        self._address = address
        self._selector = selector
        self._received = b""
        self._sent_at = 0.0
        self._open()

    def _open(self) -> None:
        self.socket = socket.create_connection(self._address, timeout=10)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._selector.register(self.socket, selectors.EVENT_READ, self)

    def _reopen(self) -> None:
        self._selector.unregister(self.socket)
        self.socket.close()
        self._open()

    def send_next(self, waiting: Iterator[bytes]) -> bool:
        """Sends the next request; False if there is none."""
        request = next(waiting, None)
        if request is None:
            self._selector.unregister(self.socket)
            return False
        self._sent_at = time.perf_counter()
        self.socket.sendall(request)
        return True

    def receive(self, load: Load) -> bool:
        """Takes what came; True if the answer is complete and counted."""
        piece = self.socket.recv(65536)
        if not piece:
            raise ConnectionError("the server closed the connection before its answer was complete")
        self._received += piece
        head, separator, body = self._received.partition(b"\r\n\r\n")
        if not separator or not _is_complete(head, body):
            return False
        load.latencies.append(time.perf_counter() - self._sent_at)
        load.statuses[int(head[9:12])] += 1
        load.last_body, self._received = body, b""
        if _CLOSES.search(head):
            self._reopen()
        return True


def _is_complete(head: bytes, body: bytes) -> bool:
    if _CHUNKED.search(head):
        return body.endswith(b"0\r\n\r\n")
    length = _LENGTH.search(head)
    return len(body) >= (int(length[1]) if length else 0)
