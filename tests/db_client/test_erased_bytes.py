"""Erased is gone: nothing of a person is left in any byte of the queue file, its log and the files beside it."""

from __future__ import annotations

import contextlib
import os
import random
from pathlib import Path

import apsw
import pytest

from db_client import erasure_follower, queue_file
from db_client.erasure import Erasure, left_of
from db_client.errors import NotKept
from db_client.queue_file import NewEntry, QueueFile
from db_client.receipts import Receipt
from db_client.records import Retraction, VoiceSession
from db_client.snowflake import earliest
from db_client.store import Fate
from tests.db_client.made import NOON, decision, store
from tests.services import start_embedded
from tests.waiting import eventually

MIB = 1024 * 1024
SECRET = b"secretname"


@pytest.fixture(autouse=True)
def often(monkeypatch):
    """What is done each half a minute is done each twentieth of a second."""
    monkeypatch.setattr(erasure_follower, "EVERY_SECONDS", 0.05)


@pytest.fixture
def service(tmp_path):
    with start_embedded(tmp_path / "service") as running:
        yield running


def every_byte(folder: Path) -> bytes:
    found = []
    for path in folder.glob("queue.db*"):
        with contextlib.suppress(FileNotFoundError):
            found.append(path.read_bytes())
    return b"".join(found)


def gone(folder: Path, secret: bytes = SECRET) -> None:
    eventually(lambda: secret not in every_byte(folder), what="the person to be gone from every byte")


def test_who_decides_and_is_erased_in_one_commit_leaves_nothing(service, tmp_path):
    """The older decision counts as settled at once; the erasure arrives, and a decision after it too."""
    with store(tmp_path, service.url) as made:
        receipt = made.keep(
            [
                decision(1, user=42, username="secretname"),
                decision(2, "erase", user=42),
                VoiceSession("secretname", 1, 2, 42, NOON, "joined", 0, 1),
                decision(3, user=43, username="othername"),
                decision(4, user=42, username="returned"),
            ]
        )
        assert receipt == Receipt(1, 5)
        assert made._queue.position().head == 2
        assert [entry.id for entry in made._queue.waiting(9)] == [2, 4, 5]
        assert [(r.user_id, r.decision) for r in made.remembered_decisions()] == [(42, "erase"), (43, "in"), (42, "in")]
        assert SECRET not in every_byte(tmp_path)
        made.start()
        assert made.deliver(Receipt(1, 1), within=10) is Fate.STORED
        assert made.deliver(receipt, within=10) is Fate.STORED


@pytest.mark.parametrize("seed", [5, 10])
def test_no_page_keeps_a_copy_of_what_moved_to_another(tmp_path, seed):
    """After a long life of putting, settling, burying and noting, an erasure leaves no copy in a page's unused part."""
    chance = random.Random(seed)
    queue = QueueFile(tmp_path / "queue.db", 64 * MIB)
    people = range(1000, 1400)
    number = 0
    for _ in range(600):
        entries = []
        for _ in range(chance.randrange(1, 6)):
            number += 1
            who = chance.choice(people)
            made = decision(number, user=who, username=f"name{who}x" + "n" * chance.randrange(100))
            entries.append(NewEntry(made.key, made.person, made.kind, made.to_json(), NOON + number * 1000))
        queue.put(entries, {f"note{chance.choice(people)}": str(number)})
        waiting = queue.waiting(chance.randrange(1, 30))
        dead = [(waiting.pop(), "refused")] if chance.random() < 0.3 else []
        queue.settle(waiting, dead, NOON, {})
    whose = sorted(chance.sample(people, 200))
    queue.erase([Erasure(who, earliest(NOON + (number + 1) * 1000)) for who in whose])
    queue.clean()
    left = every_byte(tmp_path)
    assert [who for who in whose if f"name{who}x".encode() in left] == []
    assert any(f"name{who}x".encode() in left for who in people)
    queue.close()


