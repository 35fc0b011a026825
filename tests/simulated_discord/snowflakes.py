"""Discord's ids: 42 bits of milliseconds since 2015, then worker, process and a counter."""

from __future__ import annotations

import random
from collections.abc import Callable

EPOCH = 1_420_070_400_000

# Users, guilds and channels were there long before a test began: between 2016 and 2024.
_OLDEST, _NEWEST = 1_451_606_400_000, 1_704_067_200_000


class Snowflakes:
    """Makes ids that never repeat: `now()` from the clock, `old()` from the seed alone (the same in every run)."""

    def __init__(self, clock: Callable[[], int], seed: int) -> None:
        self._clock = clock
        self._random = random.Random(f"snowflakes {seed}")
        self._last = 0

    def now(self) -> int:
        """An id of this moment (interactions, messages): later ids are greater, even when the clock stands still."""
        self._last = max(self._last + 1, (self._clock() - EPOCH) << 22)
        return self._last

    def old(self) -> int:
        """An id of some moment between 2016 and 2024 (users, guilds, channels)."""
        return ((self._random.randrange(_OLDEST, _NEWEST) - EPOCH) << 22) | self._random.randrange(1 << 22)


def shard_of(guild_id: int, shard_count: int) -> int:
    """The shard that is told about a guild (https://discord.com/developers/docs/events/gateway#sharding)."""
    return (guild_id >> 22) % shard_count


def moment(snowflake: int) -> int:
    """The millisecond in which an id was made."""
    return (snowflake >> 22) + EPOCH
