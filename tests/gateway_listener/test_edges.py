"""When stays begin and end, and how far that may be off: the rule itself, and what it takes for a sign of loss."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from db_client.records import ChannelRecording, Flags, Record
from gateway_listener import frames
from gateway_listener.edge import LIVE, NEVER, Edge, Live, Unseen, What, edge
from gateway_listener.frames import HIDDEN, HIDDEN_FLAG, ChannelInfo, Frame, VoiceState
from gateway_listener.signs import WAIT_MS, Question
from tests.gateway_listener.harness import ADA, AFK, BOB, CAT, DESK, GUILD, NOON, SOFA, Harness

OTHER, ROOM = GUILD * 3, 7
HOUR = 60 * 60 * 1000


def ends(world: Harness, user: int = ADA) -> list[tuple[int, int, str | None]]:
    """(end, within, by) of the person's rows that are over, times counted from NOON."""
    rows = [row for row in world.rows(user) if row["ended_at"] is not None]
    return [(row["ended_at"] - NOON, row["ended_within_ms"], row["ended_by"]) for row in rows]


def starts(world: Harness, user: int = ADA) -> list[tuple[int, int, str]]:
    """(start, within, by) of the person's rows, times counted from NOON."""
    return [(row["started_at"] - NOON, row["started_within_ms"], row["started_by"]) for row in world.rows(user)]


@pytest.fixture
def world() -> Harness:
    """Two guilds are seen; Ada, who is in, came to the desk, and sits there for a minute."""
    world = Harness()
    world.connect({GUILD: {}, OTHER: {}})
    world.opt_in(ADA)
    world.state(ADA, DESK)
    world.pass_ms(60_000)
    world.ack()
    return world


# --- the rule ---


@pytest.mark.parametrize(
    ("what", "view", "expected"),
    [
        (What.CAME, LIVE, (90, 90, 90)),
        (What.CAME, Unseen(50), (90, 50, 90)),
        (What.CAME, Unseen(), (90, NEVER, 90)),
        (What.FOUND, LIVE, (90, 30, 90)),
        (What.FOUND, Unseen(50), (90, 30, 90)),
        (What.FOUND, Unseen(20), (90, 20, 90)),
        (What.WENT, LIVE, (90, 90, 90)),
        (What.WENT, Unseen(50), (50, 50, 90)),
        (What.WENT, Unseen(20), (30, 30, 90)),
        (What.WENT, Unseen(), (30, 30, 90)),
        (What.GONE, LIVE, (30, 30, 90)),
        (What.GONE, Unseen(50), (50, 30, 90)),
        (What.GONE, Unseen(20), (30, 30, 90)),
        (What.GONE, Unseen(), (30, 30, 90)),
    ],
)
def test_each_row_of_the_table(what: What, view: Live | Unseen, expected: tuple[int, int, int]) -> None:
    """The proof is at 30, and it is 90 now: (counts from or to, earliest, latest)."""
    assert edge(what, view, 30, 90) == expected


class Onlooker:
    """Who sees one stay by the rule alone: told of it live, in a replay or late, or by looking who is there; `lost` is
    what is never sent of it."""

    def __init__(self, came_at: int, went_at: int, lost: frozenset[What]) -> None:
        self.came_at, self.went_at, self.lost = came_at, went_at, set(lost)
        self.now = 0
        self.begun: Edge | None = None
        self.ended: Edge | None = None
        self.here = self.absent = NEVER
        """When the person is known to have been there last, and to have been elsewhere."""

    def told(self, view: Live | Unseen) -> None:
        """The frames of what happened until now are read."""
        if self.begun is None and self.came_at <= self.now and What.CAME not in self.lost:
            at = self.came_at if view is LIVE else self.now
            self.begun = edge(What.CAME, view, self.absent, at)
            self.here = self.begun.earliest
        is_over = self.ended is None and self.begun is not None and self.went_at <= self.now
        if is_over and What.WENT not in self.lost:
            self.ended = edge(What.WENT, view, self.here, self.went_at if view is LIVE else self.now)

    def look(self, view: Live | Unseen) -> None:
        """A snapshot, or an answer: is the person there?"""
        there = self.came_at <= self.now < self.went_at
        if self.now >= self.went_at:
            self.lost.add(What.CAME)  # of a session that is over, which nobody replays
        if self.begun is None and there:
            self.begun = edge(What.FOUND, view, self.absent, self.now)
        if self.begun is not None and self.ended is None and not there:
            self.ended = edge(What.GONE, view, self.here, self.now)
        if there:
            self.here = self.now
        elif self.begun is None:
            self.absent = self.now


steps = st.sampled_from(("live", "mute", "look", "replay", "late", "new session"))


