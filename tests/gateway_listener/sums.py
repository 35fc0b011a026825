"""Is what a session says of itself what happened in it? The four durations and the AFK flag. Pure."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence

from db_client.records import Flags
from tests.gateway_listener.truth import FOREVER, Row, Span, Truth, end_of, text_of, within, without

NAMES = {
    "muted_ms": Flags.MUTED,
    "deafened_ms": Flags.DEAFENED,
    "video_ms": Flags.VIDEO,
    "stream_ms": Flags.STREAM,
}


def wrong_sums(truth: Truth, rows: Sequence[Row]) -> Iterator[str]:
    """Durations that are not the true ones, give or take the time in which nobody looked."""
    for row in rows:
        begin, end = row["started_at"], min(end_of(row), truth.now)
        seen = truth.seen.get(row["guild_id"], ())
        unseen = (end - begin) - _length(within([(begin, end)], seen))
        for name, flag in NAMES.items():
            spans = _held(truth, row["user_id"], flag)
            stored = row[name]
            if row["ended_at"] is None and row["flags"] & flag:
                stored += end - row["flags_at"]
            true = _length(within(spans, [(begin, end)]))
            edges = sum(begin <= edge <= end for span in spans for edge in span)
            if not -truth.slack <= stored <= end - begin + truth.slack:
                yield f"{name} is {stored} in {text_of(row)}"
            elif row["session_id"] in truth.cut_blindly:
                continue  # how much of what had been counted lay in the part that is left, nobody knows any more
            elif abs(stored - true) > unseen + truth.slack * (edges + 2):
                yield f"{name} is {stored} and was {true}, with {unseen} unseen, in {text_of(row)}"


def _length(spans: Iterable[Span]) -> int:
    return sum(end - begin for begin, end in spans)


def _held(truth: Truth, user_id: int, flag: int) -> list[Span]:
    """When the person had the flag."""
    changes = [*truth.flags.get(user_id, ()), (FOREVER, 0)]
    return [(a, b) for (a, flags), (b, _) in itertools.pairwise(changes) if flags & flag and a < b]


def wrong_afk(truth: Truth, rows: Sequence[Row]) -> Iterator[str]:
    """Sessions in which time counts otherwise than the channel was then, as far as anybody saw that."""
    for row in rows:
        times = truth.afk.get(row["channel_id"], ())
        seen = within(truth.seen.get(row["guild_id"], ()), [(row["started_at"], min(end_of(row), truth.now))])
        wrong = without(seen, times) if row["afk"] else within(seen, times)
        if any(end - begin > 2 * truth.slack for begin, end in wrong):
            yield f"afk is {row['afk']} in {text_of(row)}"
