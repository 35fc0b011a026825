"""`python -m db_client.queue`: what a queue file holds: what waits and since when, what is dead and why.

Nothing personal is printed unless `--show-content` is given.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TextIO

from db_client.errors import DbClientError
from db_client.queue_file import Letter, QueueFile
from db_client.settings import StoreSettings
from program.environment import Environment, SettingsError


def main(arguments: Sequence[str], *, out: TextIO, now: int, environment: Environment) -> int:
    """Runs one command; the exit status. `now` in ms since 1970 UTC."""
    options = _parser().parse_args(arguments)
    settings = StoreSettings.read(environment)
    path = options.file or settings.queue_file
    try:
        environment.check()
        if not path.exists():
            print(f"There is no queue file at {path}: set QUEUE_FILE, or say --file.", file=out)
            return 1
        queue = QueueFile(path, settings.queue_max_bytes)
        try:
            return int(_COMMANDS[options.command](queue, options, out, now))
        finally:
            queue.close()
    except (DbClientError, SettingsError) as problem:
        print(problem, file=out)
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m db_client.queue", description=__doc__)
    parser.add_argument("--file", type=Path, help="the queue file; default: QUEUE_FILE, or data/queue.db")
    commands = parser.add_subparsers(dest="command", required=True)
    for name, text in (("list", "what waits, oldest first"), ("dead", "the dead letters and their reasons")):
        command = commands.add_parser(name, help=text)
        command.add_argument("--most", type=int, default=50, help="how many to show (50)")
        command.add_argument("--show-content", action="store_true", help="with their content, which is personal")
    for name, text in (("replay", "put dead letters into the queue again"), ("drop", "delete dead letters for good")):
        command = commands.add_parser(name, help=text)
        command.add_argument("ids", type=int, nargs="+", metavar="ID")
    commands.add_parser("notes", help="what the programs noted for themselves, without the values").add_argument(
        "--show-content", action="store_true", help="with the values, which may be personal"
    )
    return parser


def _list(queue: QueueFile, options: argparse.Namespace, out: TextIO, now: int) -> int:
    waiting, oldest, dead, counts = queue.tallies()
    since = "" if oldest is None else f", the oldest for {_age(now - oldest)}"
    print(f"{waiting} waiting{since}; {dead} dead", file=out)
    for (name, label), n in sorted(counts.items()):
        print(f"  {name} {label}: {n}", file=out)
    _letters(queue.letters(dead=False, most=options.most), options, out, now)
    return 0


def _dead(queue: QueueFile, options: argparse.Namespace, out: TextIO, now: int) -> int:
    _, _, dead, _ = queue.tallies()
    print(f"{dead} dead", file=out)
    _letters(queue.letters(dead=True, most=options.most), options, out, now)
    return 0


def _letters(letters: Sequence[Letter], options: argparse.Namespace, out: TextIO, now: int) -> None:
    for letter in letters:
        line = f"{letter.id}  {letter.kind}  kept {_moment(letter.created)}, {_age(now - letter.created)} ago"
        if letter.died is not None:
            line += f"; died {_moment(letter.died)}: {letter.reason}"
        print(line, file=out)
        if options.show_content:
            print(f"    {letter.body.decode('utf-8', 'backslashreplace')}", file=out)


def _replay(queue: QueueFile, options: argparse.Namespace, out: TextIO, now: int) -> int:
    return _told(queue.replay(options.ids), len(options.ids), "put into the queue again", out)


def _drop(queue: QueueFile, options: argparse.Namespace, out: TextIO, now: int) -> int:
    return _told(queue.drop(options.ids), len(options.ids), "dropped", out)


def _told(done: int, wanted: int, what: str, out: TextIO) -> int:
    print(f"{done} of {wanted} {what}" + ("" if done == wanted else "; the others are no dead letters"), file=out)
    return 0 if done == wanted else 1


def _notes(queue: QueueFile, options: argparse.Namespace, out: TextIO, now: int) -> int:
    for key, value in queue.notes("").items():
        print(
            f"{key} = {value}" if options.show_content else f"{key.partition(':')[0]}: {len(value)} characters",
            file=out,
        )
    return 0


_COMMANDS = {"list": _list, "dead": _dead, "replay": _replay, "drop": _drop, "notes": _notes}


def _moment(ms: int) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(ms / 1000))


def _age(ms: int) -> str:
    seconds = max(0, ms // 1000)
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds // size} {unit}"
    return f"{seconds} s"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], out=sys.stdout, now=time.time_ns() // 1_000_000, environment=Environment(os.environ)))
