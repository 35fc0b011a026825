"""Strangers leave no trace: the same evening with and without them is the same in every row, entry, note, log line and
figure, to the byte and to the millisecond.

What an evening is: `evening.py`. Two people are in, or are so now and then; one was in once. All else are strangers.
"""

from __future__ import annotations

import json
import os
import random
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from db_client.records import ChannelRecording, ConsentDecision
from db_client.statements import Statement
from gateway_listener.frames import VoiceState
from tests.gateway_listener.evening import Evening, run_through
from tests.gateway_listener.harness import NOON

GUILD, CLUB, UNKNOWN_GUILD = 1 << 30, 3 << 30, 5 << 30
"""Where people are who are in, and strangers; where only strangers are; one that Discord never named."""
DESK, SOFA, AFK, HALL = 101, 102, 103, 301
ADA, BOB, EVE = 11, 12, 13
STRANGERS = range(1000, 1050)
BOTS = range(1040, 1050)

Act = tuple[str, int, int]
"""What happens, to whom or where, and how."""


class World:
    """Both guilds, who sits where, and an evening that is told of it."""

    def __init__(self, evening: Evening, seed: int | None) -> None:
        self.evening = evening
        evening.where = self.where
        self.strange = None if seed is None else random.Random(seed)
        """Draws what strangers do; None: there are none."""
        self.seats: dict[int, tuple[int, int]] = {}
        self.flags: dict[int, int] = {}
        self.channels = {GUILD: {DESK: "Desk", SOFA: "Sofa", AFK: "Away"}, CLUB: {HALL: "Hall"}}
        self.names = {GUILD: "Study room", CLUB: "Private club"}
        self.down: set[int] = set()
        self.rooms = 9000
        for user, decision in ((ADA, "in"), (EVE, "in"), (EVE, "out")):
            self.decide(user, decision)
        if self.strange:
            for user in (*STRANGERS[:25], *BOTS[:5]):
                self.sit(user, *self.strange.choice([(GUILD, DESK), (GUILD, SOFA), (CLUB, HALL)]))
        self.connect()

    # --- Discord ---

    def connect(self) -> None:
        self.evening.identify([GUILD, CLUB])
        for guild in {GUILD, CLUB} - self.down:
            self.call(guild)

    def call(self, guild: int) -> None:
        there = [user for user, seat in self.seats.items() if seat[0] == guild]
        data = {
            **self.settings(guild),
            "channels": [{"id": str(i), "name": name, "type": 2} for i, name in self.channels[guild].items()],
            "voice_states": [self.state(user) for user in there],
            "members": [self.member(user) for user in there],
        }
        if self.strange and self.strange.random() < 0.3:
            data["voice_states"].append({"user_id": str(STRANGERS[0]), "channel_id": "no channel"})
        self.evening.tell("GUILD_CREATE", data)

    def settings(self, guild: int) -> dict[str, Any]:
        return {"id": str(guild), "name": self.names[guild], "afk_channel_id": str(AFK)}

    def member(self, user: int) -> dict[str, Any]:
        return {"user": {"id": str(user), "bot": user in BOTS}}

    def state(self, user: int) -> dict[str, Any]:
        _, channel = self.seats.get(user, (0, None))
        flags = self.flags.get(user, 0)
        return {
            "user_id": str(user),
            "channel_id": None if channel is None else str(channel),
            "self_mute": bool(flags & 1),
            "self_video": bool(flags & 4),
            "self_stream": bool(flags & 8),
        }

    def tell_state(self, user: int, guild: int, **more: Any) -> None:
        if guild not in self.down:
            self.evening.tell("VOICE_STATE_UPDATE", {**self.state(user), "guild_id": str(guild), **more})

    def where(self, guild: int, user: int) -> VoiceState:
        """What Discord answers who asks where somebody is."""
        there, channel = self.seats.get(user, (0, None))
        return VoiceState(guild, user, channel if there == guild else None, self.flags.get(user, 0))

    # --- people ---

    def sit(self, user: int, guild: int, channel: int | None) -> None:
        """Joins, switches or leaves, without a word."""
        self.seats.pop(user, None)
        if channel is not None:
            self.seats[user] = guild, channel

    def move(self, user: int, guild: int, channel: int | None, **more: Any) -> None:
        before = self.seats.get(user)
        if before is not None and before[0] != guild:
            self.sit(user, guild, None)
            self.tell_state(user, before[0], **more)
        self.sit(user, guild, channel)
        self.tell_state(user, guild, **more)

    def decide(self, user: int, decision: str, ago: int = 0) -> None:
        interaction = self.evening.service.interaction(self.evening.now - ago)
        made = ConsentDecision(interaction, user, decision, f"u{user}", f"U{user}")  # type: ignore[arg-type]
        self.evening.service.write(made)

    # --- what happens, with strangers or without ---

    def act(self, act: Act) -> None:
        """One thing of the evening."""
        what, who, how = act
        user = (ADA, BOB)[who % 2]
        evening = self.evening
        if what == "move":
            self.move(user, GUILD, (DESK, SOFA, AFK, None)[how % 4], member=self.member(user))
        elif what == "flags":
            self.flags[user] = (0, 1, 4, 9)[how % 4]
            self.tell_state(user, self.seats.get(user, (GUILD, 0))[0])
        elif what == "decide":
            self.decide(user, ("in", "in", "out", "erase")[how % 4], ago=(0, 0, 700)[how % 3])
        elif what == "long ago":
            self.decide(user, "out", ago=evening.now - NOON - 20_000)
        elif what == "record":
            interaction = evening.service.interaction(evening.now)
            evening.service.write(ChannelRecording(interaction, GUILD, (DESK, SOFA)[who % 2], how % 2 == 0, "Desk"))
        elif what == "rename":
            self.channels[GUILD][DESK] = f"Desk {how}"
            evening.tell("CHANNEL_UPDATE", {"id": str(DESK), "guild_id": str(GUILD), "type": 2, "name": f"Desk {how}"})
        elif what == "break":
            evening.hang_up()
        elif what == "resume":
            evening.resume()
        elif what == "loss":
            evening.gateway.lose()
        elif what == "identify":
            evening.hang_up()
            if how % 4 == 0:
                self.down.add(GUILD)  # READY names it, and its roll call does not come
            self.connect()
        elif what in ("outage", "removed") and GUILD not in self.down:
            evening.tell("GUILD_DELETE", {"id": str(GUILD), "unavailable": what == "outage"})
            self.down.add(GUILD)
        elif what == "recovery" and GUILD in self.down:
            self.down.discard(GUILD)
            self.call(GUILD)
        elif what == "kill":
            evening.start(new_disk=how == 0)
            if how % 2 == 0:
                self.connect()
        elif what == "service":
            evening.disk.up = how % 2 == 0
        elif what == "slow":
            evening.ack_after = (30, 900)[how % 2]
        elif what == "stall":
            self.strangers_meanwhile(evening.stall, 300 * how)

    def pass_ms(self, milliseconds: int) -> None:
        """Time passes, and strangers use it."""
        self.strangers_meanwhile(self.evening.pass_ms, milliseconds)
        self.evening.look()

    def strangers_meanwhile(self, pass_ms: Callable[[int], None], milliseconds: int) -> None:
        left = milliseconds
        if self.strange:
            for _ in range(self.strange.randrange(6)):
                part = self.strange.choice([0, 1, self.strange.randint(0, left)])
                pass_ms(min(part, left))
                left -= min(part, left)
                self.stranger(self.strange)
        pass_ms(left)

    def stranger(self, strange: random.Random) -> None:
        """One of fifty does something."""
        user = strange.choice([*STRANGERS, EVE])
        guild, channel = strange.choice([(GUILD, DESK), (GUILD, SOFA), (GUILD, AFK), (CLUB, HALL), (GUILD, 0)])
        member = strange.choice([{}, {"member": self.member(user)}])
        what = strange.randrange(9)
        if what < 4:
            self.move(user, guild, channel or None, **member)
        elif what < 6:
            self.flags[user] = strange.choice([0, 1, 4, 8])
            self.tell_state(user, self.seats.get(user, (guild, 0))[0], **member)
        elif what == 6:  # a room of their own: made, entered, renamed, left, and perhaps gone
            self.rooms += 1
            room = {"id": str(self.rooms), "guild_id": str(guild), "type": 2, "name": f"Dorabella's room {self.rooms}"}
            self.channels[guild][self.rooms] = room["name"]
            self.evening.tell("CHANNEL_CREATE", room)
            self.move(user, guild, self.rooms, **member)
            self.evening.tell("CHANNEL_UPDATE", {**room, "name": "Dorabella's den"})
            if strange.random() < 0.5:
                self.move(user, guild, None, **member)
                del self.channels[guild][self.rooms]
                self.evening.tell("CHANNEL_DELETE", room)
        elif what == 7:  # what Discord should not send, and does
            self.tell_state(user, UNKNOWN_GUILD, channel_id=strange.choice(["7", None, "no channel"]), **member)
            self.evening.gateway.resend(1)
        else:
            self.evening.tell("TYPING_START", {"guild_id": str(guild), "user_id": str(user)})


