"""Whatever the order in which decisions and sessions reach the service and the listener, the rows end up the same."""

from __future__ import annotations

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from db_client.records import Flags, Record, VoiceSession, Watermark
from gateway_listener.sessions import sessions_of
from tests.gateway_listener.harness import ADA, DESK, GUILD, NOON, SOFA, Harness

kinds = st.sampled_from(["in", "in", "out", "out", "erase"])


@st.composite
def arrivals(draw: st.DrawFn) -> list[tuple[int, str]]:
    """(moment, decision) a person made, in the order in which they arrive."""
    moments = sorted(draw(st.sets(st.integers(0, 60), min_size=1, max_size=6)))
    return draw(st.permutations([(moment * 10, draw(kinds)) for moment in moments]))


@given(arrivals(), st.booleans(), st.integers(0, 6))
def test_rows_follow_from_stay_and_consent_alone(made: list[tuple[int, str]], ends: bool, late: int) -> None:
    """One stay from 105 to 405 or open; some decisions arrive during it, the rest after its end."""
    world = Harness()
    world.connect({GUILD: {}})
    in_time, delayed = made[: len(made) - late], made[max(0, len(made) - late) :]
    world.now = NOON + 105
    world.state(ADA, DESK, flags=Flags.MUTED)
    world.now = NOON + 300
    for moment, decision in in_time:
        world.decide(ADA, decision, NOON + moment)
    world.now = NOON + 405
    if ends:
        world.state(ADA, None)
    world.now = NOON + 700
    for moment, decision in delayed:
        world.decide(ADA, decision, NOON + moment)
    (stay,) = world.tracker._ledger.stays_of(ADA, GUILD)
    expected = sessions_of(stay, world.tracker._ledger.consents.of(ADA))
    found = [(row["session_id"], row["started_at"], row["ended_at"], row["muted_ms"]) for row in world.rows(ADA)]
    assert found == [(s.session_id, s.started_at, s.ended_at, s.muted_ms) for s in expected]
    assert {row["user_id"] for row in world.service.rows("SELECT * FROM consent_log")} <= {ADA}
    open_notes = [key for key in world.notes if key.startswith("open:")]
    assert open_notes == [f"open:{s.session_id}" for s in expected if s.ended_at is None]


steps = st.lists(
    st.one_of(
        st.tuples(st.just("move"), st.sampled_from([DESK, SOFA, None])),
        st.tuples(kinds, st.sampled_from([0, 1])),
        st.tuples(st.just("pod"), st.sampled_from([0, 1])),
        st.tuples(st.just("delivering"), st.booleans()),
        st.tuples(st.just("follow"), st.none()),
    ),
    max_size=25,
)


@settings(max_examples=500, deadline=None)
@example([("move", DESK), ("out", 1), ("in", 1), ("in", 0), ("move", SOFA)], [1] * 25)
@example([("move", DESK), ("erase", 1), ("in", 1), ("in", 0), ("move", SOFA)], [1] * 25)
@given(steps, st.lists(st.integers(1, 30), min_size=25, max_size=25))
def test_what_the_service_did_while_it_knew_more_is_put_right(made: list[tuple[str, int]], pauses: list[int]) -> None:
    """Decisions come on two paths, sessions on a third, and are read now and then: many stays, each as it should be."""
    world = Harness()
    world.connect({GUILD: {}})
    world.opt_in(ADA)
    pods: tuple[list[Record], list[Record]] = ([], [])

    def arrive(pod: list[Record]) -> None:
        while pod:
            world.service.write(pod.pop(0))

    for (what, how), pause in zip(made, pauses, strict=False):
        world.pass_ms(pause)
        if what == "move":
            world.state(ADA, how)
        elif what == "pod":
            arrive(pods[how])
        elif what == "delivering":
            world.delivering = bool(how)
            world.deliver()
        elif what == "follow":
            world.follow()
        else:
            pods[how].append(world.decision(ADA, what))
    for pod in pods:
        arrive(pod)
    world.follow()
    world.delivering = True
    world.deliver()
    ledger = world.tracker._ledger
    expected = [s for stay in ledger.stays_of(ADA, GUILD) for s in sessions_of(stay, ledger.consents.of(ADA))]
    found = [(row["session_id"], row["started_at"], row["ended_at"]) for row in world.rows(ADA)]
    assert found == [(s.session_id, s.started_at, s.ended_at) for s in expected]


def test_the_beginning_of_a_stay_that_arrives_after_the_next_opt_in_is_not_taken_for_time_in_it() -> None:
    """Out and in again while the stay waits to be sent: it is over before the new consent, and leaves no row."""
    world = Harness()
    world.connect({GUILD: {}})
    world.opt_in(ADA)
    world.delivering = False
    world.service.write(world.decision(ADA, "out", world.pass_ms(10)))
    world.pass_ms(10)
    world.state(ADA, DESK)
    world.pass_ms(10)
    world.state(ADA, None)
    world.service.write(world.decision(ADA, "in", world.pass_ms(10)))
    world.delivering = True
    world.deliver()
    assert world.rows(ADA) == []


