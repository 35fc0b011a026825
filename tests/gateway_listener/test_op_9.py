"""A visit, and decisions, at every moment around a connection that op 9 ends: in the pure centre in every order, and
with the real discord.py in some."""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations_with_replacement

import pytest

from tests.gateway_listener.harness import DESK
from tests.gateway_listener.judge import differences
from tests.gateway_listener.people import GUILDS, PEOPLE
from tests.gateway_listener.running import Scene
from tests.gateway_listener.small_world import SmallWorld
from tests.waiting import soon

STEPS: dict[str, list[Callable[[SmallWorld], object]]] = {
    "d false": [
        lambda world: world.watcher.disconnect(),
        lambda world: world.watcher.identify(),
        lambda world: world.watcher.roll_call(),
        lambda world: world.watcher.roll_call(),
    ],
    "d true": [lambda world: world.watcher.disconnect(), lambda world: world.watcher.resume()],
}


@pytest.mark.parametrize("d", list(STEPS))
def test_a_visit_at_any_moment(d: str) -> None:
    """Before, in and after the gap; of somebody who is in, who comes in meanwhile, and who goes out."""
    steps = STEPS[d]
    for came, left in combinations_with_replacement(range(len(steps) + 1), 2):
        for decided in range(len(steps) + 1):
            problems = _problems(steps, came, left, decided)
            assert not problems, (came, left, decided, problems)


def _problems(steps: list[Callable[[SmallWorld], object]], came: int, left: int, decided: int) -> list[str]:
    world = SmallWorld(stepping=False)
    world.watcher.all_roll_calls()
    _, opts_in, opts_out = PEOPLE
    for user in PEOPLE:
        if user != opts_in:
            world.decide(user, "in", 0)
    world.wait(100)
    for place in range(len(steps) + 1):
        if place == came:
            _all_move(world, DESK)
        world.wait(700)
        if place == decided:
            world.decide(opts_in, "in", 0)
            world.decide(opts_out, "out", 0)
        world.wait(700)
        if place == left:
            _all_move(world, None)
        world.wait(700)
        if place < len(steps):
            steps[place](world)
    world.settle()
    return [*world.broken(), *differences(world.truth(), world.own_rows())]


def _all_move(world: SmallWorld, kind: int | None) -> None:
    for user in PEOPLE:
        world.people.move(user, GUILDS[0], kind)


@pytest.mark.parametrize("resumable", [False, True])
async def test_visits_around_op_9_with_the_real_discord_py(stage: Scene, resumable: bool) -> None:
    """Ada comes before it and leaves in the gap, Bob comes in the gap and leaves after it, Cat is there all the time;
    then each of them comes and goes once more, at once."""
    discord, people = stage.discord, (stage.ada, stage.bob, stage.cat)
    async with stage.listening() as listener:
        for user in people:
            await stage.decide(user, "in")
            await stage.followed(listener, user)
        discord.join(stage.ada, stage.desk)
        discord.join(stage.cat, stage.sofa)
        await soon(lambda: stage.seated(listener) == 2, what="both are seen")
        discord.faults.refuse = True
        discord.invalidate(resumable)
        await soon(lambda: not discord.state()["connections"], what="the connection goes")
        discord.leave(stage.ada)
        discord.join(stage.bob, stage.desk)
        discord.faults.refuse = False
        await stage.until_live(listener)
        discord.leave(stage.bob)
        discord.leave(stage.cat)
        for user in people:
            discord.join(user, stage.sofa)
            discord.leave(user)
        stage.check(await stage.settled(listener, stays=6), *people)