@given(
    st.integers(1, 40),
    st.integers(0, 40),
    st.lists(st.tuples(steps, st.integers(0, 15)), max_size=12),
    st.frozensets(st.sampled_from((What.CAME, What.WENT))),
)
def test_the_truth_lies_within_whatever_order_things_come_in(
    came_at: int, length: int, course: list[tuple[str, int]], lost: frozenset[What]
) -> None:
    """Sight is lost and comes back, frames tell and looks find out, the join or the leave is never sent: each edge that
    the rule gives holds the true moment; and if nothing was lost, no time counts that was not spent there."""
    saw = Onlooker(came_at, came_at + length, lost)
    for what, then in course:
        since = saw.now
        if what in ("live", "mute", "look"):
            for now in range(since, since + then + 1):
                saw.now = now
                saw.told(LIVE)
            if what == "mute" and saw.begun is not None and saw.now < saw.went_at:
                saw.here = saw.now
            if what == "look":
                saw.look(LIVE)
        else:
            saw.now += then
            if what != "new session":
                saw.told(Unseen(since))
            else:
                saw.look(Unseen(since))
    for seen, true in ((saw.begun, saw.came_at), (saw.ended, saw.went_at)):
        if seen is not None:
            assert seen.earliest <= true <= seen.latest
            assert seen.at <= seen.latest
    if saw.ended is not None and not lost:
        assert saw.ended.at <= max(saw.went_at, saw.begun.at if saw.begun else 0)


# --- a leave that was never sent ---


def jump(world: Harness, content: frames.Content) -> None:
    """A frame comes, and the one before it does not."""
    next(world._sequence)
    world.see(content)


def test_a_number_that_is_left_out_makes_every_guild_unseen(world: Harness) -> None:
    """Somebody else's frame shows it; a fresh session is asked for, and what its roll calls find reaches back to the
    last proof: Ada's own voice state."""
    world.opt_in(CAT)
    world.pass_ms(10_000)
    jump(world, VoiceState(GUILD, CAT, SOFA, 0))
    assert world.tracker.wants_renewal is not None
    assert world.tracker.figures()["unseen_guilds"] == 2
    world.pass_ms(5000)
    world.connect({GUILD: {}, OTHER: {}})
    assert world.tracker.wants_renewal is None
    assert ends(world) == [(60_000, 60_000, "roll_call")]


def test_a_strangers_frame_does_not_say_when_a_number_was_left_out(world: Harness) -> None:
    """It counts with the next number that no stranger can have caused: else it would tell that one was there."""
    jump(world, VoiceState(GUILD, CAT, SOFA, 0))
    world.ack()
    world.state(CAT, DESK)
    assert world.tracker.wants_renewal is None
    world.state(ADA, DESK, flags=1)
    assert world.tracker.wants_renewal is not None


def test_what_was_lost_before_an_ack_is_in_doubt_back_to_the_last_number(world: Harness) -> None:
    """An ACK has no number, and shows no loss: a join, a switch and a leave that were never sent lie before it."""
    for user in (BOB, CAT):
        world.opt_in(user)
    world.state(BOB, DESK)
    for _ in range(3):  # at 70 s: Cat joins, Ada switches, Bob leaves
        next(world._sequence)
    world.pass_ms(60_000)
    world.ack()
    world.pass_ms(5000)
    world.state(ADA, SOFA, flags=1)
    world.pass_ms(1000)
    world.connect({GUILD: {ADA: SOFA, CAT: DESK}, OTHER: {}})
    assert ends(world) == [(120_000, 120_000, "switched")]
    assert ends(world, BOB) == [(120_000, 60_000, "roll_call")]
    assert starts(world, CAT) == [(126_000, 66_000, "roll_call")]
    assert starts(world)[-1] == (125_000, 65_000, "switched")


@pytest.mark.parametrize("waited", [0, 16_000])
def test_what_was_lost_stays_in_doubt_when_the_process_is_killed_before_the_roll_calls(
    world: Harness, waited: int
) -> None:
    """The next run knows no less: what is missing may be as old as the last number before it. The roll calls may have
    been waited for in vain, too."""
    for user in (BOB, CAT):
        world.opt_in(user)
    world.state(BOB, DESK)
    for _ in range(2):  # at 70 s: Cat joins, Bob leaves
        next(world._sequence)
    world.pass_ms(60_000)
    world.ack()
    world.pass_ms(5000)
    world.state(ADA, DESK, flags=1)
    world.pass_ms(waited)
    world.ack()
    world.restart()
    world.pass_ms(1000)
    world.connect({GUILD: {ADA: DESK, CAT: DESK}, OTHER: {}})
    assert ends(world, BOB) == [(60_000, 66_000 + waited, "roll_call")]
    assert starts(world, CAT) == [(126_000 + waited, 66_000 + waited, "roll_call")]


