"""demo.plan: each program gets what it needs to find the others, and the operator's own settings win."""

from __future__ import annotations

from pathlib import Path

import pytest

from demo.plan import Ports, is_ours, plan, wanted_ports
from program.environment import SettingsError

DATA = Path("data")


def test_the_programs_find_each_other() -> None:
    """One queue file, one URL of the service, a port each, all on loopback."""
    made = plan({}, Ports(web=1, sqlite=2, listener=3), DATA)
    for environment in made.environments.values():
        assert environment["SQLITE_SERVICE_URL"] == "http://127.0.0.1:2"
        assert environment["QUEUE_FILE"] == str(DATA / "queue.db")
    assert made.environments["sqlite"] | {"HOST": "127.0.0.1", "PORT": "2"} == made.environments["sqlite"]
    assert made.environments["web"]["GUNICORN_CMD_ARGS"] == "--bind 127.0.0.1:1"
    assert made.environments["listener"]["METRICS_PORT"] == "3"
    assert set(made.environments) == {"sqlite", "web", "listener"}
    assert made.url("web", "/readyz") == "http://127.0.0.1:1/readyz"


def test_the_operators_settings_win() -> None:
    """Files, credentials and gunicorn's options are kept."""
    given = {
        "QUEUE_FILE": "q.db",
        "SQLITE_FILE": "s.db",
        "SQLITE_USERNAME": "u",
        "SQLITE_PASSWORD": "p@/",
        "GUNICORN_CMD_ARGS": "--workers 3",
    }
    made = plan(given, Ports(), DATA)
    assert made.environments["sqlite"]["SQLITE_FILE"] == "s.db"
    assert made.queue_file == Path("q.db")
    assert made.environments["web"]["GUNICORN_CMD_ARGS"] == "--bind 127.0.0.1:8000 --workers 3"
    assert made.environments["web"]["SQLITE_SERVICE_URL"] == "http://u:p%40%2F@127.0.0.1:8080"


def test_a_service_elsewhere_is_not_started_here() -> None:
    """An URL of another machine, or one handed in, is used as it is."""
    assert "sqlite" not in plan({"SQLITE_SERVICE_URL": "http://db.internal:4001"}, Ports(), DATA).environments
    assert "sqlite" in plan({"SQLITE_SERVICE_URL": "http://localhost:4001"}, Ports(), DATA).environments
    handed = plan({}, Ports(), DATA, sqlite_url="http://127.0.0.1:4001")
    assert "sqlite" not in handed.environments
    assert handed.url("sqlite", "/readyz") == "http://127.0.0.1:4001/readyz"


@pytest.mark.parametrize(
    ("given", "ports"),
    [
        ({}, Ports()),
        ({"PORT": "80", "METRICS_PORT": "90", "SQLITE_SERVICE_URL": "http://127.0.0.1:81"}, Ports(80, 81, 90)),
        ({"PORT": "", "SQLITE_SERVICE_URL": ""}, Ports()),
    ],
)
def test_ports_follow_the_settings(given: dict[str, str], ports: Ports) -> None:
    """The service's port is the one in its URL."""
    assert wanted_ports(given) == ports


def test_a_simulation_leaves_the_persons_own_settings_out() -> None:
    """A shell that holds a token or a queue file must not leak them into a simulation."""
    ours = ["DISCORD_BOT_TOKEN", "SQLITE_SERVICE_URL", "QUEUE_FILE", "PORT", "SHARD_ID", "METRICS_PORT"]
    assert [name for name in [*ours, "PATH", "LOG_LEVEL", "HTTPS_PROXY"] if is_ours(name)] == ours


def test_a_port_that_is_none_is_named() -> None:
    """The error is the programs' own kind: the variable and what it takes."""
    with pytest.raises(SettingsError, match=r"PORT is malformed.*\nMETRICS_PORT is malformed"):
        wanted_ports({"PORT": "http", "METRICS_PORT": "0"})
