"""The pure parts of the gateway connection: heartbeats, pauses, and when the next IDENTIFY is sent."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway_listener.heartbeat import Heartbeat
from gateway_listener.pace import (
    A_DAY,
    DAY_MS,
    HOUR_MS,
    StartLimit,
    identify_wait,
    moments,
    pause_before,
    renewal_wait,
)

PAUSE = 5000
INTERVAL = 40_000


def connected(now: int = 0) -> Heartbeat:
    heart = Heartbeat(now, late_ms=500)
    heart.hello(INTERVAL, now)
    return heart


def turns(heart: Heartbeat, begin: int, end: int) -> list[int]:
    """When the loop, which comes round every 200 ms, is told to send a heartbeat, and does."""
    sent = []
    for now in range(begin, end, 200):
        if heart.turned(now):
            heart.beat(now)
            sent.append(now)
    return sent


# --- heartbeats ---


def test_an_answer_to_identify_or_resume_is_due() -> None:
    """From the beginning of the connection on, whether HELLO came or not."""
    for said_hello in (True, False):
        heart = Heartbeat(100, late_ms=500)
        if said_hello:
            heart.hello(INTERVAL, 100)
        assert heart.complaint(30_100) is None
        assert heart.complaint(30_101) is not None
    heart = connected(100)
    heart.opened(30_000)
    assert heart.complaint(30_101) is None


def test_a_heartbeat_is_sent_behind_ready_and_once_an_interval() -> None:
    """As HELLO asks; a heartbeat sent for another reason begins the interval anew."""
    heart = connected()
    heart.opened(1000)
    sent = []
    for now in range(1000, 100_000, 200):
        if heart.turned(now):
            heart.beat(now)
            sent.append(now)
            heart.acknowledged()
    assert sent == [1000, 41_000, 81_000]
    heart.wanted()
    assert heart.turned(100_000)


def test_no_ack_before_the_next_heartbeat_is_due() -> None:
    """Discord's page: close, and resume. Other frames that flow do not count."""
    heart = connected()
    heart.opened(0)
    assert turns(heart, 0, 39_900) == [0]
    assert heart.complaint(39_800) is None
    heart.read(40_000)
    assert heart.turned(40_000)
    assert heart.complaint(40_000) is not None


def test_one_lost_ack_is_found_out_though_later_ones_come() -> None:
    """An ACK does not say whose it is: it is the oldest's, and so the one that is missing is missed in an interval."""
    heart = connected()
    heart.opened(0)
    assert heart.turned(0)
    heart.beat(0)  # its ACK is lost
    for now in range(200, 80_400, 200):
        if heart.turned(now):
            if heart.complaint(now) is not None:
                break
            heart.beat(now)
            heart.acknowledged()
    assert now <= 2 * INTERVAL


def test_after_a_stall_what_waits_is_read_before_anybody_is_declared_dead() -> None:
    """The ACK may be in the buffer."""
    heart = connected()
    heart.opened(0)
    assert turns(heart, 0, 30_000) == [0]
    heart.turned(3_600_000)
    assert heart.complaint(3_600_000) is None
    heart.acknowledged()
    heart.turned(3_600_200)
    assert heart.complaint(3_600_200) is None


# --- pauses ---


def test_pauses_grow_to_a_minute() -> None:
    """Full jitter: the bound doubles, the pause is anywhere below."""
    assert [pause_before(attempt, 1.0, 60) for attempt in range(1, 9)] == [2, 4, 8, 16, 32, 60, 60, 60]
    assert pause_before(3, 0.25, 60) == 2
    assert pause_before(0, 1.0, 60) == 0


# --- IDENTIFY ---


