"""Every action that the control API takes, by name: where its arguments are described."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.simulated_discord.gateway_faults import GatewayFaults
from tests.simulated_discord.interactions import Interactions
from tests.simulated_discord.world import World

_WORLD = (
    World.add_user,
    World.add_member,
    World.remove_member,
    World.add_guild,
    World.add_bot,
    World.remove_guild,
    World.outage,
    World.recover,
    World.rename_guild,
    World.set_afk_channel,
    World.add_channel,
    World.rename_channel,
    World.hide_channel,
    World.delete_channel,
    World.join,
    World.switch,
    World.leave,
    World.set_state,
    World.burst,
)
_OUTCOMES = (
    Interactions.ping,
    Interactions.command,
    Interactions.autocomplete,
    Interactions.component,
    Interactions.modal,
    Interactions.send_raw,
    Interactions.repeat,
)
_INTERACTIONS = (
    *_OUTCOMES,
    Interactions.set_interactions_url,
    Interactions.verify_endpoint,
    Interactions.prepare_command,
    Interactions.messages,
)
_FAULTS = (
    GatewayFaults.reconnect,
    GatewayFaults.invalidate,
    GatewayFaults.close,
    GatewayFaults.abort,
    GatewayFaults.once,
    GatewayFaults.forget_sessions,
    GatewayFaults.resend,
    GatewayFaults.malformed,
    GatewayFaults.send_text,
)


def _wait_connected(self: Any, shards: int | None = None, within: float = 15.0) -> None: ...


def _set_faults(self: Any, **switches: Any) -> None: ...


def _clear_faults(self: Any) -> None: ...


ACTIONS: dict[str, Callable[..., Any]] = {
    **{function.__name__: function for function in (*_WORLD, *_INTERACTIONS, *_FAULTS)},
    "wait_connected": _wait_connected,
    "set_faults": _set_faults,
    "clear_faults": _clear_faults,
}
OUTCOMES = frozenset(function.__name__ for function in _OUTCOMES)
