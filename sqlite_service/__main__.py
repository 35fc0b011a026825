"""`python -m sqlite_service`: the embedded SQLite service."""

from __future__ import annotations

import logging
import os
import socket
import sys

import apsw

from program import logs
from program.environment import SettingsError
from sqlite_service import files
from sqlite_service.server import Server
from sqlite_service.settings import Settings

log = logging.getLogger("sqlite_service")


def main() -> int:
    """Runs until SIGTERM or SIGINT; 0 after a clean end, 1 if it cannot start, 2 if its settings are wrong."""
    try:
        settings = Settings.read(os.environ)
    except SettingsError as error:
        for problem in error.problems:
            print(problem, file=sys.stderr)
        return 2
    logs.set_up(settings.logs)
    try:
        lock = files.prepare(settings.file)
        listener = _listen(settings)
    except files.CannotOpen as problem:
        print(problem, file=sys.stderr)
        return 1
    host, port = listener.getsockname()[:2]
    shown = f"[{host}]" if ":" in host else host

    def announce() -> None:
        log.info("SQLite %s on %s", apsw.sqlite_lib_version(), settings.file)
        log.info("listening on http://%s:%d", shown, port)

    try:
        Server(settings, listener, announce).run()
    except SystemExit as end:
        return int(end.code or 0)
    finally:
        os.close(lock)
    return 0


def _listen(settings: Settings) -> socket.socket:
    try:
        family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
        listener = socket.create_server((settings.host.strip("[]"), settings.port), family=family, backlog=512)
    except OSError as problem:
        raise files.CannotOpen(
            f"cannot listen on {settings.host}:{settings.port}: {problem.strerror}. "
            "Stop the program that has the port, or set HOST and PORT to others."
        ) from problem
    listener.set_inheritable(True)
    return listener


if __name__ == "__main__":
    sys.exit(main())
