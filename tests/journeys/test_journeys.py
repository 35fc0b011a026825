"""The whole way with real processes: signed HTTP and the gateway in, rows in the SQLite service out.

The simulated Discord, gunicorn, the listener and the service are processes of their own. What was played is the
simulated Discord's own record; `demo.check` holds the stored rows to it, as it does for `make demo`.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
import requests

from db_client.errors import ServiceUnavailable
from db_client.statements import Statement
from demo.check import agreed, compare, consented
from demo.scene import HEARTBEAT_MS, Scene
from demo.stage import any_ports, stage
from demo.story import UNRECORDED, Deed, Step
from demo.system import System, traces
from demo.tell import endings
from gateway_listener.notes import WATERMARK
from tests.services import NO_RQLITED, rqlited_binary, start_rqlited
from tests.waiting import eventually

pytestmark = pytest.mark.xdist_group("processes")

PEOPLE = ("Ada", "Ben", "Cleo", UNRECORDED)
Where = dict[str, str]

ARRIVALS = (("Ada", "Desk"), ("Ben", "Desk"), (UNRECORDED, "Desk"), ("Cleo", "Lounge"))
SWITCHES = (("Ada", "Lounge"), (UNRECORDED, "Lounge"), ("Cleo", "Desk"), ("Ben", "Lounge"), ("Ada", "Kitchen"))
STORED = sorted(
    [
        ("Ada", "Desk", "switched"),
        ("Ada", "Lounge", "switched"),
        ("Ada", "Kitchen", "left"),
        ("Ben", "Desk", "switched"),
        ("Ben", "Lounge", "left"),
        ("Cleo", "Lounge", "switched"),
        ("Cleo", "Desk", "left"),
    ]
)


@pytest.fixture
def raise_stage(tmp_path: Path) -> Callable[..., AbstractContextManager[tuple[Scene, System]]]:
    """A stage in this test's folder; `sqlite_url` names another body of the service."""

    def raised(sqlite_url: str = "") -> AbstractContextManager[tuple[Scene, System]]:
        return stage(
            tmp_path,
            os.environ,
            time.sleep,
            ports=any_ports(),
            channels=("Desk", "Lounge", "Kitchen"),
            people=PEOPLE,
            sqlite_url=sqlite_url,
        )

    return raised


@pytest.fixture
def played(raise_stage: Callable[..., AbstractContextManager[tuple[Scene, System]]]) -> Iterator[tuple[Scene, System]]:
    """All programs ready, with the embedded service."""
    with raise_stage() as raised:
        yield raised


def do(scene: Scene, deed: Deed, who: str, where: str = "") -> str:
    return scene.perform(Step(0, deed, who, where))


def opt_in(scene: Scene, *names: str) -> None:
    for name in names:
        assert "opted in" in do(scene, "opt_in", name)


def arrive(scene: Scene) -> None:
    for who, where in ARRIVALS:
        do(scene, "join", who, where)


def move_about(scene: Scene) -> None:
    for who, where in SWITCHES:
        do(scene, "switch", who, where)


def all_leave(scene: Scene) -> None:
    for who in [who for who, where in scene.where.items() if where]:
        do(scene, "leave", who)


def open_now(scene: Scene, system: System) -> Where:
    """Who has an open session where; a person with two fails here."""
    try:
        rows = [row for row in system.rows() if row.ended_at is None]
    except ServiceUnavailable:
        return {"the service": "is away"}
    assert len({(row.guild_id, row.user_id) for row in rows}) == len(rows)
    return {scene.name_of(row.user_id): scene.name_of(row.channel_id) for row in rows}


def recorded_now(scene: Scene) -> Where:
    """Who is in voice where, of those who are to be recorded."""
    recorded = scene.recorded
    return {who: where for who, where in scene.where.items() if where and recorded[who]}


def comes_true(scene: Scene, system: System) -> None:
    """Waits until the open sessions are those of the people who are in voice and recorded."""
    eventually(lambda: open_now(scene, system) == recorded_now(scene), what="open sessions are who is in voice")