def test_a_reader_from_outside_is_waited_for_without_holding_anyone_up(tmp_path):
    """While another tool reads, an erasure is kept all the same; when it is done the log is emptied, service or not."""
    with store(tmp_path) as made:
        made.start()
        made.keep([decision(1, user=42, username="secretname")])
        reader = apsw.Connection(str(tmp_path / "queue.db"), flags=apsw.SQLITE_OPEN_READONLY)
        reader.execute("BEGIN")
        reader.execute("SELECT * FROM entries").fetchall()
        made.keep([decision(2, "erase", user=42)])
        assert SECRET in every_byte(tmp_path)
        reader.execute("COMMIT")
        gone(tmp_path)
        reader.close()


def no_lock():
    raise NotKept("another process has held the queue file for over a second")


def test_an_erasure_that_was_kept_is_not_called_refused_for_its_traces(tmp_path, monkeypatch):
    """If another process has the file when the log is to be emptied, that is done later."""
    with store(tmp_path) as made:
        made.keep([decision(1, user=42, username="secretname")])
        file = made._queue._file
        locks = iter([file.locked, no_lock])
        with monkeypatch.context() as busy:
            busy.setattr(file, "locked", lambda: next(locks)())
            made.keep([decision(2, "erase", user=42)])
        assert SECRET in every_byte(tmp_path)
        made.start()
        gone(tmp_path)


def test_what_a_killed_process_left_in_the_log_goes_at_the_next_start(tmp_path):
    """Killed between the commit of an erasure and the emptying of the log."""
    child = os.fork()
    if child == 0:
        try:
            with store(tmp_path) as made:
                made.keep([decision(1, user=42, username="secretname")])
                queue_file.empty_log = lambda connection: os._exit(0)  # type: ignore[assignment]
                made.keep([decision(2, "erase", user=42)])
        finally:
            os._exit(1)
    assert os.waitpid(child, 0)[1] == 0
    assert SECRET in every_byte(tmp_path)
    with store(tmp_path) as made:
        made.start()
        gone(tmp_path)
        assert made.statistics().waiting == 1


@pytest.mark.parametrize("busy", [False, True])
def test_who_is_erased_elsewhere_leaves_what_was_delivered_here(service, tmp_path, busy):
    """Delivered entries stand in the log still, and decisions are remembered; both go, also under constant load."""
    here, there = tmp_path / "here", tmp_path / "there"
    number = iter(range(100, 10**6))
    with store(here, service.url) as made, store(there, service.url) as other:
        made.start()
        other.start()
        made.keep([decision(1, user=42, username="secretname"), VoiceSession("secretname", 1, 2, 42, NOON, "x", 0, 1)])
        eventually(made.idle, what="delivery")
        assert SECRET in every_byte(here)
        other.keep([decision(9, "erase", user=42)])

        def is_gone() -> bool:
            if busy:
                made.keep([decision(next(number), user=43)])
            return SECRET not in every_byte(here)

        eventually(is_gone, what="the person to be gone from every byte")


def test_notes_that_are_removed_soon_after_an_erasure_are_gone_too(tmp_path):
    """The program hears of an erasure by itself, perhaps after the file was cleaned for it."""
    with store(tmp_path) as made:
        made.keep([], notes={"open:1": "secretname", "open:2": "othername"})
        made.forget(42)
        made._queue.clean()
        made.keep([], notes={"open:1": None})
        assert SECRET in every_byte(tmp_path)
        made._queue.clean()
        assert SECRET not in every_byte(tmp_path)
        assert made.notes() == {"open:2": "othername"}


def test_a_file_that_is_clean_is_left_alone(service, tmp_path):
    """Whoever was erased and came back is asked about again and again; nothing is written for it."""
    with store(tmp_path, service.url) as made:
        made.start()
        made.keep([decision(1, "erase", user=42), decision(2, user=42, username="returned")])
        eventually(made.idle, what="delivery")

        def written() -> tuple[int, int]:
            return tuple((tmp_path / f"queue.db{suffix}").stat().st_mtime_ns for suffix in ("", "-wal"))

        eventually(lambda: not made._queue._cleanings and made._follower._erasures, what="the file to be clean")
        made.stop(within=10)
        before = written()
        for _ in range(3):
            made._follower.erase()
            made._queue.clean()
        assert written() == before
        assert [record.decision for record in made.remembered_decisions()] == ["erase", "in"]


