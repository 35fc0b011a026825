"""The gateway as it is being seen: live, replayed or repeated, and up to which moment nothing can have been missed."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from gateway_listener.edge import LIVE, NEVER, Live, Unseen
from gateway_listener.frames import Frame, Ready, Resumed

# Guilds whose roll call has not come so long after READY are taken to be in an outage.
SETTLING_MS = 15_000


class Sight:
    """One shard's gateway session; times are milliseconds since 1970 UTC.

    `watermark` is the last moment of live sight. It stands still from HELLO to RESUMED, while missed events are
    replayed; READY moves it on, and from then on each guild is unseen until its own roll call.
    """

    def __init__(self) -> None:
        self.watermark: int | None = None
        self.late_since: int | None = None
        """Frames are being read late: they may be as old as this."""
        self.ready = False
        self.replaying = True
        self.missed = False
        """The numbers say that something was sent in this session, and it has not come."""
        self.counted_at = NEVER
        """When something came last that no stranger caused and that has a number: since then nothing is missing."""
        self._session_id: str | None = None
        self._sequence = 0
        self._awaited: set[int] = set()
        self._holding = False
        self._held: int | None = None
        self._overdue_at = 0

    def repeats(self, frame: Frame) -> bool:
        """True for a dispatch that this gateway session has sent before: duplicates and old sequence numbers."""
        sequence = frame.sequence
        if isinstance(frame.content, Ready):
            if frame.content.session_id == self._session_id:
                return True
            self._session_id, self._sequence, self.missed = frame.content.session_id, sequence or 0, False
        elif sequence is not None:
            if sequence <= self._sequence:
                return not isinstance(frame.content, Resumed)
            self.missed |= sequence > self._sequence + 1 and self._sequence > 0
            self._sequence = sequence
        return False

    def connect(self) -> None:
        """HELLO: until READY or RESUMED nothing that arrives is live."""
        self.replaying, self.ready = True, False

    def resume(self) -> None:
        """RESUMED: everything missed has been replayed."""
        self.replaying, self.ready = False, True

    def begin_session(self, awaited: Iterable[int], now: int) -> None:
        """READY: these guilds are still to send their roll calls."""
        self.wait_for(awaited, now)
        self.replaying, self.ready = False, True

    def wait_for(self, awaited: Iterable[int], now: int, *, since: int | None = None) -> None:
        """Until these guilds have sent their roll calls the kept watermark waits for them, for a while; at `since`, if
        they are not known to have been seen up to the watermark."""
        self._awaited = set(awaited)
        if self._awaited and not self._holding:
            self._holding, self._held = True, self.watermark
        if self._holding and since is not None:
            self._held = min(self._held or NEVER, since)
        self._overdue_at = now + SETTLING_MS

    def shift(self, move: Callable[[int], int]) -> None:
        """Every moment becomes another."""
        self.watermark = None if self.watermark is None else move(self.watermark)
        self.counted_at = self.counted_at and move(self.counted_at)
        self.late_since = None if self.late_since is None else move(self.late_since)
        self._held = None if self._held is None else move(self._held)
        self._overdue_at = move(self._overdue_at)

    def came(self, guild_id: int) -> None:
        """The guild need not be waited for any longer."""
        self._awaited.discard(guild_id)
        if not self._awaited:
            self._holding = False

    def saw(self, now: int, *, counted: bool) -> None:
        """A dispatch or an ACK came; `counted`: it has a number, which follows on those before it."""
        if not self.replaying and self.late_since is None:
            self.watermark = now
            if counted:
                self.counted_at = now

    def view(self) -> Live | Unseen:
        """How what is read now is seen, in a guild of which nothing else speaks against that."""
        if self.replaying:
            return Unseen(self.watermark or NEVER)
        return LIVE if self.late_since is None else Unseen(self.late_since)

    def proof(self, now: int) -> int:
        """What is read at `now` was true at this moment or after it."""
        if self.replaying:
            return self.watermark or NEVER
        return now if self.late_since is None else self.late_since

    def overdue(self, now: int) -> set[int]:
        """The guilds whose roll call does not come; they are not waited for any longer."""
        if self.replaying or not self._awaited or now < self._overdue_at:
            return set()
        overdue, self._awaited, self._holding = self._awaited, set(), False
        return overdue

    @property
    def watermark_to_keep(self) -> int | None:
        """The moment from which a next run must take every guild without a note of its own to be unseen."""
        return self._held if self._holding else self.watermark
