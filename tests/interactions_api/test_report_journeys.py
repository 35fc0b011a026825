"""Reports over signed HTTP with real processes: the numbers of a story, and who may see what."""

from __future__ import annotations

import re
import time

import pytest

from tests.interactions_api.study_room import DAY, HOUR, MINUTE, StudyRoom

pytestmark = pytest.mark.xdist_group("processes")

REPORTS = ("voice_time", "sessions", "leaderboard", "together", "channel_time")
HOSTILE = "**@everyone** <@&1> `x` ||y|| https://e.example \u202e [a](b) # _z_ :skull: " + "*" * 40


class Story(StudyRoom):
    """Ada 2 h in Desk (half an hour muted), 1 h in Lounge, 45 min AFK, and now 25 min in Desk; Ben 1 h
    and 30 min of it with her; Cleo, who shows it to nobody, 10 h in Desk; Dora was never there.
    """

    def tell(self) -> None:
        self.desk, self.lounge, self.afk = self.channel("Desk"), self.channel("Lounge"), self.channel("AFK")
        self.ada, self.ben = self.person("Ada"), self.person("Ben")
        self.cleo, self.dora = self.person("Cleo", "only_me"), self.person("Dora", None)
        self.session(self.ada, self.desk, 50 * HOUR, 48 * HOUR, muted_ms=30 * MINUTE)
        self.session(
            self.ada, self.lounge, 48 * HOUR, 47 * HOUR, started_by="switched", ended_by="roll_call",
            ended_within_ms=40_000,
        )  # fmt: skip
        self.session(self.ada, self.afk, 47 * HOUR, 46 * HOUR + 15 * MINUTE, started_by="switched", afk=True)
        self.session(self.ada, self.desk, 25 * MINUTE, None)
        self.session(self.ben, self.desk, 49 * HOUR + 30 * MINUTE, 48 * HOUR + 30 * MINUTE)
        self.session(self.ben, self.lounge, 48 * HOUR, 47 * HOUR + 30 * MINUTE)
        self.session(self.cleo, self.desk, 45 * HOUR, 35 * HOUR)


@pytest.fixture(scope="module")
def story(room: StudyRoom) -> Story:
    room.__class__ = Story
    assert isinstance(room, Story)
    room.tell()
    return room


def minutes(text: str) -> int:
    """`3 h 25 min` or `25 min` as minutes."""
    hours, rest = re.fullmatch(r"(?:(\d+) h )?(\d+) min", text).groups()  # type: ignore[union-attr]
    return 60 * int(hours or 0) + int(rest)


def counted_minutes(story: Story, user: int) -> int:
    """What the stored sessions say, the running one up to now, in whole minutes."""
    rows = story.rows("SELECT * FROM voice_sessions WHERE user_id = :user AND guild_id = :g", user=user, g=story.guild)
    now = time.time_ns() // 1_000_000
    return sum((row["ended_at"] or now) - row["started_at"] for row in rows if not row["afk"]) // MINUTE


def test_voice_time_says_what_is_stored(story: Story):
    """The total is the sum of the stored sessions, the running one included, AFK time shown and not counted."""
    said = story.use("voice_time", story.ada, period="last_7_days")
    total = re.search(r"\*\*(\d[^*]*)\*\*, sessions: (\d+)", said.content)
    assert total is not None, said.content
    assert abs(minutes(total[1]) - counted_minutes(story, story.ada)) <= 1
    assert total[2] == "4"
    assert said.ephemeral
    for part in (
        "muted 30 min · deafened 0 s · alone ",
        "Not counted: 45 min in the AFK channel",
        "Running since",
        "\u2068Desk\u2069: 2 h 25 min, sessions: 2",
        "\u2068Lounge\u2069: 1 h 00 min, sessions: 1",
        "█",
    ):
        assert part in said.content, said.content


@pytest.mark.parametrize("period", ["today", "this_year", "all", "this_month", "last_30_days", "yesterday"])
def test_every_period_is_answered_in_both_languages(story: Story, period):
    """Whatever is in it, within Discord's limits, which the sender checks."""
    for command in ("voice_time", "sessions", "leaderboard", "channel_time"):
        english = story.use(command, story.ada, period=period).content
        german = story.use(command, story.ada, period=period, _locale="de").content
        assert english != german
        assert "{" not in english + german


