"""`python -m gateway_listener`: follows one shard of the gateway until SIGTERM or SIGINT."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import signal
import sys

from db_client.errors import NotKept
from gateway_listener.application import OtherApplication
from gateway_listener.gateway import GatewayLost, GatewayRefused
from gateway_listener.listener import Listener
from gateway_listener.settings import Settings
from program import exits, logs, threads
from program.environment import SettingsError
from program.tasks import Unasked

log = logging.getLogger(__name__)


async def _run(settings: Settings) -> None:
    listener = Listener(settings)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, listener.stop)
    await listener.run()


def main() -> int:
    """The exit status, of `program.exits`; what ended it that nobody asked for is logged with its place."""
    try:
        settings = Settings.read(os.environ)
    except SettingsError as error:
        print(*error.problems, sep="\n", file=sys.stderr)
        return exits.SETTINGS
    logs.set_up(settings.log)
    # What is loaded stays, and what comes from the gateway is freed by being let go: there is little to search for.
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)
    try:
        asyncio.run(_run(settings))
    except GatewayLost as lost:
        print(lost, file=sys.stderr)
        return exits.AGAIN
    except GatewayRefused as refusal:
        print(refusal, file=sys.stderr)
        return exits.DISCORD_REFUSES
    except OtherApplication as refusal:
        print(refusal, file=sys.stderr)
        return exits.SETTINGS
    except NotKept as problem:
        print(f"{problem}\nThe queue file is {settings.store.queue_file} (QUEUE_FILE).", file=sys.stderr)
        return exits.AGAIN
    except Exception as problem:  # noqa: BLE001 (nobody is left to be told but the log and whoever started this)
        what = "the listener ended, which nobody asked for: it is to be started again"
        log.critical(what, extra={"what": _harmless(problem), **logs.cause(problem)})
        return exits.AGAIN
    return exits.AGAIN if threads.ended_unasked() else exits.ASKED


def _harmless(problem: Exception) -> str:
    """What may be said of it: the system's own words, or the name of our task; any other text may quote somebody."""
    if isinstance(problem, OSError):
        return problem.strerror or ""
    return str(problem) if isinstance(problem, Unasked) else ""


if __name__ == "__main__":
    sys.exit(main())
