"""Requests whose head gunicorn has parsed before, answered from the memory of that parse. No threads here.

A client sends the same head again and again, but for its Content-Length. gunicorn's parser reads it in Python,
header by header, which takes longer than the write it asks for; the same bytes cannot come to mean anything else.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from email.utils import formatdate
from functools import lru_cache
from typing import Any

_LENGTH = re.compile(rb"\r\nContent-Length: *([0-9]{1,9})\r\n", re.IGNORECASE)
_LONGEST_HEAD = 4096
_HEADS = 256
_OWN = ("CONTENT_LENGTH", "REMOTE_ADDR", "REMOTE_PORT", "gunicorn.socket", "wsgi.early_hints", "wsgi.input")
"""What belongs to one request or one connection, not to all with this head."""


@dataclass(frozen=True, slots=True)
class Head:
    """The head that some bytes begin with: all of it but its Content-Length's line, which stands apart."""

    key: bytes
    body_at: int
    length: int

    @property
    def end(self) -> int:
        """Where the request ends, in bytes from its beginning."""
        return self.body_at + self.length


def head_of(received: bytes) -> Head | None:
    """The head of a POST with one Content-Length, once it is there whole."""
    end = received.find(b"\r\n\r\n", 0, _LONGEST_HEAD)
    if end < 0 or not received.startswith(b"POST "):
        return None
    line = _LENGTH.search(received, 0, end + 2)
    if line is None:
        return None
    return Head(received[: line.start()] + received[line.end() - 2 : end], end + 4, int(line[1]))


class KnownHeads:
    """X any number of threads may use it."""

    def __init__(self) -> None:
        self._environs: dict[bytes, dict[str, Any]] = {}

    def environ(self, head: Head) -> dict[str, Any] | None:
        """WSGI's environ for a request with this head, without what is its own; None if the head is not known."""
        known = self._environs.get(head.key)
        return None if known is None else {**known, "CONTENT_LENGTH": str(head.length)}

    def learn(self, head: Head, request: Any, environ: Callable[[], dict[str, Any]]) -> None:
        """Remembers gunicorn's request with this head and the environ of it; not if it asks for more than an answer."""
        names = [name for name, _ in request.headers]
        if (
            request.version == (1, 1)
            and names.count("CONTENT-LENGTH") == 1
            and not {"EXPECT", "TRANSFER-ENCODING", "UPGRADE"} & set(names)
            and not request.should_close()
        ):
            if len(self._environs) >= _HEADS:
                self._environs.clear()
            self._environs[head.key] = {name: value for name, value in environ().items() if name not in _OWN}


class Response:
    """WSGI's side of one answer, which is sent as one packet."""

    def __init__(self) -> None:
        self._head = ""

    def start_response(
        self, status: str, headers: list[tuple[str, str]], exc_info: object = None
    ) -> Callable[..., Any]:
        """https://peps.python.org/pep-3333/#the-start-response-callable; nothing here writes in pieces."""
        self._head = f"HTTP/1.1 {status}\r\n" + "".join([f"{name}: {value}\r\n" for name, value in headers])
        return _no_pieces

    def packet(self, body: Iterable[bytes], *, keep: bool) -> bytes:
        """The answer as it goes over the wire; the application has given its Content-Length."""
        whole = b"".join(body)
        if hasattr(body, "close"):
            body.close()
        connection = "keep-alive" if keep else "close"
        head = f"{self._head}Server: gunicorn\r\nDate: {_date(int(time.time()))}\r\nConnection: {connection}\r\n\r\n"
        return head.encode("latin-1") + whole


@lru_cache(maxsize=2)
def _date(second: int) -> str:
    return formatdate(second, usegmt=True)


def _no_pieces(_piece: bytes) -> None:
    raise NotImplementedError("the answer's body is what the application returns")
