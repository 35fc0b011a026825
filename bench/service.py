"""Durable writes per second of the embedded service, beside rqlited on the same requests."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from pathlib import Path

import requests

from bench.figures import Figure, Row, Skipped, at_least
from bench.load import Load, post, send_all
from tests.services import NO_RQLITED, rqlited_binary, start_embedded, start_rqlited

# How many statements a request carries, over how many connections, and how many requests a round sends.
WORK = ((1, 1, 300), (1, 8, 1000), (100, 1, 60), (100, 8, 200))


def figures(folder: Path, *, scale: float, rounds: int) -> Iterator[Row]:
    """Single writes and batches of 100, from one connection and from eight."""
    if rqlited_binary() is None:
        yield Skipped("writes to the service", NO_RQLITED)
        return
    with start_embedded(folder / "embedded") as embedded, start_rqlited(folder / "rqlited") as rqlited:
        ids = itertools.count(1)
        for url in (embedded.url, rqlited.url):
            _create(url)
            _send(url, ids, statements=1, connections=8, count=16)  # warm
        for statements, connections, requests_a_round in WORK:
            count = max(connections, int(requests_a_round * scale))
            pairs = [
                (
                    statements * _send(embedded.url, ids, statements, connections, count).rate,
                    statements * _send(rqlited.url, ids, statements, connections, count).rate,
                )
                for _ in range(rounds)
            ]
            what = "single writes" if statements == 1 else f"rows in batches of {statements}"
            yield Figure(f"{what}, {connections} at a time", "/s", pairs, at_least(1.0))


def _create(url: str) -> None:
    table = (
        '["CREATE TABLE w (id INTEGER PRIMARY KEY, name TEXT NOT NULL, guild INTEGER NOT NULL, at INTEGER NOT NULL)"]'
    )
    answer = requests.post(f"{url}/db/execute", data=table, timeout=10).json()
    if "error" in str(answer):
        raise RuntimeError(f"the table could not be made: {answer}")


def _send(url: str, ids: Iterator[int], statements: int, connections: int, count: int) -> Load:
    """Sends that many requests, each one transaction, and holds every answer to be a success."""
    target = f"{url}/db/execute?transaction"
    prepared = [
        post(target, json.dumps([_insert(next(ids)) for _ in range(statements)]).encode()) for _ in range(count)
    ]
    load = send_all(target, prepared, connections)
    if set(load.statuses) != {200} or b"error" in load.last_body:
        raise RuntimeError(f"a write was not taken: {load.statuses}, the last: {load.last_body[:300]!r}")
    return load


def _insert(number: int) -> list[object]:
    sql = "INSERT INTO w (id, name, guild, at) VALUES (:id, :name, :guild, :at)"
    return [sql, {"id": number, "name": f"person {number}", "guild": 1180000000000000001, "at": 1795330813752}]
