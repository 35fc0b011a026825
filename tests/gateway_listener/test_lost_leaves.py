"""Leaves that Discord never sends, with the real discord.py: each sign of loss ends the stay, and says its doubt."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from gateway_listener.listener import Listener
from tests.gateway_listener.running import QUICK, Scene
from tests.waiting import soon

ASKING = replace(QUICK, ask_presence_after=0.3, ask_every=0.05)


@pytest.fixture
async def seated(stage: Scene) -> AsyncIterator[Listener]:
    """Ada and Bob at the desk; somebody of whom nothing is heard for 0.3 s is asked about."""
    stage.discord.join(stage.ada, stage.desk)
    stage.discord.join(stage.bob, stage.desk)
    async with stage.listening(timing=ASKING) as listener:
        await stage.settled(listener, stays=2)
        yield listener


async def test_who_is_asked_about_and_is_not_there(stage: Scene, seated: Listener) -> None:
    """10065: the stay ends, within what it says; of the other one, who is there, nothing changes."""
    stage.discord.faults.lose = True
    stage.discord.leave(stage.ada)
    stage.discord.faults.lose = False
    await soon(lambda: seated._tracker.counts["left"] == 1, what="the leave is found out")
    rows = await stage.settled(seated, stays=2)
    stage.check(rows, stage.ada, stage.bob)
    assert {row["user_id"] for row in rows if row["ended_at"] is None} == {stage.bob}


async def test_who_is_asked_about_and_is_elsewhere(stage: Scene, seated: Listener) -> None:
    """The switch is found out."""
    stage.discord.faults.lose = True
    stage.discord.switch(stage.ada, stage.sofa)
    stage.discord.faults.lose = False
    await soon(lambda: seated._tracker.counts["switched"] == 2, what="the switch is found out")
    stage.check(await stage.settled(seated, stays=3), stage.ada, stage.bob)


@pytest.mark.parametrize("status", [403, 404])
async def test_an_answer_that_is_none_concludes_nothing(stage: Scene, seated: Listener, status: int) -> None:
    """It is asked again later."""
    stage.discord.set_faults(api_status=status)
    asked = seated._counts["asked_about_people"]
    await soon(lambda: seated._counts["asked_about_people"] > asked + 1, what="somebody is asked about")
    assert seated._tracker.figures()["open_sessions"] == 2
    stage.discord.clear_faults()
    stage.discord.faults.lose = True
    stage.discord.leave(stage.ada)
    stage.discord.faults.lose = False
    await soon(lambda: seated._tracker.counts["left"] == 1, what="the leave is found out")
    stage.check(await stage.settled(seated, stays=2), stage.ada, stage.bob)


async def test_a_jump_in_the_numbers_asks_for_a_fresh_session(stage: Scene, seated: Listener) -> None:
    """And its roll call says who is there; those who stayed go on."""
    identifies = stage.discord.state()["identifies"]
    stage.discord.faults.drop = True
    stage.discord.leave(stage.ada)
    stage.discord.faults.drop = False
    stage.discord.set_state(stage.bob, self_mute=True)
    await soon(lambda: stage.discord.state()["identifies"] == identifies + 1, what="a fresh session")
    await stage.until_live(seated)
    rows = await stage.settled(seated, stays=2)
    stage.check(rows, stage.ada, stage.bob)
    assert [row["ended_by"] for row in rows if row["user_id"] == stage.ada] == ["roll_call"]


async def test_the_same_person_in_another_guild(stage: Scene) -> None:
    """A person is in one voice channel at a time; here nobody is asked."""
    club = stage.discord.add_guild("Club")
    hall = stage.discord.add_channel(club, "Hall")
    stage.discord.join(stage.ada, stage.desk)
    async with stage.listening() as listener:
        await stage.settled(listener, stays=1)
        stage.discord.faults.lose = True
        stage.discord.leave(stage.ada)
        stage.discord.faults.lose = False
        await stage.moment()
        stage.discord.join(stage.ada, hall)
        await soon(lambda: listener._tracker.counts["left"] == 1, what="the leave is found out")
        stage.check(await stage.settled(listener, stays=2), stage.ada)


async def test_a_channel_that_is_hidden_and_shown_again(stage: Scene) -> None:
    """What the managers hide from the bot is not recorded meanwhile; and not asked about with success."""
    discord = stage.discord
    discord.join(stage.ada, stage.desk)
    async with stage.listening(timing=ASKING) as listener:
        await stage.settled(listener, stays=1)
        discord.hide_channel(stage.desk)
        await soon(lambda: listener._tracker.figures()["open_sessions"] == 0, what="it is hidden")
        discord.join(stage.bob, stage.desk)
        await soon(lambda: len(listener._tracker._guilds[stage.guild].behind) == 2, what="Bob is behind the door, too")
        discord.hide_channel(stage.desk, hidden=False)
        rows = await stage.settled(listener, stays=3)
    assert {(row["user_id"], row["started_by"], row["ended_by"]) for row in rows} == {
        (stage.ada, "roll_call", "not_recorded"),
        (stage.ada, "recorded", None),
        (stage.bob, "recorded", None),
    }
    (named,) = await stage.query("SELECT name FROM channels WHERE channel_id = :id", id=stage.desk)
    assert named["name"] == "Desk"
