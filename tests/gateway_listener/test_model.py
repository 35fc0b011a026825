"""Whatever happens, in whatever order: what is stored is what happened, or says how sure it is.

An ordinary run tries the same examples each time. LISTENER_EXAMPLES=2000 tries others, so many of LISTENER_STEPS steps
at least, `--hypothesis-seed N` which; `-s` shows how much it was.
"""

from __future__ import annotations

import os

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from gateway_listener.stays import REMEMBERED_MS
from tests.gateway_listener.harness import AFK, DESK, NOON, SOFA
from tests.gateway_listener.judge import differences
from tests.gateway_listener.people import BOT, GUILDS, PEOPLE, STAGE, UNKNOWN
from tests.gateway_listener.small_world import SmallWorld
from tests.gateway_listener.sums import wrong_afk, wrong_sums
from tests.gateway_listener.watcher import Watcher

EXAMPLES = int(os.environ.get("LISTENER_EXAMPLES", "200"))
STEPS = int(os.environ.get("LISTENER_STEPS", "50"))

everybody = st.sampled_from((*PEOPLE, *PEOPLE, BOT))
people = st.sampled_from(PEOPLE)
guilds = st.sampled_from((GUILDS[0], GUILDS[0], GUILDS[0], GUILDS[1]))
rooms = st.sampled_from((DESK, DESK, SOFA, SOFA, AFK, STAGE, UNKNOWN, None))
some_rooms = st.sampled_from((DESK, DESK, SOFA, STAGE))
pods = st.sampled_from((0, 1))
decisions = st.sampled_from(("in", "in", "in", "out", "out", "erase"))
short = st.one_of(st.integers(0, 3), st.integers(0, 5000))
spans = st.one_of(short, st.integers(0, 60_000), st.integers(100_000, 200_000))
hours = st.integers(REMEMBERED_MS - 1000, 2 * REMEMBERED_MS)
mostly = st.sampled_from((True, True, True, False))
# How far the machine's clock is ahead of Discord's: nearly right, hours, years, as far back as a clock goes.
wall_clocks = st.one_of(st.integers(-3000, 3000), st.sampled_from((0, -7_200_000, 7_200_000, -NOON, NOON)))
rarely = st.sampled_from((False, False, False, True))
moves = st.lists(st.tuples(everybody, guilds, rooms, mostly, short), min_size=1, max_size=4)
signs = st.sampled_from(("roll call", "elsewhere", "asked"))
cuts = st.tuples(st.sampled_from(("out", "in", "erase", "closed", "open", "afk")), short)
junk = st.sampled_from(("{", "[]", '{"t":"VOICE_STATE_UPDATE","s":null,"op":0,"d":null}', '{"op":"x"}'))


