"""While the bot does not see a server, every report counts what it saw, and says since when it does not see it."""

from __future__ import annotations

import re

import pytest

from db_client.records import GuildSight
from tests.interactions_api.study_room import DAY, HOUR, MINUTE, StudyRoom

pytestmark = pytest.mark.xdist_group("processes")

REPORTS = ("voice_time", "sessions", "leaderboard", "together", "channel_time")
NOT_SEEN = "The bot has not seen this server since"
SAW_IT = "the bot saw it until"


class Outage(StudyRoom):
    """Ada and Ben have sat in Desk for 50 hours, 49 of them unseen; a day before they sat there for an hour."""

    def tell(self) -> None:
        self.desk = self.channel("Desk")
        self.ada, self.ben, self.cleo = self.person("Ada"), self.person("Ben"), self.person("Cleo", "only_me")
        for user in (self.ada, self.ben):
            self.session(user, self.desk, 74 * HOUR, 73 * HOUR)
            self.session(user, self.desk, 50 * HOUR, None)

    def at(self, ago: int) -> str:
        """How Discord is told to show the moment so many ms before now."""
        return f"<t:{(self.now - ago) // 1000}:f>"


@pytest.fixture(scope="module")
def outage(room: StudyRoom) -> Outage:
    room.__class__ = Outage
    assert isinstance(room, Outage)
    room.tell()
    return room


@pytest.fixture
def unseen(outage: Outage):
    """Seen until 49 hours ago."""
    outage.seen(49 * HOUR)
    yield outage
    outage.seen(-DAY)


def test_two_hours_are_counted_of_fifty_one_in_every_report(unseen: Outage):
    """The sum, the list, the board, the pair and the channels agree."""
    all_ = {"period": "last_7_days"}
    assert "**2 h 00 min**, sessions: 2" in unseen.use("voice_time", unseen.ada, **all_).content
    assert "**2 h 00 min**, sessions: 2" in unseen.use("voice_time", unseen.ada, member=unseen.ben, **all_).content
    listed = unseen.use("sessions", unseen.ada, **all_).content
    assert f"- {unseen.at(50 * HOUR)} \u2013 {unseen.at(49 * HOUR)}: **1 h 00 min** in" in listed
    assert "\u2013 now" not in listed
    board = unseen.use("leaderboard", unseen.ada, **all_).content
    assert re.findall(r"`1\.` .*: (.*)", board) == ["2 h 00 min", "2 h 00 min"]
    assert "with 2 h 00 min" in board
    assert ": **2 h 00 min**" in unseen.use("together", unseen.ada).content
    assert "**4 h 00 min**" in unseen.use("channel_time", unseen.cleo, **all_).content


@pytest.mark.parametrize("period", ["last_7_days", "today", "yesterday", "all"])
def test_each_reply_says_once_since_when_the_server_was_not_seen(unseen: Outage, period):
    """Also where nothing is left to show, and to whoever asks; in both languages."""
    for command in REPORTS:
        for user in (unseen.ada, unseen.cleo):
            if command == "together" and (user == unseen.cleo or period != "all"):
                continue
            options = {} if command == "together" else {"period": period}
            said = unseen.use(command, user, **options).content
            assert said.count(unseen.at(49 * HOUR)) >= 1
            assert said.count(NOT_SEEN) + said.count(SAW_IT) == 1, said
            german = unseen.use(command, user, _locale="de", **options).content
            assert german.count("Zeit danach zählt nicht mit") == 1


def test_ones_own_running_stay_says_until_when_the_bot_saw_it(unseen: Outage):
    """In place of the general sentence."""
    said = unseen.use("voice_time", unseen.ada, period="last_7_days").content
    began, seen = unseen.at(50 * HOUR), unseen.at(49 * HOUR)
    assert f"Running since {began} in \u2068Desk\u2069; the bot saw it until {seen}: time after that is not" in said


def test_while_the_server_is_seen_nothing_is_said_of_it(outage: Outage):
    """And everything counts to this moment."""
    for command in REPORTS:
        said = outage.use(command, outage.ada).content
        assert NOT_SEEN not in said
        assert SAW_IT not in said
    assert "**51 h 0" in outage.use("voice_time", outage.ada, period="last_7_days").content
    assert (
        f"Running since {outage.at(50 * HOUR)} in \u2068Desk\u2069.\n" in outage.use("voice_time", outage.ada).content
    )


def test_an_outage_of_one_server_is_told_there_only_and_not_of_who_keeps_it(outage: Outage):
    """Of a server where only somebody hidden sits others hear nothing, not even by way of what she shares there."""
    lost, fine = outage.make_guild("Lost"), outage.make_guild("Fine")
    desk = outage.channel("Desk", lost)
    hidden, shown = outage.person("Hidden", "only_me"), outage.person("Shown", "everywhere")
    outage.session(hidden, desk, 3 * HOUR, None, guild_id=lost)
    before = [outage.use(c, outage.ben, _guild=lost).content for c in REPORTS]
    outage.keep(GuildSight(lost, 1, seen=False, unseen_since=outage.now - 2 * HOUR))
    assert [outage.use(c, outage.ben, _guild=lost).content for c in REPORTS] == before
    assert f"until {outage.at(2 * HOUR)}" in outage.use("voice_time", hidden, _guild=lost, period="last_7_days").content
    assert NOT_SEEN not in outage.use("leaderboard", hidden, _guild=lost, share=True).content
    outage.session(shown, desk, 150 * MINUTE, None, guild_id=lost)
    board = outage.use("leaderboard", outage.ben, _guild=lost).content
    assert "Shown\u2069: 30 min" in board
    assert f"{NOT_SEEN} {outage.at(2 * HOUR)}" in board
    assert NOT_SEEN not in outage.use("leaderboard", outage.ben, _guild=fine).content


def test_a_server_that_was_never_seen_counts_nothing_that_runs_and_says_so(outage: Outage):
    """As long as no listener of it has ever said how far it saw."""
    guild, user = outage.make_guild("New"), outage.person("Eve")
    outage.session(user, outage.channel("Room", guild), 3 * HOUR, None, guild_id=guild)
    outage.keep(GuildSight(guild, 1, seen=False, unseen_since=None))
    board = outage.use("leaderboard", user, _guild=guild, period="all").content
    assert "You have no counted time in this period." in board
    assert "The bot does not see this server yet: what is running is not counted." in board
    said = outage.use("voice_time", user, _guild=guild, period="all").content
    assert f"{SAW_IT} {outage.at(3 * HOUR)}" in said
    assert "**0 s**, sessions: 1" in said
