"""Two listeners on one shard, each with its own disk: after a comparison or two they agree, and nobody is doubled."""

from __future__ import annotations

import pytest

from db_client.records import VoiceSession
from gateway_listener import frames
from gateway_listener.reading import session_of
from tests.gateway_listener.harness import ADA, DESK, GUILD, Harness
from tests.gateway_listener.tables import Service


@pytest.fixture
def both() -> tuple[Harness, Harness]:
    """Both see the same guild, and Ada, who is in, come to the desk."""
    service = Service()
    first, second = (Harness(service=service, prefix=prefix) for prefix in ("first", "second"))
    for world in (first, second):
        world.connect({GUILD: {}})
    first.opt_in(ADA)
    second.follow()
    for world in (first, second):
        world.pass_ms(1000)
        world.state(ADA, DESK)
    return first, second


def together(both: tuple[Harness, Harness], milliseconds: int) -> None:
    for world in both:
        world.pass_ms(milliseconds)


def test_the_second_takes_over_what_the_first_has_written(both: tuple[Harness, Harness]) -> None:
    """Its own copy was refused; one comparison, and both go on with one session."""
    first, second = both
    together(both, 1000)
    assert (first.compare(), second.compare()) == ({}, {"unknown": 1})
    assert (first.compare(), second.compare()) == ({}, {})
    together(both, 1000)
    second.state(ADA, None)
    assert first.times(ADA) == [(DESK, 1000, 3000, "joined", "left")]


def test_a_part_that_a_consent_began_is_taken_over_too(both: tuple[Harness, Harness]) -> None:
    """Out and in again cut the stay; they do not replace each other's rest for ever, and what was before stays."""
    first, second = both
    together(both, 1000)
    first.opt_out(ADA)
    together(both, 1000)
    first.opt_in(ADA)
    second.follow()
    together(both, 1000)
    assert (first.compare(), second.compare()) == ({}, {"unknown": 1})
    assert (first.compare(), second.compare()) == ({}, {})
    together(both, 1000)
    second.state(ADA, None)
    assert first.times(ADA) == [(DESK, 1000, 2000, "joined", "opted_out"), (DESK, 3000, 5000, "opted_in", "left")]


def test_a_session_that_something_else_stands_in_the_way_of_gives_way(both: tuple[Harness, Harness]) -> None:
    """The first was away for longer than the tolerance, ended the session and began another; the second had seen all
    the while that the person stayed. What is stored is whole again, or cut once, but not replaced for ever."""
    first, second = both
    together(both, 1000)
    first.ack()
    first.tracker.hang_up()
    for _ in range(5):
        together(both, 40_000)
        second.ack()
    first.connect({GUILD: {ADA: DESK}})
    drifts = [(first.compare(), second.compare()) for _ in range(4)]
    assert drifts[-1] == ({}, {})
    together(both, 1000)
    for world in both:
        world.state(ADA, None)
    assert first.times(ADA) == [
        (DESK, 1000, 2000, "joined", "roll_call"),
        (DESK, 202_000, 203_000, "roll_call", "left"),
    ]


def test_what_cannot_be_seen_is_left_for_later(both: tuple[Harness, Harness]) -> None:
    """In an outage of the guild nobody can say whose copy is right; nothing is written over and over."""
    first, second = both
    for world in both:
        world.see(frames.GuildUnavailable(GUILD))
    assert (first.compare(), second.compare()) == ({}, {})
    for world in both:
        world.roll_call(GUILD, {ADA: DESK})
    assert (first.compare(), second.compare()) == ({}, {"unknown": 1})
    assert (first.compare(), second.compare()) == ({}, {})


def test_what_a_decision_began_in_the_service_alone_of_somebody_who_was_not_there_goes() -> None:
    """Another listener's session was cut to a consent that began when we had seen that the person was gone."""
    world = Harness()
    world.connect({GUILD: {}})
    world.pass_ms(1000)
    world.opt_in(ADA)
    world.service.write(VoiceSession("second1-7", GUILD, DESK, ADA, world.now, "opted_in", 0, world.now - 500))
    assert len(world.rows()) == 1
    world.pass_ms(1000)
    assert world.compare() == {"ghost": 1}
    assert world.rows() == []
    assert world.compare() == {}


@pytest.mark.parametrize("begins", ["opted in", "joined"])
@pytest.mark.parametrize("roll_call", ["before", "in between"])
def test_a_backup_brings_back_what_is_forgotten(begins: str, roll_call: str) -> None:
    """Whom we saw leave over two hours ago: their session is over, in doubt up to what we remember."""
    world = Harness()
    world.connect({GUILD: {ADA: DESK} if begins == "opted in" else {}})
    world.pass_ms(1000)
    world.opt_in(ADA)
    if begins == "joined":
        world.state(ADA, DESK)
    (row,) = world.rows()
    world.pass_ms(60_000)
    if roll_call == "in between":
        world.roll_call(GUILD, {ADA: DESK})
    world.pass_ms(600_000)
    world.state(ADA, None)
    left = world.now
    for _ in range(2):
        world.pass_ms(2 * 3_600_000)
        world.read_consent()
        world.ack()
    world.service.connection.execute("DELETE FROM voice_sessions")
    world.service.write(session_of(row))
    assert world.compare() == {"ghost": 1}
    (row,) = world.rows()
    assert abs(row["ended_at"] - left) <= row["ended_within_ms"]
    assert row["ended_at"] + row["ended_within_ms"] <= world.now - 2 * 3_600_000


@pytest.mark.parametrize("then", [0, 1000])
def test_another_listeners_session_ends_where_the_channel_became_the_afk_channel(
    both: tuple[Harness, Harness], then: int
) -> None:
    """The other one was ended before that: what it left open is not continued with the flag that it had."""
    _, second = both
    second.pass_ms(then)
    second.see(frames.GuildChanged(GUILD, "Study room", DESK))
    assert sum(second.compare().values()) > 0
    assert second.compare() == {}
    rows = second.rows()
    assert (rows[-1]["afk"], rows[-1]["ended_at"]) == (1, None)
    assert sum(row["ended_at"] - row["started_at"] for row in rows[:-1]) == then
