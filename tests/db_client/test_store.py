"""The store on the embedded service: kept on disk first, delivered in order, once, and never waited for in vain."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest

from db_client.errors import Refused, ServiceUnavailable, StatementRefused
from db_client.records import GuildPresence
from db_client.sending import STRIKES, Batch
from db_client.service import Service
from db_client.statements import Statement
from db_client.store import Fate, QueueStatistics, Store
from db_client.transport import Transport
from tests.db_client.made import NOON, decision, store, watermark
from tests.faults.proxy import Do, Fault, FaultProxy
from tests.services import RunningService, start_embedded
from tests.waiting import eventually

OPTED_IN = Statement("SELECT user_id, username FROM opt_in_users ORDER BY user_id", {})


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    with start_embedded(tmp_path_factory.mktemp("service")) as running:
        yield running


@pytest.fixture
def fresh(tmp_path) -> Iterator[RunningService]:
    with start_embedded(tmp_path / "service") as running:
        yield running


def log(made: Store) -> list[int]:
    (rows,) = made.query(Statement("SELECT user_id FROM consent_log ORDER BY seq", {}), within=5)
    return [row["user_id"] for row in rows]


def test_a_kept_record_is_stored(fresh, tmp_path):
    """What is kept reaches the service within the budget when the service answers, its tables made on the way."""
    with store(tmp_path, fresh.url) as made:
        made.start()
        assert made.deliver(made.keep([decision(1, username="ann")]), within=10) is Fate.STORED
        assert made.query(OPTED_IN, within=5) == [[{"user_id": 5001, "username": "ann"}]]
        assert made.statistics().waiting == 0
        assert made.statistics().counters["delivered"] == {"consent": 1}
        eventually(made.idle, what="nothing is under way")


def test_whom_and_what_is_on_its_way_is_known_until_it_is_stored(fresh, tmp_path):
    """People by their id, records that a newer one replaces by their key."""
    with store(tmp_path, fresh.url) as made:
        made.keep([decision(1), decision(2), GuildPresence(7, 1, None)])
        assert made.subjects() == ({5001, 5002}, {"presence:7"})
        made.start()
        eventually(made.idle, what="the queue to empty")
        assert made.subjects() == (set(), set())


@pytest.mark.parametrize("name", ["x'4142'", " X'' ", "x'4142", "\ud800", "a\x00b", "\U0001f40d", "'); --", "x'zz'"])
def test_any_text_comes_back_as_it_was(service, tmp_path, name):
    """Text that looks like a blob literal, holds controls or half a character is stored as text."""
    with store(tmp_path, service.url) as made:
        made.start()
        number = 1000 + abs(hash(name)) % 10**6
        made.deliver(made.keep([decision(number, username=name)]), within=10)
        asked = Statement(
            "SELECT username, typeof(username) AS type FROM opt_in_users WHERE user_id = :who", {"who": 5000 + number}
        )
        assert made.query(asked, within=5) == [[{"username": name.replace("\ud800", "?"), "type": "text"}]]


def test_kept_while_the_service_is_away_and_stored_when_it_is_back(fresh, tmp_path):
    """With the service gone the answer is KEPT, soon; when it is back everything arrives in the order it was kept."""
    with store(tmp_path, fresh.url) as made:
        made.start()
        fresh.kill()
        fates = [made.deliver(made.keep([decision(number)]), within=5) for number in range(20)]
        assert set(fates) == {Fate.KEPT}
        assert made.statistics().waiting == 20
        assert made.statistics().oldest_at == NOON
        fresh.restart()
        eventually(made.idle, what="the queue to empty")
        assert log(made) == [5_000 + number for number in range(20)]
        assert made.statistics().counters["retried"].keys() <= {"refused", "connection_lost"}


def test_what_an_earlier_process_left_is_delivered(fresh, tmp_path):
    """Entries in the file at the start are delivered without anyone's asking."""
    with store(tmp_path) as earlier:
        earlier.keep([decision(1), decision(2)])
    with store(tmp_path, fresh.url) as made:
        made.start()
        eventually(made.idle, what="the queue to empty")
        assert log(made) == [5001, 5002]


