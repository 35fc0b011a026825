"""One rule for every thread and task of all programs: it has an owner that hears of its end."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGES = ("db_client", "gateway_listener", "interactions_api", "program", "sqlite_service")
BEGINS = {
    "Thread",
    "Timer",
    "ThreadPoolExecutor",
    "ProcessPoolExecutor",
    "start_new_thread",
    "create_task",
    "ensure_future",
    "to_thread",
    "run_in_executor",
    "run_coroutine_threadsafe",
}
OWNERS = {
    "program/threads.py": "start: an error that nobody foresaw ends the process; begin: who asks has the future",
    "program/tasks.py": "Tasks: every end that was not asked for is told",
    "db_client/store.py": "query: waits for each of its readers",
    "gateway_listener/gateway.py": "run: waits for both; _connection: for its reading, and ACKs tell of beats",
}


def begun() -> Iterator[tuple[str, int]]:
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text("utf-8"))):
                if isinstance(node, ast.Call):
                    name = getattr(node.func, "attr", None) or getattr(node.func, "id", None)
                    if name in BEGINS:
                        yield path.relative_to(ROOT).as_posix(), node.lineno


def test_nobody_else_begins_a_thread_or_a_task() -> None:
    """Each module that does says here who hears of the end."""
    found = list(begun())
    assert {path for path, _ in found} == OWNERS.keys(), found