def test_the_time_of_a_member_who_shows_it_is_seen_and_of_no_other(story: Story):
    """Whoever keeps it, never opted in, or is unknown gets the same answer: it tells nothing."""
    assert "Voice time of \u2068Ben\u2069" in story.use("voice_time", story.dora, member=story.ben).content
    hidden = {story.use("voice_time", story.ada, member=user).content for user in (story.cleo, story.dora)}
    assert len(hidden) == 1
    assert "nothing to show you" in hidden.pop()
    assert "**10 h 00 min**" in story.use("voice_time", story.cleo).content


def test_sessions_are_listed_with_how_they_ended_and_how_sure_that_is(story: Story):
    """The newest first; each of the stored ones."""
    said = story.use("sessions", story.ada, period="last_7_days").content
    lines = said.splitlines()
    assert "1 to 4 of 4" in lines[1]
    assert "running" in lines[2]
    assert "45 min" in lines[3]
    assert "not counted" in lines[3]
    assert "gone when the bot looked again" in lines[4]
    assert "(end sure to 40 s)" in lines[4]
    assert "**2 h 00 min** in \u2068Desk\u2069, you left" in lines[5]


def test_the_leaderboard_has_those_who_show_their_time_and_ones_own_place(story: Story):
    """Cleo is told the place her time would have; nobody else learns of it."""
    of_ada = story.use("leaderboard", story.ada, period="last_7_days").content
    assert re.search(r"^`1\.` \u2068Ada\u2069: 3 h 2\d min\n`2\.` \u2068Ben\u2069: 1 h 30 min$", of_ada, re.MULTILINE)
    assert "Your place: **1** of 2" in of_ada
    assert "Cleo" not in of_ada
    of_cleo = story.use("leaderboard", story.cleo, period="last_7_days").content
    assert "your 10 h 00 min would be place **1**" in of_cleo
    in_lounge = story.use("leaderboard", story.ben, period="last_7_days", channel=story.lounge).content
    assert f"of <#{story.lounge}>" in in_lounge
    assert "Your place: **2** of 2, with 30 min" in in_lounge


def test_a_shared_board_is_public_and_shows_of_who_shares_it_no_more_than_of_others(story: Story):
    """Cleo's own time would tell everybody what she keeps, and Ben's what was recorded before he showed it."""
    shared = story.use("leaderboard", story.cleo, period="last_7_days", share=True)
    assert not shared.ephemeral
    assert "10 h" not in shared.content
    assert "would be" not in shared.content
    of_ben = story.use("leaderboard", story.ben, period="last_7_days", share=True).content
    assert "`2.` \u2068Ben\u2069: 1 h 30 min" in of_ben
    for said in (shared.content, of_ben):
        assert "Your place" not in said


def test_together_shows_people_who_both_show_their_time(story: Story):
    """How long, how often, first and last, and the favourite channel."""
    [line] = [line for line in story.use("together", story.ada).content.splitlines() if "Ben" in line]
    first, last = (f"<t:{(story.now - at) // 1000}:f>" for at in (49 * HOUR + 30 * MINUTE, 47 * HOUR + 30 * MINUTE))
    assert line == (
        f"- \u2068Ben\u2069: **1 h 30 min**, times: 2, first {first}, last {last}, most of it in"
        f" <#{story.desk}> (1 h 00 min)"
    )
    assert "both show their time" in story.use("together", story.cleo).content
    assert "nothing to show you" in story.use("together", story.ada, member=story.cleo).content
    assert "1 h 30 min" in story.use("together", story.ben, member=story.ada).content
    assert "always together" in story.use("together", story.ben, member=story.ben).content


def test_channel_time_adds_up_whom_the_asker_may_see_and_names_nobody(story: Story):
    """Sums only. Of Cleo, who keeps it to herself and was alone, only she finds her ten hours in it."""
    said = story.use("channel_time", story.dora, period="last_7_days").content
    assert re.search(r"^\*\*4 h 5\d min\*\*", said, re.MULTILINE)
    assert f"- <#{story.desk}>: 3 h 2" in said
    assert f"- <#{story.desk}>: 13 h 2" in story.use("channel_time", story.cleo, period="last_7_days").content
    assert not re.search("Ada|Ben|Cleo", said)
    heat = said.split("```")[1].splitlines()
    assert [line[:3] for line in heat[2:]] == ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"]
    assert "█" in said
    assert "last 13 weeks" in story.use("channel_time", story.dora, period="all").content


