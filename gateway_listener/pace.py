"""When the next attempt is made, and the next IDENTIFY is sent: within what Discord allows. Pure."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, NamedTuple

HOUR_MS = 60 * 60 * 1000
DAY_MS = 24 * HOUR_MS
# Discord resets the token of a bot that sends more IDENTIFYs in a day; what /gateway/bot says counts before this.
# https://discord.com/developers/docs/events/gateway#session-start-limit-object
A_DAY = 1000
# So many IDENTIFYs within an hour are only a pause apart. The last so many of a shard are spread until the reset.
FREE_AN_HOUR, RESERVE = 10, 20


class StartLimit(NamedTuple):
    """How many sessions the bot, with all its shards, may still begin, and after how long (milliseconds) it is more."""

    remaining: int
    reset_after: int
    max_concurrency: int

    @classmethod
    def of(cls, answer: object) -> StartLimit | None:
        """What GET /gateway/bot answers; None if it does not say."""
        said = answer.get("session_start_limit") if isinstance(answer, dict) else None
        if not isinstance(said, dict):
            return None
        numbers: list[Any] = [said.get(name) for name in cls._fields]
        if not all(type(number) is int and number >= 0 for number in numbers):
            return None
        remaining, reset_after, max_concurrency = numbers
        return cls(remaining, min(reset_after, DAY_MS), max(1, max_concurrency))


def identify_wait(
    spent: Sequence[int],
    limit: StartLimit | None,
    now: int,
    *,
    shard: tuple[int, int] = (0, 1),
    pause_ms: int = 5000,
    turned_away: bool = False,
) -> int:
    """For how long (milliseconds) the next IDENTIFY is still to wait.

    `spent` are this shard's own IDENTIFYs of the last day, oldest first; `shard` its number and the count; `limit` is
    None if Discord did not say it: then all shards are taken to have sent as many as this one. The pause grows with
    what was spent in the last hour; the last ones of a day are spread evenly until the reset, among all shards;
    and none is sent beyond what remains. Shards that Discord wants one after another cannot see each other: one
    that was `turned_away` (op 9) takes its turn by the clock.
    """
    shard_id, shard_count = shard
    begun = spent[0] if spent else now
    remaining, reset_after, concurrency = limit or (A_DAY - shard_count * len(spent), begun + DAY_MS - now, 1)
    if remaining <= 0:
        return max(reset_after, pause_ms)
    if not spent:
        return 0
    apart = pause_ms * max(1, sum(now - moment < HOUR_MS for moment in spent) - FREE_AN_HOUR + 1)
    if remaining < RESERVE * shard_count:
        apart = max(apart, min(reset_after, shard_count * reset_after // remaining))
    at = max(now, spent[-1] + apart)
    return (_own_turn(at, shard_id, shard_count, concurrency, 2 * pause_ms) if turned_away else at) - now


def _own_turn(at: int, shard_id: int, shard_count: int, concurrency: int, turn_ms: int) -> int:
    """`at`, or the next moment after it that is in the first half of a turn of this shard's.

    Those with the same `shard_id % max_concurrency` take turns: https://discord.com/developers/docs/events/gateway
    """
    peers = len(range(shard_id % concurrency, shard_count, concurrency))
    turn, within = divmod(at, turn_ms)
    ahead = (shard_id // concurrency - turn) % peers
    if peers == 1 or (ahead == 0 and within <= turn_ms // 2):
        return at
    return (turn + (ahead or peers)) * turn_ms


def renewal_wait(renewed: Sequence[int], now: int, *, pause_ms: int = 5000) -> int:
    """For how long a connection that lives must wait until it is given up for a fresh session, after those of the last
    day: what goes wrong at every roll call must not make everybody unseen over and over, so the pause grows fourfold,
    to an hour."""
    return max(0, renewed[-1] + min(HOUR_MS, pause_ms << 2 * min(len(renewed), 8)) - now) if renewed else 0


def moments(text: str, now: int) -> list[int]:
    """The note of when IDENTIFYs were sent; what cannot be read is an empty one.

    None is later than `now`: if a clock was ahead, it was so for all of them.
    """
    try:
        noted = sorted(int(moment) for moment in json.loads(text or "[]"))
    except (ValueError, TypeError, OverflowError):
        return []
    ahead = max(0, noted[-1] - now) if noted else 0
    return [moment - ahead for moment in noted]


def pause_before(attempt: int, chance: float, longest: float) -> float:
    """Seconds before that attempt since the last connection that worked, 1 the first: any time up to twice as long as
    before, at most `longest`; `chance` is a random number from 0 to 1. 0, the one right behind it, is made at once."""
    return chance * min(longest, 2.0 ** min(attempt, 16)) if attempt else 0.0
