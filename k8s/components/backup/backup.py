"""Copies the database out of the SQLite service, checks the copy, and keeps the newest few.

A copy has its final name only once it was checked and is on the disk; a failed run leaves the earlier copies alone.
"""

from __future__ import annotations

import argparse
import os
import sqlite3
import sys
import time
from pathlib import Path

import requests

NAME = "bigbrother-%Y%m%dT%H%M%SZ.db"


def fetch(url: str, target: Path) -> None:
    """Writes the service's database to `target`. `fmt=delete`: one file, without a WAL beside it."""
    with requests.get(f"{url.rstrip('/')}/db/backup", params={"fmt": "delete"}, stream=True, timeout=60) as answer:
        answer.raise_for_status()
        with target.open("wb") as file:
            for piece in answer.iter_content(1 << 20):
                file.write(piece)
            file.flush()
            os.fsync(file.fileno())


def check(copy: Path) -> None:
    """Raises sqlite3.DatabaseError unless the copy is a sound database."""
    connection = sqlite3.connect(f"file:{copy}?mode=ro", uri=True)
    try:
        (verdict,) = connection.execute("PRAGMA integrity_check(1)").fetchone()
    finally:
        connection.close()
    if verdict != "ok":
        raise sqlite3.DatabaseError(f"the copy is damaged: {verdict}")


def back_up(url: str, folder: Path, *, keep: int, now: float) -> Path:
    """Makes one checked copy, named for `now` (seconds since 1970 UTC), removes all but the newest `keep`."""
    copy = folder / time.strftime(NAME, time.gmtime(now))
    unchecked = copy.with_suffix(".part")
    try:
        fetch(url, unchecked)
        check(unchecked)
        unchecked.replace(copy)
    finally:
        unchecked.unlink(missing_ok=True)
    for old in sorted(folder.glob("bigbrother-*.db"))[:-keep]:
        old.unlink()
    return copy


def main() -> int:
    """Exit status 0 if a new checked copy stands in the folder, 1 with the reason if not."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--keep", type=int, default=14, help="how many copies stay (default: 14)")
    arguments = parser.parse_args()
    url = os.environ.get("SQLITE_SERVICE_URL") or "http://sqlite-service:8080"
    try:
        copy = back_up(url, arguments.folder, keep=max(1, arguments.keep), now=time.time())
    except requests.HTTPError as problem:
        reason = f"the service answered {problem.response.status_code}"
    except requests.RequestException as problem:
        reason = f"the service could not be reached ({type(problem).__name__})"  # its text would show the password
    except (OSError, sqlite3.Error) as problem:
        reason = str(problem)
    else:
        sys.stdout.write(f"{copy.name}: {copy.stat().st_size} bytes, checked\n")
        return 0
    sys.stderr.write(f"no backup was made: {reason}; earlier copies are untouched\n")
    return 1


if __name__ == "__main__":
    sys.exit(main())
