"""The log of every program here: one line an event on standard error, as text or as JSON."""

from __future__ import annotations

import json
import logging
import sys
import time
import traceback
from dataclasses import dataclass

from program.environment import Environment

LEVELS = ("debug", "info", "warning", "error", "critical")

# What logging itself puts on a record; everything else came in by `extra`.
_OWN_FIELDS = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


@dataclass(frozen=True)
class LogSettings:
    """LOG_LEVEL and LOG_FORMAT."""

    level: str = "info"
    format: str = "text"

    @classmethod
    def read(cls, environment: Environment) -> LogSettings:
        """Reads both variables; what is malformed is noted in `environment`."""
        return cls(
            level=environment.choice("LOG_LEVEL", "info", LEVELS),
            format=environment.choice("LOG_FORMAT", "text", ("text", "json")),
        )


def _fields(record: logging.LogRecord) -> dict[str, object]:
    return {name: value for name, value in vars(record).items() if name not in _OWN_FIELDS}


def _moment(record: logging.LogRecord) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created)) + f".{int(record.msecs):03d}Z"


class TextFormatter(logging.Formatter):
    """`2026-11-22T10:00:00.000Z INFO db_client.delivery delivered entries=12`."""

    def format(self, record: logging.LogRecord) -> str:
        """One line; an exception's traceback follows on lines of its own."""
        fields = "".join(f" {name}={value}" for name, value in _fields(record).items())
        line = f"{_moment(record)} {record.levelname} {record.name} {record.getMessage()}{fields}"
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line


class JsonFormatter(logging.Formatter):
    """One JSON object a line, for log collectors."""

    def format(self, record: logging.LogRecord) -> str:
        """The fields of `extra` beside `time`, `level`, `logger` and `message`."""
        event: dict[str, object] = {
            "time": _moment(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **_fields(record),
        }
        if record.exc_info:
            event["exception"] = self.formatException(record.exc_info)
        return json.dumps(event, default=str)


def set_up(settings: LogSettings) -> None:
    """Sends every log record of this process to standard error in the form that was asked for."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter() if settings.format == "json" else TextFormatter())
    logging.basicConfig(level=settings.level.upper(), handlers=[handler], force=True)


def cause(problem: BaseException) -> dict[str, str]:
    """What may be logged of an exception, as `extra`: its type and the places in the code that it passed, newest first.

    Its text may quote somebody's data.
    """
    frames = reversed(traceback.extract_tb(problem.__traceback__))
    at = " < ".join(f"{frame.filename}:{frame.lineno} {frame.name}" for frame in frames)
    return {"problem": type(problem).__name__, "at": at}
