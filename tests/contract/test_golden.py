"""The recorded exchanges with a real rqlite, replayed in order against every body.

golden.json holds what rqlited v10.2.7 answered: *must* exchanges bind every body; *may* are nice to have, and this
service has them; *avoid* is what no client may rely on, so it is sent (later ones build on it) and not compared.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.services import RunningService

EXCHANGES: list[dict[str, Any]] = json.loads(Path(__file__).with_name("golden.json").read_text())["exchanges"]
COMPARED = [exchange for exchange in EXCHANGES if exchange["tag"] != "avoid"]

# Its last_insert_id is that of an insert which only stood because of a defect, repaired since.
STICKY = {"blob-in"}


def body_of(exchange: dict[str, Any]) -> bytes | None:
    """The request's body; one is only described in the record, for its length."""
    if exchange["id"] == "too-many-vars":
        count = 32_767
        sql = f"SELECT 1 AS one WHERE 1 IN ({','.join('?' * count)})"
        return json.dumps([[sql, *[1] * count]]).encode()
    text = exchange["request"]["body"]
    return None if text is None else text.encode()


@pytest.fixture(scope="module")
def replayed(body: RunningService) -> dict[str, requests.Response]:
    """The answers to all exchanges, sent once in their order to a fresh body."""
    with requests.Session() as session:
        return {
            exchange["id"]: session.request(
                exchange["request"]["method"],
                body.url + exchange["request"]["path"],
                data=body_of(exchange),
                headers=exchange["request"]["headers"],
                allow_redirects=False,
                timeout=30,
            )
            for exchange in EXCHANGES
        }


@pytest.mark.parametrize("exchange", COMPARED, ids=[f"{e['tag']}-{e['id']}" for e in COMPARED])
def test_answers_as_recorded(exchange: dict[str, Any], replayed: dict[str, requests.Response]) -> None:
    """Status, content type and equivalent JSON (or the same text) as rqlite gave."""
    answer, recorded = replayed[exchange["id"]], exchange["response"]
    assert answer.status_code == recorded["status"], answer.text
    assert answer.headers.get("Content-Type") == recorded["content_type"]
    assert answer.headers["X-RQLITE-VERSION"]
    if recorded["body"].startswith("{"):
        assert comparable(exchange, answer.json()) == comparable(exchange, json.loads(recorded["body"]))
    else:
        assert answer.text == recorded["body"]


def comparable(exchange: dict[str, Any], document: dict[str, Any]) -> dict[str, Any]:
    """The document without what the record cannot promise."""
    if exchange["id"] in STICKY:
        for element in document["results"]:
            element.pop("last_insert_id", None)
    return document


def test_all_must_vectors_are_here() -> None:
    """The record is whole: 79 exchanges, 61 of them binding."""
    assert len(EXCHANGES) == 79
    assert sum(exchange["tag"] == "must" for exchange in EXCHANGES) == 61
