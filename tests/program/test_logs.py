"""Every program logs one line an event, readable by people or by collectors."""

import json
import logging
import sys

from program.environment import Environment
from program.logs import JsonFormatter, LogSettings, TextFormatter, cause


def record(message="delivered", **extra):
    made = logging.makeLogRecord({"name": "db_client.delivery", "levelno": 20, "levelname": "INFO", "msg": message})
    made.created, made.msecs = 1_700_000_000.25, 250
    vars(made).update(extra)
    return made


def test_text_lines_carry_moment_level_source_and_fields():
    """A line can be read without knowing the program."""
    assert TextFormatter().format(record(entries=12)) == (
        "2023-11-14T22:13:20.250Z INFO db_client.delivery delivered entries=12"
    )


def test_json_lines_carry_the_same():
    """One object a line, fields beside the message."""
    assert json.loads(JsonFormatter().format(record(entries=12))) == {
        "time": "2023-11-14T22:13:20.250Z",
        "level": "info",
        "logger": "db_client.delivery",
        "message": "delivered",
        "entries": 12,
    }


def test_an_exception_keeps_its_traceback_in_both_forms():
    """What went wrong is not lost to the form of the log."""
    try:
        raise ValueError("out of range")
    except ValueError:
        failed = record(exc_info=sys.exc_info())
    assert TextFormatter().format(failed).endswith("ValueError: out of range")
    assert json.loads(JsonFormatter().format(failed))["exception"].endswith("ValueError: out of range")


def test_settings_come_from_two_variables():
    """LOG_LEVEL and LOG_FORMAT, with readable defaults."""
    assert LogSettings.read(Environment({})) == LogSettings("info", "text")
    assert LogSettings.read(Environment({"LOG_LEVEL": "DEBUG", "LOG_FORMAT": "json"})) == LogSettings("debug", "json")


def test_of_an_exception_its_text_is_not_logged():
    """It may quote somebody's data: the type and the places are enough to find the fault."""
    try:
        int("Ada's number")
    except ValueError as problem:
        said = cause(problem)
    assert said["problem"] == "ValueError"
    assert "test_logs.py:" in said["at"]
    assert "Ada" not in str(said)