def test_a_number_that_is_left_out_tells_of_no_guild_that_strangers_alone_know(world: Harness) -> None:
    """Discord never named it; nor does a mistake of ours that may concern any guild."""
    world.state(CAT, ROOM, guild=GUILD * 5)
    jump(world, VoiceState(GUILD, ADA, SOFA, 0))
    for _ in range(2):
        world.pass_ms(16_000)
        world.ack()
    world.tracker.lose(None, "a mistake", world.now)
    world.ack()
    assert f"unseen:{GUILD}" in world.notes
    assert f"unseen:{GUILD * 5}" not in world.notes


@pytest.mark.parametrize("guild_id", [GUILD, None])
def test_what_cannot_be_read_of_a_guild_asks_for_a_fresh_session(world: Harness, guild_id: int | None) -> None:
    """It is unseen until its roll call, as everything is if nobody can say which guild it was."""
    world.see(frames.GuildUnread(guild_id))
    assert world.tracker.figures()["unseen_guilds"] == (1 if guild_id else 2)
    assert world.tracker.wants_renewal
    lost_at = world.now
    world.pass_ms(5000)
    world.connect({GUILD: {}})
    (row,) = world.rows(ADA)
    assert (row["ended_at"], row["ended_by"]) == (lost_at, "roll_call")
    assert row["ended_within_ms"] >= 5000


@pytest.mark.parametrize("user", [ADA, BOB])
def test_a_roll_call_with_somebody_who_cannot_be_read(world: Harness, user: int) -> None:
    """Nobody knows where they are: it is none, unless they are not in; then nothing is different."""
    world.see(frames.RollCall(GUILD, "Study room", None, (), (), unreadable=(user,)))
    assert bool(world.tracker.wants_renewal) == (user == ADA)
    assert world.tracker.figures()["unseen_guilds"] == (user == ADA)
    assert [row["ended_at"] is None for row in world.rows(ADA)] == [user == ADA]


def test_after_a_jump_who_is_still_there_goes_on(world: Harness) -> None:
    """As after any gap within the tolerance; and what follows is exact again."""
    jump(world, VoiceState(GUILD, ADA, DESK, 1))
    world.pass_ms(5000)
    world.connect({GUILD: {ADA: DESK}, OTHER: {}})
    world.pass_ms(1000)
    world.state(ADA, None)
    assert ends(world) == [(66_000, 0, "left")]


def test_numbers_that_jump_while_nothing_is_known_are_no_loss() -> None:
    """A process that has just started, and has not heard READY; and READY itself begins anew."""
    world = Harness()
    world.see(VoiceState(GUILD, ADA, DESK, 0), 500)
    assert world.tracker.wants_renewal is None
    world.connect({GUILD: {}})
    world.see(frames.Seen())
    world.see(frames.Resumed())
    assert world.tracker.wants_renewal is None


@pytest.mark.parametrize(
    "text",
    [
        '{"t":"A_NEW_EVENT","s":%d,"op":0,"d":null}',
        '{"t":"VOICE_STATE_UPDATE","s":%d,"op":0,"d":null}',
        '{"t":"CHANNEL_UPDATE","s":%d,"op":0,"d":{"id":"x"}}',
    ],
)
def test_a_frame_that_says_nothing_has_come_all_the_same(world: Harness, text: str) -> None:
    """One that is not known, and one that cannot be read: the numbers go on."""
    world.text(text % next(world._sequence))
    world.state(ADA, SOFA)
    assert world.tracker.wants_renewal is None
    assert ends(world) == [(60_000, 0, "switched")]


def test_a_number_that_is_left_out_of_a_replay_is_a_loss_too(world: Harness) -> None:
    """RESUMED says up to where it should have come."""
    world.hello()
    jump(world, frames.Resumed())
    assert world.tracker.wants_renewal is not None


def test_a_restart_between_a_jump_and_the_roll_calls(world: Harness) -> None:
    """The watermark on the disk waits for them, as it does behind READY, but at the last number before the loss."""
    jump(world, VoiceState(OTHER, ADA, None, 0))
    world.pass_ms(14_000)
    world.ack()
    assert int(world.notes["watermark"]) == NOON
    world.pass_ms(2000)
    world.ack()
    assert int(world.notes["watermark"]) == NOON + 76_000
    assert int(world.notes[f"unseen:{GUILD}"]) == NOON


def test_whoever_is_in_another_guild_has_left_this_one(world: Harness) -> None:
    """The leave was never sent: the stay ends at its last proof, and may have lasted until the other one began."""
    world.pass_ms(5000)
    world.state(ADA, ROOM, guild=OTHER)
    assert ends(world) == []
    world.pass_ms(WAIT_MS - 1)
    world.ack()
    assert ends(world) == []
    world.pass_ms(1)
    world.ack()
    assert ends(world) == [(0, 65_000, "left")]
    assert starts(world)[-1] == (65_000, 0, "joined")
    assert world.times(ADA)[-1][2] is None


