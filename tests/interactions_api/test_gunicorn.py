"""The endpoint as a process: workers, threads, preloading, signals, and a start that fails with a clear message."""

from __future__ import annotations

import concurrent.futures
import os
import re
import signal
from pathlib import Path

import pytest

from db_client.records import ConsentDecision
from db_client.settings import StoreSettings
from db_client.store import Store
from program import exits
from tests.interactions_api import discord
from tests.interactions_api.discord import command, snowflake, user
from tests.interactions_api.running import running, spawn
from tests.interactions_api.test_faults import decided
from tests.interactions_api.unreliable import Unreliable
from tests.waiting import eventually

PEOPLE = 40


def total(page: str, name: str) -> float:
    return sum(float(line.rsplit(" ", 1)[1]) for line in page.splitlines() if line.startswith(name))


@pytest.mark.parametrize("preload", [(), ("--preload",)], ids=["each worker loads", "preloaded"])
def test_workers_and_threads_share_one_queue_file(tmp_path, key, service, make_endpoint, preload):
    """Nobody's decision is lost or doubled, and every worker's /metrics tells of all."""
    people = [snowflake() for _ in range(PEOPLE)]
    with running(tmp_path, key, service.url, "--workers", "2", "--threads", "4", *preload) as endpoint:
        with concurrent.futures.ThreadPoolExecutor(8) as crowd:
            said = list(crowd.map(endpoint.says, [command("opt_in", by=user(who)) for who in people]))
        assert all("opt-in" in sentence or "opted in" in sentence for sentence in said)
        for _ in range(6):
            page = endpoint.request("GET", "/metrics")[1].decode()
            assert total(page, 'interactions_requests_total{end="') == PEOPLE
        assert endpoint.stop() == 0
        assert "Traceback" not in endpoint.log.read_text()
    reader = make_endpoint(service.url, tmp_path / "reader.db")
    assert [decided(reader, who) for who in people] == [["in"]] * PEOPLE


@pytest.mark.parametrize("preload", [(), ("--preload",)], ids=["each worker loads", "preloaded"])
def test_sigterm_delivers_what_waits_before_it_ends(tmp_path, key, service, make_endpoint, preload):
    """A decision kept during an outage is at the service when a stopped endpoint has ended."""
    with Unreliable(service.url) as proxy, running(tmp_path, key, proxy.url, *preload) as endpoint:
        proxy.faults[""] = "status_503"
        who = snowflake()
        assert "kept" in endpoint.says(command("opt_in", by=user(who)))
        proxy.faults.clear()
        assert endpoint.stop() == 0
        assert "Traceback" not in endpoint.log.read_text()
        reader = make_endpoint(service.url, tmp_path / "reader.db")
        assert decided(reader, who) == ["in"]


def test_sigterm_during_an_outage_ends_in_time_and_loses_nothing(tmp_path, key, service, make_endpoint):
    """What could not be delivered is delivered by the next start, which needs no request for it."""
    with Unreliable(service.url) as proxy, running(tmp_path, key, proxy.url) as endpoint:
        proxy.faults[""] = "hang"
        who = snowflake()
        assert "kept" in endpoint.says(command("opt_in", by=user(who)))
        assert endpoint.stop() == 0
    with running(tmp_path, key, service.url):
        reader = make_endpoint(service.url, tmp_path / "reader.db")
        eventually(lambda: decided(reader, who) == ["in"], what="the decision is delivered")


@pytest.mark.parametrize("preload", [(), ("--preload",)], ids=["each worker loads", "preloaded"])
def test_what_an_earlier_process_left_is_delivered_without_a_request(tmp_path, key, service, make_endpoint, preload):
    """Nobody need opt in for an earlier opt-in to arrive."""
    who = snowflake()
    left = Store(StoreSettings("http://127.0.0.1:9", tmp_path / "queue.db"))
    left.keep([ConsentDecision(snowflake(), who, "in")])
    left.stop(within=0.0)
    with running(tmp_path, key, service.url, *preload):
        reader = make_endpoint(service.url, tmp_path / "reader.db")
        eventually(lambda: decided(reader, who) == ["in"], what="the decision is delivered")


