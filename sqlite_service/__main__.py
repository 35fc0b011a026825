"""`python -m sqlite_service`: the embedded SQLite service."""

from __future__ import annotations

import logging
import os
import socket
import sys

import apsw

from program import exits, logs
from program.environment import SettingsError
from sqlite_service import files
from sqlite_service.server import Server
from sqlite_service.settings import Settings

log = logging.getLogger("sqlite_service")


def main() -> int:
    """Runs until SIGTERM or SIGINT; the exit status, of `program.exits`: also why it cannot start, now or ever."""
    try:
        settings = Settings.read(os.environ)
    except SettingsError as error:
        for problem in error.problems:
            print(problem, file=sys.stderr)
        return exits.SETTINGS
    logs.set_up(settings.logs)
    try:
        lock = files.prepare(settings.file)
        listener = _listen(settings)
    except files.CannotOpen as problem:
        print(problem, file=sys.stderr)
        return exits.AGAIN
    host, port = listener.getsockname()[:2]
    shown = f"[{host}]" if ":" in host else host

    def announce() -> None:
        log.info("SQLite %s on %s", apsw.sqlite_lib_version(), settings.file)
        log.info("listening on http://%s:%d", shown, port)

    master = os.getpid()
    try:
        Server(settings, listener, announce).run()
    except SystemExit as end:
        status = int(end.code or 0)  # a worker's for gunicorn, or gunicorn's own for us
        return exits.AGAIN if status and os.getpid() == master else status
    finally:
        os.close(lock)
    return exits.ASKED


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
