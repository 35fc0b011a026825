"""`/settings` over signed HTTP: who may, what is stored, what is suggested, and what follows from it."""

from __future__ import annotations

import pytest

from db_client.removal import remove_due
from interactions_api.buttons import Buttons
from interactions_api.reply import Button
from tests.interactions_api.study_room import DAY, HOUR, StudyRoom
from tests.waiting import eventually

pytestmark = pytest.mark.xdist_group("processes")

MANAGER = {"_permissions": 1 << 5}
SETTINGS: dict[str, object] = {"time_zone": "Europe/Berlin", "retention_days": 30, "leaderboard": "off"}


@pytest.fixture
def guild(room: StudyRoom) -> int:
    return room.make_guild("A server")


def stored(room: StudyRoom, guild: int) -> dict[str, str | None]:
    rows = room.rows("SELECT setting, value FROM guild_settings WHERE guild_id = :g", g=guild)
    return {row["setting"]: row["value"] for row in rows}


def test_a_manager_decides_and_sees_what_stands(room: StudyRoom, guild: int):
    """Several at once; read back from the store, not assumed."""
    user = room.person("Mia")
    desk = room.channel("Desk", guild)
    said = room.use("settings", user, _guild=guild, **MANAGER, **SETTINGS, do_not_record=desk).content
    assert "Stored." in said
    for part in ("**Europe/Berlin**", "Leaderboard: **off**", "**30 days**", f"<#{desk}>"):
        assert part in said
    assert stored(room, guild) == {"time_zone": "Europe/Berlin", "leaderboard": "off", "retention_days": "30"}
    [row] = room.rows("SELECT to_at FROM unrecorded_channels WHERE channel_id = :c", c=desk)
    assert row["to_at"] is None
    shown = room.use("settings", user, _guild=guild, **MANAGER).content
    assert "Stored" not in shown
    assert "**Europe/Berlin**" in shown
    again = room.use("settings", user, _guild=guild, **MANAGER, record=desk, retention_days=0, leaderboard="on").content
    assert "All voice channels are recorded" in again
    assert "kept until their person erases them" in again
    assert "turned the leaderboard off" not in room.use("leaderboard", user, _guild=guild).content


@pytest.mark.parametrize("permissions", [0, ~((1 << 5) | (1 << 3)) & (2**50 - 1)])
@pytest.mark.parametrize("options", [{}, SETTINGS])
def test_nobody_else_changes_or_sees_anything(room: StudyRoom, guild: int, permissions: int, options):
    """Whatever else they may do: only Manage Server and Administrator count, and each call is looked at."""
    said = room.use("settings", room.person("Max"), _guild=guild, _permissions=permissions, **options)
    assert "Nothing was changed or shown" in said.content
    assert said.ephemeral
    assert stored(room, guild) == {}


def test_an_administrator_may_too(room: StudyRoom, guild: int):
    """Administrator stands for every permission."""
    said = room.use("settings", room.person("Root"), _guild=guild, _permissions=1 << 3, retention_days=5)
    assert "**5 days**" in said.content


@pytest.mark.parametrize(
    ("typed", "first"),
    [("berl", "Europe/Berlin"), ("new y", "America/New_York"), ("EUROPE/B", "Europe/Belfast"), ("", "UTC")],
)
def test_time_zones_are_suggested_while_typing(room: StudyRoom, guild: int, typed: str, first: str):
    """At most 25, those that begin with it first; typed in any case, with blanks."""
    user = room.person("Mia")
    choices = room.discord.autocomplete(
        "settings", user, focused="time_zone", options={"time_zone": typed}, guild=guild
    ).choices
    assert choices[0] == {"name": first, "value": first}
    assert len(choices) <= 25