def test_frames_of_two_guilds_come_in_any_order(world: Harness) -> None:
    """The guild's own leave, a moment later, is exact."""
    world.pass_ms(5000)
    world.state(ADA, ROOM, guild=OTHER)
    world.pass_ms(200)
    world.state(ADA, None)
    world.pass_ms(60_000)
    world.ack()
    assert ends(world) == [(65_200, 0, "left")]


def test_a_late_decision_finds_what_ended_while_the_next_stay_had_begun(world: Harness) -> None:
    """The stay in the one guild ended after that in the other had begun: it is not forgotten for it."""
    world.state(CAT, DESK)
    world.pass_ms(1000)
    world.state(CAT, ROOM, guild=OTHER)
    world.pass_ms(500)
    world.state(CAT, None)
    world.opt_in(CAT, NOON)
    assert world.times(CAT) == [(DESK, 60_000, 61_500, "joined", "left"), (ROOM, 61_000, None, "joined", None)]


def test_silence_proves_nothing(world: Harness) -> None:
    """While nothing is heard of the gateway, the leave may be on its way."""
    world.pass_ms(5000)
    world.state(ADA, ROOM, guild=OTHER)
    world.pass_ms(60_000)
    world.state(CAT, SOFA)
    assert ends(world) == []
    world.state(ADA, None)
    assert ends(world) == [(125_000, 0, "left")]


def test_a_person_who_comes_back_at_once_is_where_they_were_heard_of_last(world: Harness) -> None:
    """What is heard of the first guild after the sign is news."""
    world.pass_ms(5000)
    world.state(ADA, ROOM, guild=OTHER)
    world.pass_ms(500)
    world.state(ADA, None, guild=OTHER)
    world.state(ADA, DESK)
    world.pass_ms(60_000)
    world.ack()
    assert [row["guild_id"] for row in world.rows(ADA) if row["ended_at"] is None] == [GUILD]


def test_what_an_earlier_run_left_open_says_nothing_against_what_is_seen(world: Harness) -> None:
    """The service is read late, and has a session of before in a guild that is still in an outage."""
    world.share()
    world.new_disk()
    world.pass_ms(5000)
    world.connect({OTHER: {}})
    world.tracker.presence.arrived(GUILD)
    world.state(ADA, ROOM, guild=OTHER)
    world.read_baseline()
    world.pass_ms(60_000)
    world.ack()
    assert world.times(ADA)[-1][2:] == (None, "joined", None)


def test_a_guild_that_is_not_seen_waits_for_its_roll_call(world: Harness) -> None:
    """Its leave cannot be expected; the roll call says what was."""
    world.see(frames.GuildUnavailable(GUILD))
    world.pass_ms(5000)
    world.state(ADA, ROOM, guild=OTHER)
    world.pass_ms(60_000)
    world.ack()
    assert ends(world) == []
    world.roll_call(GUILD, {})
    assert ends(world) == [(60_000, 65_000, "roll_call")]


def test_a_snapshot_of_a_live_guild_without_the_person(world: Harness) -> None:
    """Nothing was to be missed, and was: the time since the last proof is no more proved than any other."""
    world.pass_ms(5000)
    world.state(ADA, DESK, flags=int(Flags.MUTED))
    world.pass_ms(5000)
    world.ack()
    world.roll_call(GUILD, {BOB: DESK})
    assert ends(world) == [(65_000, 5000, "roll_call")]


def test_who_is_found_in_a_live_guild_came_after_the_last_roll_call(world: Harness) -> None:
    """A join that was never sent."""
    world.pass_ms(1)
    world.opt_in(BOB, NOON)
    world.roll_call(GUILD, {ADA: DESK, BOB: DESK})
    assert starts(world, BOB) == [(60_001, 60_001, "roll_call")]


# --- somebody of whom nothing is heard is asked about ---


def silent(world: Harness, hours: int = 1) -> None:
    """So many hours pass, with ACKs only."""
    for _ in range(hours * 60):
        world.pass_ms(60_000)
        world.ack()


def question_of(world: Harness) -> Question | None:
    """What is asked within a round of both guilds."""
    return next(filter(None, (world.tracker.question(world.now) for _ in range(2))), None)


def test_after_an_hour_of_silence_discord_is_asked(world: Harness) -> None:
    """Not before; and not again before ten minutes have passed without an answer."""
    world.pass_ms(HOUR - 60_001)
    world.ack()
    assert question_of(world) is None
    world.pass_ms(1)
    question = question_of(world)
    assert question is not None
    assert (question.guild_id, question.user_id) == (GUILD, ADA)
    world.tracker.answered(question, None, world.pass_ms(1000))
    world.pass_ms(598_999)
    assert question_of(world) is None
    world.pass_ms(1)
    assert question_of(world) is not None


