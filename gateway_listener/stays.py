"""A stay: one person's unbroken presence in one channel of one guild, as it was seen; kept in memory only."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count

from db_client.records import VoiceSession
from gateway_listener.edge import Edge
from gateway_listener.flags import Durations, FlagHistory


def stay_ids() -> Callable[[], str]:
    """What makes ids for stays: unique among all processes that ever ran, without '-', in a row within this one."""
    prefix, numbers = os.urandom(12).hex(), count(1)
    return lambda: f"{prefix}{next(numbers):x}"


# How long an ended stay is kept for a decision that is still on its way (the service cuts what is older by itself).
REMEMBERED_MS = 2 * 60 * 60 * 1000


def moving(by: int, floor: int) -> Callable[[int], int]:
    """What a moment becomes when the clock is set by so many ms and nothing may go back to before `floor`."""
    return lambda moment: moment + by if by > 0 else min(moment, max(moment + by, floor))


@dataclass(slots=True, eq=False)
class Stay:
    """One stay; times are milliseconds since 1970 UTC.

    The true beginning lies between `not_before` and `started_at`, the true end between `ended_from` and `ended_until`
    (see `edge`). For what was seen live all of them are one moment. `recorded` holds the sessions of this stay that
    were handed to the recorder, oldest first: what the next ones are compared with. Until there is something to record
    `stay_id` is empty.
    """

    stay_id: str
    guild_id: int
    channel_id: int
    user_id: int
    started_at: int
    started_by: str
    not_before: int
    afk: bool
    history: FlagHistory
    proved_at: int = 0
    """The last moment at which the person is known to have been there."""
    ended_at: int | None = None
    ended_by: str | None = None
    ended_from: int = 0
    ended_until: int = 0
    recorded: tuple[VoiceSession, ...] = ()
    seen_until: int | None = None
    """Of an open stay about which something was decided while it could not be seen: until when it was. What comes after
    is not counted before somebody looks again."""
    contested: bool = False
    """It was written in place of another listener's session once (`heal`)."""
    over_since: int = 0
    """When it was heard that the stay is over."""
    older: Stay | None = field(default=None, repr=False)
    newer: Stay | None = field(default=None, repr=False)
    """The person's stays beside it in the ledger, which alone changes these."""
    ask_at: int = 0
    """Discord is not asked about the person before."""
    follows: int = 0
    """When the person's stay before this ended that is forgotten, if it was remembered when this began."""

    def end(self, edge: Edge, by: str) -> None:
        """The stay is over, as `edge` says, but never before it started."""
        self.ended_at = max(edge.at, self.started_at)
        self.ended_by = by
        self.ended_from = min(edge.earliest, self.ended_at)
        self.ended_until = max(edge.latest, self.ended_at)

    def begin_after(self, other: Stay) -> None:
        """This came after `other`, though a clock that was behind said otherwise."""
        assert other.ended_at is not None  # noqa: S101 (for the type checker)
        self.started_at = max(self.started_at, other.ended_at)
        if self.ended_at is not None:
            self.ended_at = max(self.ended_at, self.started_at)
            self.ended_until = max(self.ended_until, self.ended_at)

    def shift(self, by: int, floor: int) -> None:
        """Every moment becomes another by so many ms, but none goes back to before `floor`, where what stands is not
        moved: what the stay loses by that is in its doubt. What was handed to the recorder stays as it was handed over.
        """
        move = moving(by, max(floor, self.follows or self.started_at - REMEMBERED_MS))
        self.not_before += by if self.not_before else 0
        self.started_at = move(self.started_at)
        self.not_before = min(self.not_before, self.started_at)
        if self.ended_at is not None:
            self.ended_at = move(self.ended_at)
            self.ended_from = min(self.ended_from + by, self.ended_at)
            self.ended_until = max(self.ended_until + by, self.ended_at)
        self.seen_until = None if self.seen_until is None else move(self.seen_until)
        self.over_since = move(self.over_since)
        self.proved_at, self.ask_at = move(self.proved_at), move(self.ask_at)
        self.history.shift(move)

    @property
    def running(self) -> list[VoiceSession]:
        """Those of its recorded sessions that are open."""
        return [session for session in self.recorded if session.ended_at is None]

    def has_recorded(self, session_id: str) -> bool:
        """True if that session was handed to the recorder and not taken back."""
        return any(session.session_id == session_id for session in self.recorded)

    def go_on_from(self, session: VoiceSession) -> None:
        """This stay turns out to be the continuation of a session that stands open in the service."""
        self.stay_id = session.session_id
        self.history.follow(_history(session))
        self.started_at, self.started_by = session.started_at, session.started_by
        self.not_before = session.started_at - session.started_within_ms
        self.afk = session.afk
        self.recorded = (session,)


def recorded_stay(session: VoiceSession) -> Stay:
    """The stay behind an open session of before, by this listener's last run or as the service has it."""
    return Stay(
        stay_id=session.session_id,
        guild_id=session.guild_id,
        channel_id=session.channel_id,
        user_id=session.user_id,
        started_at=session.started_at,
        started_by=session.started_by,
        not_before=session.started_at - session.started_within_ms,
        afk=session.afk,
        history=_history(session),
        recorded=(session,),
        proved_at=max(session.started_at, session.flags_at),
    )


def _history(session: VoiceSession) -> FlagHistory:
    spent = Durations(session.muted_ms, session.deafened_ms, session.video_ms, session.stream_ms)
    return FlagHistory.of_recorded(session.started_at, spent, session.flags_at, session.flags)
