"""A running embedded service, and a plain way to ask it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.services import RunningService, start_embedded

COUNTING = "CREATE TABLE IF NOT EXISTS kept (id INTEGER PRIMARY KEY, text TEXT)"


@pytest.fixture
def service(tmp_path: Path) -> Iterator[RunningService]:
    """A fresh service with the table `kept`."""
    with start_embedded(tmp_path) as running:
        results(execute(running, [COUNTING]))
        yield running


def execute(
    service: RunningService, statements: list[Any], flags: str = "transaction", **options: Any
) -> requests.Response:
    """POST /db/execute."""
    body = json.dumps(statements).encode()
    return requests.post(f"{service.url}/db/execute?{flags}", data=body, timeout=30, **options)


def query(service: RunningService, *statements: Any, flags: str = "") -> requests.Response:
    """POST /db/query."""
    return requests.post(f"{service.url}/db/query?{flags}", data=json.dumps(statements).encode(), timeout=30)


def results(answer: requests.Response) -> list[dict[str, Any]]:
    """The results of an answer in which nothing went wrong."""
    assert answer.status_code == 200, answer.text
    document = answer.json()
    assert "error" not in document, document
    assert not [element for element in document["results"] if "error" in element], document
    elements: list[dict[str, Any]] = document["results"]
    return elements


def count(service: RunningService, where: str = "1") -> int:
    """How many rows of `kept` there are."""
    number: int = results(query(service, f"SELECT count(*) AS n FROM kept WHERE {where}"))[0]["values"][0][0]
    return number
