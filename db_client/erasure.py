"""Erasure reaches what has not been delivered: entries that wait, and dead letters.

An erasure that this process keeps takes effect in the same commit. One that was decided elsewhere is learnt from the
service, by asking about exactly the persons this file still knows; usually there are none, and nobody is asked.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from db_client.records import ConsentDecision, Record, Undecodable, VoiceSession, from_json
from db_client.snowflake import created_at
from db_client.statements import Statement

ERASURES_OF = (
    "SELECT user_id, max(interaction_id) AS interaction_id FROM consent_log WHERE decision = 'erase'"
    " AND user_id IN (SELECT value FROM json_each(:persons)) GROUP BY user_id"
)

LAST_DECISION = 2**63 - 1
"""No snowflake is greater: everything is from before it."""


class Erasure(NamedTuple):
    """What there is about a person from before a decision goes; the decision by its interaction's snowflake."""

    person: int
    interaction_id: int


def erasures_in(records: Iterable[Record]) -> list[Erasure]:
    """The erasures among records that are about to be kept."""
    return [
        Erasure(record.user_id, record.interaction_id)
        for record in records
        if isinstance(record, ConsentDecision) and record.decision == "erase"
    ]


RECENT_ERASURES = """
SELECT user_id, max(interaction_id) AS interaction_id FROM consent_log
 WHERE decision = 'erase' AND seq > (SELECT max(seq) FROM consent_log) - 10000 GROUP BY user_id ORDER BY user_id
"""


def recent_erasures() -> Statement:
    """The newest erasure of each person among the last decisions that arrived: user_id, interaction_id."""
    return Statement(RECENT_ERASURES, {})


def erasures_of(persons: Sequence[int]) -> Statement:
    """The newest erasure of each of those persons: user_id, interaction_id."""
    return Statement(ERASURES_OF, {"persons": json.dumps(list(persons))})


def left_of(erasure: Erasure, body: bytes, created: int) -> bytes | None:
    """What stays of an entry about that person; None if all of it goes.

    What was decided or began after the erasure stays as it is; a session that ended after it loses its beginning, and
    the writer decides whether a consent covers the rest. `created` is when the entry was kept, ms since 1970 UTC; it
    decides where the entry itself does not tell.
    """
    erased_at = created_at(erasure.interaction_id)
    try:
        record = from_json(body.decode("utf-8", "replace"))
    except Undecodable:
        return None if created < erased_at else body
    match record:
        case ConsentDecision():
            gone = record.interaction_id < erasure.interaction_id
        case VoiceSession():
            gone = record.started_at < erased_at
            if gone and record.ended_at is not None and record.ended_at >= erased_at:
                rest = record._replace(started_at=erased_at, started_by="opted_in", started_within_ms=0)
                return rest.to_json().encode()
        case _:
            gone = created < erased_at
    return None if gone else body
