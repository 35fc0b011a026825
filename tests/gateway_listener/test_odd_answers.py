"""The real discord.py against answers and events that Discord gives at times in place of the expected ones."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import discord.http
import pytest

from tests.gateway_listener.running import QUICK, Scene
from tests.gateway_listener.test_gateway_faults import tried
from tests.waiting import soon


@pytest.mark.parametrize("answer", [True, False, 1001, 4000, 4007, 4009])
async def test_every_resume_is_turned_down(stage: Scene, answer: bool | int) -> None:
    """After two connections without an answer a new session is begun, and the roll call says what happened."""
    async with stage.listening() as listener:
        discord = stage.discord
        discord.join(stage.ada, stage.desk)
        discord.join(stage.bob, stage.desk)
        await stage.settled(listener, stays=2)
        discord.set_faults(resume_answer=answer, refuse=True)
        discord.abort()
        await soon(lambda: not discord.state()["connections"])
        discord.switch(stage.ada, stage.sofa)
        discord.leave(stage.bob)
        discord.faults.refuse = False
        await soon(lambda: discord.state()["identifies"] == 2, what="a new session is asked for")
        await stage.until_live(listener)
        stage.check(await stage.settled(listener, stays=3), stage.ada, stage.bob)


@pytest.mark.parametrize("no_via", [False, True])
async def test_the_api_limits_the_rate_at_the_first_start(stage: Scene, no_via: bool) -> None:
    """With `Via` discord.py waits; without (Cloudflare's) it gives up, and is started anew."""
    stage.discord.set_faults(rate_limit=1, no_via=no_via)
    stage.discord.join(stage.ada, stage.desk)
    async with stage.listening() as listener:
        assert tried(listener) == int(no_via)
        (row,) = await stage.settled(listener, stays=1)
        assert (row["user_id"], row["ended_at"]) == (stage.ada, None)


async def test_resumed_without_its_data(stage: Scene) -> None:
    """discord.py by itself ends over it; here it is a RESUMED like another."""
    async with stage.listening() as listener:
        stage.discord.join(stage.ada, stage.desk)
        await stage.settled(listener, stays=1)
        stage.discord.send_text('{"op":0,"t":"RESUMED","s":null,"d":null}')
        stage.discord.leave(stage.ada)
        await soon(lambda: listener._tracker.figures()["open_sessions"] == 0)
        stage.check(await stage.settled(listener, stays=1), stage.ada)
        assert tried(listener) == 0


async def test_an_event_of_a_guild_that_nobody_has_named(stage: Scene) -> None:
    """Nobody knows since when the person has been there, and the next session ends what nobody can see."""
    elsewhere = 1 << 40
    state = {"guild_id": str(elsewhere), "user_id": str(stage.ada), "channel_id": "77", "self_mute": False}
    async with stage.listening() as listener:
        stage.discord.send_text(json.dumps({"op": 0, "t": "VOICE_STATE_UPDATE", "s": 1_000_000, "d": state}))
        (row,) = await stage.settled(listener, stays=1)
        assert (row["guild_id"], row["channel_id"]) == (elsewhere, 77)
        assert row["started_within_ms"] > 0
        stage.discord.invalidate(False)
        await soon(lambda: listener._tracker.figures()["open_sessions"] == 0)
        (row,) = await stage.settled(listener, stays=1)
        assert row["ended_by"] == "guild_left"


async def test_events_that_nobody_was_told_of(stage: Scene) -> None:
    """Discord has lost some: what is stored is wrong for as long as nobody can know better, and right again with the
    next roll call."""
    async with stage.listening() as listener:
        discord = stage.discord
        discord.join(stage.ada, stage.desk)
        discord.join(stage.bob, stage.desk)
        await stage.settled(listener, stays=2)
        discord.faults.lose = True
        discord.leave(stage.ada)
        discord.switch(stage.bob, stage.sofa)
        discord.faults.lose = False
        discord.invalidate(False)
        await soon(lambda: listener._tracker.counts["roll_call"] >= 2, what="the roll call finds both elsewhere")
        rows = await stage.settled(listener, stays=3)
        assert {(row["user_id"], row["channel_id"]) for row in rows if row["ended_at"] is None} == {
            (stage.bob, stage.sofa)
        }
        assert {row["ended_by"] for row in rows if row["ended_at"] is not None} == {"roll_call"}


@pytest.mark.parametrize("answer", [{}, "<html>", None, {"id": "x"}], ids=["empty", "HTML", "null", "no user"])
@pytest.mark.parametrize("asked", ["static_login", "application_info"])
async def test_a_login_that_is_answered_with_something_else(
    stage: Scene, monkeypatch: pytest.MonkeyPatch, asked: str, answer: object
) -> None:
    """discord.py stumbles over it; it is tried again."""
    ask, asks = getattr(discord.http.HTTPClient, asked), 0

    async def odd(*arguments: Any) -> Any:
        nonlocal asks
        asks += 1
        said = await ask(*arguments)
        return answer if asks == 1 else said

    monkeypatch.setattr(discord.http.HTTPClient, asked, odd)
    async with stage.listening(timing=replace(QUICK, longest_pause=0.1)) as listener:
        assert (asks, tried(listener)) == (2, 1)


async def test_a_ready_that_cannot_be_read(stage: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its session would be one that nobody knows, and its numbers the old one's: another one is begun."""
    ready, said = stage.discord.gateway._ready, 0

    def odd(session: Any) -> Any:
        nonlocal said
        said += 1
        return {**ready(session), "guilds": [{"id": "none"}]} if said == 2 else ready(session)

    monkeypatch.setattr(stage.discord.gateway, "_ready", odd)
    async with stage.listening(timing=replace(QUICK, longest_pause=0.1)) as listener:
        for _ in range(10):
            stage.discord.join(stage.bob, stage.desk)
            stage.discord.leave(stage.bob)
        stage.discord.invalidate(False)
        await soon(lambda: said == 3, what="another session is begun")
        await stage.until_live(listener)
        stage.discord.join(stage.cat, stage.desk)
        await soon(lambda: stage.seated(listener) == 1, what="what happens is seen")
