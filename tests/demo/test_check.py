"""demo.check: what was stored is held to what was played, by the row's own stated uncertainty where nobody watched."""

from __future__ import annotations

import pytest

from demo.check import Decision, Stay, Stored, Watch, agreed, compare, consented, encodings

GUILD, DESK, LOUNGE = 1, 10, 11
ADA, BEN = 100, 200
WATCHED = [Watch(0, None)]
CRASH = [Watch(0, 50_000), Watch(60_000, None)]


def row(start: int, end: int | None, *, channel: int = DESK, start_within: int = 0, end_within: int = 0) -> Stored:
    return Stored(ADA, GUILD, channel, start, end, "joined", None if end is None else "left", start_within, end_within)


def stay(start: int, end: int | None, *, user: int = ADA, channel: int = DESK) -> Stay:
    return Stay(user, GUILD, channel, start, end)


def problems(expected: list[Stay], stored: list[Stored], watches: list[Watch] = WATCHED) -> list[str]:
    pairs = compare(expected, stored, watches, watermark_ms=1000)
    assert agreed(pairs) == (not [problem for pair in pairs for problem in pair.problems])
    return [problem for pair in pairs for problem in pair.problems]


def test_a_stay_is_cut_to_the_consent() -> None:
    """Opting in while in voice starts it, opting out ends it, opting in again starts another."""
    decisions = [Decision(ADA, 20, True), Decision(ADA, 30, False), Decision(ADA, 40, True)]
    assert consented([stay(10, 100)], decisions) == [stay(20, 30), stay(40, 100)]


def test_who_did_not_opt_in_is_not_expected() -> None:
    """Someone else's decision opens nothing."""
    assert consented([stay(10, 100, user=BEN)], [Decision(ADA, 5, True)]) == []


def test_opting_in_twice_changes_nothing() -> None:
    """A second `in` does not move the start."""
    assert consented([stay(10, 100)], [Decision(ADA, 20, True), Decision(ADA, 30, True)]) == [stay(20, 100)]


def test_an_open_stay_stays_open() -> None:
    """Someone still in voice has no end to compare."""
    assert consented([stay(10, None)], [Decision(ADA, 5, True)]) == [stay(10, None)]
    assert problems([stay(10, None)], [row(10, None)]) == []


@pytest.mark.parametrize("off", [-250, 0, 250])
def test_watched_moments_may_differ_by_the_tolerance(off: int) -> None:
    """A quarter of a second, for two clocks and a connection."""
    assert problems([stay(1000, 9000)], [row(1000 + off, 9000 - off)]) == []


def test_a_watched_moment_is_not_excused_by_what_the_row_states() -> None:
    """Stating a large uncertainty is no licence where the listener was connected."""
    found = problems([stay(1000, 9000)], [row(1000, 9600, end_within=60_000)])
    assert found == ["end off by 600 ms, and it was being watched"]


def test_an_unwatched_moment_is_held_to_the_stated_uncertainty() -> None:
    """Within the gap the row says how sure it is, and must be right about that."""
    assert problems([stay(1000, 55_000)], [row(1000, 50_000, end_within=10_000)], CRASH) == []
    found = problems([stay(1000, 55_000)], [row(1000, 50_000, end_within=2_000)], CRASH)
    assert found == ["end off by -5000 ms, more than the stated 2000 ms"]


def test_more_uncertainty_than_the_gap_explains_is_refused() -> None:
    """Nobody may be right by saying nothing: a row reaches back over the gap, or to the last sign of its person."""
    heard = stay(48_000, 55_000)
    assert problems([heard], [row(48_000, 50_000, end_within=11_250)], CRASH) == []
    assert problems([heard], [row(48_000, 50_000, end_within=11_251)], CRASH) == [
        "end stated as within 11251 ms, more than the gap of 10000 ms explains, "
        "or the 2000 ms since a sign of the person"
    ]
    assert problems([stay(1000, 55_000)], [row(1000, 50_000, end_within=49_250)], CRASH) == []
    found = problems([stay(1000, 55_000)], [row(1000, 50_000, end_within=49_251)], CRASH)
    assert len(found) == 1


def test_a_beginning_in_a_gap_reaches_back_to_the_sign_before_it() -> None:
    """Who is found in another channel was in the one before at their last sign; others' signs say nothing of them."""
    before, after = stay(20_000, 55_000), stay(55_000, 70_000, channel=LOUNGE)
    found = [row(20_000, 50_000, end_within=30_000), row(60_000, 70_000, channel=LOUNGE, start_within=40_000)]
    assert problems([before, after], found, CRASH) == []
    others = stay(1000, None, user=BEN)
    assert (
        len(
            problems(
                [others, before, after], [found[0], row(60_000, 70_000, channel=LOUNGE, start_within=59_000)], CRASH
            )
        )
        == 2
    )


def test_lost_invented_and_never_ended_sessions_are_named() -> None:
    """Each way to be wrong has its own sentence."""
    assert problems([stay(1000, 9000)], []) == ["not stored"]
    assert problems([], [row(1000, 9000)]) == ["stored, but not played"]
    assert problems([stay(1000, 9000)], [row(1000, 9000), row(1001, 9000)]) == ["stored, but not played"]
    assert problems([stay(1000, 9000)], [row(1000, None)]) == ["still open, but the person left"]
    assert problems([stay(1000, None)], [row(1000, 9000)]) == ["ended, but the person is still there"]
    assert problems([stay(1000, 9000)], [row(1000, 9000, channel=LOUNGE)]) == ["not stored", "stored, but not played"]


def test_a_stay_wholly_inside_a_gap_is_not_expected() -> None:
    """Someone who came and went while nobody watched cannot be known."""
    assert problems([stay(52_000, 58_000)], [], CRASH) == []
    assert problems([stay(49_000, 58_000)], [], CRASH) == ["not stored"]


def test_an_id_is_looked_for_in_every_form_a_file_can_hold() -> None:
    """SQLite writes a snowflake as eight bytes, most significant first; logs write its digits."""
    assert encodings(0x0102030405060708) == (
        b"72623859790382856",
        b"\x01\x02\x03\x04\x05\x06\x07\x08",
        b"\x08\x07\x06\x05\x04\x03\x02\x01",
    )
