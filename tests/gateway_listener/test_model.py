"""Whatever happens, in whatever order: what is stored is what happened, or says how sure it is.

LISTENER_EXAMPLES and LISTENER_STEPS set how much is tried, `--hypothesis-seed N` what.
"""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from tests.gateway_listener.harness import AFK, DESK, SOFA
from tests.gateway_listener.small_world import BOT, GUILDS, PEOPLE, UNKNOWN, SmallWorld
from tests.gateway_listener.truth import differences

everybody = st.sampled_from((*PEOPLE, *PEOPLE, BOT))
people = st.sampled_from(PEOPLE)
guilds = st.sampled_from((GUILDS[0], GUILDS[0], GUILDS[0], GUILDS[1]))
rooms = st.sampled_from((DESK, DESK, SOFA, SOFA, AFK, UNKNOWN, None))
pods = st.sampled_from((0, 1))
decisions = st.sampled_from(("in", "in", "in", "out", "out", "erase"))
short = st.one_of(st.integers(0, 3), st.integers(0, 5000))
spans = st.one_of(short, st.integers(0, 60_000), st.integers(100_000, 200_000))
mostly = st.sampled_from((True, True, True, False))
moves = st.lists(st.tuples(everybody, guilds, rooms, mostly, short), min_size=1, max_size=4)
junk = st.sampled_from(("{", "[]", '{"t":"VOICE_STATE_UPDATE","s":7,"op":0,"d":null}', '{"op":"x"}'))


