"""`/my_data`: the file follows, whatever Discord or the service does meanwhile, and can be read back."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from nacl.signing import SigningKey

from db_client.person_file import person_of
from db_client.records import Channel, ConsentDecision, Guild, VoiceSession
from db_client.settings import StoreSettings
from db_client.snowflake import earliest
from db_client.statements import Statement
from db_client.store import Fate, Store
from interactions_api.commands import my_data
from interactions_api.interaction import Command, parse
from interactions_api.plan import Later, Plan
from interactions_api.words import Catalogues
from tests.interactions_api import discord
from tests.interactions_api.discord import GUILD, command, user
from tests.interactions_api.running import REPOSITORY, Running, running
from tests.interactions_api.study_room import HOUR, study_room
from tests.interactions_api.unreliable import Unreliable
from tests.interactions_api.webhooks import Webhooks
from tests.reports.service_file import ServiceFile
from tests.services import RunningService, start_embedded
from tests.waiting import eventually

pytestmark = pytest.mark.xdist_group("processes")

ADA, T = 4711 << 22, 1_690_000_000_000
TABLES = ("opt_in_users", "consent_log", "visible_on", "voice_sessions", "voice_totals")
ORDER = {"opt_in_users": "user_id", "consent_log": "interaction_id"}


def stay(number: int) -> VoiceSession:
    """A minute in the hour of that number."""
    begin = T + number * HOUR
    end = begin + 60_000
    return VoiceSession(f"{number:025x}", GUILD, 7, ADA, begin, "joined", 0, 1, end, "left", 0, flags_at=end)


@pytest.fixture
def service(tmp_path: Path) -> Iterator[RunningService]:
    with start_embedded(tmp_path / "service") as running_service:
        store = Store(StoreSettings(running_service.url, tmp_path / "listener.db"))
        store.start()
        records = [
            ConsentDecision(earliest(T), ADA, "in", "ada", "Ada =1+1", None, "server", GUILD),
            Guild(GUILD, "Study room", None, 1),
            *map(stay, range(1, 2500)),
            Channel(7, GUILD, "Desk", 2, 1),
        ]
        assert store.deliver(store.keep(records), within=30) is Fate.STORED
        store.stop(within=5)
        yield running_service


@pytest.fixture
def webhooks() -> Iterator[Webhooks]:
    with Webhooks() as made:
        yield made


def asked(endpoint: Running, key: SigningKey, **more: Any) -> dict[str, Any]:
    """The response to Ada's /my_data."""
    body = discord.body({**command("my_data", by=user(ADA)), **more})
    status, answer = endpoint.request("POST", "/interactions", body, discord.headers(key, body))
    assert status == 200
    response: dict[str, Any] = json.loads(answer)
    return response


def rows(url: str, folder: Path, table: str) -> list[dict[str, Any]]:
    store = Store(StoreSettings(url, folder / "reader.db"))
    order = ORDER.get(table, "1")
    [found] = store.query(Statement(f"SELECT * FROM {table} WHERE user_id = {ADA} ORDER BY {order}", {}), within=10)
    store.stop(within=1)
    return [{key: value for key, value in row.items() if key != "seq"} for row in found]


def now() -> int:
    return time.time_ns() // 1_000_000


THINKING = {"type": 5, "data": {"flags": 64}}


def test_the_file_follows_and_an_empty_service_reads_it_back(service, webhooks, key, tmp_path: Path):
    """Everything of all servers; a server error, a rate limit and a slow service are waited out meanwhile."""
    webhooks.answers += [500, 429, 502]
    with running(tmp_path, key, service.url, DISCORD_API_URL=webhooks.url) as endpoint:
        assert asked(endpoint, key) == THINKING
        eventually(lambda: webhooks.edits, what="the file arrives")
    [(message, files)] = webhooks.edits
    [(name, content)] = files.items()
    assert "everything stored about you" in message["content"]
    assert message["attachments"] == [{"id": 0, "filename": name}]
    assert message["allowed_mentions"] == {"parse": []}
    assert set(webhooks.paths) == {"/webhooks/1/aW50ZXJhY3Rpb24/messages/@original"}
    assert len(person_of(content, now()).sessions) == 2499
    (tmp_path / name).write_bytes(content)
    with start_embedded(tmp_path / "empty") as empty:
        variables = {
            **os.environ,
            "SQLITE_SERVICE_URL": empty.url,
            "QUEUE_FILE": str(tmp_path / "import.db"),
        }
        command_line = [sys.executable, "-m", "db_client.import_person", str(tmp_path / name)]
        ran = subprocess.run(command_line, cwd=REPOSITORY, env=variables, capture_output=True, text=True, timeout=60)
        assert (ran.returncode, ran.stderr) == (0, "")
        assert f"2499 sessions of the user {ADA}; the service now holds 2499" in ran.stdout
        for table in TABLES:
            assert rows(empty.url, tmp_path, table) == rows(service.url, tmp_path, table), table