def test_what_a_salvage_worked_on_is_removed_at_the_next_opening(tmp_path):
    """A salvage that was killed leaves copies, perhaps after the new file was put in place."""
    with store(tmp_path) as made:
        made.keep([decision(1)])
    for name in ("scratch", "scratch-wal", "scratch-shm", "salvaging", "salvaging-wal", "salvaging-journal"):
        (tmp_path / f"queue.db-{name}").write_bytes(SECRET)
    with store(tmp_path) as made:
        made.keep([decision(2)])
        assert SECRET not in every_byte(tmp_path)


def test_a_file_that_was_set_aside_goes_with_the_first_erasure(service, tmp_path):
    """No erasure reaches into it; one that was long before it changes nothing."""
    with store(tmp_path, service.url) as made:
        made.start()
        made.keep([decision(1, "erase", user=41)])
        eventually(made.idle, what="delivery")
        for name in ("queue.db.damaged-1", "queue.db.damaged-1-wal"):
            (tmp_path / name).write_bytes(SECRET)
            os.utime(tmp_path / name, times=(NOON / 1000 + 8 * 86_400,) * 2)
        made._follower.erase()
        assert SECRET in every_byte(tmp_path)
        made.keep([decision(7 * 86_400, "erase", user=42)])
        gone(tmp_path)


ERASED_AT = NOON + 5000
ERASURE = Erasure(42, earliest(ERASED_AT) + 7)


@pytest.mark.parametrize(
    ("body", "created", "stays"),
    [
        (b"garbage", ERASED_AT - 1, False),
        (b"garbage", ERASED_AT, True),
        (Retraction("s", 42, 1).to_json().encode(), ERASED_AT - 1, False),
        (Retraction("s", 42, 1).to_json().encode(), ERASED_AT, True),
    ],
)
def test_what_does_not_tell_its_moment_stays_if_it_was_kept_in_the_erasures_millisecond(body, created, stays):
    """What was kept before it goes."""
    assert left_of(ERASURE, body, created) == (body if stays else None)


@pytest.mark.parametrize(("later_by", "stays"), [(-1, False), (0, True), (1, True)])
def test_of_decisions_in_one_millisecond_the_snowflake_decides(later_by, stays):
    """Whenever it was kept."""
    other = decision(5, user=42).__class__(ERASURE.interaction_id + later_by, 42, "in")
    body = other.to_json().encode()
    assert left_of(ERASURE, body, NOON) == left_of(ERASURE, body, NOON + 9000) == (body if stays else None)


@pytest.mark.parametrize(
    ("began", "ended", "left"),
    [
        (-1, None, None),
        (0, None, (0, None)),
        (-1, -1, None),
        (-1, 0, (0, 0)),
        (-1, 1, (0, 1)),
        (0, 0, (0, 0)),
        (0, 1, (0, 1)),
        (1, 1, (1, 1)),
    ],
)
def test_a_session_at_the_erasures_millisecond(began, ended, left):
    """What lies before that millisecond goes, what lies in it or after it stays (times beside it, in ms)."""
    session = VoiceSession("s", 1, 2, 42, ERASED_AT + began, "joined", 9, 1)
    if ended is not None:
        session = session._replace(ended_at=ERASED_AT + ended, ended_by="left", ended_within_ms=0)
    expected = None
    if left is not None:
        expected = session
        if began < 0:
            expected = session._replace(started_at=ERASED_AT, started_by="opted_in", started_within_ms=0)
        assert (expected.started_at, expected.ended_at) == (
            ERASED_AT + left[0],
            None if left[1] is None else ERASED_AT + left[1],
        )
    found = left_of(ERASURE, session.to_json().encode(), NOON + 9000)
    assert found == (None if expected is None else expected.to_json().encode())
