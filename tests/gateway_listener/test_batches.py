"""The listener writes once for what is seen in a short while: the rows are those of writing after each event."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gateway_listener import frames
from gateway_listener.frames import Frame
from tests.gateway_listener.harness import ADA, BOB, DESK, GUILD, SOFA, Harness

moves = st.tuples(
    st.sampled_from([ADA, BOB]), st.sampled_from([DESK, SOFA, None]), st.sampled_from([0, 1, 2]), st.integers(0, 40)
)


def world() -> Harness:
    made = Harness()
    made.connect({GUILD: {}})
    made.opt_in(ADA)
    made.opt_in(BOB)
    return made


@given(st.lists(moves, max_size=12), st.sets(st.integers(0, 11)))
def test_what_is_written_together_is_what_is_written_one_by_one(
    seen: list[tuple[int, int | None, int, int]], pauses: set[int]
) -> None:
    """Ids, times, causes and durations of every session; `pauses`: after which events the disk was written."""
    one_by_one, together = world(), world()
    for number, (user, channel, flags, pause) in enumerate(seen):
        for here in (one_by_one, together):
            here.pass_ms(pause)
        one_by_one.state(user, channel, flags=flags)
        together.tracker.see(
            Frame(frames.VoiceState(GUILD, user, channel, flags), next(together._sequence)), together.now
        )
        if number in pauses:
            together.ack()
    together.ack()
    one_by_one.ack()
    assert not together.tracker.unwritten

    def facts(here: Harness) -> list[dict[str, object]]:
        return [{name: value for name, value in row.items() if name != "revision"} for row in here.rows()]

    assert facts(together) == facts(one_by_one)
    assert together.notes.keys() == one_by_one.notes.keys()