def test_only_people_who_are_in_and_can_be_seen_are_asked_about(world: Harness) -> None:
    """Not Bob, who never was in, nor Ada while her guild or the gateway is unseen, nor once she is out."""
    world.state(BOB, DESK)
    silent(world)
    world.hello()
    assert question_of(world) is None
    world.resumed()
    world.see(frames.GuildUnavailable(GUILD))
    assert question_of(world) is None
    world.opt_out(ADA)
    world.roll_call(GUILD, {ADA: DESK, BOB: DESK})
    silent(world)
    assert question_of(world) is None


def test_questions_are_one_at_a_time_and_everybody_has_a_turn() -> None:
    """However many are silent: each of them is asked about once, and none again for a while."""
    world = Harness()
    guilds = [GUILD * (2 * number + 1) for number in range(700)]
    world.connect({guild: {} for guild in guilds})
    people = range(1000, 1700)
    for user in people:
        world.service.write(world.decision(user, "in"))
    world.follow()
    world.batching = True
    for guild, user in zip(guilds, people, strict=True):
        world.tracker.see(Frame(VoiceState(guild, user, guild + 1, 0), next(world._sequence)), world.now)
    world.hand_over()
    world.pass_ms(HOUR)
    world.ack()
    asked = [world.tracker.question(world.pass_ms(100)) for _ in range(1500)]
    assert sorted(question.user_id for question in asked if question) == list(people)


def test_more_people_than_can_be_asked_about_wait_once_each() -> None:
    """A question a second is too few for them: who waits for one is not put down again at every look."""
    world = Harness(ask_after_ms=60_000)
    world.connect({GUILD: {}})
    for user in range(1000, 1200):
        world.opt_in(user)
        world.state(user, DESK)
    world.pass_ms(60_000)
    for _ in range(300):
        world.pass_ms(1000)
        world.ack()
        assert world.tracker.question(world.now) is not None
    assert len(world.tracker._seats.signs._quiet) <= 200


def asked(world: Harness, channel: int | None, *, then: int = WAIT_MS, flags: int = 0) -> None:
    """Discord is asked about Ada, answers, and the gateway is heard `then` later."""
    question = question_of(world)
    assert question is not None
    world.tracker.answered(question, VoiceState(GUILD, ADA, channel, flags), world.now)
    world.pass_ms(then)
    world.ack()


def test_who_is_not_there_left_after_their_last_proof(world: Harness) -> None:
    """10065: the stay ends there, and says how far that may be off."""
    silent(world)
    now = world.now - NOON
    asked(world, None)
    assert ends(world) == [(0, now, "left")]


def test_who_is_elsewhere_switched(world: Harness) -> None:
    """Both edges reach back to the last proof."""
    silent(world)
    now = world.now - NOON
    asked(world, SOFA)
    assert ends(world) == [(0, now, "switched")]
    assert starts(world)[-1] == (now, now, "switched")


def test_who_is_still_there_is_known_to_be_in_the_next_run_too(world: Harness) -> None:
    """The proof is on the disk: what a roll call finds out after a restart reaches back no further."""
    silent(world, 3)
    proved = world.now - NOON
    asked(world, DESK)
    assert question_of(world) is None
    world.pass_ms(60_000)
    world.ack()
    seen = world.now - NOON
    world.restart()
    world.pass_ms(2000)
    world.connect({GUILD: {}, OTHER: {}})
    assert ends(world) == [(seen, seen - proved, "roll_call")]


def test_a_mute_that_was_never_sent_is_in_the_answer(world: Harness) -> None:
    """From then on it counts."""
    silent(world)
    asked(world, DESK, flags=int(Flags.MUTED))
    world.pass_ms(1000)
    world.state(ADA, None)
    (row,) = world.rows(ADA)
    assert row["muted_ms"] == WAIT_MS + 1000


@pytest.mark.parametrize("news", ["before the answer", "after it"])
def test_what_the_gateway_says_meanwhile_wins(world: Harness, news: str) -> None:
    """The leave was on its way: it is exact."""
    silent(world)
    question = question_of(world)
    assert question is not None
    world.pass_ms(300)
    if news == "before the answer":
        world.state(ADA, None)
    world.tracker.answered(question, VoiceState(GUILD, ADA, None, 0), world.now)
    if news == "after it":
        world.state(ADA, None)
    left = world.now - NOON
    world.pass_ms(60_000)
    world.ack()
    assert ends(world) == [(left, 0, "left")]


# --- an end reaches back to the last proof ---


