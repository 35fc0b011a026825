"""JSON by orjson, which takes a fifth of the time, and by the standard library for the little that orjson refuses."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

import orjson


def read(text: str | bytes) -> Any:
    """A JSON text as a value, halves of surrogate pairs included; raises ValueError or RecursionError for the rest."""
    try:
        return orjson.loads(text)
    except ValueError:
        return json.loads(text)


def write(value: Any) -> str:
    """The value, perhaps a dataclass, as JSON without spaces; raises TypeError or ValueError for what is no JSON."""
    try:
        return orjson.dumps(value).decode()
    except TypeError:
        return json.dumps(value, separators=(",", ":"), allow_nan=False, default=asdict)
