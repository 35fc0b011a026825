"""A gateway session: its sequence numbers, what it may see, and what it can replay. It outlives its connections."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

from tests.simulated_discord.connection import Connection

GUILDS, MEMBERS, VOICE_STATES = 1 << 0, 1 << 1, 1 << 7


class Session:
    """Numbers dispatches from 1, remembers the last `replay_limit`, and passes them to its connection, if any."""

    def __init__(self, session_id: str, shard: tuple[int, int], intents: int, replay_limit: int) -> None:
        self.id = session_id
        self.shard = shard
        self.intents = intents
        self.sequence = 0
        self.connection: Connection | None = None
        self.expiry: asyncio.TimerHandle | None = None
        self.awaited: set[int] = set()  # guilds named in READY whose GUILD_CREATE was not sent yet
        self._limit = replay_limit
        self._sent: deque[tuple[int, str, str]] = deque()
        self._forgotten = 0

    def dispatch(self, name: str, data: str, *, duplicate: bool = False) -> None:
        """Numbers, remembers and sends one event, whose `d` is already JSON text."""
        self.sequence += 1
        self._sent.append((self.sequence, name, data))
        if len(self._sent) > self._limit:
            self._forgotten = self._sent.popleft()[0]
        if self.connection is not None:
            frame = _frame(self.sequence, name, data)
            self.connection.send(frame)
            if duplicate:
                self.connection.send(frame)

    def drop(self) -> None:
        """Numbers an event that is sent to nobody, now or by a RESUME."""
        self.sequence += 1

    def dispatch_once(self, name: str, data: str) -> None:
        """Numbers and sends an event that no RESUME brings again: what broke one client must not break the next."""
        self.sequence += 1
        if self.connection is not None:
            self.connection.send(_frame(self.sequence, name, data))

    def can_replay(self, after: int) -> bool:
        """Whether everything after that sequence number is still remembered."""
        return self._forgotten <= after

    def replay(self, after: int, begun: Callable[[], object] = lambda: None) -> int:
        """Sends everything after that sequence number, in order; returns how many. `begun` follows the first."""
        return self._send_again([sent for sent in self._sent if sent[0] > after], begun)

    def resend(self, count: int) -> int:
        """Sends the last `count` dispatches once more with their old sequence numbers; returns how many."""
        return self._send_again(list(self._sent)[max(len(self._sent) - count, 0) :])

    def _send_again(self, missed: list[tuple[int, str, str]], begun: Callable[[], object] = lambda: None) -> int:
        for number, sent in enumerate(missed):
            if self.connection is None:
                return number
            self.connection.send(_frame(*sent))
            if number == 0:
                begun()
        return len(missed)


def _frame(sequence: int, name: str, data: str) -> str:
    return f'{{"t":"{name}","s":{sequence},"op":0,"d":{data}}}'
