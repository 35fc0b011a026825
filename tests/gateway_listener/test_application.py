"""Whose data these are: a token of another application ends the listener before it has concluded anything."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from db_client.records import GuildSetting
from db_client.settings import StoreSettings
from db_client.snowflake import earliest
from db_client.statements import Statement
from db_client.store import Fate, Store
from gateway_listener.application import OtherApplication, verified
from gateway_listener.notes import APPLICATION
from tests.gateway_listener.evening import APPLICATION as OURS
from tests.gateway_listener.evening import Evening, run_through
from tests.gateway_listener.processes import listener, logged, page, pages, variables_of
from tests.services import RunningService
from tests.simulated_discord.control import Control, start_process
from tests.simulated_discord.server import wall_clock
from tests.waiting import eventually

CANNOT_START = 2


@pytest.mark.parametrize(
    ("noted", "stated", "readable", "known"),
    [
        (None, None, True, True),
        (None, None, False, False),
        (7, None, True, True),
        (7, None, False, True),
        (None, 7, True, True),
        (7, 7, True, True),
        (8, 7, True, True),
        (8, None, True, None),
        (8, None, False, None),
        (None, 8, True, None),
        (7, 8, True, None),
    ],
)
def test_whose_data_these_are(noted: int | None, stated: int | None, readable: bool, known: bool | None) -> None:
    """The service says it, or else the disk; if nobody does, the first run says it as soon as it can ask."""
    if known is None:
        with pytest.raises(OtherApplication) as refusal:
            verified(7, noted=noted, stated=stated, readable=readable)
        assert "belong to application 8" in str(refusal.value)
        assert "UPDATE installation SET value = '7'" in str(refusal.value)
    else:
        assert verified(7, noted=noted, stated=stated, readable=readable) is known


@pytest.fixture
def discords() -> Iterator[tuple[Control, Control]]:
    """Two applications, each with a Discord of its own."""
    with ExitStack() as both:
        ours, other = (both.enter_context(start_process(seed=seed, heartbeat_interval=300)) for seed in (12, 13))
        yield ours, other


@pytest.fixture
def store(service: RunningService, tmp_path: Path) -> Iterator[Store]:
    store = Store(StoreSettings(service.url, tmp_path / "endpoint.db"))
    store.start()
    yield store
    store.stop(within=1)


def id_of(discord: Control) -> str:
    """The application's."""
    return str(discord.environment()["DISCORD_APPLICATION_ID"])


def rows(store: Store, sql: str) -> list[dict[str, Any]]:
    return store.query(Statement(sql, {}), within=10)[0]


def noted(queue_file: Path) -> str | None:
    """Whose data are on that disk, as its note says."""
    disk = Store(StoreSettings("http://127.0.0.1:9", queue_file))
    try:
        return disk.notes().get(APPLICATION)
    finally:
        disk.stop(within=0)


def first_run(ours: Control, store: Store, service: RunningService, tmp_path: Path) -> int:
    """Ours has been here: a server with a setting, and the application written down; the server's id."""
    guild = ours.add_guild("Study room")
    decided = GuildSetting(earliest(wall_clock()), guild, "leaderboard", "off")
    assert store.deliver(store.keep([decided]), within=10) is Fate.STORED
    with listener(tmp_path, variables_of(ours, service, tmp_path)):
        eventually(lambda: page(pages(tmp_path), "readyz")[0] == 200, what="the listener is ready")
        application = [{"value": id_of(ours)}]
        eventually(lambda: rows(store, "SELECT value FROM installation") == application, what="it is written down")
        said = "SELECT count(*) AS n FROM guilds WHERE presence_revision > 0"
        eventually(lambda: rows(store, said) == [{"n": 1}], what="the server is said to be there")
    return guild


