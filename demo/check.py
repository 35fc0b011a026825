"""Is what was stored what was played? Pure.

What was played is what the simulated Discord says it sent; what was decided are the moments of the signed interactions.
Where the listener was watching, a stored moment may differ by `TOLERANCE_MS` (two clocks and a loopback connection).
Where it was not, the true moment must lie within what the row itself says (`started_within_ms`, `ended_within_ms`),
and the row may say no more than the gap explains, or the time since the person was last heard of before it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

TOLERANCE_MS = 250
FOREVER = 2**63 - 1


@dataclass(frozen=True)
class Stay:
    """Someone's unbroken time in a channel; `ended_at` is None while it lasts. Times in ms since 1970 UTC."""

    user_id: int
    guild_id: int
    channel_id: int
    started_at: int
    ended_at: int | None


@dataclass(frozen=True)
class Decision:
    """A person's `/opt_in` (`recorded` True) or `/opt_out`, at the moment of its snowflake."""

    user_id: int
    at: int
    recorded: bool


@dataclass(frozen=True)
class Watch:
    """From when to when a listener was connected to the gateway; `ended_at` is None while it is."""

    started_at: int
    ended_at: int | None


@dataclass(frozen=True)
class Stored:
    """A row of voice_sessions, as far as it is compared."""

    user_id: int
    guild_id: int
    channel_id: int
    started_at: int
    ended_at: int | None
    started_by: str
    ended_by: str | None
    started_within_ms: int
    ended_within_ms: int | None


@dataclass(frozen=True)
class Pair:
    """What should be stored beside what is; one of them is None where the other has no counterpart."""

    played: Stay | None
    stored: Stored | None
    start_off_ms: int | None
    end_off_ms: int | None
    problems: tuple[str, ...]


def consented(stays: Iterable[Stay], decisions: Iterable[Decision]) -> list[Stay]:
    """What may and must be stored: the stays cut to the times in which the person's newest decision was `in`."""
    intervals = _intervals(decisions)
    cut: list[Stay] = []
    for stay in stays:
        for start, end in intervals.get(stay.user_id, ()):
            begins = max(start, stay.started_at)
            ends = min(end, FOREVER if stay.ended_at is None else stay.ended_at)
            if begins < ends:
                cut.append(
                    Stay(stay.user_id, stay.guild_id, stay.channel_id, begins, None if ends == FOREVER else ends)
                )
    return sorted(cut, key=lambda stay: (stay.started_at, stay.user_id))


def _intervals(decisions: Iterable[Decision]) -> dict[int, list[tuple[int, int]]]:
    intervals: dict[int, list[tuple[int, int]]] = {}
    since: dict[int, int] = {}
    for decision in sorted(decisions, key=lambda decision: decision.at):
        if decision.recorded:
            since.setdefault(decision.user_id, decision.at)
        elif decision.user_id in since:
            intervals.setdefault(decision.user_id, []).append((since.pop(decision.user_id), decision.at))
    for user_id, start in since.items():
        intervals.setdefault(user_id, []).append((start, FOREVER))
    return intervals


def compare(
    expected: Sequence[Stay],
    stored: Sequence[Stored],
    watches: Sequence[Watch],
    *,
    watermark_ms: int,
    tolerance_ms: int = TOLERANCE_MS,
) -> list[Pair]:
    """Each expected stay beside the stored row nearest to it, then the rows nobody expected; see the module's rules.

    `watermark_ms` is how old the kept watermark may be when a listener is killed. A stay that lies in a gap of the
    watches as a whole is not expected: nobody could see it.
    """
    left = list(stored)
    pairs: list[Pair] = []
    for stay in expected:
        candidates = [row for row in left if _seat(row) == _seat(stay)]
        row = min(candidates, key=lambda row: abs(row.started_at - stay.started_at), default=None)
        if row is not None:
            left.remove(row)
            pairs.append(_pair(stay, row, _Gaps(expected, watches, watermark_ms, tolerance_ms)))
        elif not _unseen_whole(stay, watches):
            pairs.append(Pair(stay, None, None, None, ("not stored",)))
    pairs += [Pair(None, row, None, None, ("stored, but not played",)) for row in left]
    return pairs


def agreed(pairs: Iterable[Pair]) -> bool:
    """True if nothing is missing, nothing is there that should not be, and every moment is as it should be."""
    return not any(pair.problems for pair in pairs)


def _seat(stay: Stay | Stored) -> tuple[int, int, int]:
    return (stay.user_id, stay.guild_id, stay.channel_id)


class _Gaps(NamedTuple):
    """When nobody was watching, and what that explains."""

    expected: Sequence[Stay]
    watches: Sequence[Watch]
    watermark_ms: int
    tolerance_ms: int

    def judge(self, which: str, stay: Stay, true: int, stored: int, within: int) -> list[str]:
        """What is wrong with a stored moment of the stay."""
        off = stored - true
        gap = _gap_around(true, self.watches)
        if gap is None:
            return [] if abs(off) <= self.tolerance_ms else [f"{which} off by {off} ms, and it was being watched"]
        began, ended = gap
        if abs(off) > within + self.tolerance_ms:
            return [f"{which} off by {off} ms, more than the stated {within} ms"]
        unheard = stored - self._heard(stay.user_id, began)
        if within > max(ended - began + self.watermark_ms, unheard) + self.tolerance_ms:
            return [
                f"{which} stated as within {within} ms, more than the gap of {ended - began} ms explains, "
                f"or the {unheard} ms since a sign of the person"
            ]
        return []

    def _heard(self, user_id: int, before: int) -> int:
        """The person's last beginning or end before that moment; there is one if they were seen at all."""
        edges = (edge for stay in self.expected if stay.user_id == user_id for edge in (stay.started_at, stay.ended_at))
        return max((edge for edge in edges if edge is not None and edge <= before), default=before)


def _pair(stay: Stay, row: Stored, gaps: _Gaps) -> Pair:
    problems = gaps.judge("start", stay, stay.started_at, row.started_at, row.started_within_ms)
    end_off: int | None = None
    if stay.ended_at is None or row.ended_at is None:
        if stay.ended_at is not None:
            problems.append("still open, but the person left")
        if row.ended_at is not None:
            problems.append("ended, but the person is still there")
    else:
        end_off = row.ended_at - stay.ended_at
        problems += gaps.judge("end", stay, stay.ended_at, row.ended_at, row.ended_within_ms or 0)
    return Pair(stay, row, row.started_at - stay.started_at, end_off, tuple(problems))


def _gap_around(moment: int, watches: Sequence[Watch]) -> tuple[int, int] | None:
    """From when to when nobody was watching around the moment; None if somebody was."""
    ends = [FOREVER if watch.ended_at is None else watch.ended_at for watch in watches]
    if any(watch.started_at <= moment <= end for watch, end in zip(watches, ends, strict=True)):
        return None
    before = max((end for end in ends if end < moment), default=0)
    after = min((watch.started_at for watch in watches if watch.started_at > moment), default=FOREVER)
    return before, after


def _unseen_whole(stay: Stay, watches: Sequence[Watch]) -> bool:
    end = FOREVER if stay.ended_at is None else stay.ended_at
    return not any(
        watch.started_at <= end and stay.started_at <= (FOREVER if watch.ended_at is None else watch.ended_at)
        for watch in watches
    )


def encodings(snowflake: int) -> tuple[bytes, ...]:
    """How an id can stand in a file: as decimal digits, as SQLite's eight bytes, and the other way round."""
    return (str(snowflake).encode(), snowflake.to_bytes(8, "big"), snowflake.to_bytes(8, "little"))