def is_seen(system: System) -> None:
    """Waits until the listener notes that it saw the gateway after this moment, so all that was sent before."""
    now = time.time_ns() // 1_000_000
    eventually(lambda: int(system.store.notes(WATERMARK).get(WATERMARK, 0)) > now, what="the listener to see it")


def kill_listener(scene: Scene, system: System) -> None:
    """kill -9; returns when the simulated Discord has noticed too, so that what follows is unseen for certain."""
    system.fleet["listener"].kill()
    eventually(lambda: all(watch.ended_at is not None for watch in scene.watches()), what="the connection to end")


def settles(system: System) -> None:
    eventually(system.settled, within=40.0, what="everything delivered, nobody in voice")


def holds(scene: Scene, system: System) -> None:
    """What was stored is what was played; every program ends well; the fourth person is nowhere."""
    rows = system.rows()
    pairs = compare(consented(scene.stays(), scene.decisions), rows, scene.watches(), watermark_ms=HEARTBEAT_MS)
    assert agreed(pairs), "\n".join(map(str, pairs))
    assert len(pairs) == len(rows) > 0
    assert system.queue().dead == 0
    system.close()
    system.fleet.stop()
    assert endings(system.fleet, scene.people[UNRECORDED]) == []


def stored(scene: Scene, system: System) -> list[tuple[str, str, str | None]]:
    return sorted((scene.name_of(row.user_id), scene.name_of(row.channel_id), row.ended_by) for row in system.rows())


def test_those_who_opted_in_are_recorded_and_nobody_else(played: tuple[Scene, System]) -> None:
    """(a) Three of four opt in over signed HTTP; all join, switch and leave: exactly the three people's sessions stand.

    Channels are right, times within 250 ms of what was sent, and the fourth's id is in no file and no log.
    """
    scene, system = played
    opt_in(scene, "Ada", "Ben", "Cleo")
    arrive(scene)
    comes_true(scene, system)
    move_about(scene)
    comes_true(scene, system)
    all_leave(scene)
    settles(system)
    assert stored(scene, system) == STORED
    assert all(row.started_within_ms <= 250 and (row.ended_within_ms or 0) <= 250 for row in system.rows())
    holds(scene, system)


def test_an_outage_of_the_service_changes_no_row(played: tuple[Scene, System]) -> None:
    """(b) The service is stopped for the middle third: the same rows as without."""
    scene, system = played
    opt_in(scene, "Ada", "Ben", "Cleo")
    arrive(scene)
    comes_true(scene, system)
    assert system.fleet["sqlite"].stop()
    move_about(scene)
    is_seen(system)
    assert system.queue().waiting > 0
    assert "kept" in do(scene, "opt_in", "Ben")
    system.fleet["sqlite"].start()
    comes_true(scene, system)
    all_leave(scene)
    settles(system)
    assert stored(scene, system) == STORED
    holds(scene, system)


def test_a_killed_listener_leaves_no_ghost_and_no_double(played: tuple[Scene, System]) -> None:
    """(c) kill -9 with people in voice, who move meanwhile: nobody absent stays open, nobody is doubled."""
    scene, system = played
    opt_in(scene, "Ada", "Ben", "Cleo")
    arrive(scene)
    comes_true(scene, system)
    kill_listener(scene, system)
    do(scene, "switch", "Ada", "Lounge")
    do(scene, "leave", "Ben")
    do(scene, "switch", UNRECORDED, "Lounge")
    system.fleet["listener"].start()
    comes_true(scene, system)
    assert open_now(scene, system) == {"Ada": "Lounge", "Cleo": "Lounge"}
    do(scene, "join", "Ben", "Kitchen")
    comes_true(scene, system)
    all_leave(scene)
    settles(system)
    assert stored(scene, system) == [
        ("Ada", "Desk", "roll_call"),
        ("Ada", "Lounge", "left"),
        ("Ben", "Desk", "roll_call"),
        ("Ben", "Kitchen", "left"),
        ("Cleo", "Lounge", "left"),
    ]
    holds(scene, system)


