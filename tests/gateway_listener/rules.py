"""What holds at any moment, settled or not. Pure. (Rules 1 and 3, which need no truth: `truth.broken_rules`.)"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence

from tests.gateway_listener.truth import FOREVER, Row, Span, end_of, text_of


def ill_formed(rows: Sequence[Row]) -> Iterator[str]:
    """What no row can be, whoever wrote it: states longer than it, an end without a reason, negative doubt."""
    for row in rows:
        told_until = row["flags_at"] if row["ended_at"] is None else row["ended_at"]
        states = [row[f"{state}_ms"] for state in ("muted", "deafened", "video", "stream")]
        if not all(0 <= state <= told_until - row["started_at"] for state in states):
            yield f"the states {states} are longer than {text_of(row)}"
        ending = (row["ended_at"] is None, row["ended_by"] is None, row["ended_within_ms"] is None)
        if len(set(ending)) != 1 or row["started_within_ms"] < 0 or (row["ended_within_ms"] or 0) < 0:
            yield f"this cannot be: {text_of(row)}"


def unseen_counted(
    rows: Sequence[Row], blind: Mapping[int, Sequence[Span]], longest: int, waiting: frozenset[int]
) -> Iterator[str]:
    """Rule 6: no session counts more than `longest` of a gap that ended with a roll call.

    `blind` has these gaps, by guild. In the guilds of `waiting` an open session may be longer than it ought to be
    until what waits has arrived. What a decision ended, the service ended by itself, before any listener could say
    up to when it had looked: that is judged when all is settled.
    """
    for row in rows:
        if row["ended_by"] in ("opted_out", "not_recorded"):
            continue
        if row["ended_at"] is None and row["guild_id"] in waiting:
            continue
        surely_until = end_of(row) - (row["ended_within_ms"] or 0)
        for begin, end in blind.get(row["guild_id"], ()):
            if min(surely_until, end) - max(row["started_at"], begin) > longest:
                yield f"rule 6: the gap from {begin} to {end} is counted in {text_of(row)}"


def channel_sessions_of(rows: Sequence[Row]) -> list[tuple[int, int, int | None, int]]:
    """(channel, start, end, people): by sweeping through each channel's sessions, oldest first."""
    of_channel: dict[int, list[Row]] = defaultdict(list)
    for row in sorted(rows, key=lambda row: (row["started_at"], end_of(row))):
        of_channel[row["channel_id"]].append(row)
    found: list[tuple[int, int, int | None, int]] = []
    for channel, there in of_channel.items():
        group: list[Row] = []
        for row in [*there, None]:
            until = max(map(end_of, group), default=-1)
            if group and (row is None or row["started_at"] > until):
                people = len({member["user_id"] for member in group})
                found.append((channel, group[0]["started_at"], None if until == FOREVER else until, people))
                group = []
            if row is not None:
                group.append(row)
    return sorted(found, key=lambda session: session[:2])
