"""demo.story: the script and the everyday life ask of nobody what Discord would refuse."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

import pytest

from demo.story import INHABITANTS, OPENING, PEOPLE, STORY, UNRECORDED, Step, next_step, sentence


def impossible(steps: Sequence[Step]) -> list[str]:
    """What a script asks for that cannot be done: leaving from nowhere, killing what is dead."""
    where: dict[str, str] = {}
    dead: set[str] = set()
    problems: list[str] = []
    for number, step in enumerate(steps):
        program, _, event = step.deed.partition("_")
        if program in ("service", "listener"):
            if (program in dead) == (event == "killed"):
                problems.append(f"step {number}: {sentence(step)}")
            dead.symmetric_difference_update({program})
        elif step.deed in ("join", "switch"):
            here = where.get(step.who)
            if (here is None) != (step.deed == "join") or here == step.where:
                problems.append(f"step {number}: {sentence(step)}")
            where[step.who] = step.where
        elif step.deed == "leave" and where.pop(step.who, None) is None:
            problems.append(f"step {number}: {sentence(step)}")
    return problems + [f"at the end: {program} is dead" for program in sorted(dead)]


def test_the_story_can_be_played() -> None:
    """Nobody leaves a channel they are not in, and every program that is killed is started again."""
    assert impossible(STORY) == []
    assert impossible(OPENING) == []
    assert impossible([Step(0, "leave", "Ada"), Step(0, "service_killed")]) != []


def test_the_story_has_what_it_promises() -> None:
    """Three opt in and a fourth does not, people move while the service is away and while the listener is."""
    assert {step.who for step in STORY if step.deed == "opt_in"} == set(PEOPLE) - {UNRECORDED}
    deeds = [step.deed for step in STORY]
    for program in ("service", "listener"):
        away = STORY[deeds.index(f"{program}_killed") + 1 : deeds.index(f"{program}_back")]
        assert {"switch", "leave"} <= {step.deed for step in away}
        assert UNRECORDED in {step.who for step in away}
    assert sum(step.pause for step in STORY) < 40


@pytest.mark.parametrize("seed", range(5))
def test_everyday_life_asks_for_nothing_impossible(seed: int) -> None:
    """Whatever the dice say, each step is one that Discord allows, and Dora stays unrecorded."""
    dice = Random(seed)
    where: dict[str, str | None] = dict.fromkeys(INHABITANTS)
    recorded = dict.fromkeys(INHABITANTS, False)
    steps: list[Step] = []
    for _ in range(300):
        step = next_step(where, recorded, dice)
        steps.append(step)
        if step.deed in ("opt_in", "opt_out"):
            recorded[step.who] = step.deed == "opt_in"
        else:
            where[step.who] = step.where or None
    assert impossible(steps) == []
    assert not recorded[UNRECORDED]
    assert {step.deed for step in steps} == {"opt_in", "opt_out", "join", "switch", "leave"}


def test_every_deed_has_a_sentence() -> None:
    """A reader without the script understands each line."""
    assert sentence(Step(0, "join", "Ada", "Desk")) == "Ada joins Desk"
    assert all(sentence(step) for step in STORY)
