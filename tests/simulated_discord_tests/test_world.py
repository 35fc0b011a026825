"""The world and its record, without any wire."""

from __future__ import annotations

import pytest

from tests.simulated_discord import Impossible, SimulatedDiscord
from tests.simulated_discord.history import History, stays, watches
from tests.simulated_discord.model import Change
from tests.simulated_discord.record import record
from tests.simulated_discord.snowflakes import Snowflakes, moment, shard_of
from tests.simulated_discord.world import World


class Clock:
    now = 1_700_000_000_000

    def __call__(self) -> int:
        return self.now


def recorded(seed: int = 1) -> tuple[World, History, Clock]:
    clock = Clock()
    history = History(clock)

    def tell(change: Change) -> None:
        record(change, world, history, lost=False)

    world = World(Snowflakes(clock, seed), seed, 1, tell)
    return world, history, clock


def test_stays_are_the_times_between_moves() -> None:
    """A switch ends one stay and begins the next at the same moment; a mute changes nothing; who is in has no end."""
    world, history, clock = recorded()
    guild = world.add_guild()
    desk, sofa = world.add_channel(guild), world.add_channel(guild)
    ada, bob = world.add_user(), world.add_user()
    start = clock.now
    world.join(ada, desk)
    clock.now += 10
    world.set_state(ada, self_mute=True)
    world.join(bob, sofa)
    clock.now += 10
    world.switch(ada, sofa)
    clock.now += 10
    world.delete_channel(sofa)
    world.join(bob, desk)
    found = [(one["user_id"], one["channel_id"], one["started_at"], one["ended_at"]) for one in stays(history.entries)]
    assert found == [
        (ada, desk, start, start + 20),
        (bob, sofa, start + 10, start + 30),
        (ada, sofa, start + 20, start + 30),
        (bob, desk, start + 30, None),
    ]


def test_watches_are_the_times_of_living_connections() -> None:
    """From READY or RESUMED to the end of that connection."""
    clock = Clock()
    history = History(clock)

    def happened(what: str, connection: int) -> None:
        clock.now += 5
        history.add("session", what=what, connection=connection, shard=0, session_id="s")

    start = clock.now
    for what, connection in (("connected", 1), ("ready", 1), ("disconnected", 1), ("connected", 2), ("resumed", 2)):
        happened(what, connection)
    found = [(one["started_at"], one["ended_at"]) for one in watches(history.entries)]
    assert found == [(start + 10, start + 15), (start + 25, None)]


def test_the_same_seed_makes_the_same_world() -> None:
    """Ids of users, guilds and channels and voice session ids do not depend on the time."""

    def play(seed: int) -> list[int]:
        world, _, _ = recorded(seed)
        guild = world.add_guild()
        channel, user = world.add_channel(guild), world.add_user()
        world.join(user, channel)
        return [guild, channel, user, int(world.state(user).session_id, 16)]

    assert play(5) == play(5)
    assert not set(play(5)) & set(play(6))
    assert SimulatedDiscord(seed=5).bot_token == SimulatedDiscord(seed=5).bot_token
    assert SimulatedDiscord(seed=5).public_key != SimulatedDiscord(seed=6).public_key


def test_snowflakes_of_now_are_of_now_and_never_repeat() -> None:
    """Also when the clock stands still, or steps back."""
    clock = Clock()
    snowflakes = Snowflakes(clock, 0)
    ids = [snowflakes.now() for _ in range(10_000)]
    assert len(set(ids)) == len(ids)
    assert moment(ids[0]) == clock.now
    clock.now -= 60_000
    assert snowflakes.now() > ids[-1]
    assert {shard_of(snowflakes.old(), 2) for _ in range(50)} == {0, 1}


def test_what_contradicts_the_world_is_impossible_and_changes_nothing() -> None:
    """Nobody joins twice, leaves when he is not there, talks in a category, or is in two places."""
    world, history, _ = recorded()
    guild, other = world.add_guild(), world.add_guild(joined=False)
    desk, category = world.add_channel(guild), world.add_channel(guild, kind="category")
    elsewhere = world.add_channel(other)
    ada, robot = world.add_user(), world.add_user(bot=True)
    world.join(ada, desk)
    world.join(robot, desk)
    world.join(robot, elsewhere)
    before = list(history.entries)
    for action in (
        lambda: world.join(ada, desk),
        lambda: world.switch(ada, desk),
        lambda: world.switch(ada, elsewhere),
        lambda: world.switch(ada, category),
        lambda: world.leave(robot),
        lambda: world.leave(world.add_user()),
        lambda: world.set_state(ada, asleep=True),
        lambda: world.join(world.add_user(), desk, asleep=True),
        lambda: world.join(1, desk),
        lambda: world.add_channel(guild, kind="thread"),
        lambda: world.set_afk_channel(guild, elsewhere),
        lambda: world.outage(other),
        lambda: world.recover(guild),
        lambda: world.add_bot(guild),
        lambda: world.remove_guild(other),
        lambda: world.remove_member(other, ada),
    ):
        with pytest.raises(Impossible):
            action()
    assert history.entries == before
    world.remove_member(guild, ada)
    assert world.places(ada) == []


def test_a_burst_is_as_many_moves_as_it_says() -> None:
    """Every one is a change of channel, or of the mute where there is one channel only."""
    world, history, _ = recorded()
    guild = world.add_guild()
    channels = [world.add_channel(guild) for _ in range(3)]
    users = [world.add_user() for _ in range(4)]
    count = len(history.entries)
    assert world.burst(100, users, channels) == 100
    world.burst(50, users, channels[:1])
    voice = history.entries[count:]
    assert len(voice) == 150
    last: dict[int, dict] = {}
    for entry in voice:
        state = {key: value for key, value in entry.items() if key not in ("n", "at")}
        assert last.get(entry["user_id"]) != state
        last[entry["user_id"]] = state