class Listening(RuleBasedStateMachine):
    """People, guilds and channels are the truth; everything else tries to get in its way."""

    world: SmallWorld
    examples, whole, steps = 0, 0, 0
    """How many runs there were, how many of them did all the steps, and how many steps it was in all."""

    @initialize(stepping=st.sampled_from((False, False, False, True)), are_in=st.sets(people))
    def begin(self, stepping: bool, are_in: set[int]) -> None:
        self.done = -1
        self.world = SmallWorld(stepping=stepping)
        self.world.watcher.all_roll_calls()
        for user in (PEOPLE[0], *are_in):
            self.world.decide(user, "in", 0)
        self.world.wait(1)

    # --- people ---

    @rule(made=moves, then=spans)
    def people_move(self, made: list[tuple[int, int, int | None, bool, int]], then: int) -> None:
        for user, guild, kind, member, pause in made:
            self.world.people.move(user, guild, kind, member=member)
            self.world.wait(pause)
        self.world.wait(then)

    @rule(user=people, kind=rooms, then=spans)
    def move(self, user: int, kind: int | None, then: int) -> None:
        self.world.people.move(user, GUILDS[0], kind)
        self.world.wait(then)

    @rule(user=everybody, flags=st.sampled_from((0, 1, 3, 4, 8)), member=mostly)
    def set_flags(self, user: int, flags: int, member: bool) -> None:
        self.world.people.set_flags(user, flags, member=member)

    @rule(milliseconds=spans)
    def time_passes(self, milliseconds: int) -> None:
        self.world.wait(milliseconds)

    @rule(made=moves, then=hours)
    def hours_pass(self, made: list[tuple[int, int, int | None, bool, int]], then: int) -> None:
        """Longer than stays are remembered after the consent log was read, whatever is in the way."""
        self.people_move(made, then // 2)
        self._compare()
        self.world.wait(then // 2)
        self._compare()

    def _compare(self) -> None:
        """With nothing in the way, and after a comparison put everything right, the service has what memory has."""
        excused, drift = self.world.may_differ, self.world.compare()
        assert not drift or excused, f"it differed from the service, with nothing in the way: {drift}"
        self.world.watcher.lost_unsent &= drift is None

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

    @rule(user=people, kind=some_rooms, pod=pods, after=st.integers(1, 400), stays=st.integers(1, 400))
    def out_and_then_in_voice(self, user: int, kind: int, pod: int, after: int, stays: int) -> None:
        self.world.people.move(user, GUILDS[0], None)
        self.world.wait(3000)
        self.world.decide(user, "out", pod)
        self.world.wait(after)
        self.world.wait(1)  # it has been read
        self.move(user, kind, stays)
        self.move(user, None, 3000)

    @rule(pod=pods, stuck=st.booleans())
    def pod(self, pod: int, stuck: bool) -> None:
        self.world.stuck[pod] = stuck

    @rule(place=st.integers(0, 50))
    def a_decision_again(self, place: int) -> None:
        self.world.repeat(place)

    @rule(guild=guilds, kind=some_rooms, recorded=st.booleans(), then=spans)
    def decide_recording(self, guild: int, kind: int, recorded: bool, then: int) -> None:
        self.world.decide_recording(guild, kind, recorded)
        self.world.wait(then)

    # --- the service and the disk ---

    @rule(up=mostly, lagging=st.booleans(), lost=rarely, full=rarely, batching=st.booleans())
    def surroundings(self, up: bool, lagging: bool, lost: bool, full: bool, batching: bool) -> None:
        self.world.surround(service_up=up, lagging=lagging, answers_lost=lost, disk_full=full, batching=batching)

    @rule()
    def a_batch_again(self) -> None:
        self.world.deliver_twice()

    # --- the gateway ---

    @rule(then=spans, back=st.sampled_from(("resume", "resume", "identify", None)), calls=mostly)
    def disconnect(self, then: int, back: str | None, calls: bool) -> None:
        self.world.watcher.disconnect()
        self.world.wait(then)
        self._connect(back, calls)

    @rule(made=moves, back=st.sampled_from(("resume", "identify", None)), calls=mostly)
    def moves_in_the_dark(
        self, made: list[tuple[int, int, int | None, bool, int]], back: str | None, calls: bool
    ) -> None:
        self.world.watcher.disconnect()
        self.people_move(made, 0)
        self._connect(back, calls)

    @rule(made=moves, then=spans)
    def moves_that_are_read_late(self, made: list[tuple[int, int, int | None, bool, int]], then: int) -> None:
        self.world.watcher.stand_still()
        self.people_move(made, then)
        self.world.watcher.go_on()

    @rule(user=people, kind=some_rooms, stays=spans, then=spans, sign=signs, cuts=st.lists(cuts, max_size=3))
    def a_leave_that_is_never_sent(
        self, user: int, kind: int, stays: int, then: int, sign: str, cuts: list[tuple[str, int]]
    ) -> None:
        """Whatever cuts the stay before the sign of it comes."""
        self.world.people.move(user, GUILDS[0], kind)
        self.world.wait(stays)
        self.world.lose_leave(user, then, sign, lambda: self._cut(user, kind, cuts))

    def _cut(self, user: int, kind: int, cuts: list[tuple[str, int]]) -> None:
        for cut, then in cuts:
            if cut == "afk":
                self.world.people.set_afk(GUILDS[0], kind)
            elif cut in ("closed", "open"):
                self.world.decide_recording(GUILDS[0], kind, cut == "open")
            else:
                self.world.decide(user, cut, 0)
            self.world.wait(then)

    @rule(made=moves, then=spans)
    def a_heartbeat_is_answered_late(self, made: list[tuple[int, int, int | None, bool, int]], then: int) -> None:
        self.world.watcher.beat()
        self.people_move(made, then)
        self.world.watcher.acknowledge()

    @rule(made=moves, closes=st.booleans(), then=spans)
    def an_ack_is_lost(self, made: list[tuple[int, int, int | None, bool, int]], closes: bool, then: int) -> None:
        self.world.watcher.lose_ack(closes=closes)
        self.people_move(made, then)

    def _connect(self, back: str | None, calls: bool, watcher: Watcher | None = None) -> None:
        watcher = watcher or self.world.watcher
        if back == "resume":
            watcher.resume()
        if back == "identify":
            watcher.identify()
        if calls:
            watcher.all_roll_calls()

    @rule(back=st.sampled_from(("resume", "identify")), calls=mostly, then=spans)
    def connect(self, back: str, calls: bool, then: int) -> None:
        self._connect(back, calls)
        self.world.wait(then)

    @rule()
    def roll_call(self) -> None:
        self.world.watcher.roll_call()

    @rule(count=st.integers(1, 10), text=junk)
    def noise(self, count: int, text: str) -> None:
        self.world.watcher.gateway.resend(count)
        self.world.watcher.malformed(text)

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
            self.world.people.empty(guild, kind)

    @rule(guild=guilds, kind=st.sampled_from((AFK, DESK, SOFA)))
    def afk_channel(self, guild: int, kind: int) -> None:
        self.world.people.set_afk(guild, kind)

    # --- the listener ---

    @rule(disk_lost=st.sampled_from((False, False, False, True)), then=spans, back=mostly, calls=mostly)
    def kill(self, disk_lost: bool, then: int, back: bool, calls: bool) -> None:
        self.world.watcher.kill(disk_lost=disk_lost)
        self.world.wait(then)
        if back:
            self.start(calls)

    @rule(user=people, kind=some_rooms, pod=pods, decision=st.sampled_from(("out", "erase")), between=short, then=spans)
    def decided_over_what_is_on_its_way(
        self, user: int, kind: int, pod: int, decision: str, between: int, then: int
    ) -> None:
        """An erasure, say, and an opt-in, before the service has what was seen, and before anybody hears of them."""
        self.world.service_up = False
        self.world.wait(0)
        self.move(user, kind, between)
        self.decide(user, decision, pod, between)
        self.decide(user, "in", pod, then)
        self.world.service_up = True
        self.world.wait(between)

    @rule(made=moves, disk_lost=st.booleans(), up=st.booleans(), then=spans)
    def killed_twice(
        self, made: list[tuple[int, int, int | None, bool, int]], disk_lost: bool, up: bool, then: int
    ) -> None:
        """A new disk, say, a restart, an outage of the service, a restart."""
        self.world.watcher.share()
        self.kill(disk_lost, then=0, back=True, calls=True)
        self.world.wait(1)
        self.world.service_up = up
        self.world.wait(0)
        self.world.watcher.kill()
        self.people_move(made, then)
        self.start(calls=True)
        self.world.wait(1)
        self.world.service_up = True

    @rule(calls=mostly)
    def start(self, calls: bool) -> None:
        self.world.watcher.start()
        self._connect("identify", calls)

    @rule(chance=st.sampled_from((False, False, False, True)))
    def shard_count_changes(self, chance: bool) -> None:
        if chance:
            self.world.reshard()

    @rule(comparing=st.booleans())
    def now_and_then(self, comparing: bool) -> None:
        self.world.watcher.share()
        if comparing:
            self._compare()

    @rule(then=spans, made=moves, end=st.booleans())
    def a_second_listener(self, then: int, made: list[tuple[int, int, int | None, bool, int]], end: bool) -> None:
        self.world.start_second()
        self.people_move(made, then)
        if end:
            self.world.kill_second()

    @rule(back=st.sampled_from(("resume", "identify", None)), then=spans)
    def the_second_loses_sight(self, back: str | None, then: int) -> None:
        second = self.world.second
        if second is not None:
            second.disconnect()
            self.world.wait(then)
            self._connect(back, True, second)

    @rule()
    def two_listeners_agree(self) -> None:
        self.world.both_compare()

    @rule(ahead=wall_clocks)
    def step_clock(self, ahead: int) -> None:
        if self.world.stepping:
            self.world.step_clock(ahead)

    @rule(then=spans, back=st.sampled_from(("resume", "identify")), calls=mostly, wall_counts=st.booleans())
    def doze(self, then: int, back: str, calls: bool, wall_counts: bool) -> None:
        if self.world.stepping:
            self.world.doze(then, wall_counts=wall_counts)
            self._connect(back, calls)

    @invariant()
    def the_rules_hold(self) -> None:
        self.done += 1
        assert not list(self.world.broken())

    def teardown(self) -> None:
        if not hasattr(self, "world"):
            return
        Listening.examples += 1
        Listening.whole += self.done >= STEPS
        Listening.steps += self.done
        world = self.world
        world.settle()
        self._compare()
        world.wait(1)
        assert world.watcher.compare() == {}, "what was compared and put right still differs"
        truth, rows = world.truth(), world.own_rows()
        found = [*world.broken(), *differences(truth, rows), *wrong_sums(truth, rows), *wrong_afk(truth, rows)]
        found += [*world.wrong_views(), *world.wrong_names(), *world.wrong_by_a_clock()]
        assert not found, "\n".join(found)


def test_whatever_happens() -> None:
    """See the module. Some of hypothesis's runs are shorter than asked for: more are made, and the whole ones count."""
    trying = settings(
        max_examples=EXAMPLES * 7 // 4,
        stateful_step_count=STEPS + 1,  # the beginning counts as one
        deadline=None,
        derandomize="LISTENER_EXAMPLES" not in os.environ,
        report_multiple_bugs=False,
        phases=[phase for phase in Phase if phase is not Phase.explain],
        suppress_health_check=list(HealthCheck),
    )
    run_state_machine_as_test(Listening, settings=trying)
    print(f"{Listening.examples} runs, {Listening.whole} of them of {STEPS} steps, {Listening.steps} steps in all")
    assert Listening.whole >= EXAMPLES
