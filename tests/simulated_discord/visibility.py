"""Whether a person can press a component: it must be in a message that he sees, of that type, and enabled."""

from __future__ import annotations

from typing import Any

from tests.simulated_discord.component_rules import all_components
from tests.simulated_discord.interaction_store import Held
from tests.simulated_discord.message_rules import EPHEMERAL
from tests.simulated_discord.model import Impossible


def shown_component(held: Held, custom_id: str, user: int, kind: int) -> dict[str, Any]:
    """The newest message of that interaction that holds the component; Impossible if the person cannot use it."""
    asker = held.interaction.get("user") or held.interaction["member"]["user"]
    for message in reversed(held.messages):
        for component in all_components(message["components"]):
            if component.get("custom_id") != custom_id:
                continue
            if message["flags"] & EPHEMERAL and int(asker["id"]) != user:
                raise Impossible("that message is ephemeral: only the person who got it can use its components")
            if component.get("type") != kind or component.get("disabled"):
                raise Impossible(f"the component is disabled, or not of type {kind}")
            return message
    raise Impossible(f"no message of that interaction holds a component {custom_id!r}")
