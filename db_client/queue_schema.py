"""The tables of a queue file."""

from __future__ import annotations

import apsw

PAGE_BYTES = 4096
SCHEMA_VERSION = 4
EARLIER_VERSIONS = (2, 3)  # 2 had a unique key on every entry; both remembered decisions about oneself only
SCHEMA = """
CREATE TABLE entries (
  id      INTEGER PRIMARY KEY AUTOINCREMENT,
  key     TEXT,
  person  INTEGER,
  kind    TEXT NOT NULL,
  body    TEXT NOT NULL,
  created INTEGER NOT NULL
);
CREATE UNIQUE INDEX entries_by_key ON entries (key) WHERE key IS NOT NULL;
CREATE TABLE dead (
  id      INTEGER PRIMARY KEY,
  key     TEXT,
  person  INTEGER,
  kind    TEXT NOT NULL,
  body    TEXT NOT NULL,
  created INTEGER NOT NULL,
  reason  TEXT NOT NULL,
  died    INTEGER NOT NULL
);
CREATE TABLE notes (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE counters (name TEXT, label TEXT, n INTEGER NOT NULL, PRIMARY KEY (name, label)) WITHOUT ROWID;
CREATE TABLE remembered (
  subject        TEXT    NOT NULL,
  slot           TEXT    NOT NULL,
  interaction_id INTEGER NOT NULL,
  body           TEXT    NOT NULL,
  PRIMARY KEY (subject, slot)
) WITHOUT ROWID;
INSERT INTO sqlite_sequence (name, seq) VALUES ('entries', 0);
"""

PUT = "INSERT INTO entries (key, person, kind, body, created) VALUES (?, ?, ?, ?, ?)"
ROWS_AT_ONCE = 20
PUT_ROWS = PUT + ", (?, ?, ?, ?, ?)" * (ROWS_AT_ONCE - 1)
"""Twenty rows: a statement run costs as much as some rows do."""
POSITION = """
SELECT coalesce((SELECT min(id) FROM entries), (SELECT seq + 1 FROM sqlite_sequence WHERE name = 'entries')),
       coalesce((SELECT max(id) FROM dead), 0)
"""
BURY = """
INSERT INTO dead (id, key, person, kind, body, created, reason, died)
SELECT id, key, person, kind, body, created, ?, ? FROM entries WHERE id = ?
"""
REVIVE = """
INSERT INTO entries (key, person, kind, body, created)
SELECT key, person, kind, body, created FROM dead WHERE id = ? ON CONFLICT DO NOTHING
"""
COUNT = """
INSERT INTO counters (name, label, n) VALUES (?, ?, ?) ON CONFLICT (name, label) DO UPDATE SET n = n + excluded.n
"""
REMEMBER = """
INSERT INTO remembered (subject, slot, interaction_id, body)
SELECT :subject, :slot, :interaction_id, :body
 WHERE NOT EXISTS (SELECT 1 FROM remembered
                    WHERE subject = :subject AND slot = 'erase' AND interaction_id > :interaction_id)
    ON CONFLICT (subject, slot) DO UPDATE SET interaction_id = excluded.interaction_id, body = excluded.body
 WHERE excluded.interaction_id > remembered.interaction_id
"""
EARLIER_DECISIONS = "SELECT 'person:' || person, decision, interaction_id, body FROM decisions NOT INDEXED"
"""What earlier versions remembered, as rows of `remembered`."""


def create(connection: apsw.Connection) -> None:
    """Makes the tables, in one transaction."""
    connection.execute(f"PRAGMA page_size={PAGE_BYTES}")
    connection.execute(f"BEGIN IMMEDIATE; {SCHEMA} PRAGMA user_version={SCHEMA_VERSION}; COMMIT")