def test_an_end_that_a_gap_shows_reaches_back_before_the_gap(world: Harness) -> None:
    """It ends where sight was lost, and a leave may have been lost before that."""
    world.pass_ms(1000)
    world.connect({GUILD: {}, OTHER: {}})
    assert ends(world) == [(60_000, 60_000, "roll_call")]


@pytest.mark.parametrize("sign", ["a roll call", "another guild"])
@pytest.mark.parametrize("cut", ["out", "out, and in again", "not recorded", "AFK channel", "and no more"])
def test_what_cut_a_stay_after_a_leave_that_was_lost_says_so_once_that_is_found_out(
    world: Harness, cut: str, sign: str
) -> None:
    """Ada has left now, and nobody was told: whatever was exact when it was cut holds that moment then."""
    left = world.now - NOON
    world.pass_ms(20_000)
    if cut.startswith("out"):
        world.opt_out(ADA)
    elif cut == "not recorded":
        world.record(DESK, recorded=False)
    else:
        world.see(frames.GuildChanged(GUILD, "Study room", DESK))
    world.pass_ms(20_000)
    if cut == "out, and in again":
        world.opt_in(ADA)
    elif cut == "and no more":
        world.see(frames.GuildChanged(GUILD, "Study room", AFK))
    world.pass_ms(20_000)
    world.ack()
    if sign == "a roll call":
        world.roll_call(GUILD, {})
    else:
        world.state(ADA, ROOM, guild=OTHER)
        world.pass_ms(WAIT_MS)
        world.ack()
    rows = [row for row in world.rows(ADA) if row["guild_id"] == GUILD]
    assert (
        rows[0]["ended_at"] - rows[0]["ended_within_ms"]
        <= NOON + left
        <= rows[0]["ended_at"] + rows[0]["ended_within_ms"]
    )
    for row in rows[1:]:
        assert row["started_by"] == "opted_in" or row["started_at"] - row["started_within_ms"] <= NOON + left
        assert row["ended_at"] - row["ended_within_ms"] <= row["started_at"]


@pytest.mark.parametrize("arrives", ["late", "first"])
@pytest.mark.parametrize("what", ["out", "out, and in again", "not recorded"])
def test_a_decision_that_the_service_alone_hears_of_leaves_an_end_its_doubt(
    world: Harness, what: str, arrives: str
) -> None:
    """Ada was found gone, and may have left before the decision as well as after it: what cuts says so."""
    world.pass_ms(HOUR - 60_000)
    world.ack()
    world.delivering = arrives == "late"
    world.hello()
    world.pass_ms(5000)
    world.connect({GUILD: {}, OTHER: {}})
    made: list[Record] = [world.decision(ADA, "out", NOON + 20 * 60_000)]
    if what == "not recorded":
        made = [ChannelRecording(world.service.interaction(NOON + 20 * 60_000), GUILD, DESK, False)]
    elif what != "out":
        made += [world.decision(ADA, "in", NOON + 30 * 60_000), world.decision(ADA, "out", NOON + 50 * 60_000)]
    for record in reversed(made):
        world.service.write(record)
    world.delivering = True
    world.deliver()
    for row in world.rows(ADA):
        assert row["ended_at"] - row["ended_within_ms"] <= row["started_at"]
    assert ends(world)[0][:2] == (20 * 60_000, 20 * 60_000)


def test_a_roll_call_is_a_proof(world: Harness) -> None:
    """Of the one after it."""
    world.connect({GUILD: {ADA: DESK}, OTHER: {}})
    world.pass_ms(5000)
    world.ack()
    world.pass_ms(500)
    world.connect({GUILD: {}, OTHER: {}})
    assert ends(world) == [(65_000, 5000, "roll_call")]


def test_a_resume_is_no_proof(world: Harness) -> None:
    """What was never sent is not replayed either."""
    world.hello()
    world.resumed()
    world.pass_ms(5000)
    world.connect({GUILD: {}, OTHER: {}})
    assert ends(world) == [(60_000, 60_000, "roll_call")]


def test_a_late_opt_out_of_somebody_who_is_found_gone(world: Harness) -> None:
    """They were in voice at the decision as far as anybody thought then; that they were gone by the roll call leaves
    it open, back to their last proof. While they are not looked for, nothing speaks against it."""
    world.restart()
    world.pass_ms(30_000)
    world.opt_out(ADA, NOON + 40_000)
    assert ends(world) == [(40_000, 0, "opted_out")]
    world.connect({GUILD: {}, OTHER: {}})
    assert ends(world) == [(40_000, 40_000, "opted_out")]


def test_the_same_of_somebody_who_is_found_there(world: Harness) -> None:
    """They were, and it is exact."""
    world.restart()
    world.pass_ms(30_000)
    world.opt_out(ADA, NOON + 40_000)
    world.connect({GUILD: {ADA: DESK}, OTHER: {}})
    assert ends(world) == [(40_000, 0, "opted_out")]


