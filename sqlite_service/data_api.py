"""The data API, straight from WSGI's environ to an answer: no Flask here, see DESIGN.md, "What a request costs".

https://rqlite.io/docs/api/api/, https://peps.python.org/pep-3333/
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from sqlite_service.engine import Engine
from sqlite_service.request import BadRequest, Flags, Statement, parse_flags, parse_statements
from sqlite_service.response import Answer, NotJson, render
from sqlite_service.writer import Closed, DiskFull, NotApplied

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

JSON = "application/json; charset=utf-8"
TEXT = "text/plain; charset=utf-8"


class Lifecycle:
    """What the server around the application tells it: whether it is draining; and hears from it."""

    draining = False

    def body_read(self, environ: dict[str, object]) -> None:
        """The whole request of `environ` has arrived."""


class Reply(NamedTuple):
    """An answer that is whole before it is sent."""

    status: int
    body: bytes
    content_type: str = JSON


class _TooLarge(Exception):
    """The body is larger than this service takes."""


PROBLEMS = (BadRequest, _TooLarge, NotApplied, NotJson)
"""What can be wrong with a request as a whole; `refusal` answers it."""


def refusal(problem: Exception) -> Reply:
    """The answer to a request that met one of PROBLEMS."""
    if isinstance(problem, Closed):
        return Reply(503, b"leader not found\n", TEXT)
    if isinstance(problem, BadRequest):
        status = 400
    elif isinstance(problem, _TooLarge):
        status = 413
    else:
        status = 507 if isinstance(problem, DiskFull) else 500
    return Reply(status, f"{problem}\n".encode(), TEXT)


class DataApi:
    """/db/execute, /db/query and /db/request over an open engine; any number of threads may call it."""

    def __init__(self, engine: Engine, lifecycle: Lifecycle, *, body_limit: int) -> None:
        self._engine = engine
        self._lifecycle = lifecycle
        self._body_limit = body_limit
        self._handlers: dict[str, Callable[[WSGIEnvironment, Flags], Answer]] = {
            "/db/execute": self._execute,
            "/db/request": self._request,
            "/db/query": self._query,
        }

    def serves(self, path: str) -> bool:
        """True if the path is one of the data API."""
        return path in self._handlers

    def answer(self, environ: WSGIEnvironment) -> Reply:
        """The answer to one request on a path that it serves, whatever goes wrong."""
        path, method = environ["PATH_INFO"], environ["REQUEST_METHOD"]
        if method != "POST" and (path, method) != ("/db/query", "GET"):
            return Reply(405, b"")
        try:
            flags = parse_flags(environ["QUERY_STRING"])
            started = time.perf_counter()
            answer = self._handlers[path](environ, flags)
            if flags.timings:
                answer = Answer(answer.outcomes, answer.error, time.perf_counter() - started)
            return Reply(200, render(answer, flags))
        except PROBLEMS as problem:
            return refusal(problem)

    def _execute(self, environ: WSGIEnvironment, flags: Flags) -> Answer:
        return self._write(self._statements(environ, raw_text=True), flags, rows_of_reads=False)

    def _request(self, environ: WSGIEnvironment, flags: Flags) -> Answer:
        return self._write(self._statements(environ, raw_text=False), flags, rows_of_reads=True)

    def _write(self, statements: list[Statement], flags: Flags, *, rows_of_reads: bool) -> Answer:
        self._refuse_while_draining()
        return self._engine.execute(
            statements,
            transaction=flags.transaction,
            rows_of_reads=rows_of_reads,
            statement_seconds=flags.db_timeout,
        )

    def _query(self, environ: WSGIEnvironment, flags: Flags) -> Answer:
        if environ["REQUEST_METHOD"] == "POST":
            statements = self._statements(environ, raw_text=True)
        elif flags.sql:
            statements = [Statement(flags.sql)]
        else:
            raise BadRequest("no statements: GET /db/query takes one statement as ?q=")
        self._refuse_while_draining()
        return self._engine.query(statements, transaction=flags.transaction, statement_seconds=flags.db_timeout)

    def _refuse_while_draining(self) -> None:
        if self._lifecycle.draining:
            raise Closed("the service is stopping")

    def _statements(self, environ: WSGIEnvironment, *, raw_text: bool) -> list[Statement]:
        body = self._body(environ)
        if raw_text and environ.get("CONTENT_TYPE", "").startswith("text/plain"):
            return [Statement(body.decode("utf-8", "replace"))]
        return parse_statements(body)

    def _body(self, environ: WSGIEnvironment) -> bytes:
        """The whole body, which gunicorn ends at its length or last chunk."""
        length = int(environ.get("CONTENT_LENGTH") or -1)
        if length > self._body_limit:
            raise self._too_large()
        body: bytes = environ["wsgi.input"].read(self._body_limit + 1)
        if len(body) > self._body_limit:
            raise self._too_large()
        if len(body) < length:
            raise BadRequest("the request ended early")
        self._lifecycle.body_read(environ)
        return body

    def _too_large(self) -> _TooLarge:
        return _TooLarge(f"request body too large: at most {self._body_limit} bytes")
