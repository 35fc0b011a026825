"""`python -m gateway_listener` as a process: its exit statuses, what it prints, and what is left behind."""

from __future__ import annotations

import itertools
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from db_client.records import ConsentDecision
from db_client.settings import StoreSettings
from db_client.snowflake import earliest
from db_client.statements import Statement
from db_client.store import Fate, Store
from tests.gateway_listener.processes import listener, logged, variables_of
from tests.services import RunningService
from tests.simulated_discord.control import Control, start_process
from tests.simulated_discord.server import wall_clock
from tests.waiting import eventually


@pytest.fixture(scope="module")
def discord() -> Iterator[Control]:
    with start_process(seed=11) as control:
        yield control


@pytest.fixture
def variables(discord: Control, service: RunningService, tmp_path: Path) -> dict[str, str]:
    return variables_of(discord, service, tmp_path, LOG_LEVEL="debug")


def test_everything_that_is_missing_or_wrong_at_once(tmp_path: Path) -> None:
    """Exit status 2, and one line for each problem."""
    with listener(tmp_path, {"SHARD_COUNT": "none"}) as process:
        assert process.wait(30) == 2
    shards, token = logged(tmp_path).splitlines()
    assert "SHARD_COUNT" in shards
    assert "DISCORD_BOT_TOKEN" in token
    assert "Reset Token" in token


def test_a_token_that_discord_refuses(variables: dict[str, str], tmp_path: Path) -> None:
    """Exit status 3, and what to do; the token itself is not shown."""
    with listener(tmp_path, {**variables, "DISCORD_BOT_TOKEN": "not-the-token"}) as process:
        assert process.wait(30) == 3
    assert "Reset Token" in logged(tmp_path)
    assert "not-the-token" not in logged(tmp_path)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_ended_with_people_in_voice(
    discord: Control, service: RunningService, variables: dict[str, str], tmp_path: Path, number: signal.Signals
) -> None:
    """However it ends, the next start knows what was open: who stayed goes on, who left is closed."""
    store = Store(StoreSettings(service.url, tmp_path / "endpoint.db"))
    store.start()
    guild = discord.add_guild("Study room")
    desk, sofa = discord.add_channel(guild, "Desk"), discord.add_channel(guild, "Sofa")
    stays, leaves, moves, never = people = [discord.add_user() for _ in range(4)]
    now = earliest(wall_clock())
    decisions = [ConsentDecision(now + place, user, "in", "u", "U") for place, user in enumerate(people[:3])]
    assert store.deliver(store.keep(decisions), within=10) is Fate.STORED

    def rows() -> list[dict[str, object]]:
        return store.query(Statement("SELECT * FROM voice_sessions ORDER BY user_id, started_at", {}), within=5)[0]

    with listener(tmp_path, variables) as process:
        eventually(lambda: discord.state()["connected_shards"] == [0] and discord.state()["connections"] == 1)
        for user in people:
            discord.join(user, desk)
        eventually(lambda: len(rows()) == 3, what="three sessions are open")
        process.send_signal(number)
        assert process.wait(30) == (0 if number is not signal.SIGKILL else -signal.SIGKILL)
    assert all(row["ended_at"] is None for row in rows())
    eventually(lambda: discord.state()["connections"] == 0)
    discord.leave(leaves)
    discord.switch(moves, sofa)
    with listener(tmp_path, variables) as process:
        eventually(lambda: len(rows()) == 4 and sum(row["ended_at"] is None for row in rows()) == 2)
        discord.leave(stays)
        discord.leave(moves)
        eventually(lambda: all(row["ended_at"] is not None for row in rows()))
        process.terminate()
        assert process.wait(30) == 0
    assert sorted((row["user_id"], row["channel_id"], row["ended_by"]) for row in rows()) == sorted(
        [
            (stays, desk, "left"),
            (leaves, desk, "roll_call"),
            (moves, desk, "roll_call"),
            (moves, sofa, "left"),
        ]
    )
    for user in people:
        assert str(user) not in logged(tmp_path)
    assert variables["DISCORD_BOT_TOKEN"] not in logged(tmp_path)
    discord.leave(never)
    discord.remove_guild(guild)
    store.stop(within=1)


def test_a_process_that_stood_still_knows_that_it_is_late(
    discord: Control, service: RunningService, variables: dict[str, str], tmp_path: Path
) -> None:
    """SIGSTOP, as a machine that sleeps: who left meanwhile is stored with a doubt that holds the true moment, and
    what happens when all has been read is sure again."""
    store = Store(StoreSettings(service.url, tmp_path / "endpoint.db"))
    store.start()
    guild = discord.add_guild("Study room")
    desk = discord.add_channel(guild, "Desk")
    leaves, stays = people = [discord.add_user() for _ in range(2)]
    now = earliest(wall_clock())
    decisions = [ConsentDecision(now + place, user, "in", "u", "U") for place, user in enumerate(people)]
    assert store.deliver(store.keep(decisions), within=10) is Fate.STORED

    def rows(user: int) -> list[dict[str, int]]:
        return store.query(Statement("SELECT * FROM voice_sessions WHERE user_id = :user", {"user": user}), within=5)[0]

    rooms = itertools.cycle((discord.add_channel(guild, "Sofa"), desk))

    def is_sure_again() -> bool:
        discord.switch(stays, next(rooms))
        return any(row["ended_within_ms"] == 0 for row in rows(stays))

    with listener(tmp_path, variables) as process:
        eventually(lambda: discord.state()["connected_shards"] == [0] and discord.state()["connections"] == 1)
        for user in people:
            discord.join(user, desk)
        eventually(lambda: all(rows(user) for user in people), what="both sessions are open")
        process.send_signal(signal.SIGSTOP)
        discord.leave(leaves)
        left_at = wall_clock()
        eventually(lambda: wall_clock() - left_at > 2000, what="a sleep that is longer than a hiccup")
        process.send_signal(signal.SIGCONT)
        eventually(lambda: rows(leaves)[0]["ended_at"], what="the end was read")
        (row,) = rows(leaves)
        assert row["ended_at"] <= left_at <= row["ended_at"] + row["ended_within_ms"]
        eventually(is_sure_again, what="what is read is sure again")
        process.terminate()
        assert process.wait(30) == 0
    discord.remove_guild(guild)
    store.stop(within=1)
