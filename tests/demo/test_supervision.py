"""demo.supervision: a program that ends by itself is started again, unless that cannot help."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from demo.programs import Fleet
from demo.supervision import Supervisor, pause_before_restart
from tests.waiting import eventually

ENVIRONMENT = {"PATH": os.environ["PATH"]}


@pytest.mark.parametrize(
    ("ends", "pause"),
    [([100.0], 1.0), ([100.0, 110.0], 2.0), ([100.0, 110.0, 119.0], 4.0), ([0.0, 1.0, 2.0, 100.0], 1.0)],
)
def test_pauses_grow_while_it_keeps_ending(ends: list[float], pause: float) -> None:
    """A program that ran well in between starts again as if for the first time."""
    assert pause_before_restart(ends, 1) == pause


def test_giving_up() -> None:
    """What only a person can mend at once, anything else after four quick ends."""
    assert all(pause_before_restart([1.0], status) is None for status in (2, 3, 4))
    assert pause_before_restart([1.0, 2.0, 3.0, 4.0], -9) is None


def test_a_program_that_dies_is_named_and_started_again(tmp_path: Path) -> None:
    """With the end of its log, and in the same place."""
    told: list[str] = []
    with Fleet(tmp_path) as fleet:
        script = f"echo last words; test -e {tmp_path}/again && exec sleep 60; exit 7"
        program = fleet.add("listener", f"sh -c '{script}'", ENVIRONMENT)
        supervisor = Supervisor([program])
        program.start()
        eventually(lambda: not program.running)
        assert supervisor.look_after(0.0, told.append) == ""
        assert told == ["listener ended with status 7; it is started again in 1 s", "  last words"]
        (tmp_path / "again").touch()
        assert supervisor.look_after(0.5, told.append) == ""
        assert not program.running
        assert supervisor.look_after(1.0, told.append) == ""
        assert program.running


def test_wrong_settings_end_it_with_the_programs_own_words(tmp_path: Path) -> None:
    """Status 2 is what our programs say when their settings are wrong."""
    with Fleet(tmp_path) as fleet:
        program = fleet.add("web", "sh -c 'echo PORT is malformed; exit 2'", ENVIRONMENT)
        program.start()
        eventually(lambda: not program.running)
        assert Supervisor([program]).look_after(0.0, print) == (
            "web ended with status 2 and is not started again; its settings or data are wrong: mend what it says, and"
            " start it again:\n  PORT is malformed"
        )
