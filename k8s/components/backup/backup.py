"""Copies the database out of the SQLite service, checks the copy, and keeps the newest few.

A copy has its final name only once it was checked and is on the disk; a failed run leaves the earlier copies alone.
What a killed run left is removed by the next one.
"""

from __future__ import annotations

import argparse
import fcntl
import os
import signal
import sqlite3
import sys
import time
from pathlib import Path
from types import FrameType

import requests

NAME = "bigbrother-%Y%m%dT%H%M%SZ.db"
PATIENCE_SECONDS = 900


class Stopped(Exception):
    """SIGTERM, or another run that is not over yet."""


def fetch(url: str, target: Path) -> None:
    """Writes the service's database to `target`: one file, which holds nothing of what was deleted.

    The answer may take minutes to begin, for `vacuum` has the service write the copy anew. Among three nodes the one
    that is asked gives the leader no longer than `timeout`.
    """
    asked = {"vacuum": "", "timeout": f"{PATIENCE_SECONDS}s"}
    with requests.get(
        f"{url.rstrip('/')}/db/backup", params=asked, stream=True, timeout=(10, PATIENCE_SECONDS)
    ) as answer:
        answer.raise_for_status()
        with target.open("wb") as file:
            for piece in answer.iter_content(1 << 20):
                file.write(piece)
            file.flush()
            os.fsync(file.fileno())


def check(copy: Path) -> None:
    """Raises sqlite3.DatabaseError unless the copy is a sound database."""
    connection = sqlite3.connect(f"file:{copy}?mode=ro", uri=True)
    connection.set_progress_handler(lambda: 0, 100_000)  # now and then Python runs, and so hears of a SIGTERM
    try:
        (verdict,) = connection.execute("PRAGMA integrity_check(1)").fetchone()
    finally:
        connection.close()
    if verdict != "ok":
        raise sqlite3.DatabaseError(f"the copy is damaged: {verdict}")


def hold(folder: Path) -> None:
    """Makes this run the only one in the folder until it ends, however it ends; raises Stopped if there is another."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise Stopped("another run is making one") from None


def back_up(url: str, folder: Path, *, keep: int, now: float) -> Path:
    """Makes one checked copy, named for `now` (seconds since 1970 UTC), removes all but the newest `keep`.

    Nobody else may do the same in this folder meanwhile: every unfinished copy is taken for one of a killed run.
    """
    for unfinished in folder.glob("bigbrother-*.part*"):
        unfinished.unlink()
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


def stop(_signal: int, _frame: FrameType | None) -> None:
    """SIGTERM, which the first process of a container hears only with a handler of its own."""
    raise Stopped("it was told to end")


def main() -> int:
    """Exit status 0 if a new checked copy stands in the folder, 1 with the reason if not."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--keep", type=int, default=14, help="how many copies stay (default: 14)")
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, stop)
    url = os.environ.get("SQLITE_SERVICE_URL") or "http://sqlite-service:8080"
    try:
        hold(arguments.folder)
        copy = back_up(url, arguments.folder, keep=max(1, arguments.keep), now=time.time())
    except requests.HTTPError as problem:
        reason = f"the service answered {problem.response.status_code}"
    except requests.RequestException as problem:
        reason = f"the service could not be reached ({type(problem).__name__})"  # its text would show the password
    except (OSError, sqlite3.Error, Stopped) as problem:
        reason = str(problem)
    else:
        sys.stdout.write(f"{copy.name}: {copy.stat().st_size} bytes, checked\n")
        return 0
    sys.stderr.write(f"no backup was made: {reason}; earlier copies are untouched\n")
    return 1


if __name__ == "__main__":
    sys.exit(main())