@pytest.mark.parametrize(
    "answer",
    [
        None,
        [],
        {},
        {"session_start_limit": None},
        {"session_start_limit": {"remaining": "5", "reset_after": 1, "max_concurrency": 1}},
        {"session_start_limit": {"remaining": True, "reset_after": 1, "max_concurrency": 1}},
        {"session_start_limit": {"remaining": -1, "reset_after": 1, "max_concurrency": 1}},
        {"session_start_limit": {"remaining": 5, "reset_after": 1}},
        {"session_start_limit": {"remaining": 5, "reset_after": 1.5, "max_concurrency": 1}},
    ],
)
def test_an_answer_that_does_not_say_how_many_are_left(answer: object) -> None:
    """Is no answer."""
    assert StartLimit.of(answer) is None


def test_what_discord_says_is_never_more_than_a_day_away() -> None:
    """And at least one shard at a time may begin."""
    said = {"total": 1000, "remaining": 5, "reset_after": 10 * DAY_MS, "max_concurrency": 0}
    assert StartLimit.of({"session_start_limit": said}) == StartLimit(5, DAY_MS, 1)


def test_the_first_identify_waits_for_nothing_and_the_next_five_seconds() -> None:
    """Discord takes one every five seconds."""
    limit = StartLimit(1000, DAY_MS, 1)
    assert identify_wait([], limit, 1000) == 0
    assert identify_wait([1000], limit, 2000) == 4000
    assert identify_wait([1000], limit, 6000) == 0


def test_what_was_spent_in_the_last_hour_slows_the_next() -> None:
    """The tenth comes as fast as the second, each further one five seconds later; an hour later all is forgotten."""
    limit = StartLimit(1000, DAY_MS, 1)
    spent = [place * PAUSE for place in range(30)]
    waits = [identify_wait(spent[:sent], limit, spent[sent - 1]) for sent in (1, 10, 11, 12, 30)]
    assert waits == [5000, 5000, 10_000, 15_000, 105_000]
    assert identify_wait(spent, limit, spent[-1] + HOUR_MS) == 0


