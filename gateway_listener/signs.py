"""Signs that something was never sent: Discord says where somebody is, and the gateway has not. Pure.

A person is in one voice channel at a time, in whatever guild; and Discord can be asked where somebody is of whom
nothing was heard for long. Frames of two guilds, and an answer, come in any order: a sign counts only if the gateway
has said nothing else until WAIT_MS later.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from typing import NamedTuple

from gateway_listener.frames import VoiceState
from gateway_listener.guilds import GuildState
from gateway_listener.stays import Stay

WAIT_MS = 2000
# In so many looks every guild is looked at once.
ROUND = 300


class Question(NamedTuple):
    """Where is this person? They were last known to be in their seat at `proved_at`; it is asked at `asked_at`."""

    guild_id: int
    user_id: int
    proved_at: int
    asked_at: int


class Sign(NamedTuple):
    """At `read_at` it was said that the person of that stay is elsewhere (`state`)."""

    stay: Stay
    state: VoiceState
    proved_at: int
    read_at: int

    @property
    def stands(self) -> bool:
        """True while nothing else was heard of the stay."""
        return self.stay.ended_at is None and self.stay.proved_at == self.proved_at


class Signs:
    """The signs that wait, and whom to ask: of whom there was none for `ask_after_ms`, and who is in."""

    def __init__(self, ask_after_ms: int) -> None:
        self.ask_after_ms = ask_after_ms
        self._waiting: list[Sign] = []
        self._seats: dict[int, Stay] = {}
        """By person: the stay that is open; of several, the one that was proved last."""
        self._round: list[GuildState] = []
        self._step = 1
        self._quiet: deque[Stay] = deque()

    def __bool__(self) -> bool:
        return bool(self._waiting)

    def sat(self, stay: Stay, now: int) -> None:
        """A stay is known; if the person has another one, in another guild, the one that was proved before is over."""
        other = self._seats.get(stay.user_id)
        if other is None or other.guild_id == stay.guild_id:
            self._seats[stay.user_id] = stay
            return
        over, self._seats[stay.user_id] = (stay, other) if other.proved_at > stay.proved_at else (other, stay)
        self.said(over, VoiceState(over.guild_id, over.user_id, None, 0), now)

    def rose(self, stay: Stay) -> None:
        """A stay is over."""
        if self._seats.get(stay.user_id) is stay:
            del self._seats[stay.user_id]

    def said(self, stay: Stay, state: VoiceState, now: int) -> None:
        """The person of that stay is elsewhere, or nowhere."""
        self._waiting.append(Sign(stay, state, stay.proved_at, now))

    def shift(self, move: Callable[[int], int]) -> None:
        """Every moment becomes another."""
        self._waiting = [
            sign._replace(proved_at=move(sign.proved_at), read_at=move(sign.read_at)) for sign in self._waiting
        ]

    def due(self, heard_at: int) -> list[Sign]:
        """The signs that have waited: the gateway was heard since, at `heard_at`."""
        waiting, self._waiting = self._waiting, []
        due: list[Sign] = []
        for sign in waiting:
            (due if sign.read_at + WAIT_MS <= heard_at else self._waiting).append(sign)
        return due

    def question(
        self, guilds: Callable[[], Iterable[GuildState]], is_in: Callable[[int], bool], now: int
    ) -> Question | None:
        """Whom to ask about now; once a second or so, as one in ROUND of the guilds is looked at each time that nobody
        waits to be asked about any more."""
        if not self._quiet:
            if not self._round:
                self._round = list(guilds())
                self._step = 1 + len(self._round) // ROUND
            looked_at, self._round = self._round[: self._step], self._round[self._step :]
            for guild in looked_at:
                if guild.seen_since is not None:
                    self._quiet.extend(stay for stay in guild.seats.values() if self._asks(stay, now))
        while self._quiet:
            stay = self._quiet.popleft()
            if self._asks(stay, now) and is_in(stay.user_id):
                stay.ask_at = now + self.ask_after_ms // 6
                return Question(stay.guild_id, stay.user_id, stay.proved_at, now)
        return None

    def _asks(self, stay: Stay, now: int) -> bool:
        return bool(stay.running) and now >= max(stay.proved_at + self.ask_after_ms, stay.ask_at)
