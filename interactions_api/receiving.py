"""What is sent to /interactions, straight from WSGI's environ to an answer: Flask would take longer than all of this
but the signature (bench/README.md). https://peps.python.org/pep-3333/
"""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

from db_client.store import Store
from interactions_api.discord_time import DiscordTime
from interactions_api.endpoint import Endpoint
from interactions_api.interaction import Malformed
from interactions_api.metrics import Metrics
from interactions_api.seldom import Seldom
from interactions_api.settings import Settings
from interactions_api.signature import Signature, Unauthorized
from program import threads

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

PATH = "/interactions"
BODY_LIMIT = 256 * 1024
BUDGET_S = 2.0
"""Our share of the three seconds after which Discord tells the person that we did not respond."""
REFUSALS = {
    "unsigned": "a request without Discord's signature headers was refused",
    "malformed_signature": "a request whose signature headers are malformed was refused",
    "forged": "a request with a wrong signature was refused; Discord sends such to test us, but if nothing else comes"
    " through, DISCORD_PUBLIC_KEY is not this application's",
    "stale": "a request that Discord signed too long ago, or in the future, was refused; is our clock right?",
}


class Reply(NamedTuple):
    """An answer in JSON, whole before it is sent."""

    status: int
    body: bytes


class _BadBody(Exception):
    """The body did not arrive (400), or is too large (413)."""

    def __init__(self, status: int, problem: str) -> None:
        self.status = status
        super().__init__(problem)


class Receiving:
    """Answers requests of any number of threads. `clock` gives milliseconds since 1970 UTC."""

    def __init__(
        self,
        settings: Settings,
        store: Store,
        endpoint: Endpoint,
        metrics: Metrics,
        clock: Callable[[], int],
        discord_time: DiscordTime,
    ) -> None:
        self._settings = settings
        self._store = store
        self._endpoint = endpoint
        self._metrics = metrics
        self._clock = clock
        self._discord_time = discord_time
        self._told = Seldom(REFUSALS, time.monotonic)

    def reply(self, environ: WSGIEnvironment) -> Reply:
        """401 unless Discord signed it, 400 unless it is an interaction; else 200 with the response to it."""
        received = time.monotonic()
        with contextlib.suppress(threads.NoThread):  # what is kept is kept; the next request tries again
            self._store.start()
        try:
            body = self._signed_body(environ)
        except Unauthorized as refusal:
            self._told.about(refusal.reason)
            return self._refused(refusal.reason, 401, "invalid request signature")
        except _BadBody as problem:
            return self._refused(f"http_{problem.status}", problem.status, str(problem))
        if environ.get("CONTENT_TYPE", "").partition(";")[0].strip().lower() not in ("application/json", ""):
            return self._refused("content_type", 415, "the content type of an interaction is application/json")
        try:
            answer = self._endpoint.answer(body, received + BUDGET_S)
        except Malformed as problem:
            return self._refused("malformed", 400, f"not an interaction: {problem}")
        self._metrics.answered(answer.kind, answer.end, time.monotonic() - received)
        return Reply(200, _json(answer.response))

    def _signed_body(self, environ: WSGIEnvironment) -> bytes:
        signature = Signature.from_headers(
            environ.get("HTTP_X_SIGNATURE_ED25519"), environ.get("HTTP_X_SIGNATURE_TIMESTAMP")
        )
        body = _body(environ)
        signature.verify(body, self._settings.public_keys)
        try:
            signature.check_age(self._clock(), self._settings.max_age_s)
        except Unauthorized:
            self._discord_time.refused(int(signature.timestamp))
            raise
        return body

    def _refused(self, reason: str, status: int, problem: str) -> Reply:
        self._metrics.refused(reason)
        return Reply(status, _json({"error": problem}))


def _body(environ: WSGIEnvironment) -> bytes:
    """The whole body, which the server ends at its length or last chunk; raises _BadBody."""
    given = environ.get("CONTENT_LENGTH") or ""
    length = int(given) if given.isdecimal() else 0
    if length > BODY_LIMIT:
        raise _BadBody(413, "request entity too large")
    if not length and not environ.get("wsgi.input_terminated"):
        return b""
    try:
        body: bytes = environ["wsgi.input"].read(length or BODY_LIMIT + 1)
    except OSError as problem:
        raise _BadBody(400, "bad request") from problem
    if len(body) < length:
        raise _BadBody(400, "bad request")
    if len(body) > BODY_LIMIT:
        raise _BadBody(413, "request entity too large")
    return body


def _json(value: dict[str, Any]) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()
