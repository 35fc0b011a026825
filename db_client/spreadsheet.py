"""CSV that a spreadsheet shows as it was meant (pure): moments are moments, numbers are numbers, text stays text.

Names are chosen by strangers. None becomes a formula, a number, a date or a truth value, also where the spreadsheet
splits lines at another separator: https://owasp.org/www-community/attacks/CSV_Injection
"""

from __future__ import annotations

import csv
import io
import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timezone

MARK = "\N{BYTE ORDER MARK}"
"""By it Excel knows UTF-8."""

_TRUTHS = frozenset({"true", "false", "wahr", "falsch"})
_FORMULA_WITHIN = re.compile("([,;:|\"'`]\\s*)(?=[=+\\-@\uff1d\uff0b\uff0d\uff20])")


def table(columns: Sequence[str], rows: Iterable[Mapping[str, object]]) -> str:
    """The rows as CSV with a heading; values are whole numbers, text, or None (an empty cell)."""
    text = io.StringIO(newline="")
    text.write(MARK)
    writer = csv.writer(text)
    writer.writerow(columns)
    writer.writerows([_cell(row[column]) for column in columns] for row in rows)
    return text.getvalue()


def moment(at: int | None) -> Moment | None:
    """A moment (ms since 1970 UTC) to the second: with milliseconds, some spreadsheets would take it for text."""
    if at is None:
        return None
    return Moment(datetime.fromtimestamp(at // 1000, timezone.utc).strftime("%Y-%m-%d %H:%M:%S"))


class Moment(str):
    """Text that a spreadsheet shall read as a moment."""

    __slots__ = ()


def _cell(value: object) -> object:
    return _inert(value) if isinstance(value, str) and not isinstance(value, Moment) else value


def _inert(text: str) -> str:
    """Text with an apostrophe in front, unless it begins with a letter and holds no digit ("May 5", "1E5", "00123")."""
    line = "".join(" " if unicodedata.category(character) in ("Cc", "Zl", "Zp") else character for character in text)
    line = _FORMULA_WITHIN.sub(r"\1'", line)
    plain = line[:1].isalpha() and not any(map(str.isdigit, line)) and line.strip().casefold() not in _TRUTHS
    return line if plain or not line else f"'{line}"