class Listening(RuleBasedStateMachine):
    """People, guilds and channels are the truth; everything else tries to get in its way."""

    world: SmallWorld

    @initialize(stepping=st.sampled_from((False, False, False, True)), are_in=st.sets(people))
    def begin(self, stepping: bool, are_in: set[int]) -> None:
        self.world = SmallWorld(stepping=stepping)
        self.world.all_roll_calls()
        for user in (PEOPLE[0], *are_in):
            self.world.decide(user, "in", 0)
        self.world.wait(1)

    # --- people ---

    @rule(made=moves, then=spans)
    def people_move(self, made: list[tuple[int, int, int | None, bool, int]], then: int) -> None:
        for user, guild, kind, member, pause in made:
            self.world.move(user, guild, kind, member=member)
            self.world.wait(pause)
        self.world.wait(then)

    @rule(user=people, kind=rooms, then=spans)
    def move(self, user: int, kind: int | None, then: int) -> None:
        self.world.move(user, GUILDS[0], kind)
        self.world.wait(then)

    @rule(user=everybody, flags=st.sampled_from((0, 1, 3, 8)), member=mostly)
    def set_flags(self, user: int, flags: int, member: bool) -> None:
        self.world.set_flags(user, flags, member=member)

    @rule(milliseconds=spans)
    def time_passes(self, milliseconds: int) -> None:
        self.world.wait(milliseconds)

    # --- decisions ---

    @rule(user=people, decision=decisions, pod=pods, then=spans)
    def decide(self, user: int, decision: str, pod: int, then: int) -> None:
        self.world.decide(user, decision, pod)
        self.world.wait(then)

    @rule(user=people, pod=pods, between=short, then=short)
    def out_and_in_again(self, user: int, pod: int, between: int, then: int) -> None:
        self.world.decide(user, "out", pod)
        self.world.wait(between)
        self.world.decide(user, "in", 1 - pod)
        self.world.wait(then)

    @rule(pod=pods, stuck=st.booleans())
    def pod(self, pod: int, stuck: bool) -> None:
        self.world.stuck[pod] = stuck

    @rule(place=st.integers(0, 50))
    def a_decision_again(self, place: int) -> None:
        self.world.repeat(place)

    # --- the service and the disk ---

    @rule(up=mostly, lagging=st.booleans(), full=mostly, batching=st.booleans())
    def surroundings(self, up: bool, lagging: bool, full: bool, batching: bool) -> None:
        harness = self.world.harness
        self.world.service_up, self.world.lagging = up, lagging
        harness.delivering, harness.disk_full, harness.batching = up and not lagging, not full, batching

    @rule()
    def a_batch_again(self) -> None:
        self.world.deliver_twice()

    # --- the gateway ---

    @rule(then=spans, back=st.sampled_from(("resume", "resume", "identify", None)), calls=mostly)
    def disconnect(self, then: int, back: str | None, calls: bool) -> None:
        self.world.disconnect()
        self.world.wait(then)
        self._connect(back, calls)

    @rule(made=moves, back=st.sampled_from(("resume", "identify", None)), calls=mostly)
    def moves_in_the_dark(
        self, made: list[tuple[int, int, int | None, bool, int]], back: str | None, calls: bool
    ) -> None:
        self.world.disconnect()
        self.people_move(made, 0)
        self._connect(back, calls)

    def _connect(self, back: str | None, calls: bool) -> None:
        if back == "resume":
            self.world.resume()
        if back == "identify":
            self.world.identify()
        if calls:
            self.world.all_roll_calls()

    @precondition(lambda self: not self.world.connected)
    @rule(back=st.sampled_from(("resume", "identify")), calls=mostly, then=spans)
    def connect(self, back: str, calls: bool, then: int) -> None:
        self._connect(back, calls)
        self.world.wait(then)

    @precondition(lambda self: self.world.awaiting)
    @rule()
    def roll_call(self) -> None:
        self.world.roll_call()

    @rule(count=st.integers(1, 10), text=junk)
    def noise(self, count: int, text: str) -> None:
        self.world.resend(count)
        self.world.malformed(text)

    @rule(guild=guilds, then=spans, back=mostly)
    def outage(self, guild: int, then: int, back: bool) -> None:
        self.world.outage(guild)
        self.world.wait(then)
        if back:
            self.world.recover(guild)

    @rule(guild=guilds, then=spans, back=mostly)
    def bot_removed(self, guild: int, then: int, back: bool) -> None:
        self.world.remove_bot(guild)
        self.world.wait(then)
        if back:
            self.world.add_bot(guild)

    @rule(guild=guilds, kind=st.sampled_from((DESK, SOFA)), back=mostly)
    def guild_changes(self, guild: int, kind: int, back: bool) -> None:
        if back:
            self.world.recover(guild)
            self.world.add_bot(guild)
        else:
            self.world.empty(guild, kind)

    # --- the listener ---

    @rule(disk_lost=st.sampled_from((False, False, False, True)), then=spans, back=mostly, calls=mostly)
    def kill(self, disk_lost: bool, then: int, back: bool, calls: bool) -> None:
        self.world.kill(disk_lost=disk_lost)
        self.world.wait(then)
        if back:
            self.start(calls)

    @rule(calls=mostly)
    def start(self, calls: bool) -> None:
        self.world.start()
        self._connect("identify", calls)

    @rule(comparing=st.booleans())
    def now_and_then(self, comparing: bool) -> None:
        self.world.share()
        if comparing:
            self.world.compare()

    @precondition(lambda self: self.world.stepping)
    @rule(milliseconds=st.integers(-3000, 3000))
    def step_clock(self, milliseconds: int) -> None:
        self.world.step_clock(milliseconds)

    @invariant()
    def the_rules_hold(self) -> None:
        assert not list(self.world.broken())

    def teardown(self) -> None:
        if not hasattr(self, "world"):
            return
        self.world.settle()
        self.world.compare()
        self.world.wait(1)
        assert not list(self.world.broken())
        found = list(differences(self.world.truth(), self.world.harness.rows()))
        assert not found, "\n".join(found)


class TestListening(Listening.TestCase):  # type: ignore[name-defined,misc]
    """See the module."""

    settings = settings(
        max_examples=int(os.environ.get("LISTENER_EXAMPLES", "200")),
        stateful_step_count=int(os.environ.get("LISTENER_STEPS", "50")),
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
