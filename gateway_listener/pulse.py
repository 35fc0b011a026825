"""Is the gateway connection alive? What discord.py does not notice by itself: no ACK, no READY, no RESUMED."""

from __future__ import annotations

from gateway_listener.frames import Ack, Content, Hello, Ready, Resumed

# Discord asks to reconnect when a heartbeat was not acknowledged before the next one is due.
# https://discord.com/developers/docs/events/gateway#heartbeat-interval
MISSED_BEATS = 2.5


class Pulse:
    """The signs of life of one connection after another; times are seconds of a clock that never jumps."""

    def __init__(self, *, answer_within: float = 30.0) -> None:
        self.unanswered = 0
        """How many connections in a row said HELLO and then answered neither IDENTIFY nor RESUME."""
        self._answer_within = answer_within
        self._interval = 0.0
        self._hello_at: float | None = None
        self._acked_at = 0.0
        self._answered_at: float | None = None

    def felt(self, content: Content, now: float) -> None:
        """A frame came."""
        if isinstance(content, Hello):
            self._interval = content.heartbeat_interval_ms / 1000
            self._hello_at = self._acked_at = now
            self._answered_at = None
            self.unanswered += 1
        elif isinstance(content, Ack):
            self._acked_at = now
        elif isinstance(content, (Ready, Resumed)):
            self._answered_at = now
            self.unanswered = 0

    def complaint(self, now: float) -> str | None:
        """Why the connection must be made anew, or None."""
        if self._hello_at is None:
            return None
        if self._answered_at is None and now - self._hello_at > self._answer_within:
            return f"neither READY nor RESUMED within {self._answer_within:g} s"
        if now - self._acked_at > self._interval * MISSED_BEATS:
            return "heartbeats are not acknowledged"
        return None

    def stopped(self, now: float) -> float:
        """The connection has ended; for how many seconds it had worked, from READY or RESUMED on."""
        worked = 0.0 if self._answered_at is None else now - self._answered_at
        self._hello_at = self._answered_at = None
        return worked