def played(acts: Sequence[tuple[Act, int]], seed: int | None) -> Evening:
    """The evening: each act, and how much time passes after it."""
    with pytest.MonkeyPatch.context() as patch:
        evening = Evening(patch)
        world = World(evening, seed)
        world.pass_ms(1500)
        for act, then in acts:
            world.act(act)
            world.pass_ms(then)
        evening.disk.up = True
        if not evening.gateway.connected:
            world.connect()
        world.pass_ms(301_000)
    return evening


def check_the_same(acts: Sequence[tuple[Act, int]], seed: int) -> Evening:
    """The evening without strangers, after it was found to be the same with them."""
    alone, among = played(acts, None), played(acts, seed)
    assert among.log == alone.log
    assert among.disk.commits == alone.disk.commits
    assert among.disk.kept == alone.disk.kept
    assert among.rows() == alone.rows()
    assert among.seen == alone.seen
    assert among.asked == alone.asked
    everything = json.dumps([among.log, among.disk.commits, among.rows(), among.seen])
    assert "Dorabella" not in everything
    assert "Private club" not in everything
    return alone


whats = st.sampled_from(
    ("move",) * 6
    + ("flags",) * 3
    + ("decide",) * 3
    + (
        "record",
        "rename",
        "break",
        "loss",
        "resume",
        "identify",
        "outage",
        "removed",
        "recovery",
        "kill",
        "service",
        "slow",
        "stall",
    )
)
acts = st.tuples(whats, st.integers(0, 1), st.integers(0, 11))
times = st.sampled_from((0, 1, 10, 30, 40, 60, 500, 3000, 20_000, 45_000))