@pytest.mark.parametrize("new_disk", [False, True])
def test_another_applications_token_changes_nothing(
    discords: tuple[Control, Control], store: Store, service: RunningService, tmp_path: Path, new_disk: bool
) -> None:
    """Exit status 2 and one sentence, before it has identified; then the right token goes on as if nothing had been."""
    ours, other = discords
    first_run(ours, store, service, tmp_path)
    other.add_guild("Elsewhere")
    before = rows(store, "SELECT * FROM guilds")
    variables = variables_of(other, service, tmp_path, RECONCILE_EVERY="1")
    if new_disk:
        variables["QUEUE_FILE"] = str(tmp_path / "new.db")
    with listener(tmp_path, variables, log="other.log") as process:
        assert process.wait(30) == CANNOT_START
    last = logged(tmp_path, "other.log").splitlines()[-1]
    assert last.startswith(f"These data belong to application {id_of(ours)}, and DISCORD_BOT_TOKEN is")
    assert id_of(other) in last
    assert other.state()["identifies"] == 0
    assert rows(store, "SELECT * FROM guilds") == before
    with listener(tmp_path, variables_of(ours, service, tmp_path), log="again.log"):
        eventually(lambda: page(pages(tmp_path, "again.log"), "readyz")[0] == 200, what="the right one goes on")
    assert rows(store, "SELECT left_at FROM guilds") == [{"left_at": None}]


def test_with_the_service_down_the_disk_says_whose_data_these_are(
    discords: tuple[Control, Control], store: Store, service: RunningService, tmp_path: Path
) -> None:
    """The note in the queue file is enough."""
    ours, other = discords
    first_run(ours, store, service, tmp_path)
    assert noted(tmp_path / "queue.db") == id_of(ours)
    service.stop()
    with listener(tmp_path, variables_of(other, service, tmp_path), log="other.log") as process:
        assert process.wait(30) == CANNOT_START
    assert other.state()["identifies"] == 0


def test_a_new_disk_that_cannot_ask_yet_ends_when_it_can(
    discords: tuple[Control, Control], store: Store, service: RunningService, tmp_path: Path
) -> None:
    """Until then it writes nothing."""
    ours, other = discords
    first_run(ours, store, service, tmp_path)
    before = rows(store, "SELECT * FROM guilds")
    service.stop()
    variables = variables_of(other, service, tmp_path, QUEUE_FILE=str(tmp_path / "new.db"))
    with listener(tmp_path, variables, log="other.log") as process:
        eventually(lambda: other.state()["identifies"] == 1, what="it connects, and follows in memory")
        service.restart()
        assert process.wait(60) == CANNOT_START
    assert noted(tmp_path / "new.db") is None
    assert rows(store, "SELECT * FROM guilds") == before


def test_taking_over_on_purpose_is_one_statement(
    discords: tuple[Control, Control], store: Store, service: RunningService, tmp_path: Path
) -> None:
    """The one that the refusal gives; the disk follows the service."""
    ours, other = discords
    first_run(ours, store, service, tmp_path)
    with listener(tmp_path, variables_of(other, service, tmp_path), log="other.log") as process:
        assert process.wait(30) == CANNOT_START
    statement = logged(tmp_path, "other.log").splitlines()[-1].partition("start again: ")[2].rstrip(".")
    with urllib.request.urlopen(
        urllib.request.Request(
            f"{service.url}/db/execute?transaction",
            json.dumps([[statement]]).encode(),
            {"Content-Type": "application/json"},
        ),
        timeout=10,
    ) as answer:
        assert "error" not in answer.read().decode()
    with listener(tmp_path, variables_of(other, service, tmp_path), log="again.log"):
        eventually(lambda: page(pages(tmp_path, "again.log"), "readyz")[0] == 200, what="it is accepted")
        eventually(lambda: noted(tmp_path / "queue.db") == id_of(other), what="the disk follows")


def test_what_the_service_said_before_the_login_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    """A new disk has taken up who is in voice, and at the login the service cannot be asked: another application
    does not get to hear of servers, in which none of them would be."""
    evening = Evening(monkeypatch)
    evening.pass_ms(2000)
    evening.start(new_disk=True, application=None)
    evening.pass_ms(2000)
    assert evening.listener._tracker.recording
    evening.disk.up = False
    with pytest.raises(OtherApplication):
        run_through(evening.listener._logged_in(7))
    run_through(evening.listener._logged_in(OURS))
