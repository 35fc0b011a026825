"""The queue file by itself: bounds, forks, damage, erasure, and one deliverer at a time."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import threading

import pytest

from db_client.erasure import Erasure
from db_client.errors import NotKept, QueueFull
from db_client.queue_file import NewEntry, QueueFile
from db_client.records import Retraction, Undecodable, VoiceSession, from_json
from db_client.room import Ballast
from db_client.statements import Statement
from tests.db_client.made import NOON, decision, store
from tests.services import start_embedded
from tests.waiting import eventually

MIB = 1024 * 1024


def entry(number: int, *, size: int = 100, key: str | None = None) -> NewEntry:
    return NewEntry(key, number, "test", f"{number}:" + "b" * size, NOON + number)


@pytest.fixture
def queue(tmp_path):
    made = QueueFile(tmp_path / "queue.db", 16 * MIB)
    yield made
    made.close()


def bodies(queue: QueueFile, most: int = 100_000) -> list[int]:
    return [int(one.body.split(b":")[0]) for one in queue.waiting(most)]


def test_entries_come_out_in_the_order_they_went_in(queue):
    """Ids grow as entries are put; the oldest come first."""
    assert queue.put([entry(3), entry(1)], {}) == [1, 2]
    assert queue.put([entry(2)], {}) == [3]
    assert bodies(queue) == [3, 1, 2]


def test_many_are_put_in_order_and_a_key_stands_once(queue):
    """However many are put at once, each waits under the id that is told; an older one of the same key gives way."""
    queue.put([entry(1, key="mark"), entry(2, key="other")], {})
    many = [entry(number, key="mark" if number in (40, 77) else None) for number in range(10, 110)]
    ids = queue.put(many, {})
    told = dict(zip(ids, range(10, 110), strict=True))
    waiting = queue.waiting(1000)
    assert [int(one.body.split(b":")[0]) for one in waiting] == [2, *(n for n in range(10, 110) if n != 40)]
    assert all(told[one.id] == int(one.body.split(b":")[0]) for one in waiting[1:])


def test_settling_moves_the_refused_and_removes_the_delivered(queue):
    """After settling only what was not named waits, and the dead letter has its reason."""
    queue.put([entry(number) for number in range(5)], {})
    entries = queue.waiting(10)
    queue.settle(entries[:2], [(entries[2], "because")], NOON, {("delivered", "test"): 2})
    assert bodies(queue) == [3, 4]
    (letter,) = queue.letters(dead=True, most=9)
    assert (letter.id, letter.reason, letter.died) == (3, "because", NOON)
    assert queue.position() == (4, 3)
    assert queue.tallies() == (2, NOON + 3, 1, {("delivered", "test"): 2})


def test_ids_are_never_given_twice(queue):
    """The position of an empty queue is beyond every id that was given, so a receipt is never taken for another's."""
    queue.put([entry(1), entry(2)], {})
    queue.settle(queue.waiting(9), [], NOON, {})
    assert queue.position().head == 3
    assert queue.put([entry(3)], {}) == [3]


def test_a_replayed_letter_waits_again_and_a_dropped_one_is_gone(queue):
    """Replay puts dead letters at the end; drop deletes; both say how many there were."""
    queue.put([entry(number) for number in range(3)], {})
    entries = queue.waiting(9)
    queue.settle([], [(one, "no") for one in entries[:2]], NOON, {})
    assert queue.replay([1, 99]) == 1
    assert queue.drop([2]) == 1
    assert bodies(queue) == [2, 0]
    assert queue.letters(dead=True, most=9) == []


