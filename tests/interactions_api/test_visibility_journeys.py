"""Over signed HTTP: who sees what of whom, as they decide it themselves, and that replies are for one person alone."""

from __future__ import annotations

import re

import pytest

from db_client.snowflake import created_at
from tests.interactions_api.study_room import DAY, HOUR, MINUTE, StudyRoom

pytestmark = pytest.mark.xdist_group("processes")

COMMANDS: dict[str, dict[str, object]] = {
    "opt_in": {},
    "opt_out": {},
    "voice_time": {"period": "last_7_days"},
    "sessions": {},
    "leaderboard": {},
    "together": {},
    "channel_time": {},
    "erase_me": {},
    "privacy": {},
    "settings": {"_permissions": 1 << 5},
}


def seen_of(room: StudyRoom, guild: int, user: int, by: int) -> set[str]:
    """In which reports that somebody asks for another person's time stands."""
    everywhere = {
        "voice_time": room.use("voice_time", by, _guild=guild, period="last_7_days", member=user),
        "leaderboard": room.use("leaderboard", by, _guild=guild, period="last_7_days"),
        "together": room.use("together", by, _guild=guild),
    }
    return {name for name, said in everywhere.items() if "\u2068Ben\u2069" in said.content}


EVERYTHING = {"voice_time", "leaderboard", "together"}


def places(room: StudyRoom, *names: str) -> list[int]:
    return [room.make_guild(name) for name in names]


def were_together(room: StudyRoom, guild: int, *people: int) -> None:
    """For an hour, in a channel of their own."""
    desk = room.channel("Desk", guild)
    for user in people:
        room.session(user, desk, 5 * HOUR, 4 * HOUR, guild_id=guild)


def test_what_others_see_follows_each_decision_at_once(room: StudyRoom):
    """Nothing by default; everything with `server`; nothing again after `only_me`, opting out, or erasing. An opt-in
    without the option changes nothing that was chosen.
    """
    [guild] = places(room, "Visible")
    ada, ben = room.person("Ada"), room.person("Ben", "only_me")
    were_together(room, guild, ada, ben)
    assert seen_of(room, guild, ben, ada) == set()
    assert "**1 h 00 min**" in room.use("voice_time", ben, _guild=guild, period="last_7_days").content
    server = {"visibility": "server", "show_past": True}
    for command, options, seen in (
        ("opt_in", {}, set()),
        ("opt_in", server, EVERYTHING),
        ("opt_in", {}, EVERYTHING),
        ("opt_in", {"visibility": "only_me"}, set()),
        ("opt_in", {}, set()),
        ("opt_in", server, EVERYTHING),
        ("opt_out", {}, set()),
        ("opt_in", {}, EVERYTHING),
    ):
        room.use(command, ben, _guild=guild, **options)
        assert seen_of(room, guild, ben, ada) == seen, (command, options)
    asked = room.use("erase_me", ben, _guild=guild)
    room.press(asked.custom_ids[0], ben, message=asked, guild=guild)
    assert seen_of(room, guild, ben, ada) == set()
    room.use("opt_in", ben, _guild=guild)
    assert "only you" in room.use("privacy", ben, _guild=guild).content


def test_a_choice_holds_on_the_server_where_it_was_made(room: StudyRoom):
    """What is shown on one is hidden on the other; hiding here leaves there; `everywhere` ends with the next choice."""
    here, there = places(room, "Here", "There")
    ada, ben = room.person("Ada"), room.person("Ben", "only_me")
    for guild in (here, there):
        were_together(room, guild, ada, ben)

    def choose(guild: int, visibility: str) -> str:
        content: str = room.use("opt_in", ben, _guild=guild, visibility=visibility, show_past=True).content
        return content

    def seen() -> tuple[set[str], set[str]]:
        return seen_of(room, here, ben, ada), seen_of(room, there, ben, ada)

    assert "On other servers **only you** see it" in choose(here, "server")
    assert seen() == (EVERYTHING, set())
    assert "(servers: **1**)" in choose(there, "server")
    assert seen() == (EVERYTHING, EVERYTHING)
    said = choose(here, "only_me")
    assert "On this server **only you** see your time" in said
    assert "(servers: **1**)" in said
    assert seen() == (set(), EVERYTHING)
    assert "On every server with this bot **its members** see your time: all of it" in choose(here, "everywhere")
    assert seen() == (EVERYTHING, EVERYTHING)
    choose(here, "only_me")
    assert seen() == (set(), EVERYTHING)
    choose(there, "only_me")
    assert seen() == (set(), set())


