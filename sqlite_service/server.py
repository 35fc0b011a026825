"""gunicorn as this service uses it: one worker process with threads, which no slow client can take from the others."""

from __future__ import annotations

import ctypes
import io
import logging
import select
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

from flask import Flask
from gunicorn.app.base import BaseApplication
from gunicorn.glogging import Logger
from gunicorn.http.wsgi import create
from gunicorn.util import close_graceful
from gunicorn.workers import gthread

from sqlite_service.app import create_app
from sqlite_service.data_api import Lifecycle
from sqlite_service.engine import Engine
from sqlite_service.repeats import KnownHeads, Response, head_of
from sqlite_service.settings import Settings

log = logging.getLogger("sqlite_service")


THREADS = 64
_CONNECTIONS = 512
_KEEPALIVE_SECONDS = 75
_GRACE_SECONDS = 25
_ANSWER_SECONDS = 60.0
_BACKUP_SECONDS = 3600.0
_PRESSED_SECONDS = 1.0
_FIRST_BYTE_SECONDS = 0.05
_NEXT_REQUEST_MS = 5
_PACKET_BYTES = 256 * 1024
_DRAIN_BYTES = 64 * 1024 * 1024
_PR_SET_PDEATHSIG = 1


class Patience(Lifecycle):
    """Knows each connection that a thread is busy with, and until when; shuts down those that are overdue.

    A client has `read_seconds` to send its request whole, one second while half of the threads are reading
    or the service is stopping.
    """

    def __init__(self, read_seconds: float, threads: int) -> None:
        self._read_seconds = read_seconds
        self._threads = threads
        self._lock = threading.Lock()
        self._reading: dict[socket.socket, float] = {}
        self._answering: dict[socket.socket, float] = {}

    def begin(self, connection: socket.socket) -> None:
        """A thread starts to read a request."""
        with self._lock:
            self._reading[connection] = time.monotonic()

    def body_read(self, environ: dict[str, Any]) -> None:
        """The request is here; what remains is to answer it."""
        self._answer_within(environ["gunicorn.socket"], _ANSWER_SECONDS)

    def headers_read(self, connection: socket.socket, path: str) -> None:
        """The headers are here; a request that the application answers without its body has nothing more to send."""
        if path == "/db/backup":
            self._answer_within(connection, _BACKUP_SECONDS)

    def _answer_within(self, connection: socket.socket, seconds: float) -> None:
        with self._lock:
            self._reading.pop(connection, None)
            self._answering[connection] = time.monotonic() + seconds

    def end(self, connection: socket.socket) -> None:
        """The thread is free again."""
        with self._lock:
            self._reading.pop(connection, None)
            self._answering.pop(connection, None)

    def busy(self) -> int:
        """How many requests are being read or answered now."""
        return len(self._reading) + len(self._answering)

    def cut_overdue(self) -> None:
        """Ends the connections whose time is over; their threads find the socket closed."""
        now = time.monotonic()
        with self._lock:
            pressed = self.draining or len(self._reading) * 2 >= self._threads
            since = now - (_PRESSED_SECONDS if pressed else self._read_seconds)
            overdue = [connection for connection, began in self._reading.items() if began < since]
            overdue += [connection for connection, until in self._answering.items() if until < now]
        for connection in overdue:
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                self.end(connection)