def test_nothing_is_suggested_for_nonsense_and_nothing_stored(room: StudyRoom, guild: int):
    """What is typed need not be what was suggested."""
    user = room.person("Mia")
    for nonsense in ("Mars/Olympus", "../etc/passwd", "localtime", "x" * 6000):
        assert (
            room.discord.autocomplete(
                "settings", user, focused="time_zone", options={"time_zone": nonsense}, guild=guild
            ).choices
            == []
        )
        said = room.use("settings", user, _guild=guild, **MANAGER, time_zone=nonsense, leaderboard="off").content
        assert "that is not a time zone" in said
    channel = room.channel("Desk", guild)
    said = room.use("settings", user, _guild=guild, **MANAGER, record=channel, do_not_record=channel).content
    assert "cannot be recorded and not recorded" in said
    assert stored(room, guild) == {}


def test_without_a_leaderboard_nobody_sees_one(room: StudyRoom, guild: int):
    """Also not by a button from before."""
    user, desk = room.person("Mia"), room.channel("Desk", guild)
    for number in range(11):
        room.session(room.person(f"P{number}"), desk, (number + 3) * HOUR, HOUR, guild_id=guild)
    board = room.use("leaderboard", user, _guild=guild)
    room.use("settings", user, _guild=guild, **MANAGER, leaderboard="off")
    assert "turned the leaderboard off" in room.use("leaderboard", user, _guild=guild).content
    assert "turned the leaderboard off" in room.press(board.custom_ids[0], user, message=board, guild=guild).content


def test_an_unrecorded_channel_keeps_what_was_before_and_takes_nothing_after(room: StudyRoom, guild: int):
    """From the decision's moment on."""
    user, desk = room.person("Mia"), room.channel("Desk", guild)
    room.session(user, desk, 2 * DAY, 2 * DAY - HOUR, guild_id=guild)
    room.session(user, desk, HOUR, None, guild_id=guild)
    room.use("settings", user, _guild=guild, **MANAGER, do_not_record=desk)
    rows = room.rows("SELECT ended_by FROM voice_sessions WHERE guild_id = :g ORDER BY started_at", g=guild)
    assert [row["ended_by"] for row in rows] == ["left", "not_recorded"]
    assert "stopped recording this channel" in room.use("sessions", user, _guild=guild).content


def test_settings_are_kept_while_the_service_is_away(room: StudyRoom, guild: int):
    """On disk, and said so in time."""
    with room.fault("hang"):
        said = room.use("settings", room.person("Mia", None), _guild=guild, **MANAGER, leaderboard="off")
    assert "kept and will be stored shortly" in said.content
    assert said.took_ms < 2700


# --- what members read of it ---

REPORTS = ("voice_time", "sessions", "leaderboard", "channel_time")
KEPT_30, NOBODY_IN = "removes sessions 30 days after they end", "Nobody is recorded in:"


def test_members_read_how_long_sessions_are_kept_where_a_period_reaches_further(room: StudyRoom, guild: int):
    """In each report of a longer period, and in none that lies within; nothing where nothing is removed."""
    user, desk = room.person("Mia"), room.channel("Desk", guild)
    room.session(user, desk, 2 * DAY, 2 * DAY - HOUR, guild_id=guild)

    def said(period: str) -> dict[str, bool]:
        return {name: KEPT_30 in room.use(name, user, _guild=guild, period=period).content for name in REPORTS}

    assert said("all") == dict.fromkeys(REPORTS, False)
    room.use("settings", user, _guild=guild, **MANAGER, retention_days=30)
    assert said("all") == dict.fromkeys(REPORTS, True)
    assert said("last_7_days") == said("yesterday") == dict.fromkeys(REPORTS, False)
    assert KEPT_30 in room.use("together", user, _guild=guild).content
    assert KEPT_30 in room.use("voice_time", room.person("Max"), _guild=guild, member=user, period="all").content
    assert "30 Tage nach ihrem Ende" in room.use("leaderboard", user, _guild=guild, _locale="de", period="all").content


def test_yesterday_is_gone_after_a_day(room: StudyRoom, guild: int):
    """What is removed is counted from now, not from the period's end."""
    user = room.person("Mia")
    room.use("settings", user, _guild=guild, **MANAGER, retention_days=1)
    assert "removes sessions" in room.use("voice_time", user, _guild=guild, period="yesterday").content