# --- a guild that was not there before ---


@pytest.mark.parametrize("restarts", [False, True])
def test_a_guild_that_the_bot_was_invited_to_during_a_gap(world: Harness, restarts: bool) -> None:
    """Nobody knows since when anybody has been there: the bound is the consent, and not the gap."""
    third = GUILD * 5
    if restarts:
        world.restart()
    world.pass_ms(2000)
    world.connect({GUILD: {ADA: DESK}, OTHER: {}, third: {BOB: ROOM}})
    world.opt_in(BOB, NOON + 1000)
    assert starts(world, BOB) == [(62_000, 61_000, "roll_call")]


@pytest.mark.parametrize("restarts", [False, True])
def test_a_guild_that_was_there_before_and_had_nobody_in_it(world: Harness, restarts: bool) -> None:
    """There the gap is the bound."""
    world.opt_in(BOB, NOON + 1000)
    if restarts:
        world.restart()
    world.pass_ms(2000)
    world.connect({GUILD: {ADA: DESK}, OTHER: {BOB: ROOM}})
    assert starts(world, BOB) == [(62_000, 2000, "roll_call")]


def test_whom_an_earlier_run_did_not_know_to_be_in_may_have_come_while_it_looked(world: Harness) -> None:
    """It remembers nobody but those who are in: where nothing was open, too, the bound is the consent."""
    world.service.write(world.decision(BOB, "in", NOON + 1000))
    world.state(BOB, ROOM, guild=OTHER)
    world.pass_ms(5000)
    world.ack()
    world.restart()
    world.pass_ms(2000)
    world.connect({GUILD: {ADA: DESK}, OTHER: {BOB: ROOM}})
    assert starts(world, BOB) == [(67_000, 66_000, "roll_call")]


def test_a_guild_that_the_bot_left_and_was_invited_to_again(world: Harness) -> None:
    """What was seen there before it left says nothing of later."""
    world.opt_in(BOB, NOON + 1000)
    world.connect({GUILD: {ADA: DESK}})
    world.pass_ms(2000)
    world.restart()
    world.connect({GUILD: {ADA: DESK}, OTHER: {BOB: ROOM}})
    assert starts(world, BOB) == [(62_000, 61_000, "roll_call")]


# --- snapshots that say nothing, channels that are no more ---


@pytest.mark.parametrize("states", ["", ',"voice_states":null', ',"voice_states":{}'])
def test_a_snapshot_without_voice_states_takes_nothing_away(world: Harness, states: str) -> None:
    """The guild is unseen from then on, and a fresh session is asked for; what was seen counts."""
    world.pass_ms(5000)
    world.text(f'{{"t":"GUILD_CREATE","s":{next(world._sequence)},"op":0,"d":{{"id":"{GUILD}","name":"x"{states}}}}}')
    assert world.tracker.wants_renewal is not None
    assert world.tracker.figures()["unseen_guilds"] == 1
    world.pass_ms(1000)
    world.connect({GUILD: {}, OTHER: {}})
    assert ends(world) == [(65_000, 65_000, "roll_call")]


def test_a_channel_that_was_just_deleted_takes_nobody_in(world: Harness) -> None:
    """A mute that was on its way names it yet; one that is made anew under its id does."""
    world.see(frames.ChannelDeleted(GUILD, DESK))
    world.pass_ms(10)
    world.state(ADA, DESK, flags=int(Flags.MUTED))
    assert world.times(ADA) == [(DESK, 0, 60_000, "joined", "left")]
    world.see(frames.ChannelChanged(GUILD, ChannelInfo(DESK, "Desk", 2)))
    world.state(ADA, DESK)
    assert world.times(ADA)[-1] == (DESK, 60_010, None, "joined", None)


def test_no_more_deleted_channels_are_remembered_than_can_be_meant(world: Harness) -> None:
    """Temporary rooms come and go by the thousand."""
    for channel in range(5000, 7000):
        world.see(frames.ChannelDeleted(GUILD, channel))
    world.state(ADA, 6999)
    assert world.times(ADA)[-1][2] is not None
    assert len(world.tracker._guilds[GUILD].deleted) <= 64


# --- channels that are hidden from the bot ---


def shown(world: Harness, hidden: bool, channel: int = DESK, *, by: str = "both") -> None:
    """CHANNEL_UPDATE: the channel is hidden from the bot, or is so no more."""
    name = HIDDEN if hidden and by != "flag" else "Desk"
    flags = HIDDEN_FLAG if hidden and by != "name" else 0
    data = {"id": str(channel), "guild_id": str(GUILD), "type": 2, "name": name, "flags": flags}
    text = {"t": "CHANNEL_UPDATE", "s": next(world._sequence), "op": 0, "d": data}
    world.text(json.dumps(text))