def test_what_the_service_refused_while_it_knew_more_than_we_did_is_written_again() -> None:
    """Out, a switch, in again, between two looks at the log: the refused session of the switch stands after all."""
    world = Harness()
    world.connect({GUILD: {}})
    world.opt_in(ADA)
    world.state(ADA, DESK)
    world.service.write(world.decision(ADA, "out", world.pass_ms(100)))
    again = world.decision(ADA, "in", world.pass_ms(10))
    world.pass_ms(5)
    world.state(ADA, SOFA)
    world.service.write(again)
    world.follow()
    assert [(row["channel_id"], row["started_at"] - NOON, row["ended_at"]) for row in world.rows(ADA)[-1:]] == [
        (SOFA, 115, None)
    ]


@pytest.mark.parametrize(("begins", "ends"), [(350, 400), (100, 400), (210, 290)])
def test_a_late_erasure_leaves_what_an_earlier_run_kept_under_the_newer_consent(begins: int, ends: int) -> None:
    """Ended sessions that still wait keep what lies behind the consent that followed the erasure, and nothing else."""
    world = Harness()
    world.connect({GUILD: {}})
    world.opt_in(ADA)
    world.delivering = False
    for moment, channel in ((begins, DESK), (ends, None)):
        world.now = NOON + moment
        world.state(ADA, channel)
    world.restart(service_up=False)
    world.service.write(world.decision(ADA, "in", NOON + 300))
    world.service.write(world.decision(ADA, "erase", NOON + 200))
    world.now = NOON + 500
    world.follow(complete=True)
    waits = [(r.started_at - NOON, r.ended_at) for r in world.queue if isinstance(r, VoiceSession) and r.ended_at]
    world.delivering = True
    world.deliver()
    kept = [(max(begins, 300), NOON + ends)] if ends > 300 else []
    assert waits == kept
    assert [(row["started_at"] - NOON, row["ended_at"]) for row in world.rows(ADA)] == kept


def test_a_stay_that_turns_out_to_be_shorter_takes_back_what_the_service_had_made_of_the_rest() -> None:
    """The person had left before; that was on its way while a channel was closed and decisions arrived late."""
    world = Harness()
    world.connect({GUILD: {}})
    world.opt_in(ADA)
    world.state(ADA, DESK)
    world.delivering = False
    world.pass_ms(1000)
    world.state(ADA, None)
    world.restart(service_up=False)
    out = world.decision(ADA, "out", world.pass_ms(500))
    back = world.decision(ADA, "in", world.pass_ms(500))
    world.pass_ms(1000)
    world.service.write(Watermark(0, world.now))  # of another listener
    world.record(DESK, recorded=False, follow=False)
    world.service.write(back)
    world.service.write(out)
    assert len(world.rows()) == 2
    world.delivering = True
    world.deliver()
    assert world.times(ADA) == [(DESK, 0, 1000, "joined", "left")]


def restored(world: Harness, backup: list[dict[str, object]], *again: Record) -> None:
    """The tables are those of the backup, and remembered decisions (`again`) were sent before anybody read."""
    for table in ("consent_log", "voice_sessions"):
        world.service.rows(f"DELETE FROM {table}")
    for row in backup:
        table, values = ("voice_sessions", row) if "session_id" in row else ("consent_log", row)
        names = ", ".join(values)
        world.service.rows(f"INSERT INTO {table} ({names}) VALUES (:{', :'.join(values)})", **values)
    for decision in again:
        world.service.write(decision)
    world.follow(complete=True)
    world.compare()


@pytest.mark.parametrize("stayed", [True, False], ids=["is there", "left before the decisions"])
def test_a_restore_records_nothing_of_the_time_in_which_somebody_was_out(stayed: bool) -> None:
    """Out, in, out and in again since the backup: of these only the newest two are remembered and sent again."""
    world = Harness()
    world.connect({GUILD: {}})
    world.follow(complete=True)
    world.opt_in(ADA)
    world.state(ADA, DESK)
    backup = [*world.service.rows("SELECT * FROM consent_log"), *world.rows()]
    world.pass_ms(1000)
    if not stayed:
        world.state(ADA, None)
    remembered = []
    for kind in ("out", "in", "out", "in"):
        world.pass_ms(1000)
        remembered.append(world.decision(ADA, kind))
        world.service.write(remembered[-1])
        world.follow()
    before = world.times(ADA)
    restored(world, backup, *remembered[2:])
    assert world.times(ADA) == before


def test_an_opt_out_from_before_a_stay_arrives_after_a_kill() -> None:
    """The person came while they were out, and was in again before they left: the stay is recorded from then on."""
    world = Harness()
    world.connect({GUILD: {}})
    world.opt_in(ADA)
    late = world.decision(ADA, "out", world.pass_ms(10))
    world.pass_ms(10)
    world.state(ADA, DESK)
    world.opt_in(ADA, world.pass_ms(10))
    world.pass_ms(100)
    world.state(ADA, None)
    world.restart()
    world.service.write(late)
    world.follow()
    assert [(start, end) for _, start, end, _, _ in world.times(ADA)] == [(30, 130)]
