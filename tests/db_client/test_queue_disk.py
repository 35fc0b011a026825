"""When the queue file's writes are made to reach the disk, and files that an earlier version left there."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import apsw
import pytest

from db_client.erasure import Erasure
from db_client.queue_file import NewEntry, QueueFile
from db_client.queue_schema import SCHEMA_VERSION
from db_client.salvage import is_sound
from tests.db_client.made import NOON

MIB = 1024 * 1024

VERSION_2 = """
CREATE TABLE entries (id INTEGER PRIMARY KEY AUTOINCREMENT, key TEXT NOT NULL UNIQUE, person INTEGER,
  kind TEXT NOT NULL, body TEXT NOT NULL, created INTEGER NOT NULL);
CREATE TABLE dead (id INTEGER PRIMARY KEY, key TEXT NOT NULL, person INTEGER, kind TEXT NOT NULL, body TEXT NOT NULL,
  created INTEGER NOT NULL, reason TEXT NOT NULL, died INTEGER NOT NULL);
CREATE TABLE notes (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE counters (name TEXT, label TEXT, n INTEGER NOT NULL, PRIMARY KEY (name, label)) WITHOUT ROWID;
CREATE TABLE decisions (person INTEGER NOT NULL, decision TEXT NOT NULL, interaction_id INTEGER NOT NULL,
  body TEXT NOT NULL, PRIMARY KEY (person, decision)) WITHOUT ROWID;
INSERT INTO sqlite_sequence (name, seq) VALUES ('entries', 9);
INSERT INTO entries VALUES (5, 'session:a:1', 7, 'test', '5:a', 50), (6, 'watermark:0', NULL, 'test', '6:b', 60);
INSERT INTO dead VALUES (3, 'session:c:1', 8, 'test', '3:c', 30, 'refused', 40);
INSERT INTO notes VALUES ('last', '6');
INSERT INTO counters VALUES ('delivered', 'test', 8);
INSERT INTO decisions VALUES (7, 'out', 70, '{}');
PRAGMA user_version=2;
"""
VERSION_3 = VERSION_2.replace("key TEXT NOT NULL UNIQUE", "key TEXT").replace("user_version=2", "user_version=3")


class CountingDisk(apsw.VFS):
    """SQLite's way to the disk, which counts the syncs of write-ahead logs (True) and of other files."""

    def __init__(self) -> None:
        super().__init__("counting", "unix", makedefault=True)
        self.syncs: Counter[bool] = Counter()

    def xOpen(self, name: str | apsw.URIFilename | None, flags: list[int]) -> apsw.VFSFile:
        return CountingFile(self, name, flags)


class CountingFile(apsw.VFSFile):
    def __init__(self, disk: CountingDisk, name: str | apsw.URIFilename | None, flags: list[int]) -> None:
        self._is_log = bool(flags[0] & apsw.SQLITE_OPEN_WAL)
        super().__init__("unix", name, flags)
        self._disk = disk

    def xSync(self, flags: int) -> None:
        self._disk.syncs[self._is_log] += 1
        super().xSync(flags)


@pytest.fixture
def disk() -> Iterator[CountingDisk]:
    made = CountingDisk()
    yield made
    made.unregister()


def entry(number: int, key: str | None = None) -> NewEntry:
    return NewEntry(key, number, "test", f"{number}:x", NOON)


def test_each_put_and_each_burial_is_synced_and_no_delivery(disk, tmp_path):
    """What must not be lost is on disk when the call returns; that something was delivered may be forgotten.

    As the log is one file, each put also makes sure of what was settled before it.
    """
    queue = QueueFile(tmp_path / "queue.db", 16 * MIB)
    queue.put([entry(0)], {})
    for turn in range(1, 4):
        before = disk.syncs[True]
        queue.put([entry(2 * turn), entry(2 * turn + 1)], {})
        assert disk.syncs[True] == before + 1
        queue.settle(queue.waiting(1), [], NOON, {("delivered", "test"): 1})
        assert disk.syncs[True] == before + 1
        (refused,) = queue.waiting(1)
        queue.settle([], [(refused, "refused")], NOON, {})
        assert disk.syncs[True] == before + 2
        queue.settle(queue.waiting(1), [], NOON, {})
    before = disk.syncs[True]
    queue.put([], {"note": "x"})
    assert disk.syncs[True] == before + 1
    queue.close()


def test_the_log_does_not_outgrow_the_ballast(tmp_path):
    """What a checkpoint may have to bring into the file has room where the ballast was, also an old, small one."""
    for size in (4 * MIB, MIB):
        path = tmp_path / f"{size}.db"
        (tmp_path / f"{size}.db-ballast").write_bytes(bytes(size))
        queue = QueueFile(path, 64 * MIB)
        for number in range(3000):
            queue.put([NewEntry(None, number, "test", "x" * 3000, NOON)] * 10, {})
            if path.stat().st_size > 8 * MIB:
                break
        assert size // 2 < path.with_name(f"{path.name}-wal").stat().st_size < size + MIB // 8
        queue.close()


@pytest.mark.parametrize("schema", [VERSION_2, VERSION_3], ids=["2", "3"])
def test_a_file_of_an_earlier_version_goes_on_with_all_that_is_in_it(tmp_path, schema):
    """Entries, dead letters, notes, counters, decisions and the ids that were given stay; nothing is set aside."""
    path = tmp_path / "queue.db"
    earlier = apsw.Connection(str(path))
    earlier.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
    earlier.execute("PRAGMA journal_mode=WAL")
    earlier.execute(schema)
    for half_made in ("queue.db-salvaging", "queue.db-salvaging-journal"):  # of a renewal that was killed
        (tmp_path / half_made).write_bytes(b"half made" * 1000)
    queue = QueueFile(path, 16 * MIB)  # while the earlier program still has the file open
    assert [(one.id, one.body) for one in queue.waiting(9)] == [(5, b"5:a"), (6, b"6:b")]
    assert [(letter.id, letter.reason) for letter in queue.letters(dead=True, most=9)] == [(3, "refused")]
    assert queue.notes("") == {"last": "6"}
    assert queue.tallies() == (2, 50, 1, {("delivered", "test"): 8})
    assert queue.decisions() == ["{}"]
    assert queue.put([entry(10), entry(11, "watermark:0")], {}) == [10, 11]
    queue.close()
    earlier.close()
    assert [one.id for one in queue.waiting(9)] == [5, 10, 11]
    assert queue.erase([Erasure(7, 71)]) == 1
    assert queue.decisions() == []
    queue.close()
    assert {file.name for file in tmp_path.iterdir()} <= {
        "queue.db",
        "queue.db-wal",
        "queue.db-shm",
        "queue.db-lock",
        "queue.db-ballast",
    }
    renewed = apsw.Connection(str(path))
    assert is_sound(renewed, thorough=True)
    assert renewed.pragma("user_version") == SCHEMA_VERSION
    renewed.close()
