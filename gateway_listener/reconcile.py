"""What a roll call means: who is still where we left them, who is gone, who is new. One pure function, used at every
start and at every GUILD_CREATE."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple


class Seat(NamedTuple):
    """Where a person was when last known: the channel, and since when."""

    channel_id: int
    started_at: int


class Verdict(NamedTuple):
    """What a roll call does to the people of a guild; everyone of `current` and `present` is in one list at least."""

    go_on: list[int]
    end: list[int]
    begin: list[int]


def last_known(seat: Seat, watermark: int | None) -> int:
    """The last moment at which the person was known to be there: the guild was being seen, or told us of the seat."""
    return seat.started_at if watermark is None else max(watermark, seat.started_at)


def reconcile(
    current: Mapping[int, Seat], present: Mapping[int, int], watermark: int | None, now: int, tolerance: int
) -> Verdict:
    """Compares who was where when the guild was last seen (`watermark`) with who is where now (user to channel).

    A person in the same channel after a gap of at most `tolerance` (milliseconds) goes on. Everyone else of `current`
    ends where they were last known, and everyone else of `present` begins now: unseen time is not counted.
    """
    verdict = Verdict([], [], [])
    for user_id, seat in current.items():
        stayed = present.get(user_id) == seat.channel_id and now - last_known(seat, watermark) <= tolerance
        (verdict.go_on if stayed else verdict.end).append(user_id)
    going_on = set(verdict.go_on)
    verdict.begin.extend(user_id for user_id in present if user_id not in going_on)
    return verdict