def test_the_last_ones_are_spread_until_the_reset() -> None:
    """Among all the shards, which cannot see each other; what was sent long ago does not keep the next."""
    assert identify_wait([0], StartLimit(8, DAY_MS, 1), 0) == DAY_MS // 8
    assert identify_wait([0], StartLimit(24, DAY_MS, 1), 0, shard=(1, 3)) == 3 * DAY_MS // 24
    assert identify_wait([0], StartLimit(8, DAY_MS // 2, 1), DAY_MS // 2) == 0
    assert identify_wait([0], StartLimit(1, HOUR_MS, 1), 0, shard=(0, 50)) == HOUR_MS


def test_with_none_left_the_reset_is_waited_for() -> None:
    """Whoever has sent them."""
    assert identify_wait([], StartLimit(0, 1_234_000, 1), 0) == 1_234_000
    assert identify_wait([], StartLimit(0, 0, 1), 0) == PAUSE


def test_without_an_answer_our_own_count_and_care() -> None:
    """As many are taken to have been sent by each other shard; the day's end is when our first is a day old."""
    now = HOUR_MS
    assert identify_wait([0] * 310, None, now, shard=(0, 3)) == 0
    assert identify_wait([0] * 325, None, now, shard=(0, 3)) == 3 * (DAY_MS - now) // 25 - now
    assert identify_wait([0] * 334, None, now, shard=(0, 3)) == DAY_MS - now
    assert identify_wait([0] * 334, None, now) == 0
    assert identify_wait([0] * A_DAY, None, now) == DAY_MS - now


@pytest.mark.parametrize(("shard_count", "concurrency"), [(3, 1), (7, 2), (16, 16)])
def test_shards_that_were_turned_away_take_turns_by_the_clock(shard_count: int, concurrency: int) -> None:
    """Those with one remainder are five seconds apart, whenever each of them asks; who has no peer waits for nobody."""
    limit = StartLimit(1000, DAY_MS, concurrency)
    at: dict[int, list[int]] = {}
    for shard in range(shard_count):
        now = 1_800_000_000_123 + 777 * shard
        wait = identify_wait([now - HOUR_MS], limit, now, shard=(shard, shard_count), turned_away=True)
        peers = len(range(shard % concurrency, shard_count, concurrency))
        assert 0 <= wait <= 2 * PAUSE * peers
        assert (wait == 0) or peers > 1
        again = now + wait
        assert identify_wait([now - HOUR_MS], limit, again, shard=(shard, shard_count), turned_away=True) == 0
        at.setdefault(shard % concurrency, []).append(again)
    for moments_of_peers in at.values():
        ordered = sorted(moments_of_peers)
        assert all(later - earlier >= PAUSE for earlier, later in itertools.pairwise(ordered))


@given(
    remaining=st.integers(0, 1000),
    reset_after=st.integers(60_000, DAY_MS),
    shards=st.integers(1, 5),
    worked_ms=st.lists(st.integers(0, 2 * HOUR_MS), min_size=1, max_size=5),
    answers=st.booleans(),
)
def test_never_more_than_remain_and_never_blind_for_long_while_some_do(
    remaining: int, reset_after: int, shards: int, worked_ms: list[int], answers: bool
) -> None:
    """Until the reset, with every session lost after a while, by several shards that do not see each other."""
    spent: list[list[int]] = [[] for _ in range(shards)]
    due = [0] * shards
    sent, now = 0, 0
    works = itertools.cycle(worked_ms)
    for _ in range(3000):
        shard = min(range(shards), key=lambda one: due[one])
        now = due[shard]
        if now >= reset_after:
            break
        left = remaining - sent
        limit = StartLimit(left, reset_after - now, 1)
        wait = identify_wait(spent[shard], limit, now, shard=(shard, shards))
        if wait <= 0:
            sent += 1
            assert sent <= remaining
            spent[shard].append(now)
            due[shard] = now + next(works) + 1
            continue
        if left > 0:
            in_an_hour = sum(now - moment < HOUR_MS for moment in spent[shard])
            assert wait <= max(PAUSE * max(1, in_an_hour), shards * (reset_after - now) // left)
        due[shard] = now + (wait if not answers else min(wait, 300_000))
    if remaining >= 4 * shards and sent == remaining:
        assert max(moment for of_shard in spent for moment in of_shard) > reset_after // 2


def test_eight_that_remain_last_until_the_reset() -> None:
    """Though every session is lost at once."""
    spent: list[int] = []
    now, remaining = 0, 8
    while now < DAY_MS:
        wait = identify_wait(spent, StartLimit(remaining, DAY_MS - now, 1), now)
        if wait == 0:
            assert remaining > 0
            remaining -= 1
            spent.append(now)
        now += max(wait, 1000)
    assert remaining == 0
    assert spent[-1] > DAY_MS // 2
    assert max(later - earlier for earlier, later in itertools.pairwise([*spent, DAY_MS])) <= DAY_MS // 6


def test_fresh_sessions_that_are_asked_for_are_fewer_each_time() -> None:
    """A mistake that comes back with every roll call must not make everybody unseen over and over."""
    spent = [0]
    for _ in range(8):
        spent.append(spent[-1] + renewal_wait(spent, spent[-1]))
    apart = [later - earlier for earlier, later in itertools.pairwise(spent)]
    assert apart == [20_000, 80_000, 320_000, 1_280_000, HOUR_MS, HOUR_MS, HOUR_MS, HOUR_MS]
    assert renewal_wait([], 5) == 0


@pytest.mark.parametrize("text", ["", "junk", "{}", '["x"]', "5", "[1e999]"])
def test_an_unreadable_note_is_an_empty_one(text: str) -> None:
    """A damaged note does not stop the listener."""
    assert moments(text, 0) == []


def test_what_a_clock_that_was_ahead_has_noted_is_not_to_come() -> None:
    """The newest is just now, and what lies between them stays."""
    assert moments("[7000,1000]", 9000) == [1000, 7000]
    assert moments("[1000,7000]", 5000) == [-1000, 5000]
