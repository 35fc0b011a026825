"""How long each voice state (muted, deafened, video, stream) held, for any part of a stay."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable
from operator import sub
from typing import NamedTuple

from db_client.records import Flags

_MUTED, _DEAFENED, _VIDEO, _STREAM = map(int, Flags)  # plain numbers: flags are looked at in every event

# A person who toggles for hours must not grow memory; the sums of the whole stay stay exact beyond it.
MOST_CHANGES = 1000


class Durations(NamedTuple):
    """Milliseconds spent in each state, in the order of the bits of `Flags`."""

    muted: int = 0
    deafened: int = 0
    video: int = 0
    stream: int = 0

    def plus(self, flags: int, span: int) -> Durations:
        """These and `span` milliseconds more of every state in `flags`."""
        if not flags or not span:
            return self
        muted, deafened, video, stream = self
        return Durations(
            muted + span if flags & _MUTED else muted,
            deafened + span if flags & _DEAFENED else deafened,
            video + span if flags & _VIDEO else video,
            stream + span if flags & _STREAM else stream,
        )

    def and_also(self, more: Durations) -> Durations:
        """The sum of both."""
        return Durations(*(spent + other for spent, other in zip(self, more, strict=True)))

    def within(self, span: int) -> Durations:
        """No more of each than so many milliseconds."""
        return Durations(*(min(spent, span) for spent in self))

    def minus(self, earlier: Durations) -> Durations:
        """What came after `earlier`."""
        return self if earlier is NONE else Durations(*map(sub, self, earlier))


NONE = Durations()


class Change(NamedTuple):
    """From `at` on `flags` held."""

    at: int
    flags: int
    before: Durations
    """What had been spent, since the beginning, when this change came."""


class FlagHistory:
    """The states of one stay over time, from which the durations of any part of it follow.

    `flags` are the states that hold now, `changed_at` is since when. More than `MOST_CHANGES` changes are thinned out,
    oldest first: parts that begin among those are then right to within the thinned span, have no more of a state than
    time, and add up; the stay as a whole stays exact.
    """

    __slots__ = ("_before", "_earlier", "changed_at", "flags")

    def __init__(self, at: int, flags: int) -> None:
        self.flags = flags
        self.changed_at = at
        self._before = NONE
        self._earlier: list[Change] | tuple[()] = ()  # most stays have the same states from beginning to end

    @classmethod
    def of_recorded(cls, started_at: int, spent: Durations, flags_at: int, flags: int) -> FlagHistory:
        """The history of a session of which only the durations up to `flags_at` are known."""
        return cls._of([Change(started_at, 0, NONE), Change(max(started_at, flags_at), flags, spent)])

    @classmethod
    def _of(cls, changes: list[Change]) -> FlagHistory:
        history = cls(0, 0)
        history._set(changes)
        return history

    def _set(self, changes: list[Change]) -> None:
        *self._earlier, (self.changed_at, self.flags, self._before) = changes

    def changes(self) -> list[Change]:
        """Every change that is remembered, oldest first; the first is the beginning."""
        return [*self._earlier, Change(self.changed_at, self.flags, self._before)]

    def follow(self, earlier: FlagHistory) -> None:
        """Makes this the continuation of `earlier`, whose last states are taken to have held until this began."""
        changes = self.changes()
        begins = changes[0].at
        past = [change for change in earlier.changes() if change.at <= begins]
        spent = earlier.spent_until(begins)
        self._set(past + [change._replace(before=spent.and_also(change.before)) for change in changes])

    def change(self, at: int, flags: int) -> bool:
        """From `at` on, `flags` hold; says whether that is news."""
        if self.flags == flags:
            return False
        self.say(at, flags)
        return True

    def say(self, at: int, flags: int) -> None:
        """At `at` these flags hold, whether or not that is news."""
        earlier = self._earlier
        if isinstance(earlier, tuple):
            earlier = self._earlier = []
        at = max(at, self.changed_at)
        earlier.append(Change(self.changed_at, self.flags, self._before))
        self._before = self._before.plus(self.flags, at - self.changed_at)
        self.changed_at, self.flags = at, flags
        if len(earlier) >= MOST_CHANGES:
            del earlier[1 : MOST_CHANGES // 2]

    def shift(self, move: Callable[[int], int]) -> None:
        """Every moment becomes another; what was spent stays, but it is no more than the time since the beginning."""
        changes = [change._replace(at=move(change.at)) for change in self.changes()]
        begin = changes[0].at
        self._set([change._replace(before=change.before.within(change.at - begin)) for change in changes])

    def spent_until(self, moment: int) -> Durations:
        """Milliseconds in each state from the beginning to `moment`."""
        if moment >= self.changed_at:
            return self._before.plus(self.flags, moment - self.changed_at)
        place = bisect_right(self._earlier, moment, key=lambda change: change.at) - 1
        if place < 0:
            return NONE
        change = self._earlier[place]
        after = [*self._earlier[place + 1 : place + 2], Change(self.changed_at, self.flags, self._before)][0]
        spent = change.before.plus(change.flags, moment - change.at)
        # Amid changes that were thinned out: what came until the next one had no more time than there is until then.
        least = (before - (after.at - moment) for before in after.before)
        return Durations(*map(max, map(min, spent, after.before), least))

    def spent(self, start: int, end: int) -> Durations:
        """Milliseconds in each state from `start` to `end`."""
        if self._before is NONE and not self.flags:
            return NONE
        return self.spent_until(end).minus(self.spent_until(start))
