"""What people are told when the service or the disk does not do its part: in time, and never one thing for another."""

from __future__ import annotations

import concurrent.futures
import resource
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from db_client.records import ConsentDecision
from db_client.statements import Statement
from db_client.store import Store
from interactions_api.carrying_out import CarryingOut
from interactions_api.plan import Plan, Sentences
from tests.interactions_api.discord import command, snowflake, user
from tests.interactions_api.unreliable import FAULTS, Unreliable
from tests.services import start_embedded
from tests.waiting import eventually

DISCORDS_LIMIT_S = 3.0
THREADS = 8
KEPT, NOT_KEPT = "is kept and will be stored shortly", "Nothing was kept"


def decided(endpoint, user_id: int) -> list[str]:
    sql = "SELECT decision FROM consent_log WHERE user_id = :user_id ORDER BY interaction_id"
    [rows] = endpoint.store.query(Statement(sql, {"user_id": user_id}), within=10.0)
    return [row["decision"] for row in rows]


@contextmanager
def waits_of(store: Store) -> Iterator[dict[int, float]]:
    """How long each thread lets the store wait for the service, all its calls together; that the store keeps to it
    whatever the service does is tested with the store.
    """
    waits: dict[int, float] = defaultdict(float)

    def noting(call: Callable[..., Any]) -> Callable[..., Any]:
        def noted(*args: Any, within: float) -> Any:
            waits[threading.get_ident()] += within
            return call(*args, within=within)

        return noted

    with pytest.MonkeyPatch.context() as patch:
        for name in ("send", "deliver", "query"):
            patch.setattr(store, name, noting(getattr(store, name)))
        yield waits


def says_in_time(endpoint, interaction) -> str:
    with waits_of(endpoint.store) as waits:
        said = endpoint.says(interaction)
    assert 0 < waits[threading.get_ident()] < DISCORDS_LIMIT_S
    return said


@pytest.mark.parametrize("fault", FAULTS)
def test_while_the_service_misbehaves_decisions_are_kept_and_arrive_later(make_endpoint, service, fault):
    """The person is answered within three seconds; when the service is well again the decision is there, once."""
    with Unreliable(service.url) as proxy:
        endpoint = make_endpoint(proxy.url)
        endpoint.says(command("opt_in", by=user(snowflake())))  # the tables are there
        proxy.faults[""] = fault
        who = snowflake()
        assert KEPT in says_in_time(endpoint, command("opt_in", by=user(who)))
        proxy.faults.clear()
        proxy.ended.set()
        eventually(endpoint.store.idle, within=30.0, what="the queue is empty")
        assert decided(endpoint, who) == ["in"]


def test_while_the_service_is_gone_decisions_are_kept_and_arrive_later(make_endpoint, tmp_path):
    """Killed, and started again."""
    with start_embedded(tmp_path / "service") as service:
        endpoint = make_endpoint(service.url)
        service.kill()
        who = snowflake()
        assert KEPT in says_in_time(endpoint, command("opt_in", by=user(who)))
        assert KEPT in says_in_time(endpoint, command("opt_out", by=user(who)))
        service.restart()
        eventually(endpoint.store.idle, within=30.0, what="the queue is empty")
        assert decided(endpoint, who) == ["in", "out"]


def test_a_crowd_is_answered_in_time_while_the_service_hangs(make_endpoint, service):
    """Eight threads, forty people at once: those behind wait for those before them, and less than three seconds."""
    with Unreliable(service.url) as proxy:
        endpoint = make_endpoint(proxy.url)
        proxy.faults[""] = "hang"
        with waits_of(endpoint.store) as waits, concurrent.futures.ThreadPoolExecutor(THREADS) as crowd:
            said = list(crowd.map(endpoint.says, [command("opt_in", by=user(snowflake())) for _ in range(5 * THREADS)]))
        assert {sentence for sentence in said if KEPT not in sentence} == set()
        assert sum(waits.values()) / THREADS < DISCORDS_LIMIT_S


def test_when_only_reading_fails_the_reply_claims_only_what_is_known(make_endpoint, service):
    """Stored; whether it stands could not be read back."""
    with Unreliable(service.url) as proxy:
        endpoint = make_endpoint(proxy.url)
        endpoint.says(command("opt_in", by=user(snowflake())))
        proxy.faults["/db/query"] = "hang"
        by_manager = command("settings", options={"time_zone": "Europe/Berlin"})
        by_manager["member"]["permissions"] = str(1 << 5)
        said = says_in_time(endpoint, by_manager)
        assert "are stored" in said
        assert "could not be read back" in said
        proxy.faults.clear()
        by_manager["data"]["options"], by_manager["id"] = [], str(snowflake())
        assert "Europe/Berlin" in endpoint.says(by_manager)


def test_when_the_disk_refuses_nothing_is_kept_and_the_person_is_told(make_endpoint, service, tmp_path):
    """The queue file's folder is no folder: no decision can be kept, and none appears later."""
    (tmp_path / "in the way").write_text("")
    endpoint = make_endpoint(service.url, tmp_path / "in the way" / "queue.db")
    who = snowflake()
    for name in ("opt_in", "opt_out"):
        assert NOT_KEPT in says_in_time(endpoint, command(name, by=user(who)))
    assert endpoint.client.get("/readyz").status_code == 503
    assert endpoint.client.get("/livez").status_code == 200
    assert endpoint.client.get("/metrics").status_code == 200
    assert decided(endpoint, who) == []


def test_when_a_file_may_not_grow_nothing_is_kept_and_it_heals(make_endpoint, service):
    """As on a full disk; with room again the next decision is stored, without a restart."""
    endpoint = make_endpoint(service.url)
    endpoint.says(command("opt_in", by=user(snowflake())))
    who, soft = snowflake(), resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1, soft[1]))
    try:
        assert NOT_KEPT in endpoint.says(command("opt_in", by=user(who)))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, soft)
    assert "You are opted in" in endpoint.says(command("opt_in", by=user(who)))
    assert decided(endpoint, who) == ["in"]


def test_a_decision_that_the_service_refuses_for_good_is_told_so(make_endpoint, service):
    """It stands in the dead letters; the person is not told that it counts."""
    endpoint = make_endpoint(service.url)
    refused = ConsentDecision(snowflake(), snowflake(), "perhaps")  # type: ignore[arg-type]
    plan = Plan((refused,), (), lambda _: "stored", Sentences("kept", "refused", "not kept", "unread"))
    assert CarryingOut(endpoint.store)(plan, time.monotonic() + 2.0) == ("refused", "refused")
    assert endpoint.store.statistics().dead == 1


def test_a_failure_of_ours_after_keeping_says_kept(make_endpoint, service):
    """The records are on disk, so "nothing was kept" would be wrong."""

    def broken(_):
        raise ZeroDivisionError

    endpoint = make_endpoint(service.url)
    record = ConsentDecision(snowflake(), snowflake(), "out")
    plan = Plan((record,), (), broken, Sentences("kept", "refused", "not kept", "unread"))
    assert CarryingOut(endpoint.store)(plan, time.monotonic() + 2.0).content == "kept"
