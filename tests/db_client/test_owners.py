"""The threads of a store: what goes on after an error of its own is counted, and one that is not begun is told of."""

from __future__ import annotations

import fcntl
import os
import threading
from pathlib import Path

import pytest

from db_client.erasure_follower import ErasureFollower
from db_client.errors import ServiceUnavailable
from db_client.locks import FileLock, NotHad
from db_client.records import Watermark
from db_client.sending import Sender
from db_client.settings import StoreSettings
from db_client.statements import Statement
from db_client.store import Store
from program import threads
from tests.waiting import eventually


def full(self: threading.Thread) -> None:
    raise RuntimeError("can't start new thread")


def test_a_lock_that_no_thread_can_wait_for_is_not_had(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """As if whoever has it did not let go; the next call tries again."""
    other = os.open(tmp_path / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    fcntl.flock(other, fcntl.LOCK_EX)
    lock = FileLock(tmp_path / "lock")
    with monkeypatch.context() as limited:
        limited.setattr(threading.Thread, "start", full)
        with pytest.raises(NotHad), lock.held(0.01):
            pass
    os.close(other)
    with lock.held(1.0):
        pass
    lock.forget()


def test_no_thread_to_ask_with_is_no_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """And a store that cannot begin its own says so."""
    store = Store(StoreSettings("http://127.0.0.1:9", tmp_path / "queue.db"))
    with monkeypatch.context() as limited:
        limited.setattr(threading.Thread, "start", full)
        with pytest.raises(ServiceUnavailable) as caught:
            store.query(Statement("SELECT 1", {}), within=1.0)
        assert caught.value.cause == "no_thread"
        with pytest.raises(threads.NoThread):
            store.start()
    store.start()
    store.stop(within=0)


def test_errors_of_a_turn_are_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    """Delivery and the following of erasures begin anew with the next turn."""

    def fails(*_: object) -> None:
        raise ValueError("Dorabella")

    monkeypatch.setattr(Sender, "send_some", fails)
    monkeypatch.setattr(ErasureFollower, "erase", fails)
    monkeypatch.setattr("db_client.erasure_follower.EVERY_SECONDS", 0.01)
    store = Store(StoreSettings("http://127.0.0.1:9", tmp_path / "queue.db"))
    store.start()
    store.keep([Watermark(0, 5)])

    def counted(name: str, label: str) -> int:
        return store.statistics().counters.get(name, {}).get(label, 0)

    eventually(lambda: counted("retried", "error") > 1, what="the delivery goes on")
    eventually(lambda: counted("failed", "erasures") > 1, what="erasures are followed again")
    store.stop(within=0)
    assert "Dorabella" not in caplog.text
    assert {record.problem for record in caplog.records if hasattr(record, "at")} == {"ValueError"}  # type: ignore[attr-defined]
