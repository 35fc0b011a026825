"""In which channels nothing is recorded, from when to when, as the managers of their guilds decided; pure."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from gateway_listener.consent import Touched, shifted

# A decision may reach the service after newer ones: each look goes so far back before the newest known version.
# (The milliseconds of a snowflake are shifted by 22: https://discord.com/developers/docs/reference#snowflakes)
LOOK_BACK = (24 * 60 * 60 * 1000) << 22
# So many unrecorded times of a channel are known one by one; of the oldest two are then made one, with what is between.
MOST_HOLES = 100


class Hole(NamedTuple):
    """Unrecorded from `from_at` until `to_at` (milliseconds since 1970 UTC; None: it still lasts)."""

    from_at: int
    to_at: int | None


class ChannelDecision(NamedTuple):
    """The newest unrecorded time of a channel; `version` is the snowflake of the decision it follows from."""

    channel_id: int
    guild_id: int
    version: int
    hole: Hole

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> ChannelDecision:
        """From a row of `db_client.reading_statements.recording_after`."""
        return cls(row["channel_id"], row["guild_id"], row["version"], Hole(row["from_at"], row["to_at"]))

    def read_at(self, now: int) -> ChannelDecision:
        """The same as it counts when it is read at `now`: nothing is recorded after the reading."""
        from_at, to_at = self.hole
        return self if to_at is not None or from_at <= now else self._replace(hole=Hole(now, None))


@dataclass(frozen=True)
class Unrecorded:
    """One channel's unrecorded times; the service keeps only the newest, but a stay may be older than that."""

    guild_id: int
    version: int
    holes: tuple[Hole, ...]

    def to_json(self) -> str:
        """The text of the channel's note."""
        return json.dumps([self.guild_id, self.version, self.holes])

    @classmethod
    def from_json(cls, text: str) -> Unrecorded:
        """The reverse of `to_json`; raises ValueError or TypeError if it is none."""
        guild_id, version, holes = json.loads(text)
        times = (Hole(int(a), None if b is None else int(b)) for a, b in holes)
        return cls(int(guild_id), int(version), tuple(hole for hole in times if hole.from_at != hole.to_at))


class Channels:
    """Every channel about which something was decided."""

    def __init__(self) -> None:
        self.newest = 0
        """The newest version that is known."""
        self._channels: dict[int, Unrecorded] = {}

    def recall(self, noted: Mapping[int, Unrecorded]) -> None:
        """Takes up what an earlier run noted."""
        self._channels.update(noted)

    def add(self, decisions: Iterable[ChannelDecision]) -> dict[int, tuple[Unrecorded, Touched]]:
        """Takes decisions in; by channel what is different now, and since when.

        The service may have acted by others meanwhile that nobody has told us, for it keeps the newest only: those came
        after the newest that was known.
        """
        different: dict[int, tuple[Unrecorded, Touched]] = {}
        for decision in decisions:
            self.newest = max(self.newest, decision.version)
            known = self._channels.get(decision.channel_id)
            if known is not None and known.version >= decision.version:
                continue
            holes = () if known is None else known.holes
            since = min(max(filter(None, holes[-1])) if holes else 0, decision.hole.from_at)
            if decision.channel_id in different:
                since = min(since, different[decision.channel_id][1].since)
            now = Unrecorded(decision.guild_id, decision.version, _with(holes, decision.hole))
            self._channels[decision.channel_id] = now
            different[decision.channel_id] = now, Touched(since)
        return different

    def shift(self, move: Callable[[int], int], now: int) -> dict[int, Unrecorded]:
        """The clock has been set to `now`: what is still closed moves as what was seen since. What is different."""
        different: dict[int, Unrecorded] = {}
        for channel_id, known in self._channels.items():
            if not known.holes or known.holes[-1].to_at is not None:
                continue
            *earlier, (from_at, to_at) = known.holes
            moved = shifted(from_at, known.version, move, now)
            if moved != from_at:
                different[channel_id] = replace(known, holes=(*earlier, Hole(moved, to_at)))
        self._channels.update(different)
        return different

    def guild_ids(self) -> set[int]:
        """The guilds of these channels."""
        return {unrecorded.guild_id for unrecorded in self._channels.values()}

    def forget(self, guild_id: int, *, but: Collection[int]) -> set[int]:
        """What was decided about the guild's channels goes, but for these; the channels of which something did."""
        of_guild = {channel for channel, unrecorded in self._channels.items() if unrecorded.guild_id == guild_id}
        forgotten = of_guild.difference(but)
        for channel_id in forgotten:
            del self._channels[channel_id]
        return forgotten

    def holes(self, channel_id: int) -> tuple[Hole, ...]:
        """The channel's unrecorded times, oldest first; they do not overlap."""
        known = self._channels.get(channel_id)
        return () if known is None else known.holes


def _with(holes: Sequence[Hole], newest: Hole) -> tuple[Hole, ...]:
    """The holes with a newer one. Nobody told when the last one closed: it is taken to have lasted until then."""
    earlier = [hole for hole in holes if hole.from_at < newest.from_at]
    if earlier and earlier[-1].to_at is None:
        earlier[-1] = Hole(earlier[-1].from_at, newest.from_at)
    known = (*earlier, newest) if newest.from_at != newest.to_at else tuple(earlier)
    if len(known) > MOST_HOLES:
        known = (Hole(known[0].from_at, known[1].to_at), *known[2:])
    return known