def test_a_server_of_two_reads_the_same_sentence_as_one_without_anybody(story: Story):
    """No empty picture, and no word that tells whether somebody was there."""
    guild, empty = story.make_guild("Two"), story.make_guild("None")
    channel = story.channel("Room", guild)
    for name in ("Eve", "Fay"):
        story.session(story.person(name, "only_me"), channel, 30 * HOUR, 28 * HOUR, guild_id=guild)
    of_two, of_none = (
        story.use("channel_time", story.dora, _guild=place, period="last_7_days").content for place in (guild, empty)
    )
    assert of_two == of_none
    assert "There is nothing to show" in of_two
    assert "```" not in of_two


def test_somebody_of_whom_nothing_is_recorded_is_told_how_to_begin(story: Story):
    """Dora never opted in."""
    said = story.use("voice_time", story.dora).content
    assert "Nothing is recorded in this period" in said
    assert "`/opt_in` begins it" in said


@pytest.mark.parametrize("fault", ["hang", "reset", "status_503", "garbage", "error_in_200"])
@pytest.mark.parametrize("command", [*REPORTS, "my_data"])
def test_a_service_that_does_not_answer_gives_an_honest_sentence_in_time(story: Story, command, fault):
    """Within two seconds and a little, whatever the fault; nothing is promised that will not come."""
    with story.fault(fault):
        said = story.use(command, story.ada)
    assert said.type == 4
    assert "The storage does not answer in time" in said.content
    assert said.took_ms < 2700


def test_the_board_has_everybody_once_over_its_pages_whatever_their_names_are(story: Story):
    """Names of a hundred hostile characters: each page fits, and what did not fit is on the next one."""
    guild = story.make_guild(HOSTILE)
    channel = story.channel(HOSTILE[:100], guild)
    people = [story.person(f"{number:02}{HOSTILE}") for number in range(25)]
    for number, user in enumerate(people):
        story.session(user, channel, 3 * HOUR, 2 * HOUR - number * MINUTE, guild_id=guild)
    page, seen = story.use("leaderboard", people[0], _guild=guild, share=True), []
    refused = story.press(buttons(page)[0]["custom_id"], people[1], message=page, guild=guild)
    assert refused.ephemeral
    assert "for the person who used the command" in refused.content
    while True:
        assert "@everyone" not in re.sub(r"\\@", "", page.content)
        seen += re.findall(r"^`\d+\.` \u2068(\d\d)", page.content, re.MULTILINE)
        [behind] = [b for b in buttons(page) if b["label"].startswith("Next")] or [None]
        if behind is None:
            break
        page = story.press(behind["custom_id"], people[0], message=page, guild=guild)
        assert page.type == 7
    assert seen == [f"{number:02}" for number in reversed(range(25))]
    [before] = [b for b in buttons(page) if "Back" in b["label"]]
    assert story.press(before["custom_id"], people[0], message=page, guild=guild).type == 7
    for command in ("voice_time", "sessions", "together", "channel_time"):
        assert len(story.use(command, people[0], _guild=guild).content) <= 2000


def test_many_sessions_are_turned_by_pages(story: Story):
    """Every session is on one page."""
    guild = story.make_guild("Pages")
    channel, user = story.channel("C" * 100, guild), story.person("Pia")
    for number in range(23):
        story.session(user, channel, (2 * number + 2) * HOUR, (2 * number + 1) * HOUR - number * 1000, guild_id=guild)
    page, seconds = story.use("sessions", user, _guild=guild, period="last_7_days"), 0
    while True:
        seconds += page.content.count("you left")
        behind = [b for b in buttons(page) if b["label"].startswith("Next")]
        if not behind:
            break
        page = story.press(behind[0]["custom_id"], user, message=page, guild=guild)
    assert seconds == 23
    assert "of 23" in page.content


def test_a_managers_zone_moves_the_days(story: Story):
    """Yesterday in Kiritimati and in Pago Pago are different windows, cut at their own midnights."""
    guild = story.make_guild("Zones")
    channel, user = story.channel("Desk", guild), story.person("Zoe")
    story.session(user, channel, 5 * DAY, HOUR, guild_id=guild)
    said = {}
    for zone in ("Pacific/Kiritimati", "Pacific/Pago_Pago"):
        story.use("settings", user, _guild=guild, _permissions=1 << 5, time_zone=zone)
        said[zone] = story.use("voice_time", user, _guild=guild, period="yesterday").content
        assert f"· yesterday · {zone}" in said[zone]
        assert "**24 h 00 min**" in said[zone]


def buttons(outcome) -> list[dict]:
    return [b for row in outcome.data.get("components") or [] for b in row["components"]]