class Worker(gthread.ThreadWorker):  # type: ignore[misc]
    """gunicorn's threaded worker with Patience, and with the same gentle end for every signal."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._heads = KnownHeads()

    @property
    def patience(self) -> Patience:
        """Set by the application before the worker starts."""
        return self.app.patience  # type: ignore[no-any-return]

    def handle(self, conn: Any) -> Any:
        """One request on a connection; a new connection that says nothing goes back to the poller at once."""
        if not (conn.initialized or conn.data_ready or conn.wait_for_data(_FIRST_BYTE_SECONDS)):
            return gthread._DEFER
        conn.sock.setblocking(True)
        conn.init()
        while True:
            self.patience.begin(conn.sock)
            try:
                kept = self._one_request(conn)
            finally:
                self.patience.end(conn.sock)
            if not kept:
                # gunicorn would wait for the client's end of it in its one loop, where everyone else waits too.
                close_graceful(conn.sock, max_drain=_DRAIN_BYTES)
                conn.close = _closed_already
            if kept is not True or not self.alive or not self._more_soon(conn):
                return kept

    def _one_request(self, conn: Any) -> Any:
        """Answers the connection's next request: in gunicorn's way, unless its head is known."""
        conn.head = None
        if not conn.parser.unreader.buf.getvalue():
            try:
                received = conn.sock.recv(_PACKET_BYTES)
                conn.head = head_of(received)
                environ = None if conn.head is None else self._heads.environ(conn.head)
                if environ is not None:
                    received += _rest(conn.sock, conn.head.end - len(received))
            except OSError:
                return False
            if environ is not None and len(received) == conn.head.end:
                return self._answer(conn, environ, received[conn.head.body_at :])
            conn.parser.unreader.unread(received)
        return super().handle(conn)

    def _answer(self, conn: Any, environ: dict[str, Any], body: bytes) -> bool:
        """The application's answer to a request whose head is known; True if the connection is kept."""
        environ.update({"REMOTE_ADDR": conn.client[0], "gunicorn.socket": conn.sock, "wsgi.input": io.BytesIO(body)})
        response = Response()
        try:
            answer = self.wsgi(environ, response.start_response)
            keep = bool(self.alive and len(self.keepalived_conns) < self.max_keepalived)
            packet = response.packet(answer, keep=keep)
        except Exception as problem:  # noqa: BLE001 - as gunicorn does: logged, and a 500
            self.handle_error(None, conn.sock, conn.client, problem)
            return False
        try:
            conn.sock.sendall(packet)
        except OSError:
            return False
        return keep

    def _more_soon(self, conn: Any) -> bool:
        """Whether the next request is here already or about to be: staying with a busy connection spares its way
        through gunicorn's poller, which costs more than the request."""
        if conn.parser.unreader.buf.getvalue():
            return False
        if self.patience.busy() * 2 > THREADS:
            return False
        poll = select.poll()
        poll.register(conn.sock, select.POLLIN)
        return bool(poll.poll(_NEXT_REQUEST_MS))

    def handle_request(self, req: Any, conn: Any) -> Any:
        """The application's answer to a request whose headers have arrived."""
        self.patience.headers_read(conn.sock, req.path)
        if conn.head is not None:
            self._heads.learn(conn.head, req, lambda: create(req, conn.sock, conn.client, conn.server, self.cfg)[1])
        return super().handle_request(req, conn)

    def wait_for_and_dispatch_events(self, timeout: float) -> None:
        """gunicorn's loop, about once a second at least; a stopping one waits for no connection that says nothing."""
        super().wait_for_and_dispatch_events(timeout)
        self.patience.cut_overdue()
        if not self.alive:
            for conn in self.pending_conns:
                conn.timeout = 0.0
            self.murder_pending()

    def handle_exit(self, sig: int, frame: Any) -> None:
        """SIGTERM: answers what is in flight, takes nothing new."""
        self.patience.draining = True
        super().handle_exit(sig, frame)

    def handle_quit(self, sig: int, frame: Any) -> None:
        """SIGINT (Ctrl-C reaches every process of a terminal) and SIGQUIT end it no less gently."""
        self.handle_exit(sig, frame)


class _Log(Logger):  # type: ignore[misc]
    """gunicorn's messages in this program's own log."""

    def setup(self, cfg: Any) -> None:
        super().setup(cfg)
        self.error_log.handlers.clear()
        self.error_log.propagate = True


class Server(BaseApplication):  # type: ignore[misc]
    """The service on a listening socket; `run` returns by SystemExit when it has ended."""

    def __init__(self, settings: Settings, listener: socket.socket, announce: Callable[[], None]) -> None:
        self._settings = settings
        self._listener = listener
        self._announce = announce
        self._engine: Engine | None = None
        self.patience = Patience(settings.read_seconds, THREADS)
        super().__init__()

    def load_config(self) -> None:
        """gunicorn's settings; its own command line and files are not read."""
        for name, value in {
            "bind": f"fd://{self._listener.fileno()}",
            "workers": 1,
            "threads": THREADS,
            "worker_class": Worker,
            "worker_connections": _CONNECTIONS,
            "keepalive": _KEEPALIVE_SECONDS,
            "graceful_timeout": _GRACE_SECONDS,
            "timeout": 60,
            "loglevel": "warning",
            "logger_class": _Log,
            "control_socket_disable": True,
            "forwarded_allow_ips": "",
            "post_fork": lambda _arbiter, _worker: _die_with_parent(),
            "post_worker_init": lambda _worker: self._announce(),
            "worker_exit": lambda _arbiter, _worker: self._close(),
        }.items():
            self.cfg.set(name, value)

    def load(self) -> Flask:
        """Opens the engine and makes the application; called in the worker process."""
        self._engine = Engine(self._settings.file, request_seconds=self._settings.statement_seconds)
        return create_app(self._engine, self._settings, self.patience)

    def _close(self) -> None:
        if self._engine is not None:
            self._engine.close()


def _rest(connection: socket.socket, count: int) -> bytes:
    """That many bytes more; fewer if the client ends, none if they are so many that gunicorn may read them."""
    pieces = []
    while 0 < count <= _PACKET_BYTES and (piece := connection.recv(count)):
        pieces.append(piece)
        count -= len(piece)
    return b"".join(pieces)


def _closed_already(graceful: bool = False) -> None:
    """A closed connection's `close`."""


def _die_with_parent() -> None:
    """On Linux a killed master takes its worker along, so that file and port are free for the next start."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
