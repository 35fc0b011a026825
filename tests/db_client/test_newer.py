"""A program older than an entry waits for the version that kept it; it never buries it, and sends nothing past it."""

from __future__ import annotations

import io
import json
import logging
import zlib

import pytest

from db_client import delivery, erasure_follower, queue, reapply_consent, records
from db_client.erasure import Erasure, left_of
from db_client.errors import NotKept
from db_client.queue_file import NewEntry
from db_client.receipts import Receipt
from db_client.records import Newer, Undecodable, Watermark, from_json
from db_client.snowflake import earliest
from db_client.statements import Statement
from db_client.store import Fate
from program.environment import Environment
from tests.db_client.made import NOON, decision, store
from tests.services import start_embedded
from tests.waiting import eventually


@pytest.fixture
def service(tmp_path):
    with start_embedded(tmp_path / "service") as running:
        yield running


def sealed(content: dict[str, object]) -> str:
    """A record of these fields, with the checksum that `to_json` gives."""
    text = json.dumps(content, separators=(",", ":"))[:-1]
    return f'{text},"crc":{zlib.crc32(text.encode())}}}'


def fields(number: int, user: int) -> dict[str, object]:
    content = json.loads(decision(number, user=user).to_json())
    del content["crc"]
    return content


NEWER = {
    "kind": {"kind": "dream", "user_id": 42},
    "field": {**fields(1, 42), "mood": "secretname"},
    "dropped field": {name: value for name, value in fields(1, 42).items() if name != "interaction_id"},
}


@pytest.mark.parametrize("content", NEWER.values(), ids=NEWER)
def test_whole_records_of_other_fields_are_of_a_newer_version(content):
    """Only with a checksum that is right: else it is damage, or no record at all."""
    body = sealed(content)
    with pytest.raises(Newer):
        from_json(body)
    for damaged in (body.replace(":42", ":43"), json.dumps(content), body[:-1], "[]", '{"crc":1}', ""):
        with pytest.raises(Undecodable) as found:
            from_json(damaged)
        assert not isinstance(found.value, Newer)


def test_a_mark_that_an_earlier_version_kept_is_that_of_the_only_shard():
    """It did not say of how many shards."""
    assert from_json(sealed({"kind": "watermark", "shard_id": 0, "observed_at": NOON})) == Watermark(0, NOON, 1)


@pytest.mark.parametrize("content", NEWER.values(), ids=NEWER)
def test_delivery_waits_at_an_entry_of_a_newer_version(service, tmp_path, content, monkeypatch, caplog):
    """What is before it arrives, nothing behind it does, nobody waits for it, and the log and the figures tell."""
    monkeypatch.setattr(delivery, "LONGEST_PAUSE", 0.05)
    with store(tmp_path, service.url) as made, caplog.at_level(logging.WARNING):
        made.keep([decision(1)])
        put(made, sealed(content))
        behind = made.keep([decision(3)])
        made.start()
        assert made.deliver(Receipt(1, 1), within=10) is Fate.STORED
        assert made.deliver(behind, within=10) is Fate.KEPT
        eventually(lambda: made.statistics().counters["retried"].get("newer", 0) > 5, what="several attempts")
        statistics = made.statistics()
        assert (statistics.waiting, statistics.dead) == (2, 0)
        assert arrived(made) == [decision(1).interaction_id]
        told = [record for record in caplog.records if record.message == "delivery waits"]
        assert [(one.cause, one.problem) for one in told] == [
            ("newer", "a newer version of this program kept this: run that version")
        ]
        assert "secretname" not in str(vars(told[0]))


def test_the_version_that_knows_the_entry_delivers_it_and_the_rest(service, tmp_path, monkeypatch):
    """Nothing was lost and the order stands."""
    with store(tmp_path, service.url) as made:
        put(made, decision(1).to_json())
        put(made, decision(2).to_json())
        with monkeypatch.context() as older:
            older.delitem(records.KINDS, "consent")
            made.start()
            assert made.deliver(Receipt(2, 2), within=10) is Fate.KEPT
        assert eventually(lambda: len(arrived(made)) == 2, what="both")
        assert made.statistics().dead == 0


