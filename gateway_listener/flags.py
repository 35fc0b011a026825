"""How long each voice state (muted, deafened, video, stream, alone) held, for any part of a stay."""

from __future__ import annotations

from bisect import bisect_right
from operator import sub
from typing import NamedTuple

from db_client.records import Flags

_MUTED, _DEAFENED, _VIDEO, _STREAM, _ALONE = map(int, Flags)  # plain numbers: flags are looked at in every event

# A person who toggles for hours must not grow memory; the sums of the whole stay stay exact beyond it.
MOST_CHANGES = 1000


class Durations(NamedTuple):
    """Milliseconds spent in each state, in the order of the bits of `Flags`."""

    muted: int = 0
    deafened: int = 0
    video: int = 0
    stream: int = 0
    alone: int = 0

    def plus(self, flags: int, span: int) -> Durations:
        """These and `span` milliseconds more of every state in `flags`."""
        if not flags or not span:
            return self
        muted, deafened, video, stream, alone = self
        return Durations(
            muted + span if flags & _MUTED else muted,
            deafened + span if flags & _DEAFENED else deafened,
            video + span if flags & _VIDEO else video,
            stream + span if flags & _STREAM else stream,
            alone + span if flags & _ALONE else alone,
        )

    def and_also(self, more: Durations) -> Durations:
        """The sum of both."""
        return Durations(*(spent + other for spent, other in zip(self, more, strict=True)))

    def minus(self, earlier: Durations) -> Durations:
        """What came after `earlier`."""
        return self if earlier is NONE else Durations(*map(sub, self, earlier))


NONE = Durations()


class _Change(NamedTuple):
    at: int
    flags: int
    before: Durations
    """What had been spent, since the beginning, when this change came."""


class FlagHistory:
    """The states of one stay over time, from which the durations of any part of it follow.

    More than `MOST_CHANGES` changes are thinned out, oldest first: parts that begin among those are then right to
    within the thinned span; the stay as a whole stays exact.
    """

    __slots__ = ("_changes",)

    def __init__(self, at: int, flags: int) -> None:
        self._changes = [_Change(at, flags, NONE)]

    @classmethod
    def of_recorded(cls, started_at: int, spent: Durations, flags_at: int, flags: int) -> FlagHistory:
        """The history of a session of which only the durations up to `flags_at` are known."""
        history = cls(started_at, 0)
        history._changes.append(_Change(max(started_at, flags_at), flags, spent))
        return history

    def follow(self, earlier: FlagHistory) -> None:
        """Makes this the continuation of `earlier`, whose last states are taken to have held until this began."""
        begins = self._changes[0].at
        past = [change for change in earlier._changes if change.at <= begins]
        spent = earlier.spent_until(begins)
        self._changes = past + [change._replace(before=spent.and_also(change.before)) for change in self._changes]

    @property
    def flags(self) -> int:
        """The states that hold now."""
        return self._changes[-1].flags

    @property
    def changed_at(self) -> int:
        """Since when they hold."""
        return self._changes[-1].at

    def change(self, at: int, flags: int) -> bool:
        """From `at` on, `flags` hold; says whether that is news."""
        last = self._changes[-1]
        if last.flags == flags:
            return False
        at = max(at, last.at)
        self._changes.append(_Change(at, flags, last.before.plus(last.flags, at - last.at)))
        if len(self._changes) > MOST_CHANGES:
            del self._changes[1 : MOST_CHANGES // 2]
        return True

    def spent_until(self, moment: int) -> Durations:
        """Milliseconds in each state from the beginning to `moment`."""
        last = self._changes[-1]
        if moment >= last.at:
            return last.before.plus(last.flags, moment - last.at)
        place = bisect_right(self._changes, moment, key=lambda change: change.at) - 1
        if place < 0:
            return NONE
        change = self._changes[place]
        spent = change.before.plus(change.flags, moment - change.at)
        return Durations(*map(min, spent, self._changes[place + 1].before))

    def spent(self, start: int, end: int) -> Durations:
        """Milliseconds in each state from `start` to `end`."""
        return self.spent_until(end).minus(self.spent_until(start))
