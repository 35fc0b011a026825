"""Every thread of the endpoint has an owner, and every answer of the service, however odd, ends in a sentence."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from nacl.signing import SigningKey

from db_client.settings import StoreSettings
from db_client.store import Store
from interactions_api.follow_ups import FollowUps
from interactions_api.interaction import Address
from interactions_api.plan import File, Later
from interactions_api.upkeep import Upkeep
from program import exits, threads
from tests import services
from tests.failing import SECRET
from tests.interactions_api.discord import command, snowflake, user
from tests.interactions_api.running import OURS, Running
from tests.interactions_api.test_faults import decided
from tests.interactions_api.unreliable import ODD
from tests.interactions_api.webhooks import Webhooks
from tests.services import RunningService
from tests.waiting import eventually

THREADS = {
    "the delivery": "db_client.delivery:Delivery._next_turn",
    "erasures": "db_client.erasure_follower:ErasureFollower._run",
    "upkeep": "interactions_api.upkeep:Upkeep._work",
}


@contextmanager
def failing(folder: Path, key: SigningKey, service_url: str, **variables: str) -> Iterator[tuple[Any, Path]]:
    """gunicorn with the endpoint, in which something fails from its start; the process, and its log."""
    log = folder / "gunicorn.log"
    (folder / "it fails").touch()
    settings = {
        "DISCORD_PUBLIC_KEY": key.verify_key.encode().hex(),
        "SQLITE_SERVICE_URL": service_url,
        "QUEUE_FILE": str(folder / "queue.db"),
        "TMPDIR": str(folder),
        "FAILS_WHILE": str(folder / "it fails"),
        **variables,
    }
    program = [sys.executable, "-m", "tests.failing", "gunicorn", "interactions_api.app:create_app()"]
    process = services.spawn([*program, "--bind", "127.0.0.1:0"], log, settings, without=OURS)
    try:
        yield process, log
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(10)


@pytest.mark.parametrize("fails", THREADS.values(), ids=THREADS.keys())
def test_a_threads_error_ends_its_worker_and_another_one_comes(tmp_path, key, service, make_endpoint, fails):
    """The place is in the log and nothing of what it was about; gunicorn goes on, and when it fails no more all is
    well, without anybody's doing."""
    with failing(tmp_path, key, service.url, FAILS=fails) as (process, log):
        eventually(lambda: log.read_text().count("CRITICAL program.threads") > 1, what="one worker after another ends")
        (tmp_path / "it fails").unlink()
        endpoint = Running(process, log, key)
        who = snowflake()
        endpoint.says(command("opt_in", by=user(who)))
        reader = make_endpoint(service.url, tmp_path / "reader.db")
        eventually(lambda: decided(reader, who) == ["in"], what="the decision is delivered", within=30.0)
        assert endpoint.stop() == exits.ASKED
    text = log.read_text()
    assert "problem=ValueError" in text
    assert SECRET not in text


@pytest.mark.parametrize("name", ["delivery", "erasures", "upkeep"])
def test_a_worker_without_its_threads_does_not_begin(tmp_path, key, service, name):
    """Of which gunicorn says 3, that is Discord's refusal in our table: it is to be started again."""
    with failing(tmp_path, key, service.url, NO_THREADS=name) as (process, log):
        assert process.wait(60) == exits.AGAIN, log.read_text()


def test_what_is_decided_while_no_thread_can_be_started_is_kept(make_endpoint, service, monkeypatch):
    """The person is told so, and it is delivered as soon as one can."""
    endpoint = make_endpoint(service.url)
    who = snowflake()
    start = threading.Thread.start

    def full(self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as limited:
        limited.setattr(threading.Thread, "start", full)
        assert "kept" in endpoint.says(command("opt_in", by=user(who)))
        assert endpoint.client.get("/readyz").status_code == 503
        endpoint.says(command("voice_time", by=user(who)))
    assert threading.Thread.start is start
    assert endpoint.client.get("/readyz").status_code == 200
    eventually(lambda: decided(endpoint, who) == ["in"], what="the decision is delivered")


@pytest.mark.parametrize("how", ["no element", *ODD])
def test_every_command_says_something_whatever_the_service_answers(room, how):
    """An answer of status 200 that makes no sense: never an error of HTTP's, nor silence."""
    ada = room.person("Ada")
    room.session(ada, room.channel("Desk"), 7_200_000, 3_600_000)
    room.proxy.odd = how
    try:
        for name in ("opt_in", "voice_time", "sessions", "leaderboard", "together", "privacy", "my_data", "opt_out"):
            options = {"member": room.person("Bob")} if name == "together" else {}
            outcome = room.use(name, ada, **options)
            assert outcome.type == 5 or outcome.content, (how, name)
        assert room.proxy.oddly_answered
    finally:
        room.proxy.odd = ""


@pytest.fixture
def store(service: RunningService, tmp_path: Path) -> Iterator[Store]:
    store = Store(StoreSettings(service.url, tmp_path / "queue.db"))
    store.start()
    yield store
    store.stop(within=5)


def failures(store: Store, of: str) -> int:
    return store.statistics().counters.get("failed", {}).get(of, 0)


def test_a_file_that_cannot_be_made_is_told_and_the_next_one_follows(store, caplog):
    """An error of ours is one person's, who is told; it is counted, and logged by its place alone."""

    def fails(ask: object) -> File:
        raise ValueError(SECRET)

    with Webhooks() as webhooks:
        follow_ups = FollowUps(store, webhooks.url)
        ended: list[str] = []
        bad = Later(make=fails, failed="It failed.", too_large="", busy="")
        good = bad._replace(make=lambda ask: File("Here.", "a.zip", b"zip"))
        for later in (bad, bad, good):
            assert follow_ups.send(later, Address(1, "token", 1000), ended.append)
        eventually(lambda: len(ended) == 3)
        assert follow_ups.stop(within=10)
        assert sorted(ended) == ["failed", "failed", "sent"]
        assert sorted(message["content"] for message, _ in webhooks.edits) == ["Here.", "It failed.", "It failed."]
    assert failures(store, "follow_up") == 2
    assert "test_owners.py" in caplog.text or any(hasattr(record, "at") for record in caplog.records)
    assert SECRET not in caplog.text


def test_without_a_thread_nothing_is_promised(store, monkeypatch):
    """And the next one tries again."""
    with Webhooks() as webhooks:
        follow_ups = FollowUps(store, webhooks.url)
        later = Later(make=lambda ask: File("Here.", "a.zip", b"zip"), failed="", too_large="", busy="")

        def none(*_: object) -> None:
            raise threads.NoThread

        with monkeypatch.context() as limited:
            limited.setattr(threads, "start", none)
            assert not follow_ups.send(later, Address(1, "token", 1000))
        assert follow_ups.send(later, Address(1, "token", 1000))
        eventually(lambda: webhooks.edits)
        assert follow_ups.stop(within=10)


def test_upkeep_goes_on_after_an_error_which_is_counted(store, monkeypatch):
    """Its next hour begins anew."""
    monkeypatch.setattr("interactions_api.upkeep.remove_due", lambda *_, **__: 1 // 0)
    upkeep = Upkeep(store, lambda: time.time_ns() // 1_000_000, first_after_s=0.0, every_s=0.01)
    upkeep.start()
    eventually(lambda: failures(store, "upkeep") > 2)
    upkeep.stop(within=10)
