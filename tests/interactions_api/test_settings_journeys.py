"""`/settings` over signed HTTP: who may, what is stored, what is suggested, and what follows from it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.interactions_api.study_room import DAY, HOUR, StudyRoom, study_room

pytestmark = pytest.mark.xdist_group("processes")

MANAGER = {"_permissions": 1 << 5}
SETTINGS: dict[str, object] = {"time_zone": "Europe/Berlin", "retention_days": 30, "leaderboard": "off"}


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StudyRoom]:
    with study_room(tmp_path_factory.mktemp("settings")) as made:
        yield made


@pytest.fixture(autouse=True)
def _well(room: StudyRoom) -> Iterator[None]:
    yield
    room.proxy.faults.clear()


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
    for part in ("**Europe/Berlin**", "Leaderboard: **off**", "**30** days", f"<#{desk}>"):
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
    assert "**5** days" in said.content


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
    room.proxy.faults[""] = "hang"
    said = room.use("settings", room.person("Mia", None), _guild=guild, **MANAGER, leaderboard="off")
    assert "kept and will be stored shortly" in said.content
    assert said.took_ms < 2700
