"""One shard's side of Discord's gateway: a session with its dispatches, and at most one connection that hears them."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection
from typing import Any

_HELLO = '{"t":null,"s":null,"op":10,"d":{"heartbeat_interval":41250}}'
ACK = '{"t":null,"s":null,"op":11,"d":null}'


class Gateway:
    """`hear(text, live)` is called with each frame that reaches the client; what is replayed is not `live`."""

    def __init__(self, hear: Callable[[str, bool], None]) -> None:
        self.connected = False
        self.awaiting: list[int] = []
        """Guilds whose roll call is still to come."""
        self._hear = hear
        self._sessions = 0
        self._alive = False
        self._sequence = 0
        self._heard = 0
        self._sent: list[tuple[int, str]] = []

    @property
    def resumable(self) -> bool:
        """True if a client that comes back can go on where it was."""
        return self._alive and self._heard > 0

    def emit(self, kind: str, data: dict[str, Any]) -> None:
        """An event for the session; it is heard at once if somebody is connected."""
        if not self._alive:
            return
        self._sequence += 1
        self._sent.append((self._sequence, json.dumps({"t": kind, "s": self._sequence, "op": 0, "d": data})))
        if self.connected:
            self._hear(self._sent[-1][1], True)
            self._heard = self._sequence

    def lose(self) -> None:
        """Something happens that has a number and is never sent, not by a RESUME either."""
        self._sequence += 1

    def identify(self, guilds: Collection[int], down: Collection[int]) -> None:
        """A new session: HELLO, READY; from then on the roll calls are awaited."""
        self._sessions += 1
        self._alive, self._sent = True, []
        self.connected = True
        self._hear(_HELLO, False)
        self._sequence = self._heard = 1
        listed = [{"id": str(guild), "unavailable": True} for guild in sorted(guilds)]
        data = {"session_id": f"session {self._sessions}", "guilds": listed}
        self._hear(json.dumps({"t": "READY", "s": 1, "op": 0, "d": data}), True)
        self.awaiting = sorted(set(guilds) - set(down))

    def resume(self) -> None:
        """A connection again: what was missed is replayed, then comes RESUMED."""
        self.connected = True
        self._hear(_HELLO, False)
        for sequence, text in self._sent:
            if sequence > self._heard:
                self._hear(text, False)
        self._sequence += 1
        self._hear(json.dumps({"t": "RESUMED", "s": self._sequence, "op": 0, "d": {}}), True)
        self._heard = self._sequence

    def resend(self, count: int) -> None:
        """The last dispatches come again, old sequence numbers and all."""
        for sequence, text in self._sent[-count:]:
            if self.connected and sequence <= self._heard:
                self._hear(text, True)

    def forget(self) -> None:
        """The client is gone for good."""
        self.connected, self._alive, self.awaiting = False, False, []
