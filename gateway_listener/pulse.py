"""Is the gateway connection alive? What discord.py does not notice by itself: no ACK, no READY, no RESUMED."""

from __future__ import annotations

from gateway_listener.frames import Ack, Content, Hello, Ready, Resumed

ANSWER_WITHIN = 30.0
# Discord asks to reconnect when a heartbeat was not acknowledged before the next one is due.
# https://discord.com/developers/docs/events/gateway#heartbeat-interval
MISSED_BEATS = 2.5


class Pulse:
    """The signs of life of one connection after another; times are seconds of a clock that never jumps."""

    def __init__(self) -> None:
        self._interval = 0.0
        self._hello_at: float | None = None
        self._acked_at = 0.0
        self._answered = False
        self.unanswered = 0
        """Connections in a row on which IDENTIFY or RESUME was not answered in time."""

    def felt(self, content: Content, now: float) -> None:
        """A frame came."""
        if isinstance(content, Hello):
            self._interval = content.heartbeat_interval_ms / 1000
            self._hello_at = self._acked_at = now
            self._answered = False
        elif isinstance(content, Ack):
            self._acked_at = now
        elif isinstance(content, (Ready, Resumed)):
            self._answered = True
            self.unanswered = 0

    def complaint(self, now: float, *, answer_within: float = ANSWER_WITHIN) -> str | None:
        """Why the connection must be made anew, or None; complains once a connection."""
        if self._hello_at is None:
            return None
        reason = None
        if not self._answered and now - self._hello_at > answer_within:
            self.unanswered += 1
            reason = f"neither READY nor RESUMED within {answer_within:g} s"
        elif now - self._acked_at > self._interval * MISSED_BEATS:
            reason = "heartbeats are not acknowledged"
        if reason is not None:
            self._hello_at = None
        return reason