def test_consent_counts_from_its_moment_also_in_voice(played: tuple[Scene, System]) -> None:
    """(d) Opting in while in voice starts the session at that moment, opting out ends it at that moment."""
    scene, system = played
    arrive(scene)
    is_seen(system)
    opt_in(scene, "Ada", "Ben")
    comes_true(scene, system)
    assert "opted out" in do(scene, "opt_out", "Ada")
    comes_true(scene, system)
    do(scene, "switch", "Ada", "Lounge")
    is_seen(system)
    opt_in(scene, "Ada")
    comes_true(scene, system)
    all_leave(scene)
    settles(system)
    assert stored(scene, system) == [("Ada", "Desk", "opted_out"), ("Ada", "Lounge", "left"), ("Ben", "Desk", "left")]
    assert {row.started_by for row in system.rows()} == {"opted_in"}
    holds(scene, system)


@pytest.mark.skipif(rqlited_binary() is None, reason=NO_RQLITED)
def test_the_same_with_a_real_rqlited(
    tmp_path: Path, raise_stage: Callable[..., AbstractContextManager[tuple[Scene, System]]]
) -> None:
    """(e) Against rqlited: an outage, a killed listener and decisions in voice, in one evening."""
    with start_rqlited(tmp_path / "rqlite-node") as rqlited, raise_stage(rqlited.url) as (scene, system):
        opt_in(scene, "Ada", "Ben")
        arrive(scene)
        is_seen(system)
        opt_in(scene, "Cleo")
        comes_true(scene, system)
        rqlited.kill()
        move_about(scene)
        is_seen(system)
        assert "kept" in do(scene, "opt_out", "Cleo")
        rqlited.restart()
        comes_true(scene, system)
        kill_listener(scene, system)
        do(scene, "leave", "Ben")
        do(scene, "switch", "Ada", "Desk")
        system.fleet["listener"].start()
        comes_true(scene, system)
        all_leave(scene)
        settles(system)
        assert stored(scene, system) == [
            ("Ada", "Desk", "left"),
            ("Ada", "Desk", "switched"),
            ("Ada", "Kitchen", "roll_call"),
            ("Ada", "Lounge", "switched"),
            ("Ben", "Desk", "switched"),
            ("Ben", "Lounge", "roll_call"),
            ("Cleo", "Desk", "opted_out"),
            ("Cleo", "Lounge", "switched"),
        ]
        holds(scene, system)


ERASED = "Ferdinand-Amadeus"


def test_an_erased_person_is_in_no_byte_of_any_file(tmp_path: Path) -> None:
    """A minute after an erasure no file of ours, whatever its name, holds a byte of the person but the erasure's row:
    not the name, not the picture, not a session's id; a fresh backup neither, nor what a clean stop leaves.
    """
    room = f"{ERASED}s Zimmer"
    with stage(
        tmp_path, os.environ, time.sleep, ports=any_ports(), channels=("Desk", room), people=("Ada", ERASED)
    ) as (scene, system):
        opt_in(scene, "Ada", ERASED)
        do(scene, "join", "Ada", "Desk")
        do(scene, "join", ERASED, room)
        comes_true(scene, system)
        do(scene, "switch", ERASED, "Desk")
        comes_true(scene, system)
        person = scene.people[ERASED]
        theirs = system.store.query(
            Statement("SELECT session_id FROM voice_sessions WHERE user_id = :person", {"person": person}), within=5.0
        )[0]
        needles = [ERASED.encode(), ERASED.lower().encode(), *(row["session_id"].encode() for row in theirs)]
        recorded = tmp_path / "recorded"
        assert len(theirs) == 2
        assert traces(recorded, needles)
        asked = scene.discord.command("erase_me", person, guild=scene.guild)
        assert (
            "is erased"
            in scene.discord.component(asked.custom_ids[0], person, guild=scene.guild, message=asked).content
        )
        eventually(lambda: not traces(recorded, needles), within=75.0, what="the bytes are gone while all of it runs")
        backup = requests.get(f"{system.plan.sqlite_url}/db/backup", timeout=30).content
        assert not [needle for needle in needles if needle in backup]
        all_leave(scene)
        settles(system)
        system.close()
        system.fleet.stop()
        assert not traces(recorded, needles)