def test_the_past_is_shown_by_choice_alone_and_the_reply_says_so(room: StudyRoom):
    """From now on unless all of it was asked for; choosing the same again does not hide what was shown."""
    [guild] = places(room, "Past")
    ben = room.person("Ben", "only_me")
    were_together(room, guild, ben)
    first = room.use("opt_in", ben, _guild=guild, visibility="server")
    assert "**its members** see your time: from now on" in first.content
    decided = created_at(first.id) // 1000
    for locale, line in (("en-US", "was recorded since <t:{}:f>"), ("de", "was seit <t:{}:f> aufgezeichnet wurde")):
        for command in ("opt_in", "privacy"):
            assert line.format(decided) in room.use(command, ben, _guild=guild, _locale=locale).content
    assert (
        "**its members** see your time: all of it"
        in room.use("opt_in", ben, _guild=guild, visibility="server", show_past=True).content
    )
    assert (
        "**its members** see your time: all of it" in room.use("opt_in", ben, _guild=guild, visibility="server").content
    )
    room.use("opt_in", ben, _guild=guild, visibility="only_me")
    assert "from now on" in room.use("opt_in", ben, _guild=guild, visibility="server").content


def test_nobody_learns_from_an_answer_who_is_recorded(room: StudyRoom):
    """Hidden, never opted in, opted out, erased, gone from the server, or shown on a server the asker is not on: the
    same bytes, for times and for time together; what differs differs by what the person showed.
    """
    guild, other = places(room, "Nosy", "Elsewhere")
    ada, hidden, never = room.person("Ada"), room.person("Hidden", "only_me"), room.person("Never", None)
    out, erased, left = room.person("Out"), room.person("Erased"), room.person("Left")
    foreign, nobody = room.person("Foreign"), room.person("Nobody", None)
    were_together(room, guild, ada, hidden, out, erased, left)
    were_together(room, other, foreign)
    room.discord.add_member(guild, never)
    shown = {room.use("voice_time", ada, _guild=guild, member=user).content for user in (out, erased, left)}
    assert len(shown) == 3
    room.use("opt_out", out, _guild=guild)
    asked = room.use("erase_me", erased, _guild=guild)
    room.press(asked.custom_ids[0], erased, message=asked, guild=guild)
    room.discord.remove_member(guild, left)
    people = (hidden, never, out, erased, left, foreign, nobody)
    for command in ("voice_time", "together"):
        for locale in ("en-US", "de"):
            answers = {room.use(command, ada, _guild=guild, _locale=locale, member=user).content for user in people}
            assert len(answers) == 1, answers
            assert "nothing to show you" in answers.pop() or locale == "de"


def test_about_somebody_else_no_more_is_told_than_times_and_channels(room: StudyRoom):
    """No name of a channel, nothing of what runs now, of microphones, or of the AFK channel: those are one's own."""
    [guild] = places(room, "Told")
    ada, ben = room.person("Ada"), room.person("Ben")
    desk, afk = room.channel("Staff only", guild), room.channel("Away", guild)
    room.session(ben, desk, 3 * HOUR, 2 * HOUR, guild_id=guild, muted_ms=HOUR)
    room.session(ben, afk, 2 * HOUR, HOUR, guild_id=guild, afk=True)
    room.session(ben, desk, 30 * MINUTE, None, guild_id=guild)
    room.session(ada, desk, 3 * HOUR, 2 * HOUR, guild_id=guild)
    for locale in ("en-US", "de"):
        said = room.use("voice_time", ada, _guild=guild, _locale=locale, member=ben, period="last_7_days").content
        for part in ("Staff", "Away", str(afk), "<t:", "AFK", *("muted", "deafened", "stumm", "taub")):
            assert part not in said
        assert f"- <#{desk}>: 1 " in said
        assert re.search(r"(sessions|Sitzungen): 2$", said, re.MULTILINE)
    own = room.use("voice_time", ben, _guild=guild, period="last_7_days").content
    for part in ("Running since", "\u2068Staff only\u2069", "muted 1 h 00 min", "AFK", "sessions: 3"):
        assert part in own
    [line] = [
        line for line in room.use("together", ada, _guild=guild).content.splitlines() if line.startswith("- \u2068Ben")
    ]
    assert f"<#{desk}>" in line
    assert "Staff" not in line


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("locale", ["en-US", "de", "fr"])
def test_a_reply_is_seen_by_one_person_and_mentions_nobody(room: StudyRoom, command: str, locale: str):
    """Every command, in every language there is and in one that there is not."""
    user, desk = room.person("@everyone"), room.channel("@here <@&1>")
    room.session(user, desk, 2 * HOUR, HOUR)
    room.session(user, desk, 30 * MINUTE, None)
    said = room.use(command, user, _locale=locale, **COMMANDS[command])
    assert said.ephemeral
    assert said.data["allowed_mentions"] == {"parse": []}
    assert "@" not in re.sub(r"\\.", "", said.content)


