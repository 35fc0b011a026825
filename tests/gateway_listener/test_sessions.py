"""A stay cut to consent: against a slow reference that goes through time millisecond by millisecond."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from db_client.records import Flags, VoiceSession
from gateway_listener.consent import Interval
from gateway_listener.edge import Edge
from gateway_listener.flags import FlagHistory
from gateway_listener.sessions import changes, piece_id, sessions_of
from gateway_listener.stays import Stay

END = 40


@st.composite
def stays(draw: st.DrawFn) -> Stay:
    start = draw(st.integers(0, END - 1))
    first = draw(st.integers(0, 15))
    stay = Stay("s", 1, 2, 3, start, "joined", draw(st.integers(0, start)), False, FlagHistory(start, first))
    at = start
    for _ in range(draw(st.integers(0, 4))):
        at = draw(st.integers(at, END))
        stay.history.change(at, draw(st.integers(0, 15)))
    if draw(st.booleans()):
        ended = draw(st.integers(at, END))
        stay.end(Edge(ended, draw(st.integers(0, ended)), draw(st.integers(ended, END))), "left")
    return stay


@st.composite
def consents(draw: st.DrawFn) -> tuple[Interval, ...]:
    edges = sorted(draw(st.sets(st.integers(0, END), max_size=6)))
    pairs = list(zip(edges[::2], [*edges[1::2], None], strict=False))
    return tuple(Interval(100 + place, start, end) for place, (start, end) in enumerate(pairs))


def flags_at(stay: Stay, moment: int) -> int:
    held = 0
    for change in stay.history.changes():
        if change.at <= moment:
            held = change.flags
    return held


@given(stays(), consents())
def test_exactly_the_consented_milliseconds(stay: Stay, intervals: tuple[Interval, ...]) -> None:
    """One session for each interval that the stay has a millisecond in; its edges and sums are those milliseconds."""
    horizon = END + 5
    until = horizon if stay.ended_at is None else stay.ended_at
    expected = []
    for interval in intervals:
        covered = [
            moment
            for moment in range(stay.started_at, until)
            if interval.from_at <= moment < (horizon if interval.to_at is None else interval.to_at)
        ]
        if covered:
            is_open = stay.ended_at is None and interval.to_at is None
            expected.append((covered[0], None if is_open else covered[-1] + 1, covered))
    found = [session for session in sessions_of(stay, intervals) if session.started_at != session.ended_at]
    assert [(s.started_at, s.ended_at) for s in found] == [(start, end) for start, end, _ in expected]
    for session, (_, _, covered) in zip(found, expected, strict=True):
        counted = [moment for moment in covered if moment < session.flags_at]
        sums = (session.muted_ms, session.deafened_ms, session.video_ms, session.stream_ms)
        for flag, spent in zip(Flags, sums, strict=True):
            assert spent == sum(1 for moment in counted if flags_at(stay, moment) & flag)
        if session.ended_at is None:
            assert all(flags_at(stay, moment) == session.flags for moment in covered if moment >= session.flags_at)


@given(stays(), consents())
def test_the_stated_uncertainty_stays_within_consent(stay: Stay, intervals: tuple[Interval, ...]) -> None:
    """The true moment lies in the stay's bounds and in the consent; the stated distance covers that, and no more."""
    by_start = {max(interval.from_at, stay.started_at): interval for interval in intervals}
    for session in sessions_of(stay, intervals):
        interval = by_start[session.started_at]
        assert session.started_within_ms >= 0
        assert session.started_at - session.started_within_ms >= min(interval.from_at, session.started_at)
        if session.ended_at is not None and interval.to_at is not None:
            assert session.ended_within_ms is not None
            assert session.ended_within_ms <= max(
                interval.to_at - session.ended_at, session.ended_at - interval.from_at
            )


def test_a_stay_without_length_counts_where_consent_covers_it() -> None:
    """Someone who came and went in unseen time was there."""
    stay = Stay("s", 1, 2, 3, 10, "joined", 5, False, FlagHistory(10, 0))
    stay.end(Edge(10, 5, 12), "left")
    (session,) = sessions_of(stay, [Interval(7, 0, None)])
    assert (session.started_at, session.ended_at) == (10, 10)
    assert sessions_of(stay, [Interval(7, 11, None)]) == []
    assert sessions_of(stay, [Interval(7, 0, 10)]) == []


def test_ids_depend_on_the_stay_and_the_deciding_interaction_only() -> None:
    """The part that begins with the stay has its id; any other that of the decision it begins with."""
    stay = Stay("s", 1, 2, 3, 10, "joined", 10, False, FlagHistory(10, 0))
    assert [s.session_id for s in sessions_of(stay, [Interval(7, 0, 20), Interval(9, 30, None)])] == ["s", "s-9"]
    assert [s.session_id for s in sessions_of(stay, [Interval(9, 30, None)])] == ["s-9"]
    assert piece_id("s-9", 11) == "s-11"


def session(session_id: str, start: int, end: int | None) -> VoiceSession:
    return VoiceSession(session_id, 1, 2, 3, start, "joined", 0, 0, end)


def test_changes_never_take_time_before_it_is_given_up() -> None:
    """Retractions, then sessions that shrink, then those that grow or are new."""
    recorded = {"a": session("a", 0, None), "b": session("b", 5, 6)}
    desired = [session("c", 20, None), session("a", 0, 10)]
    assert [change if isinstance(change, str) else change.session_id for change in changes(recorded, desired)] == [
        "b",
        "a",
        "c",
    ]