def test_the_form_is_what_discord_takes(tmp_path: Path):
    """The simulated Discord, which checks it, shows a message with one file in place of "thinking"."""
    with study_room(tmp_path) as room:
        ada = room.person("Ada")
        room.session(ada, room.channel("Desk"), 2 * HOUR, HOUR)
        outcome = room.use("my_data", ada, _locale="de")
        assert outcome.type == 5

        def arrived() -> Any:
            [message] = room.discord.messages(outcome.id)
            return message if message["attachments"] else None

        message = eventually(arrived, what="the file arrives")
        assert "alles, was über dich gespeichert ist" in message["content"]
        assert message["flags"] == 64
        assert message["attachments"][0]["filename"].endswith(".zip")
        assert "Nothing is stored about you" in room.use("my_data", room.person("Dora", None)).content


class GoneAfterOneAnswer(Unreliable):
    """Answers how much is stored about somebody; the reads behind that fail until `is_back`."""

    is_back = False

    def asked(self, path: str, body: bytes) -> tuple[int, dict[str, str], bytes]:
        if not self.is_back and b"AS profiles" in body:
            self.faults["/db/query"] = "reset"
        return super().asked(path, body)


def test_a_service_that_goes_away_meanwhile_is_waited_for(service, webhooks, key, tmp_path: Path):
    """It answered when the file was promised; then it was away; then the file comes."""
    with (
        GoneAfterOneAnswer(service.url) as proxy,
        running(tmp_path, key, proxy.url, DISCORD_API_URL=webhooks.url) as endpoint,
    ):
        assert asked(endpoint, key) == THINKING
        eventually(lambda: "must wait" in endpoint.log.read_text(), what="it is noticed")
        assert webhooks.edits == []
        proxy.is_back = True
        proxy.faults.clear()
        eventually(lambda: webhooks.edits, what="the file arrives", within=30)


def test_a_worker_that_ends_in_good_order_sends_first(service, webhooks, key, tmp_path: Path):
    """SIGTERM right behind the promise: the file comes all the same."""
    with running(tmp_path, key, service.url, DISCORD_API_URL=webhooks.url) as endpoint:
        assert asked(endpoint, key) == THINKING
        assert endpoint.stop() == 0
    assert len(webhooks.edits) == 1


def test_a_worker_that_is_killed_leaves_everything_as_it_was(service, webhooks, key, tmp_path: Path):
    """Nothing is stored or lost; the person asks again and gets the file."""
    with running(tmp_path, key, service.url, DISCORD_API_URL="http://127.0.0.1:9") as endpoint:
        assert asked(endpoint, key) == THINKING
        os.killpg(endpoint.process.pid, signal.SIGKILL)
    (tmp_path / "gunicorn.log").unlink()
    with running(tmp_path, key, service.url, DISCORD_API_URL=webhooks.url) as endpoint:
        assert asked(endpoint, key) == THINKING
        eventually(lambda: webhooks.edits, what="the file arrives")


def test_a_file_that_discord_does_not_take_is_told(service, webhooks, key, tmp_path: Path):
    """By the limit that the interaction names, and by Discord's own word."""
    with running(tmp_path, key, service.url, DISCORD_API_URL=webhooks.url) as endpoint:
        assert asked(endpoint, key, attachment_size_limit=1000) == THINKING
        eventually(lambda: len(webhooks.edits) == 1, what="the message arrives")
        webhooks.answers += [413]
        assert asked(endpoint, key) == THINKING
        eventually(lambda: len(webhooks.edits) == 2, what="the message arrives")
    for message, files in webhooks.edits:
        assert "too large" in message["content"]
        assert files == {}


def test_a_token_that_is_worth_nothing_ends_it_and_is_in_no_log(service, webhooks, key, tmp_path: Path):
    """Neither the token nor anything of the person."""
    webhooks.answers += [404]
    with running(tmp_path, key, service.url, DISCORD_API_URL=webhooks.url) as endpoint:
        asked(endpoint, key)
        eventually(lambda: "refused a follow-up" in endpoint.log.read_text(), what="it is logged")
        assert endpoint.stop() == 0
        log = endpoint.log.read_text()
    assert webhooks.edits == []
    assert "aW50ZXJhY3Rpb24" not in log
    assert str(ADA) not in log


def test_what_is_written_meanwhile_tears_no_file():
    """A decision between two reads: all is read again, so that the file is of one moment and can be read back."""
    file = ServiceFile()
    file.store(ConsentDecision(earliest(T), ADA, "in", "ada", "Ada"), stay(1))
    used = parse(discord.body(command("my_data", by=user(ADA))))
    assert isinstance(used, Command)
    plan = my_data.handle(used, Catalogues.load().of("en-US"))
    assert isinstance(plan, Plan)
    later = plan.stored([file.rows(question) for question in plan.questions])
    assert isinstance(later, Later)
    reads = []

    def ask(*questions: Statement) -> list[Any]:
        answers = [file.rows(question) for question in questions]
        reads.append(questions)
        if len(reads) == 1:
            file.store(ConsentDecision(earliest(T + 2 * HOUR), ADA, "out"))
            file.store(ConsentDecision(earliest(T + 3 * HOUR), ADA, "in", "ada", "Ada"), stay(4))
        return answers

    made = later.make(ask)
    assert len(reads) == 4
    assert len(person_of(made.file, now()).sessions) == 2