@settings(
    deadline=None,
    max_examples=int(os.environ.get("LISTENER_EXAMPLES", "120")),
    derandomize="LISTENER_EXAMPLES" not in os.environ,
)
@given(st.lists(st.tuples(acts, times), max_size=20), st.integers(0, 2**32))
def test_whatever_happens(evening: list[tuple[Act, int]], seed: int) -> None:
    """Joining, switching, muting, streaming, naming rooms, leaving, bots too, among all that happens to a listener."""
    check_the_same(evening, seed)


@pytest.mark.parametrize("seed", range(10))
def test_a_decision_while_frames_are_read_late(seed: int) -> None:
    """An ACK is late, and before it comes an opt-out is heard of: nobody's frames say when to be in doubt."""
    opt_out = ("decide", 0, 6)
    check_the_same(
        [(("move", 0, 0), 0), (("slow", 0, 1), 40_400), (opt_out, 95), (("service", 0, 0), 3000)],
        seed,
    )


@pytest.mark.parametrize("seed", range(3))
def test_an_evening_of_three_hours(seed: int) -> None:
    """Stays are forgotten when two hours have passed, not when somebody leaves after that: a late opt-out is then the
    service's affair alone. What goes on is not forgotten."""
    hour = 60 * 60 * 1000
    late_opt_out = ("long ago", 0, 0)
    alone = check_the_same(
        [
            (("decide", 1, 0), 1000),
            (("move", 0, 0), 1000),
            (("move", 1, 0), 60_000),
            (("move", 0, 3), hour),
            (("move", 0, 1), hour + 60_000),
            (late_opt_out, 5000),
            (("decide", 1, 6), 5000),
        ],
        seed,
    )
    assert {user for _, _, user in alone.asked} == {ADA, BOB}
    desk, bobs = alone.service.rows("SELECT * FROM voice_sessions ORDER BY user_id")
    assert (desk["ended_at"] - NOON, desk["ended_by"]) == (20_000, "opted_out")
    assert (bobs["ended_at"] - bobs["started_at"] > 2 * hour, bobs["ended_by"]) == (True, "opted_out")


def test_a_comparison_that_finds_something_waits_for_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """A session is missing in the service and a name is another one there: what puts it right is handed over when it is
    found, and not when a stranger's frame comes while the next page of names is read."""

    def commits(stranger: bool) -> list[tuple[int, list[str], dict[str, str | None]]]:
        evening = Evening(monkeypatch)
        world = World(evening, None)
        evening.pass_ms(2000)
        world.move(ADA, GUILD, DESK)
        evening.pass_ms(2000)
        evening.service.rows("DELETE FROM voice_sessions")
        asked = evening.disk.query

        def query(*statements: Statement, within: float) -> list[list[dict[str, Any]]]:
            if stranger and "FROM channels" in statements[0].sql:
                world.move(STRANGERS[0], GUILD, SOFA)
            return asked(*statements, within=within)

        monkeypatch.setattr(evening.disk, "query", query)
        before = len(evening.disk.commits)
        run_through(evening.listener._compare())
        return evening.disk.commits[before:]

    assert commits(stranger=True) == commits(stranger=False) != []


def test_the_evenings_are_not_empty() -> None:
    """What is compared above is something: rows, entries, notes, log lines and figures."""
    evening = played([(("move", 0, 0), 1000), (("slow", 0, 1), 50_000), (("move", 0, 1), 1000)], 7)
    assert [row["channel_id"] for row in evening.rows()["voice_sessions"]] == [DESK, SOFA]
    assert [row["name"] for row in evening.rows()["channels"]] == ["Desk", "Sofa"]
    assert {"watermark", f"consent:{ADA}"} <= evening.disk.kept.keys()
    assert "frames are read late" in str(evening.log)
    assert "bigbrother_listener_open_sessions 1.0" in evening.seen[-1]
