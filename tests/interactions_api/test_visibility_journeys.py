"""Over signed HTTP: who sees what of whom, as they decide it themselves, and that replies are for one person alone."""

from __future__ import annotations

import re

import pytest

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


def test_what_others_see_follows_each_decision_at_once(room: StudyRoom):
    """Nothing by default; everything with `server`; nothing again after `only_me`, opting out, or erasing."""
    guild = room.make_guild("Visible")
    desk = room.channel("Desk", guild)
    ada, ben = room.person("Ada"), room.person("Ben", "only_me")
    everything = {"voice_time", "leaderboard", "together"}
    for user in (ada, ben):
        room.session(user, desk, 5 * HOUR, 4 * HOUR, guild_id=guild)
    assert seen_of(room, guild, ben, ada) == set()
    assert "**1 h 00 min**" in room.use("voice_time", ben, _guild=guild, period="last_7_days").content
    for command, options, seen in (
        ("opt_in", {"visibility": "server"}, everything),
        ("opt_in", {"visibility": "only_me"}, set()),
        ("opt_in", {"visibility": "server"}, everything),
        ("opt_out", {}, set()),
        ("opt_in", {}, set()),
        ("opt_in", {"visibility": "server"}, everything),
    ):
        room.use(command, ben, _guild=guild, **options)
        assert seen_of(room, guild, ben, ada) == seen, (command, options)
    asked = room.use("erase_me", ben, _guild=guild)
    room.press(asked.custom_ids[0], ben, message=asked, guild=guild)
    assert seen_of(room, guild, ben, ada) == set()


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


def test_a_deleted_channel_is_shown_by_its_last_name(room: StudyRoom):
    """Its mention would say nothing; one that is there is mentioned, as not everybody may know its name."""
    guild = room.make_guild("Deleted")
    there, gone = room.channel("There", guild), room.channel("Old room", guild, deleted_at=room.now - DAY)
    user = room.person("Ada")
    room.session(user, there, 3 * HOUR, 2 * HOUR, guild_id=guild)
    room.session(user, gone, 40 * HOUR, 38 * HOUR, guild_id=guild)
    use = room.use("channel_time", user, _guild=guild, period="last_7_days").content
    assert "\u2068Old room\u2069" in use
    assert "2 h 00 min" in use
    assert f"<#{there}>" in use
    assert f"<#{gone}>" not in use
    own = room.use("voice_time", user, _guild=guild, period="last_7_days").content
    assert "\u2068Old room\u2069: 2 h 00 min, sessions: 1" in own