def test_members_read_where_nobody_is_recorded(room: StudyRoom, guild: int):
    """Whoever has nothing, or is not seen in voice now, is told of the channels in which nobody is; a board that
    everybody sees does not tell of who shared it that they have nothing.
    """
    user, desk, quiet = room.person("Mia"), room.channel("Desk", guild), room.channel("Quiet", guild)
    room.use("settings", user, _guild=guild, **MANAGER, do_not_record=quiet)

    def said() -> set[str]:
        contents = {name: room.use(name, user, _guild=guild, period="last_7_days").content for name in REPORTS}
        return {name for name, content in contents.items() if f"{NOBODY_IN} <#{quiet}>" in content}

    assert said() == set(REPORTS)
    assert NOBODY_IN not in room.use("leaderboard", user, _guild=guild, period="last_7_days", share=True).content
    room.session(user, desk, 2 * DAY, 2 * DAY - HOUR, guild_id=guild)
    assert said() == {"voice_time", "sessions", "channel_time"}
    room.session(user, desk, HOUR, None, guild_id=guild)
    assert said() == {"channel_time"}
    assert NOBODY_IN not in room.use("voice_time", room.person("Max"), _guild=guild, member=user).content
    room.use("settings", user, _guild=guild, **MANAGER, record=quiet)
    assert said() == set()


def test_an_excluded_channel_keeps_its_name_beside_its_mention_for_managers(room: StudyRoom, guild: int):
    """Its mention says nothing once it is deleted; the name goes when the channel is recorded again."""
    user, quiet = room.person("Mia"), room.channel("Quiet *room*", guild)
    said = room.use("settings", user, _guild=guild, **MANAGER, do_not_record=quiet).content
    assert f"- <#{quiet}> (\u2068Quiet \\*room\\*\u2069)" in said
    room.use("settings", user, _guild=guild, **MANAGER, record=quiet)
    assert room.rows("SELECT name FROM unrecorded_channels WHERE channel_id = :c", c=quiet) == [{"name": None}]


# --- a shorter retention ---


@pytest.fixture
def mia(room: StudyRoom, guild: int) -> int:
    """A manager of a server in which she was 40, 20 and 2 days ago, for an hour each time."""
    user, desk = room.person("Mia"), room.channel("Desk", guild)
    for days in (40, 20, 2):
        room.session(user, desk, days * DAY, days * DAY - HOUR, guild_id=guild)
    return user


