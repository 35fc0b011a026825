"""`python -m tests.simulated_discord`: runs until SIGTERM or SIGINT; its one line says where everything is."""

from __future__ import annotations

import argparse
import asyncio
import json
import signal

from tests.simulated_discord.server import SimulatedDiscord


def parser() -> argparse.ArgumentParser:
    """The command line."""
    options = argparse.ArgumentParser(prog="python -m tests.simulated_discord", description="A simulated Discord.")
    options.add_argument("--port", type=int, default=0, help="of the control API (0: any free one)")
    options.add_argument("--api-port", type=int, default=0, help="of the HTTP API")
    options.add_argument("--gateway-port", type=int, default=0, help="of the gateway")
    options.add_argument("--host", default="127.0.0.1", help="address to listen at")
    options.add_argument("--seed", type=int, default=0, help="of ids, keys and tokens")
    options.add_argument("--shards", type=int, default=1, help="how many the bot has to use")
    options.add_argument("--interactions-url", default=None, help="of the endpoint that gets interactions")
    options.add_argument("--heartbeat-interval", type=int, default=41_250, help="in ms")
    options.add_argument("--session-starts", type=int, default=1000, help="how many IDENTIFYs there are")
    options.add_argument("--replay-limit", type=int, default=100_000, help="dispatches a session can replay")
    return options


async def run(options: argparse.Namespace) -> None:
    """Serves until a signal says stop."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    discord = SimulatedDiscord(
        seed=options.seed,
        shards=options.shards,
        host=options.host,
        control_port=options.port,
        api_port=options.api_port,
        gateway_port=options.gateway_port,
        interactions_url=options.interactions_url,
        heartbeat_interval=options.heartbeat_interval,
        replay_limit=options.replay_limit,
        session_starts=options.session_starts,
    )
    async with discord:
        about = {
            "api_url": discord.api_url,
            "gateway_url": discord.gateway_url,
            "control_url": discord.control_url,
            "public_key": discord.public_key,
            "application_id": str(discord.application_id),
            "bot_token": discord.bot_token,
            "environment": discord.environment(),
        }
        print(json.dumps(about), flush=True)
        await stop.wait()


if __name__ == "__main__":
    asyncio.run(run(parser().parse_args()))