def test_a_refused_entry_is_buried_with_its_reason_and_holds_nothing_up(fresh, tmp_path):
    """Of three entries the refused one becomes a dead letter and its receipt says so; the others arrive."""
    with store(tmp_path, fresh.url) as made:
        made.start()
        bad = decision(2, "maybe")  # type: ignore[arg-type]
        made.keep([decision(1)])
        receipt = made.keep([bad])
        made.keep([decision(3)])
        assert made.deliver(receipt, within=10) is Fate.REFUSED
        eventually(made.idle, what="the queue to empty")
        assert log(made) == [5001, 5003]
        assert made.statistics().dead == 1
        assert made.statistics().counters["dead"] == {"refused": 1}


def test_what_the_service_fails_on_is_buried_while_it_takes_other_writes(fresh, tmp_path):
    """After ten requests with this entry alone got no answer, and others did, it is a dead letter; the rest arrives."""
    with FaultProxy(fresh.url) as proxy, store(tmp_path, proxy.url) as made:
        proxy.poison = b"deadly"
        made.keep([decision(number, username="deadly" if number == 3 else "ann") for number in range(6)])
        unanswered = 0
        while not made.idle():
            try:
                made._sender.send_some()
            except ServiceUnavailable:
                unanswered += 1
        assert log(made) == [5000, 5001, 5002, 5004, 5005]
        assert made.statistics().counters["dead"] == {"no_answer": 1}
        assert unanswered >= STRIKES
        (letter,) = made._queue.letters(dead=True, most=9)
        assert letter.reason == "the service gave no answer to it 10 times, but did to others"
        proxy.poison = b""
        made._queue.replay([letter.id])
        made._sender.send_some()
        assert log(made)[-1] == 5003


def test_nothing_is_buried_while_the_service_takes_no_write_at_all(fresh, tmp_path):
    """An outage, however many attempts it costs, is held against no entry."""
    with FaultProxy(fresh.url, lambda path: Fault(Do.RESET)) as proxy, store(tmp_path, proxy.url) as made:
        made._service._migrated = True
        made.keep([decision(1)])
        for _ in range(3 * STRIKES):
            with pytest.raises(ServiceUnavailable):
                made._sender.send_some()
        assert (made.statistics().waiting, made.statistics().dead) == (1, 0)


def test_a_request_that_is_refused_as_a_whole_is_split_until_the_guilty_entry_is_alone(fresh, tmp_path):
    """Answers of status 413 to any request that holds one entry bury that entry only."""
    with FaultProxy(fresh.url) as proxy, store(tmp_path, proxy.url) as made:
        made.keep([decision(number) for number in range(9)])
        sizes = iter([413, 413, 0, 413, 413])  # 9, 4, 2, then 2 of the first half ...

        def plan(path: str) -> Fault:
            return Fault(Do.STATUS, status=status) if "transaction" in path and (status := next(sizes, 0)) else Fault()

        made.query(Statement("SELECT 1 AS one", {}), within=5)
        made._service.migrate(NOON)  # so that the plan meets entries only
        proxy.plan = plan
        made.start()
        eventually(made.idle, what="the queue to empty")
        assert made.statistics().dead == 1
        assert len(log(made)) == 8


@pytest.mark.parametrize(
    "do", [Do.RESET, Do.SWALLOW, Do.CUT, Do.FAIL_BEFORE, Do.FAIL_AFTER, Do.TWICE, Do.STATUS, Do.GARBAGE]
)
def test_every_fault_of_the_network_ends_with_each_entry_stored_once(service, tmp_path, do):
    """Each of the first requests meets the fault; all entries arrive, in order, once, and none dies."""
    base = 2_000_000 + 100 * list(Do).index(do)
    with FaultProxy(service.url) as proxy, store(tmp_path, proxy.url) as made:
        faults = iter([Fault(do)] * 3)
        proxy.plan = lambda path: next(faults, Fault())
        made.start()
        made.keep([decision(base + number) for number in range(5)])
        eventually(made.idle, what="the queue to empty")
        assert [user for user in log(made) if base <= user - 5000 < base + 100] == [5000 + base + n for n in range(5)]
        assert made.statistics().dead == 0
        assert proxy.done[do] == 3


