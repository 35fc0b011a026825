"""Looking at a queue: the command line, the metrics, the settings, and what never shows."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from db_client import queue
from db_client.delivery import LONGEST_PAUSE, pause
from db_client.metrics import metrics_text
from db_client.settings import StoreSettings
from db_client.store import QueueStatistics
from program.environment import Environment, SettingsError
from tests.db_client.made import NOON, decision, store


@pytest.fixture
def folder(tmp_path) -> Path:
    with store(tmp_path) as made:
        made.keep([decision(n, user=424242, username="secretname") for n in range(3)], notes={"shard:0:x": "424242"})
        made._queue.settle(
            [], [(made._queue.waiting(1)[0], "UNIQUE constraint failed")], NOON + 5000, {("dead", "x"): 1}
        )
    return tmp_path


def run(folder: Path, *arguments: str) -> tuple[int, str]:
    out = io.StringIO()
    environment = Environment({"QUEUE_FILE": str(folder / "queue.db")})
    return queue.main(arguments, out=out, now=NOON + 3_600_000, environment=environment), out.getvalue()


def test_list_shows_what_waits_and_since_when(folder):
    """How many, the age of the oldest, the counters, and a line an entry."""
    status, text = run(folder, "list")
    assert status == 0
    assert text.startswith("2 waiting, the oldest for 1 h; 1 dead\n  dead x: 1\n")
    assert "2  consent  kept 2026-09-21 14:13:20 UTC, 1 h ago" in text


def test_dead_shows_why(folder):
    """A dead letter's line has its reason."""
    assert "1  consent" in run(folder, "dead")[1]
    assert "UNIQUE constraint failed" in run(folder, "dead")[1]


@pytest.mark.parametrize("command", ["list", "dead", "notes"])
def test_nothing_personal_is_shown_unless_asked(folder, command):
    """No name and no id of a person; with --show-content they are there."""
    assert "secretname" not in run(folder, command)[1]
    assert "424242" not in run(folder, command)[1]
    assert "424242" in run(folder, command, "--show-content")[1]


def test_replay_and_drop_by_id(folder):
    """A replayed letter waits again; what is no dead letter is said, and the exit status tells."""
    assert run(folder, "replay", "1") == (0, "1 of 1 put into the queue again\n")
    assert run(folder, "drop", "1") == (1, "0 of 1 dropped; the others are no dead letters\n")
    assert run(folder, "list")[1].startswith("3 waiting")


def test_a_missing_file_is_said_and_not_made(tmp_path):
    """Looking at a file that is not there makes none."""
    status, text = run(tmp_path, "list")
    assert status == 1
    assert "There is no queue file at" in text
    assert list(tmp_path.iterdir()) == []


def test_metrics_are_prometheus_text():
    """Gauges for what waits, counters by label."""
    statistics = QueueStatistics(3, NOON, 1, {"retried": {"refused": 2}, "delivered": {"consent": 9}})
    text = metrics_text(statistics, now=NOON + 1500).decode()
    assert "bigbrother_queue_waiting 3.0" in text
    assert "bigbrother_queue_oldest_seconds 1.5" in text
    assert 'bigbrother_queue_retried_total{cause="refused"} 2.0' in text
    assert 'bigbrother_queue_delivered_total{kind="consent"} 9.0' in text


def test_settings_have_defaults_and_name_what_is_wrong():
    """All three variables are read; every problem is told by name."""
    assert StoreSettings.read(Environment({})) == StoreSettings()
    environment = Environment({"SQLITE_SERVICE_URL": "sqlite-service:8080", "QUEUE_MAX_BYTES": "1"})
    StoreSettings.read(environment)
    with pytest.raises(SettingsError) as caught:
        environment.check()
    assert [problem.split()[0] for problem in caught.value.problems] == ["SQLITE_SERVICE_URL", "QUEUE_MAX_BYTES"]


def test_pauses_grow_to_a_bound_with_full_jitter():
    """From nothing to twice the last longest, never beyond the bound."""
    assert pause(1, 1.0) < pause(2, 1.0) < pause(5, 1.0)
    assert pause(5, 0.0) == 0.0
    assert pause(10_000, 1.0) == LONGEST_PAUSE
