"""demo.programs: children are started, ended and left nowhere."""

from __future__ import annotations

import os
import socket
from pathlib import Path

from demo.programs import Fleet, answers, free_port, is_free
from tests.waiting import eventually

ENVIRONMENT = {"PATH": os.environ["PATH"]}
STUBBORN = """sh -c 'trap "" TERM; echo up; while :; do sleep 1; done'"""


def test_a_program_that_ends_when_asked(tmp_path: Path) -> None:
    """SIGTERM is enough, its status is known, its output is in its log."""
    with Fleet(tmp_path) as fleet:
        program = fleet.add("one", "sh -c 'echo up; exec sleep 60'", ENVIRONMENT)
        program.start()
        eventually(lambda: program.last_lines() == ["up"])
        assert program.running
        assert program.stop()
        assert program.exit_status == -15
        assert not program.running


def test_a_program_that_does_not_end_is_killed_with_its_children(tmp_path: Path) -> None:
    """After the time it was given, the whole process group."""
    with Fleet(tmp_path) as fleet:
        program = fleet.add("stubborn", STUBBORN, ENVIRONMENT)
        program.start()
        eventually(lambda: program.last_lines() == ["up"])
        group = program.process_group
        assert not program.stop(within=0.2)
        assert program.exit_status == -9
        eventually(lambda: not _any_of(group), what="the whole group to be gone")


def test_the_fleet_ends_with_its_block(tmp_path: Path) -> None:
    """Whatever ends the block, no process stays."""
    groups = []
    try:
        with Fleet(tmp_path) as fleet:
            for name in ("one", "two"):
                program = fleet.add(name, "sleep 60", ENVIRONMENT)
                program.start()
                groups.append(program.process_group)
            raise KeyboardInterrupt
    except KeyboardInterrupt:
        pass
    assert not any(_any_of(group) for group in groups)


def test_what_was_killed_can_be_started_again(tmp_path: Path) -> None:
    """With the same log, which goes on."""
    with Fleet(tmp_path) as fleet:
        program = fleet.add("one", "sh -c 'echo up; exec sleep 60'", ENVIRONMENT)
        program.start()
        eventually(lambda: program.last_lines() == ["up"])
        program.kill()
        assert not program.running
        program.start()
        eventually(lambda: program.last_lines() == ["up", "up"])


def test_a_port_in_use_is_not_free() -> None:
    """The preferred port is given if it can be had, else another."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        taken = server.getsockname()[1]
        assert not is_free(taken)
        assert free_port(taken) != taken
    assert free_port(taken) == taken


def test_a_page_that_is_not_there_does_not_answer() -> None:
    """Refused, or no page at all: no exception, no."""
    assert not answers(f"http://127.0.0.1:{free_port()}/readyz")


def _any_of(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True