def test_a_killed_worker_is_replaced_and_nothing_is_lost(tmp_path, key, service, make_endpoint):
    """What it kept is delivered by its successor."""
    with Unreliable(service.url) as proxy, running(tmp_path, key, proxy.url) as endpoint:
        proxy.faults[""] = "hang"
        who = snowflake()
        assert "kept" in endpoint.says(command("opt_in", by=user(who)))
        worker = re.search(r"Booting worker with pid: (\d+)", endpoint.log.read_text())
        assert worker is not None
        os.kill(int(worker[1]), signal.SIGKILL)
        proxy.faults.clear()
        reader = make_endpoint(service.url, tmp_path / "reader.db")
        eventually(lambda: decided(reader, who) == ["in"], what="the decision is delivered", within=30.0)


@pytest.mark.parametrize("options", [(), ("--preload",), ("--workers", "2")])
def test_missing_settings_end_the_start_with_a_message_and_no_traceback(tmp_path: Path, options):
    """The variable's name and where to get its value; gunicorn does not try for ever. Status 2, or, where gunicorn has
    loaded the application before it asks us, its own for the same."""
    log = tmp_path / "log"
    assert spawn(log, *options, LOG_LEVEL="loud").wait(30) == (
        exits.GUNICORN_CANNOT_LOAD if "--preload" in options else exits.SETTINGS
    )
    text = log.read_text()
    assert "DISCORD_PUBLIC_KEY is not set. Copy it from https://discord.com/developers/applications" in text
    assert "LOG_LEVEL is malformed" in text
    assert "Traceback" not in text


def test_chunked_and_oversized_bodies_over_a_real_socket(tmp_path, key, service):
    """A body without a length is read up to the limit; one that says it is too long is not read at all."""
    ping = b'{"type":1}'
    with running(tmp_path, key, service.url) as endpoint:
        headers = discord.headers(key, ping)
        assert endpoint.request("POST", "/interactions", iter([ping[:4], ping[4:]]), headers, encode_chunked=True) == (
            200,
            b'{"type":1}',
        )
        unread = {**headers, "Content-Length": str(50_000_000)}
        assert endpoint.request("POST", "/interactions", b"", unread)[0] == 413
        big = [b" " * 65536] * 6
        assert endpoint.request("POST", "/interactions", iter(big), headers, encode_chunked=True)[0] == 413


def test_nothing_is_left_behind(tmp_path, key, service):
    """The folder in which the workers add up their counters goes with them."""
    with running(tmp_path, key, service.url, TMPDIR=str(tmp_path)) as endpoint:
        assert list(tmp_path.glob("interactions-metrics-*"))
        assert endpoint.stop() == 0
    assert not list(tmp_path.glob("interactions-metrics-*"))


def test_what_a_killed_endpoint_left_behind_is_removed_by_the_next_start(tmp_path, key, service):
    """And nothing of one that runs."""
    for name in ("killed", "running", "last"):
        (tmp_path / name).mkdir()
    with running(tmp_path / "killed", key, service.url, TMPDIR=str(tmp_path)):
        (left,) = tmp_path.glob("interactions-metrics-*")
    assert left.exists()
    with running(tmp_path / "running", key, service.url, TMPDIR=str(tmp_path)) as first:
        (used,) = tmp_path.glob("interactions-metrics-*")
        assert used != left
        with running(tmp_path / "last", key, service.url, TMPDIR=str(tmp_path)) as second:
            folders = set(tmp_path.glob("interactions-metrics-*"))
            assert used in folders
            assert len(folders) == 2
            assert second.stop() == 0
        assert first.stop() == 0
    assert not list(tmp_path.glob("interactions-metrics-*"))
