"""Threads that ask at the same time share a request; each gets its own answer, or the error, in time."""

from __future__ import annotations

import concurrent.futures
import time

import pytest

from db_client.errors import Refused, ServiceUnavailable
from db_client.statements import Statement
from interactions_api.asking import Asking
from tests.interactions_api.unreliable import Unreliable
from tests.waiting import eventually


def number(n: int) -> list[Statement]:
    return [Statement("SELECT :n AS n", {"n": n}), Statement("SELECT :n + 1 AS n", {"n": n})]


def test_each_thread_gets_its_own_answer(endpoint):
    """Whoever asks for all hands everyone what they asked."""
    asking = Asking(endpoint.store)
    with concurrent.futures.ThreadPoolExecutor(16) as threads:
        answers = list(threads.map(lambda n: asking.ask(number(n), within=10.0), range(400)))
    assert answers == [[[{"n": n}], [{"n": n + 1}]] for n in range(400)]


def test_a_refusal_reaches_all_who_asked_together_and_nobody_later(endpoint):
    """The next question is answered again."""
    asking = Asking(endpoint.store)
    with pytest.raises(Refused):
        asking.ask([Statement("SELECT * FROM nothing_of_this_name", {})], within=10.0)
    assert asking.ask(number(1), within=10.0)[0] == [{"n": 1}]


def test_nobody_waits_longer_than_allowed_and_the_turn_is_not_lost(make_endpoint, service):
    """While the service hangs everyone gives up in time; when it is well again the next one is answered."""
    with Unreliable(service.url) as proxy:
        asking = Asking(make_endpoint(proxy.url).store)
        asking.ask(number(0), within=10.0)
        proxy.faults["/db/query"] = "hang"

        def waits(n: int) -> float:
            began = time.monotonic()
            with pytest.raises(ServiceUnavailable):
                asking.ask(number(n), within=0.05 + n % 7 * 0.05)
            return time.monotonic() - began

        with concurrent.futures.ThreadPoolExecutor(16) as threads:
            assert max(threads.map(waits, range(48))) < 3.0
        proxy.faults.clear()
        proxy.ended.set()

        def answered() -> bool:
            try:
                return asking.ask(number(5), within=1.0)[0] == [{"n": 5}]
            except ServiceUnavailable:
                return False

        eventually(answered, what="an answer")
