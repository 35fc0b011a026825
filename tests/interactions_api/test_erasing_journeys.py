"""Leaving over signed HTTP: opting out, erasing, and buttons that are forged, foreign or expired."""

from __future__ import annotations

import time

import pytest

from interactions_api.buttons import Buttons
from interactions_api.reply import Button
from tests.interactions_api.study_room import HOUR, StudyRoom
from tests.waiting import eventually

pytestmark = pytest.mark.xdist_group("processes")

CONFIRM = Button("Erase everything", "erase_me", "confirm", valid_s=300)


@pytest.fixture
def ada(room: StudyRoom) -> int:
    """Somebody with two sessions."""
    user, desk = room.person("Ada"), room.channel("Desk")
    room.session(user, desk, 5 * HOUR, 4 * HOUR)
    room.session(user, desk, HOUR, None)
    return user


def stored(room: StudyRoom, user: int) -> dict[str, int]:
    """How many rows each table has about a person."""
    tables = ("opt_in_users", "consent_log", "voice_sessions", "voice_totals")
    return {t: room.rows(f"SELECT count(*) AS n FROM {t} WHERE user_id = :u", u=user)[0]["n"] for t in tables}


ALL = {"opt_in_users": 1, "consent_log": 1, "voice_sessions": 2, "voice_totals": 1}
ERASED = {"opt_in_users": 0, "consent_log": 1, "voice_sessions": 0, "voice_totals": 0}


def test_erasing_asks_first_and_then_erases_at_once(room: StudyRoom, ada: int):
    """The question says what there is; the receipt says what went, when, and what stays. The buttons go."""
    asked = room.use("erase_me", ada)
    assert asked.ephemeral
    assert "voice sessions: 2, on servers: 1, decisions: 1" in asked.content
    assert stored(room, ada) == ALL
    receipt = room.press(asked.custom_ids[0], ada, message=asked)
    assert receipt.type == 7
    assert "Everything about you is erased" in receipt.content
    assert f"number {receipt.interaction['id']}" in receipt.content
    assert receipt.data["components"] == []
    assert stored(room, ada) == ERASED
    [row] = room.rows("SELECT decision FROM consent_log WHERE user_id = :u", u=ada)
    assert row["decision"] == "erase"
    assert "Nothing is recorded" in room.use("voice_time", ada).content


def test_whoever_keeps_it_keeps_all_of_it(room: StudyRoom, ada: int):
    """The other button."""
    asked = room.use("erase_me", ada, _locale="de")
    kept = room.press(asked.custom_ids[1], ada, message=asked, locale="de")
    assert "Nichts wurde gelöscht" in kept.content
    assert stored(room, ada) == ALL


def test_opting_out_keeps_what_is_there_and_offers_to_erase_it(room: StudyRoom, ada: int):
    """The offer asks as the command does."""
    out = room.use("opt_out", ada)
    assert "What was recorded before is kept" in out.content
    assert stored(room, ada) == {**ALL, "consent_log": 2}
    [row] = room.rows("SELECT count(*) AS n FROM voice_sessions WHERE user_id = :u AND ended_at IS NULL", u=ada)
    assert row["n"] == 0
    asked = room.press(out.custom_ids[0], ada, message=out)
    assert asked.type == 4
    assert "voice sessions: 2" in asked.content
    assert "is erased" in room.press(asked.custom_ids[0], ada, message=asked).content
    assert stored(room, ada) == ERASED


def test_nobody_erases_anybody_else(room: StudyRoom, ada: int):
    """A button works for its person alone, also for whoever learnt its custom_id."""
    ben = room.person("Ben")
    asked = room.use("erase_me", ada)
    said = room.press(asked.custom_ids[0], ben)
    assert "for the person who used the command" in said.content
    assert stored(room, ada) == ALL
    assert stored(room, ben)["opt_in_users"] == 1


def test_a_forged_button_does_nothing(room: StudyRoom, ada: int):
    """One character changed, another person's number put in, another application's seal, or free invention."""
    ben = room.person("Ben")
    real = room.use("erase_me", ada).custom_ids[0]
    action, argument, person, until, seal = real.split(":")
    forged = [
        real[:-1] + ("A" if real[-1] != "A" else "B"),
        ":".join((action, argument, person, f"{int(until[-1], 36) + 1:x}", seal)),
        Buttons(["a1" * 32]).custom_id(CONFIRM, ada, room.now),
        "erase_me:confirm",
        "erase_me",
        "x" * 100,
    ]
    for custom_id in forged:
        assert "does nothing any more" in room.press(custom_id, ada).content
    of_ben = ":".join((action, argument, room.use("erase_me", ben).custom_ids[0].split(":")[2], until, seal))
    assert "does nothing any more" in room.press(of_ben, ben).content
    assert stored(room, ada) == ALL
    assert stored(room, ben)["opt_in_users"] == 1


def test_a_button_is_over_after_five_minutes(room: StudyRoom, ada: int):
    """By Discord's clock."""
    buttons = Buttons([room.discord.environment()["DISCORD_PUBLIC_KEY"]])
    now = time.time_ns() // 1_000_000
    said = room.press(buttons.custom_id(CONFIRM, ada, now - 301_000), ada)
    assert "its time is over" in said.content
    assert stored(room, ada) == ALL


def test_the_same_press_again_is_the_same_erasure(room: StudyRoom, ada: int):
    """A repeated request changes nothing and is answered with the same receipt; what came later stays."""
    asked = room.use("erase_me", ada)
    receipt = room.press(asked.custom_ids[0], ada, message=asked)
    assert room.discord.repeat(receipt.id).content == receipt.content
    room.use("opt_in", ada)
    again = room.discord.repeat(receipt.id)
    assert "from your newer `/opt_in`" in again.content
    assert stored(room, ada) == {**ERASED, "opt_in_users": 1, "consent_log": 2}


def test_somebody_of_whom_nothing_is_stored_is_not_asked(room: StudyRoom):
    """There is nothing to erase."""
    said = room.use("erase_me", room.person("Dora", None))
    assert "Nothing is stored about you" in said.content
    assert said.custom_ids == []


@pytest.mark.parametrize("fault", ["hang", "status_503"])
def test_an_erasure_is_kept_while_the_service_is_away(room: StudyRoom, ada: int, fault: str):
    """Asked without numbers, kept on disk, and carried out when the service is back; late data does not return."""
    with room.fault(fault):
        asked = room.use("erase_me", ada)
        assert "Erase everything stored about you" in asked.content
        kept = room.press(asked.custom_ids[0], ada, message=asked)
        assert "Your erasure is kept" in kept.content
        assert kept.took_ms < 2700
    eventually(lambda: stored(room, ada) == ERASED, within=30, what="the erasure arrives")
    room.session(ada, room.channel("Late"), 2 * HOUR, HOUR + 1)
    assert stored(room, ada) == ERASED
