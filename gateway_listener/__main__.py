"""`python -m gateway_listener`: follows one shard of the gateway until SIGTERM or SIGINT."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import sys

from db_client.errors import NotKept
from gateway_listener.application import OtherApplication
from gateway_listener.gateway import GatewayLost, GatewayRefused
from gateway_listener.listener import Listener
from gateway_listener.settings import Settings
from program import logs
from program.environment import SettingsError

START_AGAIN = 1
CANNOT_START = 2
DISCORD_REFUSED = 3


async def _run(settings: Settings) -> None:
    listener = Listener(settings)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, listener.stop)
    await listener.run()


def main() -> int:
    """The exit status: 0 after a signal, 1 if the gateway is out of reach for too long (a new start is right), 2 for
    settings or data that cannot be used, 3 if Discord refuses."""
    try:
        settings = Settings.read(os.environ)
    except SettingsError as error:
        print(*error.problems, sep="\n", file=sys.stderr)
        return CANNOT_START
    logs.set_up(settings.log)
    # What is loaded stays, and what comes from the gateway is freed by being let go: there is little to search for.
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)
    try:
        asyncio.run(_run(settings))
    except GatewayLost as lost:
        print(lost, file=sys.stderr)
        return START_AGAIN
    except GatewayRefused as refusal:
        print(refusal, file=sys.stderr)
        return DISCORD_REFUSED
    except OtherApplication as refusal:
        print(refusal, file=sys.stderr)
        return CANNOT_START
    except NotKept as problem:
        print(f"{problem}\nThe queue file is {settings.store.queue_file} (QUEUE_FILE).", file=sys.stderr)
        return CANNOT_START
    return 0


if __name__ == "__main__":
    sys.exit(main())