def test_an_erasure_reaches_an_entry_of_a_newer_version(service, tmp_path):
    """By whose it is and when it was kept; then what is behind it arrives, while before, the erasure was kept."""
    with store(tmp_path, service.url) as made:
        put(made, sealed({"kind": "dream", "name": "secretname"}))
        made.keep([decision(1, user=43), decision(60, "erase", user=42)])
        assert b"secretname" not in b"".join(path.read_bytes() for path in tmp_path.glob("queue.db*"))
        made.start()
        eventually(made.idle, what="delivery")
        assert arrived(made) == [decision(1).interaction_id, decision(60).interaction_id]
    body = sealed({"kind": "dream"}).encode()
    assert left_of(Erasure(42, earliest(NOON)), body, NOON - 1) is None
    assert left_of(Erasure(42, earliest(NOON)), body, NOON) == body


def test_an_erasure_elsewhere_is_learnt_while_delivery_waits(service, tmp_path, monkeypatch):
    """The service can be asked, so whoever was erased by another program goes from this file as well."""
    monkeypatch.setattr(erasure_follower, "EVERY_SECONDS", 0.05)
    here, there = tmp_path / "here", tmp_path / "there"
    with store(here, service.url) as made, store(there, service.url) as other:
        put(made, sealed({"kind": "dream"}), person=None)
        made.keep([decision(1, user=42, username="secretname")])
        made.start()
        other.start()
        other.keep([decision(9, "erase", user=42)])
        eventually(
            lambda: b"secretname" not in b"".join(path.read_bytes() for path in here.glob("queue.db*")),
            what="the person to be gone from every byte",
        )
        assert made.statistics().waiting == 1


def test_decisions_that_a_newer_version_remembered_are_not_left_out_silently(service, tmp_path, capsys):
    """The command says which version to run, and that nothing was sent."""
    with store(tmp_path, service.url) as made:
        made.keep([decision(1)])
        with made._queue._file.transaction() as connection:
            connection.execute("UPDATE remembered SET body = ?", (sealed({"kind": "dream"}),))
    variables = {"SQLITE_SERVICE_URL": service.url, "QUEUE_FILE": str(tmp_path / "queue.db")}
    assert reapply_consent.main(variables) == 1
    assert "Not finished: a newer version of this program kept this: run that version." in capsys.readouterr().err


def test_a_queue_file_of_a_newer_version_is_left_as_it_is(tmp_path):
    """It is not taken for a damaged one; one sentence says what to do."""
    with store(tmp_path) as made:
        made.keep([decision(1)])
        with made._queue._file.locked() as connection:
            connection.execute("PRAGMA user_version=99")
    before = {path.name: path.stat().st_ino for path in tmp_path.iterdir()}
    sentence = "a newer version of this program made the queue file: run that version; nothing was kept or changed"
    with store(tmp_path) as made, pytest.raises(NotKept) as problem:
        made.keep([decision(2)])
    assert str(problem.value) == sentence
    out = io.StringIO()
    environment = Environment({"QUEUE_FILE": str(tmp_path / "queue.db")})
    assert queue.main(["list"], out=out, now=NOON, environment=environment) == 1
    assert out.getvalue() == f"{sentence}\n"
    assert {path.name: path.stat().st_ino for path in tmp_path.iterdir()} == before


def put(made, body: str, person: int | None = 42) -> None:
    """Keeps a body as another version would have."""
    made.notes()  # opens the file
    made._queue.put([NewEntry(None, person, "dream", body, NOON)], {})


def arrived(made) -> list[int]:
    (rows,) = made.query(Statement("SELECT interaction_id FROM consent_log ORDER BY seq", {}), within=20)
    return [row["interaction_id"] for row in rows]
