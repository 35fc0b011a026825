"""`/privacy`, and the rights of whoever left every server, over signed HTTP."""

from __future__ import annotations

import pytest

from interactions_api.words import Catalogues
from tests.interactions_api.study_room import DAY, HOUR, StudyRoom
from tests.simulated_discord.model import Impossible
from tests.waiting import eventually

pytestmark = pytest.mark.xdist_group("processes")

CATALOGUES = Catalogues.load()
MANAGER = {"_permissions": 1 << 5}


def test_privacy_says_what_holds_here_and_what_one_chose(room: StudyRoom):
    """How long this server keeps sessions, where nobody is recorded, and one's own standing, as it changes."""
    guild = room.make_guild("Careful")
    user, quiet = room.person("Mia", None), room.channel("Quiet", guild)

    def said() -> str:
        outcome = room.use("privacy", user, _guild=guild)
        assert outcome.ephemeral
        content: str = outcome.content
        return content

    assert "keeps it until the person erases it. All its voice channels are recorded." in said()
    assert "**You** are not recorded." in said()
    room.use("settings", user, _guild=guild, **MANAGER, retention_days=30, do_not_record=quiet)
    assert f"removes sessions 30 days after they end. Nobody is recorded in: <#{quiet}>" in said()
    room.use("opt_in", user, _guild=guild, visibility="server", show_past=True)
    assert "**You** have been recorded since <t:" in said()
    assert "On this server **its members** see your time: all of it" in said()
    room.use("opt_out", user, _guild=guild)
    assert "**You** have not been recorded since <t:" in said()
    assert "its members" not in said()


@pytest.mark.parametrize("locale", ["en-US", "de"])
@pytest.mark.parametrize("where", ["server", "direct"])
def test_privacy_is_one_short_message_that_names_the_way_out_and_whom_to_ask(room: StudyRoom, locale, where):
    """Also in direct messages, where there is no server to speak of."""
    words = CATALOGUES.of(locale)
    user = room.person("Mia")
    said = room.use("privacy", user, _locale=locale, **({} if where == "server" else {"_guild": None})).content
    assert len(said) <= 1200
    for part in (
        *(f"/{words(f'{name}.name')}" for name in ("opt_in", "opt_out", "erase_me", "my_data")),
        *(words("leaving.no_contact"), words("shown.everywhere", when="").split("**")[1]),
    ):
        assert part in said


def test_privacy_says_what_it_can_while_the_service_is_away(room: StudyRoom):
    """What is stored of whom and how to leave needs no service."""
    with room.fault("hang"):
        said = room.use("privacy", room.person("Mia"))
    assert "cannot be read at the moment" in said.content
    assert "`/opt_out` stops it" in said.content
    assert said.took_ms < 2700


@pytest.fixture
def banned(room: StudyRoom) -> int:
    """Somebody with two sessions who was banned from the only server with the bot."""
    user, desk = room.person("Ada", "server"), room.channel("Desk")
    room.session(user, desk, DAY, DAY - HOUR)
    room.session(user, desk, HOUR, None)
    room.discord.remove_member(room.guild, user)
    return user


def test_whoever_was_banned_reaches_their_data_in_direct_messages(room: StudyRoom, banned: int):
    """Sees what is stored, gets the file, stops it, and erases it by the buttons, with the servers of no interest."""
    use = {"_guild": None}
    assert "(servers: **1**)" in room.use("privacy", banned, **use).content
    sent = room.use("my_data", banned, **use)
    [message] = eventually(
        lambda: [m for m in room.discord.messages(sent.id) if m["attachments"]], what="the file arrives"
    )
    assert "voice sessions (2)" in message["content"]
    out = room.use("opt_out", banned, **use)
    assert "You are opted out" in out.content
    [row] = room.rows("SELECT count(*) AS n FROM voice_sessions WHERE user_id = :u AND ended_at IS NULL", u=banned)
    assert row["n"] == 0
    asked = room.press(out.custom_ids[0], banned, message=out, guild=None)
    assert "voice sessions: 2" in asked.content
    receipt = room.press(asked.custom_ids[0], banned, message=asked, guild=None)
    assert "Everything about you is erased" in receipt.content
    for table in ("opt_in_users", "voice_sessions", "visible_on"):
        assert room.rows(f"SELECT count(*) AS n FROM {table} WHERE user_id = :u", u=banned) == [{"n": 0}]


def test_erasing_asks_first_in_direct_messages_too(room: StudyRoom, banned: int):
    """And whoever keeps it keeps it; another person's button is refused there as well."""
    asked = room.use("erase_me", banned, _guild=None)
    foreign = room.press(asked.custom_ids[0], room.person("Ben"), guild=None)
    assert "for the person who used the command" in foreign.content
    kept = room.press(asked.custom_ids[1], banned, message=asked, guild=None)
    assert "Nothing was erased" in kept.content
    assert room.rows("SELECT count(*) AS n FROM voice_sessions WHERE user_id = :u", u=banned) == [{"n": 2}]


@pytest.mark.parametrize("command", ["opt_in", "voice_time", "leaderboard", "channel_time", "settings"])
def test_discord_offers_nothing_else_in_direct_messages(room: StudyRoom, banned: int, command: str):
    """What speaks of a server needs one."""
    with pytest.raises(Impossible, match="cannot be used in direct messages"):
        room.use(command, banned, _guild=None)