def test_a_full_queue_refuses_by_name_and_keeps_what_it_has(tmp_path):
    """At its bound a put raises QueueFull; nothing earlier is lost, everything drains, and puts work again."""
    queue = QueueFile(tmp_path / "queue.db", MIB // 2)
    kept = fill(queue)
    assert bodies(queue) == list(range(kept))
    first = queue.waiting(3)
    queue.settle([], [(one, "refused " * 200) for one in first], NOON, {})
    while waiting := queue.waiting(50):
        queue.settle(waiting, [], NOON, {})
    assert queue.tallies()[2] == 3
    assert queue.put([entry(kept)], {})


def fill(queue: QueueFile) -> int:
    """Puts until it is full; how many were kept."""
    for kept in range(10_000):
        try:
            queue.put([entry(kept, size=1000)], {})
        except QueueFull:
            return kept
    raise AssertionError("the queue has no bound")


def test_a_failed_put_keeps_nothing_of_it(tmp_path):
    """A put that does not fit leaves none of its entries behind."""
    queue = QueueFile(tmp_path / "queue.db", MIB // 2)
    with pytest.raises(QueueFull):
        queue.put([entry(number, size=100_000) for number in range(10)], {"note": "x"})
    assert bodies(queue) == []
    assert queue.notes("") == {}


def test_ballast_is_made_once_and_given_up(tmp_path):
    """Held makes the file; drop removes it."""
    ballast = Ballast(tmp_path / "ballast")
    assert ballast.held()
    assert (tmp_path / "ballast").stat().st_size > 0
    ballast.drop()
    assert not (tmp_path / "ballast").exists()


def test_the_file_survives_a_fork(queue):
    """A child that forks from a process with the file open puts its own entries; nothing of either is lost."""
    queue.put([entry(1)], {})
    child = os.fork()
    if child == 0:
        try:
            queue.put([entry(2)], {})
            os._exit(0 if bodies(queue) == [1, 2] else 1)
        finally:
            os._exit(2)
    assert os.waitpid(child, 0)[1] == 0
    queue.put([entry(3)], {})
    assert bodies(queue) == [1, 2, 3]


def test_a_stopped_process_that_has_the_lock_costs_others_a_clear_refusal(queue):
    """While a sibling stands still in a transaction, puts come back with NotKept; when it goes on, all is well."""
    queue.put([entry(1)], {})
    child = os.fork()
    if child == 0:
        with queue._file.transaction():
            os.kill(os.getpid(), signal.SIGSTOP)
        os._exit(0)
    assert os.WIFSTOPPED(os.waitpid(child, os.WUNTRACED)[1])
    try:
        for _ in range(2):
            with pytest.raises(NotKept, match="another process has held the queue file"):
                queue.put([entry(2)], {})
    finally:
        os.kill(child, signal.SIGCONT)
    assert os.waitpid(child, 0)[1] == 0

    def works() -> bool:
        with contextlib.suppress(NotKept):
            return bool(queue.put([entry(3)], {}))
        return False

    eventually(works, what="the lock")
    assert bodies(queue) == [1, 3]


def test_one_deliverer_at_a_time(tmp_path):
    """Two openings of one file: while one delivers the other is refused, or waits until the first is done."""
    one, other = (QueueFile(tmp_path / "queue.db", MIB) for _ in range(2))
    done = threading.Event()

    def deliver() -> None:
        with other.delivering(wait=True):
            done.set()

    with one.delivering(wait=True):
        with other.delivering(wait=False) as alone:
            assert not alone
        thread = threading.Thread(target=deliver)
        thread.start()
        assert not done.is_set()
    thread.join(10)
    assert done.is_set()
    with one.delivering(wait=False) as alone:
        assert alone


def test_a_newer_file_is_left_alone(queue):
    """A queue file of a newer version is neither changed nor taken for a damaged one."""
    queue.put([entry(1)], {})
    with queue._file.locked() as connection:
        connection.execute("PRAGMA user_version=99")
    queue.close()
    with pytest.raises(NotKept):
        queue.put([entry(2)], {})
    assert list(queue.path.parent.glob("*.damaged*")) == []


# --- damage ---


def spoil_header(path):
    with path.open("r+b") as file:
        file.write(os.urandom(100))


def spoil_first_page(path):
    with path.open("r+b") as file:
        file.write(os.urandom(4096))


def spoil_a_middle_page(path):
    with path.open("r+b") as file:
        file.seek(path.stat().st_size // 4096 // 2 * 4096)
        file.write(os.urandom(4096))


def truncate(path):
    os.truncate(path, path.stat().st_size * 2 // 3 + 17)


def empty(path):
    os.truncate(path, 0)


def replace_with_text(path):
    path.write_text("not a database " * 1000)


@pytest.mark.parametrize(
    ("spoil", "least"),
    [
        (spoil_header, 300),
        (spoil_first_page, 300),
        (spoil_a_middle_page, 280),
        (truncate, 1),
        (empty, 0),
        (replace_with_text, 0),
    ],
)
def test_a_damaged_file_is_set_aside_and_what_can_be_read_goes_on(tmp_path, spoil, least):
    """The damaged file stays beside the new one; readable entries are in the new one, in order; puts work at once."""
    queue = QueueFile(tmp_path / "queue.db", 16 * MIB)
    for start in range(0, 300, 50):
        queue.put([entry(number, size=500) for number in range(start, start + 50)], {})
    with queue._file.locked() as connection:
        connection.wal_checkpoint(mode=3)
    queue.close()
    spoil(queue.path)
    again = QueueFile(queue.path, 16 * MIB)
    again.put([entry(1000)], {})
    found = bodies(again)
    assert found == sorted(found)
    assert len(found) - 1 >= least
    assert found[-1] == 1000
    if spoil is not empty:  # nothing was in it, and it is a valid empty database
        assert (tmp_path / "queue.db.damaged-1").exists()
        assert again.tallies()[3]["set_aside", "damaged"] == 1
        assert again.tallies()[3]["salvaged", "rows"] == len(found) - 1


@pytest.mark.parametrize("spoil", [empty, os.remove, spoil_first_page])
def test_entries_that_stand_only_in_the_log_are_salvaged(tmp_path, spoil):
    """When the file itself is lost or spoilt, what its write-ahead log holds is not."""
    queue = QueueFile(tmp_path / "queue.db", 16 * MIB)
    queue.put([entry(number) for number in range(20)], {})
    queue.close()
    spoil(queue.path)
    assert bodies(QueueFile(queue.path, 16 * MIB)) == list(range(20))


def test_another_process_notices_that_the_file_was_set_aside(tmp_path):
    """A process that has the damaged file open goes on with the new one, and does not spoil its log."""
    one = QueueFile(tmp_path / "queue.db", 16 * MIB)
    one.put([entry(number) for number in range(100)], {})
    with one._file.locked() as connection:
        connection.wal_checkpoint(mode=3)
    spoil_header(one.path)
    other = QueueFile(one.path, 16 * MIB)
    other.put([entry(500)], {})
    one.put([entry(501)], {})
    assert bodies(one) == bodies(other)
    assert bodies(other)[-2:] == [500, 501]


def test_damage_found_while_running_is_mended_at_the_next_use(tmp_path):
    """An error that speaks of damage costs that call; the next one works on a file that was examined."""
    queue = QueueFile(tmp_path / "queue.db", 16 * MIB)
    queue.put([entry(number, size=2000) for number in range(200)], {})
    with queue._file.locked() as connection:
        connection.wal_checkpoint(mode=3)
    spoil_a_middle_page(queue.path)
    queue.close()

    def works() -> bool:
        try:
            return len(bodies(queue)) > 100 and bool(queue.put([entry(1000)], {}))
        except NotKept:
            return False

    eventually(works, what="the queue file to be mended")


# --- erasure ---


def test_forgetting_removes_a_person_from_every_byte_of_the_file(tmp_path):
    """After `forget` nothing of the person is in the queue file or its log: no entry, no dead letter, no freed page."""
    with store(tmp_path) as made:
        made.keep([decision(1, user=42, username="secretname"), decision(2, user=43, username="othername")])
        made._queue.settle([], [(made._queue.waiting(1)[0], "refused")], NOON, {})
        made.keep([decision(3, user=42, username="secretname")])
        assert made.forget(42) == 2
        assert made.statistics().waiting == 1
        everything = b"".join(path.read_bytes() for path in tmp_path.glob("queue.db*"))
    assert b"secretname" not in everything
    assert b"othername" in everything


def test_keeping_an_erasure_removes_what_was_decided_before_it_and_nothing_later(tmp_path):
    """In one commit with the erasure, the person's earlier entries go; later ones, and other people's, stay."""
    session = VoiceSession("s1", 1, 2, 42, NOON, "joined", 0, 1)
    late = VoiceSession("s2", 1, 2, 42, NOON + 100_000, "joined", 0, 1)
    retraction = Retraction("s1", 42, 2)
    with store(tmp_path) as made:
        made.keep([decision(1, user=42), decision(9, user=42), decision(2, user=43), session, late, retraction])
        made.keep([decision(5, "erase", user=42)])
        left = [one.body.decode() for one in made._queue.waiting(10)]
    assert len(left) == 4
    assert ["s2" in body for body in left] == [False, False, True, False]
    assert '"erase"' in left[3]


def test_forgetting_what_was_before_a_decision_keeps_what_came_with_it(tmp_path):
    """Sessions that ended before it go from every byte of the file, one that it falls into loses its beginning."""
    ends = {"gone": (0, 4000), "cut": (3111, 7000), "stays": (6000, 7000), "open": (2222, None)}
    waits = [
        VoiceSession(name, 1, 2, 42, NOON + begins, "joined", 9, 1, None if end is None else NOON + end)
        for name, (begins, end) in ends.items()
    ]
    with store(tmp_path) as made:
        made.keep([decision(5, user=42), *waits])
        assert made.forget(42, before=decision(5).interaction_id) == 2
        left = [from_json(entry.body.decode()) for entry in made._queue.waiting(9)]
        everything = b"".join(path.read_bytes() for path in tmp_path.glob("queue.db*"))
    began = decision(5).at
    assert left == [
        decision(5, user=42),
        waits[1]._replace(started_at=began, started_by="opted_in", started_within_ms=0),
        waits[2],
    ]
    assert str(waits[1].started_at).encode() not in everything
    assert str(waits[3].started_at).encode() not in everything


def test_erase_reaches_unreadable_dead_letters_by_their_time(queue):
    """An entry that cannot be read goes if it was kept before the erasure."""
    queue.put([NewEntry(None, 42, "x", "garbage", NOON), NewEntry(None, 42, "x", "garbage", NOON + 10**9)], {})
    assert queue.erase([Erasure(42, decision(10).interaction_id)]) == 1
    assert queue.persons() == [42]


def test_a_copy_of_the_file_alone_is_not_needed_for_salvage(tmp_path, queue):
    """Salvage that was cut short begins again: files that it left half done are no obstacle."""
    queue.put([entry(1)], {})
    queue.close()
    for suffix in ("-scratch", "-salvaging"):
        shutil.copyfile(queue.path, f"{queue.path}{suffix}")
    spoil_header(queue.path)
    assert bodies(QueueFile(queue.path, MIB)) == [1]


@pytest.mark.parametrize("record", [decision(1, display_name="Zoë"), VoiceSession("s1", 1, 2, 3, NOON, "joined", 0, 1)])
def test_a_changed_byte_of_an_entry_is_noticed(record):
    """Whichever bit of it: the disk may not make another fact of what was kept. Entries without a checksum are read."""
    body = record.to_json().encode()
    for place in range(len(body)):
        for bit in range(8):
            damaged = bytearray(body)
            damaged[place] ^= 1 << bit
            with pytest.raises(Undecodable):
                from_json(damaged.decode("utf-8", "replace"))
    assert from_json(body.decode()) == record
    assert from_json(body.decode().partition(',"crc"')[0] + "}") == record


def test_a_damaged_entry_goes_to_the_dead_letters_and_the_others_arrive(tmp_path):
    """Its reason says what happened to it; what it said is not sent."""
    with start_embedded(tmp_path / "service") as service, store(tmp_path, service.url) as made:
        made.keep([decision(1), decision(2, display_name="Ada"), decision(3)])
        with made._queue._file.transaction() as connection:
            connection.execute("UPDATE entries SET body = replace(body, 'Ada', 'Bda')")
        made.start()
        eventually(made.idle, what="delivery")
        assert made.statistics().dead == 1
        [letter] = made._queue.letters(dead=True, most=9)
        assert "damaged on the disk" in letter.reason
        (rows,) = made.query(Statement("SELECT interaction_id FROM consent_log ORDER BY 1", {}), within=20)
    assert [row["interaction_id"] for row in rows] == [decision(1).interaction_id, decision(3).interaction_id]