@pytest.mark.parametrize("by", ["flag", "name", "both"])
def test_a_hidden_channel_is_not_recorded(world: Harness, by: str) -> None:
    """From when it is hidden until it is shown again; whoever is inside then begins then."""
    shown(world, True, by=by)
    assert ends(world) == [(60_000, 0, "not_recorded")]
    world.pass_ms(5000)
    world.state(ADA, DESK, flags=int(Flags.MUTED))
    world.opt_in(BOB)
    world.state(BOB, DESK)
    world.pass_ms(5000)
    assert world.rows(BOB) == []
    shown(world, False)
    world.pass_ms(1000)
    world.state(ADA, None)
    assert world.times(ADA)[1:] == [(DESK, 70_000, 71_000, "recorded", "left")]
    assert [row["muted_ms"] for row in world.rows(ADA)] == [0, 1000]
    assert starts(world, BOB) == [(70_000, 0, "recorded")]


def test_into_a_hidden_channel_and_out_again(world: Harness) -> None:
    """There the person is nowhere; who left it is not there when it is shown."""
    shown(world, True, SOFA)
    world.state(ADA, SOFA)
    world.pass_ms(5000)
    world.state(ADA, DESK)
    world.pass_ms(5000)
    world.state(ADA, SOFA)
    world.pass_ms(5000)
    world.state(ADA, None)
    shown(world, False, SOFA)
    assert world.times(ADA) == [
        (DESK, 0, 60_000, "joined", "left"),
        (DESK, 65_000, 70_000, "joined", "left"),
    ]


def roll_call_at_the_desk(world: Harness, afk: int | None, channel: ChannelInfo) -> None:
    """Ada is there, in this channel."""
    there = (VoiceState(GUILD, ADA, DESK, 0),)
    world.see(frames.RollCall(GUILD, "Study room", afk, (channel,), there))


def found_after_a_gap(world: Harness, restarts: bool, afk: int | None, channel: ChannelInfo) -> None:
    """Three seconds in which nobody looked, then a new session and its roll call."""
    if restarts:
        world.restart()
    world.pass_ms(3000)
    world.hello()
    world.ready(GUILD)
    roll_call_at_the_desk(world, afk, channel)


@pytest.mark.parametrize("restarts", [False, True])
def test_a_channel_that_was_hidden_in_a_gap(world: Harness, restarts: bool) -> None:
    """Nobody knows when: it is recorded up to where sight was lost, and what was inside begins when it is shown."""
    found_after_a_gap(world, restarts, None, ChannelInfo(DESK, "", 2, hidden=True))
    assert ends(world) == [(60_000, 60_000, "not_recorded")]
    world.pass_ms(3000)
    roll_call_at_the_desk(world, None, ChannelInfo(DESK, "Desk", 2))
    assert [row[3:] for row in world.times(ADA)][1:] == [("roll_call", None)]


def test_a_hidden_channel_is_not_asked_about_nor_learned_of_by_an_answer(world: Harness) -> None:
    """An answer that names it says that the person is not where they were."""
    silent(world)
    shown(world, True, SOFA)
    asked(world, SOFA)
    assert len(world.rows(ADA)) == 1
    assert [by for _, _, by in ends(world)] == ["left"]


# --- the AFK channel is another one now ---


def test_time_before_the_afk_channel_changed_counts_as_it_was(world: Harness) -> None:
    """And time after it as it is, in either direction."""
    world.see(frames.GuildChanged(GUILD, "Study room", DESK))
    world.pass_ms(4000)
    world.see(frames.GuildChanged(GUILD, "Library", DESK))
    world.see(frames.GuildChanged(GUILD, "Library", AFK))
    world.pass_ms(2000)
    world.state(ADA, None)
    assert world.times(ADA) == [
        (DESK, 0, 60_000, "joined", "switched"),
        (DESK, 60_000, 64_000, "switched", "switched"),
        (DESK, 64_000, 66_000, "switched", "left"),
    ]
    assert [row["afk"] for row in world.rows(ADA)] == [0, 1, 0]
    assert {within for _, within, _ in ends(world)} == {0}


@pytest.mark.parametrize("restarts", [False, True])
def test_the_afk_channel_changed_in_a_gap(world: Harness, restarts: bool) -> None:
    """Nobody saw when: the time between is not counted."""
    found_after_a_gap(world, restarts, DESK, ChannelInfo(DESK, "Desk", 2))
    assert [(row["started_at"] - NOON, row["afk"]) for row in world.rows(ADA)] == [(0, 0), (63_000, 1)]
    assert ends(world) == [(60_000, 60_000, "roll_call")]
