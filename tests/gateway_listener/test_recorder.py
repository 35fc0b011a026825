"""From memory to the queue file: in order, in batches, nothing lost when the disk refuses."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pytest

from db_client.errors import NotKept
from db_client.records import Record, Retraction, VoiceSession, Watermark
from db_client.settings import StoreSettings
from db_client.store import Store
from gateway_listener.notes import open_key, remembered
from gateway_listener.outbox import Forget, Note
from gateway_listener.recorder import Recorder, coalesced, notes_with
from tests.waiting import eventually

SESSION = VoiceSession("s1", 1, 2, 3, 100, "joined", 0, 1)


class Disk:
    """A body of `Keeper` that can be full; it does what the store does, in memory."""

    def __init__(self) -> None:
        self.full = threading.Event()
        self.records: list[Record] = []
        self.notes: dict[str, str] = {}
        self.asked = 0
        self.forgotten: list[tuple[int, int]] = []

    def keep(self, records: Sequence[Record], *, notes: Mapping[str, str | None] | None = None) -> None:
        self.asked += 1
        if self.full.is_set():
            raise NotKept("the disk is full")
        self.records.extend(records)
        for key, value in (notes or {}).items():
            if value is None:
                self.notes.pop(key, None)
            else:
                self.notes[key] = value

    def forget(self, user_id: int, *, before: int) -> int:
        self.forgotten.append((user_id, before))
        self.records = [record for record in self.records if record.person != user_id]
        return 0


@pytest.fixture
def disk() -> Disk:
    return Disk()


@pytest.fixture
def recorder(disk: Disk) -> Iterator[Recorder]:
    recorder = Recorder(disk, save_every=0.02, retry_after=0.02)
    recorder.start()
    yield recorder
    disk.full.clear()
    assert recorder.stop(within=5)


def test_an_open_session_and_its_note_are_one_commit(recorder: Recorder, disk: Disk) -> None:
    """So that a restart finds exactly the sessions that were written."""
    recorder.hand_over([SESSION], 150)
    eventually(lambda: not recorder.waiting)
    assert disk.records == [SESSION]
    assert remembered(disk.notes).sessions == [SESSION]
    assert disk.notes["watermark"] == "150"
    recorder.hand_over([SESSION._replace(revision=2, ended_at=200, ended_by="left", ended_within_ms=0)], 200)
    eventually(lambda: not recorder.waiting)
    assert open_key("s1") not in disk.notes


def test_a_refusing_disk_loses_nothing(recorder: Recorder, disk: Disk) -> None:
    """What it refuses stays in memory, in order, and is written when it can be; meanwhile it is told."""
    disk.full.set()
    recorder.hand_over([SESSION], 1)
    eventually(lambda: recorder.refused)
    recorder.hand_over([Retraction("s1", 3, 2), Note("k", "v")], 2)
    assert recorder.waiting == 3
    assert recorder.counts["refused"] >= 1
    disk.full.clear()
    eventually(lambda: not recorder.waiting and not recorder.refused)
    assert disk.records == [SESSION, Retraction("s1", 3, 2)]
    assert (disk.notes["k"], disk.notes["watermark"]) == ("v", "2")


def test_forgetting_keeps_its_place(recorder: Recorder, disk: Disk) -> None:
    """What came before is removed, what comes after stays."""
    after = SESSION._replace(session_id="s2")
    other = SESSION._replace(session_id="s3", user_id=4)
    recorder.hand_over([SESSION, other, Forget(3, 77), after], 1)
    eventually(lambda: not recorder.waiting)
    assert disk.records == [other, after]
    assert disk.forgotten == [(3, 77)]


def test_a_watermark_alone_is_saved_now_and_then(recorder: Recorder, disk: Disk) -> None:
    """Without a record nobody has to wake the thread."""
    recorder.watermark = 777
    eventually(lambda: disk.notes.get("watermark") == "777")


def test_revisions_in_a_row_become_one() -> None:
    """Per person and guild: nothing moves past another session of the same seat."""
    first, second, third = (SESSION._replace(revision=revision) for revision in (1, 2, 3))
    next_one = SESSION._replace(session_id="s2", revision=4)
    other = SESSION._replace(session_id="o", user_id=9)
    watermark = Watermark(0, 5)
    assert coalesced([first, other, second, watermark, next_one, third]) == [second, other, watermark, next_one, third]
    assert coalesced([first, Retraction("s1", 3, 2), third]) == [first, Retraction("s1", 3, 2), third]


def test_the_newest_note_of_a_key_stands() -> None:
    """A note may be set and removed in one batch."""
    ended = SESSION._replace(revision=2, ended_at=200, ended_by="left", ended_within_ms=0)
    assert notes_with([Note("a", "1"), SESSION, Note("a", None), ended]) == {"a": None, open_key("s1"): None}


def test_the_real_store_takes_it(tmp_path: Path) -> None:
    """Records and notes stand in a real queue file, and a second store reads the notes back."""
    settings = StoreSettings("http://127.0.0.1:9", tmp_path / "queue.db")
    store = Store(settings)
    recorder = Recorder(store)
    recorder.start()
    recorder.hand_over([SESSION, Note("consent:3", "7 50")], 150)
    assert recorder.stop(within=10)
    assert store.statistics().waiting == 1
    store.stop(within=0)
    again = Store(settings)
    memory = remembered(again.notes())
    again.stop(within=0)
    assert (memory.sessions, memory.watermark, memory.consents[3].at) == ([SESSION], 150, 50)
