"""A restored backup is brought to today's consent by one command; people erased elsewhere leave this file too."""

from __future__ import annotations

import subprocess
import sys
import urllib.request

import pytest

from db_client import reapply_consent
from db_client.records import VoiceSession
from db_client.statements import Statement
from tests.db_client.made import NOON, decision, store
from tests.services import start_embedded
from tests.waiting import eventually

IN, OUT, ERASED, RETURNED, LATE = 41, 42, 43, 44, 45


@pytest.fixture
def service(tmp_path):
    with start_embedded(tmp_path / "service") as running:
        yield running


def stay(person: int) -> VoiceSession:
    return VoiceSession(f"s{person}", 1, 2, person, NOON + 5000, "joined", 0, 2, NOON + 6000, "left", 0)


def rows(made, sql: str, *columns: str) -> list[tuple]:
    (found,) = made.query(Statement(sql, {}), within=20)
    return [tuple(row[column] for column in columns) for row in found]


def standing(made) -> dict[int, tuple]:
    found = rows(made, "SELECT user_id, opted_in, username FROM opt_in_users", "user_id", "opted_in", "username")
    return {person: (opted_in, name) for person, opted_in, name in found}


def everything(made) -> tuple:
    sessions = rows(made, "SELECT user_id, ended_at FROM voice_sessions ORDER BY user_id", "user_id", "ended_at")
    return standing(made), sessions


def test_a_restored_backup_is_brought_to_todays_consent(service, tmp_path, capsys):
    """Whoever opted out, was erased, or came after the backup stands as decided when the command has run, twice too."""
    with store(tmp_path, service.url) as made:
        made.start()
        for number, person in enumerate((IN, OUT, ERASED, RETURNED)):
            made.keep([decision(number, user=person, username=f"name{person}"), stay(person)])
        eventually(made.idle, what="delivery")
        backup = urllib.request.urlopen(f"{service.url}/db/backup", timeout=20).read()
        made.keep([decision(10, "out", user=OUT), decision(11, "erase", user=ERASED)])
        made.keep([decision(12, "erase", user=RETURNED), decision(13, user=RETURNED, username="again")])
        made.keep([decision(14, user=LATE, username="late")])
        eventually(made.idle, what="delivery")
        today = everything(made)
        assert set(today[0]) == {IN, OUT, RETURNED, LATE}
    service.stop()
    for file in (tmp_path / "service").glob("bigbrother.db*"):
        file.unlink()
    (tmp_path / "service" / "bigbrother.db").write_bytes(backup)
    service.restart()
    variables = {"SQLITE_SERVICE_URL": service.url, "QUEUE_FILE": str(tmp_path / "queue.db")}
    with store(tmp_path, service.url) as made:
        assert ERASED in everything(made)[0]
        for _ in range(2):
            assert reapply_consent.main(variables) == 0
            assert everything(made) == today
    assert "decisions stand again" in capsys.readouterr().out


def test_reapplying_says_what_is_wrong(tmp_path, capsys):
    """Without a queue file, or with a malformed setting, nothing is made and the exit status is 2."""
    assert reapply_consent.main({"QUEUE_FILE": str(tmp_path / "none.db")}) == 2
    assert reapply_consent.main({"SQLITE_SERVICE_URL": "ftp://x"}) == 2
    assert "There is no queue file at" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_an_erasure_that_was_decided_elsewhere_is_learnt_from_the_service(service, tmp_path):
    """What waits, lies dead or is remembered of a person goes when another queue file's erasure is known."""
    here, there = tmp_path / "here", tmp_path / "there"
    with store(here, service.url) as made, store(there, service.url) as other:
        made.keep([decision(1, user=42, username="secretname")])
        made._queue.settle([], [(made._queue.waiting(1)[0], "refused")], NOON, {})
        made.keep([decision(2, user=42, username="secretname"), decision(3, user=43, username="othername")])
        other.start()
        other.keep([decision(9, "erase", user=42)])
        eventually(other.idle, what="delivery")
        assert made._sender.erase() == 2
        assert made.statistics().waiting == 1
        left = b"".join(path.read_bytes() for path in here.glob("queue.db*"))
    assert b"secretname" not in left
    assert b"othername" in left


def test_only_what_is_needed_is_remembered(tmp_path):
    """The newest decision of each kind of each person; after an erasure nothing older, after `forget` only erasures."""
    with store(tmp_path) as made:
        made.keep([decision(1, user=1, username="a"), decision(2, user=1, username="b"), decision(3, "out", user=1)])
        made.keep([decision(4, user=2, username="secretname")])
        made.keep([decision(5, "erase", user=2)])
        assert b"secretname" not in b"".join(path.read_bytes() for path in tmp_path.glob("queue.db*"))
        made.keep([decision(3, user=2)])
        assert [(r.user_id, r.decision, r.username) for r in made.remembered_decisions()] == [
            (1, "in", "b"),
            (1, "out", ""),
            (2, "erase", ""),
        ]
        made.forget(1)
        made.forget(2)
        assert [(r.user_id, r.decision) for r in made.remembered_decisions()] == [(2, "erase")]


def test_files_that_were_set_aside_are_deleted_after_a_week(tmp_path):
    """They hold people's data that no erasure reaches."""
    with store(tmp_path) as made:
        made.keep([decision(1)])
        for name in ("queue.db.damaged-1", "queue.db.damaged-1-wal"):
            (tmp_path / name).write_bytes(b"x")
        set_aside = int((tmp_path / "queue.db.damaged-1").stat().st_mtime * 1000)
        made._queue.remove_damaged(set_aside + 6 * 86_400_000)
        assert (tmp_path / "queue.db.damaged-1").exists()
        made._queue.remove_damaged(set_aside + 8 * 86_400_000)
        assert not list(tmp_path.glob("*damaged*"))
        assert (tmp_path / "queue.db").exists()


def test_the_command_line(service, tmp_path):
    """`python -m db_client.reapply_consent` sends what its queue file remembers."""
    with store(tmp_path, service.url) as made:
        made.keep([decision(1)])
    program = [sys.executable, "-m", "db_client.reapply_consent"]
    variables = {"SQLITE_SERVICE_URL": service.url, "QUEUE_FILE": str(tmp_path / "queue.db")}
    done = subprocess.run(program, env={**variables}, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "1 decisions stand again.\n"), done.stderr
