"""HTTP to the SQLite service: the only place that knows `requests`. One POST, healed once, within a deadline."""

from __future__ import annotations

import logging
import os
import socket
import threading
import time
from types import TracebackType
from typing import Any, NamedTuple
from urllib.parse import unquote, urlsplit, urlunsplit

import requests
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection
from urllib3.connectionpool import ConnectionPool, HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import HTTPError, ReadTimeoutError
from urllib3.response import BaseHTTPResponse
from urllib3.util.retry import Retry

from db_client.errors import OutcomeUnknown, ServiceUnavailable


class _Healing(Retry):
    """A service that is slow is not asked a second time: it is at work on the first question, and would do both."""

    def increment(
        self,
        method: str | None = None,
        url: str | None = None,
        response: BaseHTTPResponse | None = None,
        error: Exception | None = None,
        _pool: ConnectionPool | None = None,
        _stacktrace: TracebackType | None = None,
    ) -> _Healing:
        """As of any Retry, but for an answer that does not come in time, which is raised."""
        if isinstance(error, ReadTimeoutError):
            raise error
        return super().increment(method, url, response, error, _pool, _stacktrace)


# Heals a refused connection and one that the server closed while it was idle, at once and once; never sleeps and never
# obeys Retry-After, which no deadline bounds. Every write may be sent twice, so POST is safe. Waiting is delivery's.
HEALED_ONCE = _Healing(
    total=1,
    connect=1,
    read=1,
    status=0,
    other=0,
    redirect=0,
    allowed_methods=frozenset({"POST"}),
    backoff_factor=0,
    respect_retry_after_header=False,
    raise_on_status=False,
)
CONNECTS = 2
CONNECT_SECONDS = 1.0
MOST_ANSWER_BYTES = 64 * 1024 * 1024

# urllib3 warns of each connection that it heals; what matters is logged where it is decided, in delivery.
logging.getLogger("urllib3.connectionpool").setLevel(logging.ERROR)


class _Deadline(threading.local):
    """Until when this thread's request may take, by the monotonic clock."""

    at = float("inf")


_deadline = _Deadline()


class BoundedSocket(socket.socket):
    """A socket on which no receive outlasts the deadline, so that neither headers nor a body can be dripped past it."""

    def recv_into(self, buffer: Any, nbytes: int = 0, flags: int = 0) -> int:
        """As of any socket; raises TimeoutError at the deadline."""
        left = _deadline.at - time.monotonic()
        if left <= 0:
            raise TimeoutError("the deadline has passed")
        limit = self.gettimeout()
        if limit is None or limit > left:
            self.settimeout(left)
        return super().recv_into(buffer, nbytes, flags)


class BoundedConnection(HTTPConnection):
    """A connection by such a socket."""

    def _new_conn(self) -> socket.socket:
        plain = super()._new_conn()
        timeout = plain.gettimeout()
        bounded = BoundedSocket(fileno=plain.detach())
        bounded.settimeout(timeout)
        return bounded


class BoundedPool(HTTPConnectionPool):
    """Connections whose answers end by the deadline."""

    ConnectionCls = BoundedConnection


class BoundedAdapter(HTTPAdapter):
    """Heals once, and ends by the deadline. Over TLS only the time of each receive, and the body, are bounded."""

    def __init__(self) -> None:
        super().__init__(max_retries=HEALED_ONCE, pool_connections=1, pool_maxsize=1)
        self.poolmanager.pool_classes_by_scheme = {"http": BoundedPool, "https": HTTPSConnectionPool}


class Answer(NamedTuple):
    """What came back; `from_service` is True if it carries the header that rqlite and the embedded service send."""

    status: int
    body: bytes
    from_service: bool


class _Line(threading.local):
    """A thread's own connection and the requests it sends over it; a forked child makes anew what it inherits."""

    pid = 0
    adapter: BoundedAdapter
    prepared: dict[str, requests.PreparedRequest]


class Transport:
    """POSTs to one base URL. A connection belongs to one thread of one process: a fork and other threads share none.

    What of a request never changes is prepared once, and goes through the adapter without a `requests.Session`, which
    would cost as much again for redirects and cookies that a service of ours does not have.
    """

    def __init__(self, service_url: str) -> None:
        parts = urlsplit(service_url)
        address = parts.netloc.rpartition("@")[2]
        self._base = urlunsplit((parts.scheme, address, parts.path.rstrip("/"), "", ""))
        self._auth = (unquote(parts.username), unquote(parts.password or "")) if parts.username else None
        self._line = _Line()

    def post(self, path: str, body: bytes, *, within: float) -> Answer:
        """The service's answer; raises ServiceUnavailable, or OutcomeUnknown where the body may have been received."""
        deadline = _deadline.at = time.monotonic() + within
        try:
            timeout = (min(CONNECT_SECONDS, within / CONNECTS), within)
            response = self._adapter().send(self._request(path, body), stream=True, timeout=timeout)
            with response:
                return Answer(response.status_code, _read(response, deadline), "X-RQLITE-VERSION" in response.headers)
        except requests.ConnectTimeout as problem:
            raise ServiceUnavailable("connect_timeout") from problem
        except (requests.Timeout, ReadTimeoutError) as problem:
            raise OutcomeUnknown("timeout") from problem
        except requests.ConnectionError as problem:
            raise _connection_failure(problem) from problem
        except (requests.RequestException, HTTPError, OSError) as problem:
            raise OutcomeUnknown("broken_answer") from problem

    def _adapter(self) -> BoundedAdapter:
        line = self._line
        if line.pid != os.getpid():
            line.adapter, line.prepared, line.pid = BoundedAdapter(), {}, os.getpid()
        return line.adapter

    def _request(self, path: str, body: bytes) -> requests.PreparedRequest:
        prepared = self._line.prepared.get(path)
        if prepared is None:
            headers = {"Content-Type": "application/json"}
            asked = requests.Request("POST", self._base + path, headers=headers, data=b"-", auth=self._auth)
            prepared = self._line.prepared[path] = asked.prepare()
        request = prepared.copy()
        request.body = body
        request.headers["Content-Length"] = str(len(body))
        return request


def _read(response: requests.Response, deadline: float) -> bytes:
    """The body, one receive at a time, because a read timeout bounds only each of them."""
    chunks: list[bytes] = []
    size = 0
    while chunk := response.raw.read1(65536, decode_content=True):
        chunks.append(chunk)
        size += len(chunk)
        if time.monotonic() > deadline:
            raise OutcomeUnknown("timeout", "the answer came too slowly")
        if size > MOST_ANSWER_BYTES:
            raise OutcomeUnknown("garbage", "the answer is too long")
    return b"".join(chunks)


def _connection_failure(problem: requests.ConnectionError) -> ServiceUnavailable:
    text = str(problem)
    if "NameResolutionError" in text:
        return ServiceUnavailable("name_resolution")
    if "NewConnectionError" in text or "Connection refused" in text:
        return ServiceUnavailable("refused")
    if "timed out" in text:
        return OutcomeUnknown("timeout")
    return OutcomeUnknown("connection_lost")
