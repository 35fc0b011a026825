"""One POST to the service: healed once, bounded, and its failures told apart by what may have been applied."""

from __future__ import annotations

import threading

import pytest

from db_client.errors import OutcomeUnknown, ServiceUnavailable
from db_client.transport import Transport
from tests.faults.proxy import Do, Fault, FaultProxy
from tests.services import start_embedded

BODY = b'[["SELECT 1 AS one"]]'
PATH = "/db/query"


@pytest.fixture(scope="module")
def proxy(tmp_path_factory):
    with start_embedded(tmp_path_factory.mktemp("service")) as service, FaultProxy(service.url) as made:
        yield made


@pytest.fixture(autouse=True)
def _no_fault(proxy):
    proxy.plan = lambda path: Fault()
    proxy.done.clear()


def test_an_answer_comes_with_its_status_and_origin(proxy):
    """Status, body, and whether the service itself answered."""
    answer = Transport(proxy.url).post(PATH, BODY, within=5)
    assert answer.status == 200
    assert b'"values":[[1]]' in answer.body
    assert answer.from_service


@pytest.mark.parametrize("do", [Do.HANG, Do.DRIP, Do.DRIP_HEADERS])
def test_an_answer_that_does_not_come_in_time_is_an_unknown_outcome(proxy, do):
    """However slowly it comes: nothing, a byte at a time, or headers a byte at a time."""
    proxy.plan = lambda path: Fault(do, seconds=0.05)
    with pytest.raises(OutcomeUnknown) as caught:
        Transport(proxy.url).post(PATH, BODY, within=0.4)
    assert caught.value.cause == "timeout"
    assert proxy.done[do] == 1, "a service that is slow would do the same work twice"


def test_a_stale_connection_is_healed(proxy):
    """The service closes behind each answer without a word; every request still gets its answer."""
    proxy.plan = lambda path: Fault(Do.CLOSE_IDLE)
    transport = Transport(proxy.url)
    assert [transport.post(PATH, BODY, within=5).status for _ in range(10)] == [200] * 10


def test_a_wish_to_be_asked_later_is_not_obeyed_here(proxy):
    """A 503 with Retry-After is an answer like any other, after one request."""
    proxy.plan = lambda path: Fault(Do.STATUS, status=503)
    assert Transport(proxy.url).post(PATH, BODY, within=5).status == 503
    assert proxy.done[Do.STATUS] == 1


@pytest.mark.parametrize(
    ("url", "cause"), [("http://127.0.0.1:9", "refused"), ("http://no-such-host.invalid", "name_resolution")]
)
def test_what_never_left_is_no_unknown_outcome(url, cause):
    """A refused connection and an unknown name mean that nothing was applied."""
    with pytest.raises(ServiceUnavailable) as caught:
        Transport(url).post(PATH, BODY, within=5)
    assert not isinstance(caught.value, OutcomeUnknown)
    assert caught.value.cause == cause


def test_a_lost_answer_is_an_unknown_outcome(proxy):
    """A connection that ends without an answer, twice, may have applied the request."""
    proxy.plan = lambda path: Fault(Do.SWALLOW)
    with pytest.raises(OutcomeUnknown):
        Transport(proxy.url).post(PATH, BODY, within=5)


def test_credentials_are_sent_and_never_shown(tmp_path):
    """User and password of the URL authenticate, and are in no error text."""
    with start_embedded(tmp_path / "s", SQLITE_USERNAME="bot", SQLITE_PASSWORD="p@ss/word") as service:
        host = service.url.removeprefix("http://")
        assert Transport(f"http://bot:p%40ss%2Fword@{host}").post(PATH, BODY, within=5).status == 200
        assert Transport(f"http://bot:wrong@{host}").post(PATH, BODY, within=5).status == 401
        service.kill()
        with pytest.raises(ServiceUnavailable) as caught:
            Transport(f"http://bot:p%40ss%2Fword@{host}").post(PATH, BODY, within=5)
    assert "word" not in f"{caught.value!r}{caught.value.__cause__!r}"


def test_each_thread_has_a_connection_of_its_own(proxy):
    """Threads share no session, so no answer reaches another's caller."""
    transport = Transport(proxy.url)
    wrong = []

    def work(number: int) -> None:
        for _ in range(20):
            body = b'[["SELECT %d AS one"]]' % number
            if b"[[%d]]" % number not in transport.post(PATH, body, within=10).body:
                wrong.append(number)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
