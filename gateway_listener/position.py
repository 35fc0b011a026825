"""How far the consent log was followed, in a way that tells this log from one that was restored. Pure."""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple

# So many of the last rows are remembered: an erasure removes rows, and may not make the log look like another one.
REMEMBERED_ROWS = 16


class Row(NamedTuple):
    """A row of the consent log: its place, and the interaction (a snowflake) that stands there."""

    seq: int
    interaction_id: int


class Position(NamedTuple):
    """The last rows that were read, oldest first; none: nothing was."""

    rows: tuple[Row, ...] = ()

    @property
    def seq(self) -> int:
        """The last row that was read; 0: none."""
        return self.rows[-1].seq if self.rows else 0

    @property
    def first(self) -> int:
        """The first row that is remembered."""
        return self.rows[0].seq if self.rows else 0

    def is_in(self, standing: Collection[Row], newest: int) -> bool:
        """True if a log with these rows from `first` to `seq`, which ends at row `newest`, is the one that was read.

        Erasures remove rows of it, but none gets another decision, and the last one of the log is never removed.
        """
        return not self.rows or (newest >= self.seq and bool(standing) and set(standing) <= set(self.rows))

    def moved(self, standing: Collection[Row], read: Collection[Row]) -> Position:
        """Behind the rows that were read; of the earlier ones those that stand are remembered."""
        return Position((*standing, *read)[-REMEMBERED_ROWS:]) if read else self

    def to_text(self) -> str:
        """For the note; `from_text` reads it."""
        return " ".join(f"{row.seq}:{row.interaction_id}" for row in self.rows)

    @classmethod
    def from_text(cls, text: str) -> Position:
        """What `to_text` wrote; raises ValueError. What an older version wrote is a number only, and is in no log."""
        places = (place.partition(":") for place in text.split())
        return cls(tuple(Row(int(seq), int(interaction_id or 0)) for seq, _, interaction_id in places))
