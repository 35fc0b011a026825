"""Whatever order a person's records arrive in, and however often: what stands is what was decided."""

from __future__ import annotations

import itertools
import os

from hypothesis import given, settings
from hypothesis import strategies as st

from db_client.records import ConsentDecision, Decision, Record, VoiceSession
from db_client.snowflake import earliest
from tests.contract.histories import (
    FOREVER,
    GUILD,
    INTERVALS,
    PERSON,
    ROWS,
    SESSIONS,
    STANDING,
    START,
    TOTALS,
    TOTALS_OF_SESSIONS,
    VISIBLE,
    Memory,
    consented,
    decisions,
    sessions,
    visible,
)

MINUTE = 60_000
EXAMPLES = int(os.environ.get("HISTORIES", "150"))


@settings(max_examples=EXAMPLES, deadline=None)
@given(st.data(), decisions())
def test_order_and_repetition_of_decisions_do_not_matter(data: st.DataObject, history: list[ConsentDecision]) -> None:
    """opt_in_users and consent_intervals end equal, delivered in order once, or in any order with repetitions."""
    repeated = history + (data.draw(st.lists(st.sampled_from(history), max_size=3)) if history else [])
    with Memory() as once, Memory() as shuffled:
        once.deliver(history)
        shuffled.deliver(data.draw(st.permutations(repeated)))
        assert shuffled.rows(INTERVALS) == once.rows(INTERVALS)
        assert shuffled.rows(STANDING) == once.rows(STANDING)
        assert shuffled.rows(VISIBLE) == once.rows(VISIBLE)
        shown: dict[int, int | None] = {}
        for guild, _, shown_from in once.rows(VISIBLE):
            known = [at for at in (shown.get(guild), shown_from) if at is not None]
            shown[guild] = min(known, default=None)
        assert shown == visible(history)
        assert [(a, FOREVER if b is None else b) for _, a, b in once.rows(INTERVALS)] == consented(history)


@settings(max_examples=EXAMPLES, deadline=None)
@given(st.data(), decisions(), sessions())
def test_stored_sessions_lie_within_consent(
    data: st.DataObject, history: list[ConsentDecision], stays: list[VoiceSession]
) -> None:
    """Delivered in any order: every stored row lies within one consent interval, none overlap, at most one is open."""
    records: list[Record] = [*history, *stays]
    with Memory() as memory:
        memory.deliver(data.draw(st.permutations(records)))
        stored = [(start, FOREVER if end is None else end) for _, start, end in memory.rows(SESSIONS)]
        hold(memory)
    intervals = consented(history)
    for start, end in stored:
        assert any(begun <= start and end <= over for begun, over in intervals), (stored, intervals)
    for (start, end), (other_start, other_end) in itertools.combinations(stored, 2):
        assert max(start, other_start) >= min(end, other_end), stored
    assert sum(end == FOREVER for _, end in stored) <= 1


def hold(memory: Memory) -> None:
    """What is true of every stored row: states no longer than the stay, no end without a moment, totals the sum."""
    for row in memory.rows(ROWS):
        session_id, _, _, _, started, ended, _, ended_by, begin_within, end_within, afk, *states, _, flags_at, _ = row
        assert (ended_by is None) == (ended is None) == (end_within is None), row
        assert begin_within >= 0
        assert afk in (0, 1)
        assert flags_at >= 0, row
        assert all(0 <= ms <= (FOREVER if ended is None else ended - started) for ms in states), (session_id, row)
    assert memory.rows(TOTALS) == memory.rows(TOTALS_OF_SESSIONS)


def decision(kind: Decision, at: int, number: int = 0, name: str = "n") -> ConsentDecision:
    """A decision so many milliseconds after the beginning."""
    return ConsentDecision(earliest(START + at) + number, PERSON, kind, name, name.title())


def stay(name: str, started: int, ended: int | None, revision: int = 1, **more: int) -> VoiceSession:
    """A stay, in milliseconds after the beginning."""
    end = None if ended is None else START + ended
    return VoiceSession(name, GUILD, 80, PERSON, START + started, "joined", 0, revision, end, end and "left",
                        end and 0, flags_at=START + started, **more)  # fmt: skip


@settings(max_examples=EXAMPLES, deadline=None)
@given(st.data(), st.integers(0, 4), st.integers(0, 4), st.integers(0, 4), st.integers(0, 4))
def test_to_the_millisecond_what_consent_covers_is_stored(
    data: st.DataObject, begins: int, over: int, started: int, length: int
) -> None:
    """Beginning, end and both decisions fall into five milliseconds: stored is what lies in both, in any order."""
    into, out = decision("in", begins, 1), decision("out", begins + over, 2)
    told = [stay("s", started, None), stay("s", started, started + length, 2)]
    order = data.draw(st.permutations([into, out, *told]))
    with Memory() as memory:
        memory.deliver([*order, told[1]])  # the listener tells it again when it knows
        stored = sum(end - start for _, start, end in memory.rows(SESSIONS))
        hold(memory)
    assert stored == max(0, min(begins + over, started + length) - max(begins, started))


def test_a_profile_follows_the_newest_opt_in_also_one_that_arrives_behind_a_later_opt_out() -> None:
    """The name is that of the newest `in`, what stands that of the newest decision."""
    with Memory() as memory:
        memory.deliver([decision("out", 5), decision("in", 3, name="second"), decision("in", 1, name="first")])
        [[username, opted_in, since, version]] = memory.rows(STANDING)
    assert (username, opted_in) == ("second", 0)
    assert (since, version) == (START + 5, earliest(START + 5))


def test_an_opt_out_that_arrives_late_cuts_the_states_too() -> None:
    """Of an hour with fifty minutes deafened, ten minutes are left: no more than these were deafened."""
    everything = dict.fromkeys(("muted_ms", "deafened_ms", "video_ms", "stream_ms"), 50 * MINUTE)
    with Memory() as memory:
        memory.deliver([decision("in", 0), stay("s", 0, 60 * MINUTE, **everything), decision("out", 10 * MINUTE)])
        hold(memory)
        [row] = memory.rows(ROWS)
    assert list(row[11:15]) == [10 * MINUTE] * 4


def test_a_stay_that_goes_on_after_all_leaves_nothing_in_the_totals() -> None:
    """Ended, then open again by a newer revision: its time counts only once it has ended."""
    with Memory() as memory:
        memory.deliver([decision("in", 0), stay("s", 0, MINUTE, 2), stay("s", 0, None, 3)])
        hold(memory)
        assert memory.rows(TOTALS) == []


def test_a_part_that_is_there_already_does_not_stop_an_opt_out() -> None:
    """The service would split a part off that the listener has told: that one stands, and the decision counts."""
    later = decision("in", 30)
    with Memory() as memory:
        part = stay(f"s-{later.interaction_id}", 40, 60)
        memory.deliver([decision("in", 0), stay("s", 0, 35), part, later, decision("out", 20)])
        hold(memory)
        rows = [(name, start - START, end - START) for name, start, end in memory.rows(SESSIONS)]
        assert [begun - START for _, begun, _ in memory.rows(INTERVALS)] == [0, 30]
    assert rows == [("s", 0, 20), (part.session_id, 40, 60)]