def test_a_deleted_channel_has_a_name_for_those_only_who_were_there(room: StudyRoom):
    """Its mention would say nothing; in everybody's sums it has no name."""
    guild = room.make_guild("Deleted")
    there, gone = room.channel("There", guild), room.channel("Old room", guild, deleted_at=room.now - DAY)
    people = [room.person(name) for name in ("Ada", "Ben", "Cleo")]
    for user in people:
        room.session(user, there, 3 * HOUR, 2 * HOUR, guild_id=guild)
        room.session(user, gone, 40 * HOUR, 38 * HOUR, guild_id=guild)
    use = room.use("channel_time", people[0], _guild=guild, period="last_7_days").content
    assert "- a deleted channel: 6 h 00 min" in use
    assert f"<#{there}>" in use
    assert f"<#{gone}>" not in use
    of_ada = room.use("voice_time", people[1], _guild=guild, member=people[0], period="last_7_days").content
    assert "Old room" not in use + of_ada
    own = room.use("voice_time", people[0], _guild=guild, period="last_7_days").content
    assert "\u2068Old room\u2069: 2 h 00 min, sessions: 1" in own


def test_what_others_see_begins_when_it_was_shown(room: StudyRoom):
    """The past is nobody's until it is chosen: not on the board, not in the times, not in the time together; and
    neither is the part of a running stay that lies before the choice. The person's own numbers are whole.
    """
    [guild] = places(room, "From now on")
    desk = room.channel("Desk", guild)
    ada, ben = room.person("Ada"), room.person("Ben", "only_me")
    were_together(room, guild, ada, ben)
    room.session(ada, desk, 2 * HOUR, None, guild_id=guild)
    room.session(ben, desk, 2 * HOUR, None, guild_id=guild)

    def seen() -> tuple[str, str, str]:
        of_ben = room.use("voice_time", ada, _guild=guild, member=ben, period="last_7_days").content
        board = room.use("leaderboard", ada, _guild=guild, period="last_7_days").content
        return of_ben, board, room.use("together", ada, _guild=guild, member=ben).content

    first = room.use("opt_in", ben, _guild=guild, visibility="server")
    assert "from now on" in first.content
    of_ben, board, together = seen()
    assert "Voice time of \u2068Ben\u2069" in of_ben
    of_ben_on_it = [line for line in board.splitlines() if "Ben" in line]
    for said in (of_ben, together, *of_ben_on_it):
        assert not re.search(r"\d h ", said), said
    assert "**3 h 0" in room.use("voice_time", ben, _guild=guild, period="last_7_days").content
    room.use("opt_in", ben, _guild=guild)
    assert not re.search(r"\d h ", seen()[0])
    room.use("opt_in", ben, _guild=guild, visibility="server", show_past=True)
    of_ben, board, together = seen()
    assert "**3 h 0" in of_ben
    assert re.search(r"\u2068Ben\u2069: 3 h 0", board)
    assert "**3 h 0" in together
    room.use("opt_in", ben, _guild=guild, visibility="only_me")
    room.use("opt_in", ben, _guild=guild, visibility="server")
    assert not re.search(r"\d h ", seen()[0])


def test_choosing_everywhere_shows_nothing_older_on_any_server(room: StudyRoom):
    """Where somebody showed it before, it is shown as before; elsewhere from now on."""
    here, there = places(room, "Shown before", "Never shown")
    ada, ben = room.person("Ada"), room.person("Ben", "only_me")
    for guild in (here, there):
        were_together(room, guild, ada, ben)
    room.use("opt_in", ben, _guild=here, visibility="server", show_past=True)
    room.use("opt_in", ben, _guild=there, visibility="everywhere")
    totals = {
        guild: "**1 h 00 min**" in room.use("voice_time", ada, _guild=guild, member=ben, period="last_7_days").content
        for guild in (here, there)
    }
    assert totals == {here: True, there: False}
    assert "\u2068Ben\u2069" not in room.use("leaderboard", ada, _guild=there, period="last_7_days").content
