"""What an SQL statement is here, and the rules for all of them (pure).

The texts stand by what happens in them: `consent_statements`, `session_statements`, `guild_statements`,
`upkeep_statements`, `reading_statements`, `report_statements`; `record_statements` says which a record needs.

No text reads a clock or a random number: rqlite would replay it differently, and a repeated write would differ from
the first. None asks a table for `*`: a connection that still knows an older schema (rqlite has several) would answer it
under the names of before. Four rules of the design are kept in them, at the writer: consent (a session is cut to the
person's consent intervals), erasure is final, one seat, and twice is once.
"""

from __future__ import annotations

from typing import NamedTuple, TypeAlias

Parameters: TypeAlias = dict[str, int | float | str | None]


class Statement(NamedTuple):
    """One SQL statement; `parameters` holds exactly the names the text has, without their colon."""

    sql: str
    parameters: Parameters
