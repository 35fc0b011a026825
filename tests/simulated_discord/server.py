"""SimulatedDiscord: the parts put together, on three ports of the loopback interface."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from email.utils import formatdate
from typing import Any

import aiohttp
from aiohttp import web

from tests.simulated_discord import tls as certificates
from tests.simulated_discord.command_store import CommandStore
from tests.simulated_discord.control_api import ControlApi
from tests.simulated_discord.faults import SWITCHES, Faults
from tests.simulated_discord.gateway import Gateway
from tests.simulated_discord.gateway_faults import GatewayFaults
from tests.simulated_discord.history import History, stays, watches
from tests.simulated_discord.http_api import BASE, HttpApi
from tests.simulated_discord.identity import Identity
from tests.simulated_discord.interaction_store import InteractionStore
from tests.simulated_discord.interactions import Interactions
from tests.simulated_discord.listening import Port
from tests.simulated_discord.model import Change, Impossible, NotConnected
from tests.simulated_discord.record import record
from tests.simulated_discord.snowflakes import Snowflakes
from tests.simulated_discord.webhook_api import WebhookApi
from tests.simulated_discord.world import World


def wall_clock() -> int:
    """Milliseconds since 1970 UTC."""
    return time.time_ns() // 1_000_000


class SimulatedDiscord:
    """Discord on loopback: `async with SimulatedDiscord() as discord`. README.md describes everything it does."""

    def __init__(
        self,
        *,
        seed: int = 0,
        clock: Callable[[], int] = wall_clock,
        shards: int = 1,
        host: str = "127.0.0.1",
        api_port: int = 0,
        gateway_port: int = 0,
        control_port: int = 0,
        interactions_url: str | None = None,
        heartbeat_interval: int = 41_250,
        replay_limit: int = 100_000,
        privileged_intents: bool = False,
        session_starts: int = 1000,
        reset_after: int = 86_400_000,
        max_concurrency: int = 1,
        identify_interval: int = 0,
        tls: bool = False,
    ) -> None:
        self.faults = Faults()
        self._clock = clock
        snowflakes = Snowflakes(self.now, seed)
        self.identity = Identity.make(seed, snowflakes)
        self.history = History(self.now)
        self.world = world = World(snowflakes, seed, shards, self._tell)
        self.commands = CommandStore(self.identity.application_id, snowflakes)
        self.gateway = Gateway(
            self.identity,
            world,
            self.faults,
            self.history,
            seed=seed,
            shards=shards,
            heartbeat_interval=heartbeat_interval,
            replay_limit=replay_limit,
            privileged_intents=privileged_intents,
            session_starts=session_starts,
            reset_after=reset_after,
            max_concurrency=max_concurrency,
            identify_interval=identify_interval,
        )
        store = InteractionStore(self.identity, snowflakes, self.now)
        self.interactions = sender = Interactions(
            self.identity, world, self.commands, store, self.history, snowflakes, self.now, seed
        )
        sender.set_interactions_url(interactions_url)
        self._http_api = HttpApi(
            self.identity, world, self.faults, self.history, self.commands, self.gateway, self.interactions
        )
        self._http_api.app.add_routes(WebhookApi(store).routes)
        self._host, self._tls = host, tls
        self._ports = (api_port, gateway_port, control_port)
        self.faults.on_change(self._on_fault)

        # What README.md promises under "Actions", "Interactions" and "Faults".
        self.add_user, self.user = world.add_user, world.user
        self.add_member, self.remove_member = world.add_member, world.remove_member
        self.add_guild, self.add_bot, self.remove_guild = world.add_guild, world.add_bot, world.remove_guild
        self.outage, self.recover = world.outage, world.recover
        self.rename_guild, self.set_afk_channel = world.rename_guild, world.set_afk_channel
        self.add_channel, self.rename_channel = world.add_channel, world.rename_channel
        self.hide_channel = world.hide_channel
        self.delete_channel = world.delete_channel
        self.join, self.switch, self.leave = world.join, world.switch, world.leave
        self.set_state, self.burst = world.set_state, world.burst
        self.set_interactions_url, self.verify_endpoint = sender.set_interactions_url, sender.verify_endpoint
        self.ping, self.command, self.prepare_command = sender.ping, sender.command, sender.prepare_command
        self.autocomplete, self.component, self.modal = sender.autocomplete, sender.component, sender.modal
        self.send_raw, self.repeat, self.messages = sender.send_raw, sender.repeat, sender.messages
        mishaps = GatewayFaults(self.gateway, self.history)
        self.reconnect, self.invalidate, self.close = mishaps.reconnect, mishaps.invalidate, mishaps.close
        self.abort, self.once, self.forget_sessions = mishaps.abort, mishaps.once, mishaps.forget_sessions
        self.resend, self.malformed, self.send_text = mishaps.resend, mishaps.malformed, mishaps.send_text
        self.clear_faults = self.faults.clear

    async def __aenter__(self) -> SimulatedDiscord:
        api, gateway, control = self._ports
        context = certificates.server_context() if self._tls else None
        gateway_app = web.Application()
        gateway_app.router.add_get("/", self.gateway.handle)
        for app in (self._http_api.app, gateway_app):
            app.on_response_prepare.append(self._date)
        self._api = Port(self._http_api.app, self._host, api, context)
        self._gateway_port = Port(gateway_app, self._host, gateway, context)
        self._control = Port(ControlApi(self).app, self._host, control)
        self.gateway.url = f"wss://{certificates.GATEWAY_HOST}" if self._tls else self.gateway_url
        for port in (self._api, self._gateway_port, self._control):
            await port.open()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.gateway.shut_down()
        for port in (self._gateway_port, self._api, self._control):
            await port.close()
        await self.interactions.endpoint.close()

    async def _date(self, request: web.Request, answer: web.StreamResponse) -> None:
        """Each answer says what the clock shows, to the second."""
        if self.faults.no_date:
            answer.headers.popall("Date", None)
        else:
            answer.headers["Date"] = formatdate(self.now() // 1000, usegmt=True)

    def now(self) -> int:
        """What Discord's clock shows."""
        return self._clock() + self.faults.clock_ahead

    # Addresses and secrets

    @property
    def api_url(self) -> str:
        """Base of the HTTP API, with its version."""
        return f"http{'s' * self._tls}://{self._host}:{self._api.number}{BASE}"

    @property
    def gateway_url(self) -> str:
        """Where the gateway listens."""
        return f"ws{'s' * self._tls}://{self._host}:{self._gateway_port.number}"

    @property
    def control_url(self) -> str:
        """Where the control API listens."""
        return f"http://{self._host}:{self._control.number}"

    @property
    def bot_token(self) -> str:
        """The bot's token."""
        return self.identity.bot_token

    @property
    def application_id(self) -> int:
        """The application's id, which is its bot's too."""
        return self.identity.application_id

    @property
    def public_key(self) -> str:
        """The application's public key, hex."""
        return self.identity.public_key

    def environment(self) -> dict[str, str]:
        """The variables with which our programs find this Discord."""
        return {
            "DISCORD_BOT_TOKEN": self.bot_token,
            "DISCORD_PUBLIC_KEY": self.public_key,
            "DISCORD_APPLICATION_ID": str(self.application_id),
            "DISCORD_API_URL": self.api_url,
            "DISCORD_GATEWAY_URL": self.gateway_url,
        }

    def connector(self) -> aiohttp.TCPConnector:
        """With `tls`: for a client whose addresses are Discord's own."""
        ports = {certificates.API_HOST: self._api.number, certificates.GATEWAY_HOST: self._gateway_port.number}
        return certificates.connector(self._host, ports)

    # What is the matter

    def set_faults(self, **switches: Any) -> None:
        """Sets switches; Impossible for one that does not exist."""
        if unknown := set(switches) - SWITCHES:
            raise Impossible(f"no such fault: {', '.join(sorted(unknown))}")
        for name, value in switches.items():
            setattr(self.faults, name, value)

    def stays(self) -> list[dict[str, Any]]:
        """Who was where from when to when."""
        return stays(self.history.entries)

    def watches(self) -> list[dict[str, Any]]:
        """When a listener was connected."""
        return watches(self.history.entries)

    def state(self) -> dict[str, Any]:
        """Counts, and the switches."""
        gateway = self.gateway
        return {
            "connections": len(gateway.connections),
            "connected_shards": sorted(gateway.connected_shards()),
            "sessions": len(gateway.sessions),
            "identifies": gateway.identifies,
            "resumes": gateway.resumes,
            "dispatched": gateway.dispatched,
            "interactions_url": self.interactions.endpoint.url,
            "history": len(self.history.entries),
            "faults": {name: getattr(self.faults, name) for name in sorted(SWITCHES)},
        }

    async def wait_connected(self, shards: int | None = None, within: float = 15.0) -> None:
        """Until that many shards (all by default) are READY, with all their guilds, or RESUMED, and connected."""
        wanted = self.gateway.shards if shards is None else shards
        deadline = time.monotonic() + within
        while len(self.gateway.connected_shards()) < wanted:
            if time.monotonic() > deadline:
                raise NotConnected(f"{len(self.gateway.connected_shards())} of {wanted} shards after {within} s")
            await asyncio.sleep(0.01)

    def _tell(self, change: Change) -> None:
        record(change, self.world, self.history, lost=self.faults.lose)
        self.gateway.tell(change)

    def _on_fault(self, name: str, value: Any) -> None:
        if name != "rate_limit":  # counts itself down
            self.history.add("fault", what=name, value=value)
        if name == "refuse":
            if value:
                self._gateway_port.refuse()
            else:
                self._gateway_port.accept()
        elif name == "silent":
            for connection in self.gateway.connections:
                connection.pause(value)