def sessions_left(room: StudyRoom, guild: int) -> list[int]:
    """How many days ago the stored sessions began, after what is due was removed."""
    remove_due(room.store, f"upkeep of {guild}", lambda: room.now)
    rows = room.rows("SELECT started_at FROM voice_sessions WHERE guild_id = :g ORDER BY started_at", g=guild)
    return [(room.now - row["started_at"]) // DAY for row in rows]


def test_a_retention_that_would_remove_sessions_asks_first(room: StudyRoom, guild: int, mia: int):
    """It says how many there are and since when; nothing is decided before the button, and it is decided by it."""
    asked = room.use("settings", mia, _guild=guild, **MANAGER, retention_days=10)
    assert asked.ephemeral
    assert "Remove old sessions for good?" in asked.content
    assert f"would go now: 2, the oldest from <t:{(room.now - 40 * DAY) // 1000}:f>" in asked.content
    assert stored(room, guild) == {}
    assert sessions_left(room, guild) == [40, 20, 2]
    done = room.press(asked.custom_ids[0], mia, message=asked, guild=guild, permissions=1 << 5)
    assert done.type == 7
    assert "removed **10 days** after" in done.content
    assert done.custom_ids == []
    assert stored(room, guild) == {"retention_days": "10"}
    assert sessions_left(room, guild) == [2]


def test_whoever_does_not_confirm_keeps_every_session(room: StudyRoom, guild: int, mia: int):
    """The other button, in the person's language."""
    asked = room.use("settings", mia, _guild=guild, _locale="de", **MANAGER, retention_days=1)
    assert "Sprachsitzungen, die jetzt entfernt würden: 3" in asked.content
    kept = room.press(asked.custom_ids[1], mia, message=asked, guild=guild, permissions=1 << 5, locale="de")
    assert (kept.type, kept.custom_ids) == (7, [])
    assert "Nichts wird entfernt" in kept.content
    assert stored(room, guild) == {}
    assert sessions_left(room, guild) == [40, 20, 2]


def test_a_longer_retention_and_one_that_removes_nothing_are_not_asked_about(room: StudyRoom, guild: int, mia: int):
    """Nobody is held up for nothing."""
    shown = {3650: "**3650 days**", 365: "**365 days**", 30: "Remove old", 2000: "**2000 days**", 0: "kept until"}
    for days, part in shown.items():
        said = room.use("settings", mia, _guild=guild, **MANAGER, retention_days=days)
        assert part in said.content
        assert bool(said.custom_ids) == (days == 30)
    assert sessions_left(room, guild) == [40, 20, 2]


def test_what_else_is_decided_does_not_wait_for_the_answer(room: StudyRoom, guild: int, mia: int):
    """The other settings are stored at once, and the reply says so below the question."""
    asked = room.use("settings", mia, _guild=guild, **MANAGER, retention_days=30, time_zone="Europe/Berlin")
    assert "would go now: 1" in asked.content
    assert "Stored. The settings of this server are now" in asked.content
    assert "kept until their person erases them" in asked.content
    assert stored(room, guild) == {"time_zone": "Europe/Berlin"}
    room.press(asked.custom_ids[0], mia, message=asked, guild=guild, permissions=1 << 5)
    assert stored(room, guild) == {"time_zone": "Europe/Berlin", "retention_days": "30"}


def test_the_confirming_button_needs_the_right_the_person_and_the_time(room: StudyRoom, guild: int, mia: int):
    """Who lost the right meanwhile, another manager, a forged button and one of six minutes ago change nothing."""
    asked = room.use("settings", mia, _guild=guild, **MANAGER, retention_days=10)
    confirm = asked.custom_ids[0]
    may = {"guild": guild, "permissions": 1 << 5}
    ours = Buttons([room.discord.environment()["DISCORD_PUBLIC_KEY"]])
    button = Button("Remove them", "settings", "10", valid_s=300)
    refused = {
        "may manage the server": room.press(confirm, mia, message=asked, guild=guild, permissions=0),
        "for the person who used": room.press(confirm, room.person("Max"), **may),
        "does nothing any more": room.press(confirm.replace(":10:", ":1:"), mia, **may),
        "its time is over": room.press(ours.custom_id(button, mia, room.now - 360_000), mia, **may),
    }
    for part, said in refused.items():
        assert part in said.content
        assert said.ephemeral
    for argument in ("3651", "0", "ten"):
        made_up = ours.custom_id(button._replace(argument=argument), mia, room.now)
        assert "does nothing any more" in room.press(made_up, mia, **may).content
    assert stored(room, guild) == {}
    assert sessions_left(room, guild) == [40, 20, 2]


def test_nothing_is_decided_about_what_cannot_be_looked_up(room: StudyRoom, guild: int, mia: int):
    """While the service is away a retention is not taken; a press that confirms one is kept."""
    asked = room.use("settings", mia, _guild=guild, **MANAGER, retention_days=10)
    with room.fault("hang"):
        said = room.use("settings", mia, _guild=guild, **MANAGER, retention_days=10, leaderboard="off")
        kept = room.press(asked.custom_ids[0], mia, message=asked, guild=guild, permissions=1 << 5)
    assert "Nothing was changed" in said.content
    assert "kept and will be stored shortly" in kept.content
    assert max(said.took_ms, kept.took_ms) < 2700
    eventually(lambda: stored(room, guild) == {"retention_days": "10"}, within=30, what="the decision arrives")