@pytest.mark.parametrize("do", [Do.HANG, Do.HANG_AFTER, Do.DRIP, Do.DRIP_HEADERS])
def test_nobody_waits_longer_than_the_budget(service, tmp_path, do):
    """Whatever the service does, `deliver` says KEPT and `query` raises when the budget is spent."""
    with FaultProxy(service.url) as proxy, store(tmp_path, proxy.url) as made:
        proxy.plan = lambda path: Fault(do, seconds=5)
        made.start()
        assert made.deliver(made.keep([decision(1)]), within=0.2) is Fate.KEPT
        with pytest.raises(ServiceUnavailable):
            made.query(OPTED_IN, within=0.2)


def test_a_query_that_is_wrong_is_refused(service, tmp_path):
    """A query that the service will never answer raises Refused, with the service's own words."""
    with store(tmp_path, service.url) as made, pytest.raises(Refused, match="no such column"):
        made.query(Statement("SELECT no_such FROM opt_in_users", {}), within=5)


def test_a_query_of_a_new_service_finds_empty_tables(fresh, tmp_path):
    """A query makes the tables when there are none yet."""
    with store(tmp_path, fresh.url) as made:
        assert made.query(OPTED_IN, within=10) == [[]]


class MigratedMeanwhile(Service):
    """A service whose tables were missing when it was first asked, and made by another process right after."""

    asked = False

    def _ask(self, path, body, count, within):
        if not self.asked and "consent_log" in body:
            self.asked = True
            raise StatementRefused(0, "no such table: consent_log")
        return super()._ask(path, body, count, within)


def test_tables_that_another_process_made_meanwhile_are_used(fresh, tmp_path):
    """Nobody's write is buried, and nobody's question refused, because two processes met a new service at once."""
    with store(tmp_path, fresh.url) as made:
        made.start()
        made.deliver(made.keep([decision(1)]), within=10)
        made._sender._service = MigratedMeanwhile(Transport(fresh.url))
        assert made.deliver(made.keep([decision(2)]), within=10) is Fate.STORED
        made._service = MigratedMeanwhile(Transport(fresh.url))
        assert log(made) == [5001, 5002]
        assert made.statistics().dead == 0


def test_many_threads_keep_and_deliver(fresh, tmp_path):
    """Threads that keep at once share commits; every record is stored once and every receipt is right."""
    with store(tmp_path, fresh.url) as made:
        made.start()
        fates: list[Fate] = []

        def work(first: int) -> None:
            for number in range(first, first + 20):
                fates.append(made.deliver(made.keep([decision(number)]), within=20))

        threads = [threading.Thread(target=work, args=(first,)) for first in range(0, 200, 20)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert fates == [Fate.STORED] * 200
        assert sorted(log(made)) == [5_000 + number for number in range(200)]


def test_two_programs_on_one_file_deliver_one_at_a_time(fresh, tmp_path):
    """However slow the service is, it never sees two requests with entries of one file at once; all arrive in order."""
    inside, seen = 0, []

    def watched(execute):
        def watch(*arguments):
            nonlocal inside
            inside += 1
            seen.append(inside)
            time.sleep(0.005)  # the service is slow
            try:
                return execute(*arguments)
            finally:
                inside -= 1

        return watch

    with store(tmp_path, fresh.url) as one, store(tmp_path, fresh.url) as other:
        for made in (one, other):
            made._service.migrate(NOON)
            made._service.execute_encoded = watched(made._service.execute_encoded)
            made.start()
        for number in range(40):
            for made, offset in ((one, 0), (other, 1)):
                made.keep([decision(2 * number + offset)])
        eventually(lambda: one.idle() and other.idle(), what="delivery")
        assert log(one) == [5_000 + number for number in range(80)]
    assert set(seen) == {1}


def test_a_receipt_of_more_than_one_batch_is_stored_when_the_last_of_it_is(fresh, tmp_path):
    """The first part was settled with an earlier batch than the last."""
    with store(tmp_path, fresh.url) as made:
        made.start()
        assert made.deliver(made.keep([decision(number) for number in range(600)]), within=60) is Fate.STORED
        assert made.statistics().waiting == 0


def test_who_waits_is_told_before_the_batch_is_settled_in_the_file(fresh, tmp_path):
    """Nobody waits for the disk when the service has it; a kill in between sends it again, which changes nothing."""
    with store(tmp_path, fresh.url) as made:
        made.keep([decision(1), decision(2)])
        told: list[tuple[int, int]] = []
        made._sender.send_some(lambda batch: told.append((len(log(made)), len(made._queue.waiting(9)))))
        assert told == [(2, 2)]
        assert made._queue.waiting(9) == []


def test_what_is_kept_meanwhile_shares_the_commit_that_settles_a_batch(fresh, tmp_path):
    """Also the same write again: it is not taken for the one that was delivered, and stands once."""
    with store(tmp_path, fresh.url) as made:
        made.keep([decision(1)])
        again, other = made._put([decision(1)], {}), made._put([decision(2)], {})

        def meanwhile(batch: Batch) -> None:
            made._puts.offer(again)
            made._puts.offer(other)

        made._sender.send_some(meanwhile)
        assert again.over
        assert other.over
        assert len(made._queue.waiting(9)) == 2
        made._sender.send_some()
        assert log(made) == [5001, 5002]


def test_figures_asked_for_after_an_answer_have_the_batch_settled(fresh, tmp_path, monkeypatch):
    """Who was told "stored" does not find it waiting, however slow the disk is."""
    monkeypatch.setattr("db_client.sending.SETTLE_SECONDS", 60.0)
    with store(tmp_path, fresh.url) as made:
        made.keep([decision(1)])
        found: list[QueueStatistics] = []
        asking = threading.Thread(target=lambda: found.append(made.statistics()))

        def tell(batch: Batch) -> None:
            asking.start()
            asking.join(0.05)
            assert not found

        made._sender.send_some(tell)
        asking.join(30)
        assert [(one.waiting, one.counters["delivered"]) for one in found] == [(0, {"consent": 1})]


def test_as_many_as_were_just_answered_are_waited_for_and_nobody_else(tmp_path, monkeypatch):
    """Under load batches hold all who come; where nobody was answered, or it is to stop, nobody waits."""
    monkeypatch.setattr("db_client.delivery.RETURN_SECONDS", 60.0)
    with store(tmp_path) as made:
        delivery = made._delivery
        assert delivery._take_calls()
        assert not delivery._gathered()
        for end in (delivery.call, lambda: delivery.stop(within=0)):
            delivery._expected = 2
            gathered: list[bool] = []
            gathering = threading.Thread(target=lambda gathered=gathered: gathered.append(delivery._gathered()))
            gathering.start()
            delivery.call()
            gathering.join(0.05)
            assert gathered == []
            end()
            gathering.join(30)
            assert gathered == [True]


def test_notes_are_committed_with_the_records(tmp_path):
    """Notes stand when `keep` returns, in another process too; None removes one."""
    with store(tmp_path) as made:
        made.keep([decision(1)], notes={"shard:0:seq": "7", "shard:0:session": "abc", "other": "x"})
    with store(tmp_path) as made:
        assert made.notes("shard:") == {"shard:0:seq": "7", "shard:0:session": "abc"}
        made.keep([], notes={"shard:0:session": None})
        assert made.notes("shard:") == {"shard:0:seq": "7"}


def test_a_newer_record_of_the_same_key_stands_for_the_older(tmp_path):
    """It waits at the end, and the older one no longer."""
    with store(tmp_path) as made:
        made.keep([watermark(1)])
        made.keep([decision(2)])
        made.keep([watermark(2)])
        assert made.statistics().waiting == 2


def test_the_same_write_kept_twice_takes_effect_once(fresh, tmp_path):
    """Whoever is in doubt keeps it again: it may wait twice, and is stored once, and both who wait are told so."""
    with store(tmp_path, fresh.url) as made:
        receipts = [made.keep([decision(1)]), made.keep([decision(1)])]
        made.start()
        assert [made.deliver(receipt, within=20) for receipt in receipts] == [Fate.STORED] * 2
        assert log(made) == [5001]


def test_stop_delivers_the_rest(fresh, tmp_path):
    """`stop` returns True with everything stored when the service answers."""
    with store(tmp_path, fresh.url) as made:
        made.start()
        made.keep([decision(number) for number in range(50)])
        assert made.stop(within=20)
    with store(tmp_path, fresh.url) as made:
        assert len(log(made)) == 50


def test_stop_leaves_what_it_cannot_deliver(tmp_path):
    """With no service `stop` returns False within its time, and the entries stay."""
    with store(tmp_path) as made:
        made.start()
        made.keep([decision(1)])
        assert made.stop(within=0.5) is False
    with store(tmp_path) as made:
        assert made.statistics().waiting == 1
