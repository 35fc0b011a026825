"""The sender of interactions: makes them of what people do, signs them, and checks what comes back."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tests.simulated_discord import interaction_payloads, payloads
from tests.simulated_discord.command_store import CommandStore
from tests.simulated_discord.endpoint import Endpoint
from tests.simulated_discord.history import History
from tests.simulated_discord.identity import Identity
from tests.simulated_discord.interaction_payloads import Place
from tests.simulated_discord.interaction_store import Held, InteractionStore
from tests.simulated_discord.model import Impossible
from tests.simulated_discord.outcome import BadReply, Outcome
from tests.simulated_discord.reply_rules import (
    AUTOCOMPLETE,
    COMMAND,
    COMPONENT,
    MODAL_SUBMIT,
    PING,
    problems_with_reply,
)
from tests.simulated_discord.signing import signed_headers
from tests.simulated_discord.snowflakes import Snowflakes
from tests.simulated_discord.visibility import shown_component
from tests.simulated_discord.world import World

_PORTAL_FORGERIES = ("wrong_key", "flipped_bit", "no_signature", "no_timestamp")


class Interactions:
    """Sends what people do to `endpoint`; every method that is checked raises BadReply."""

    def __init__(
        self,
        identity: Identity,
        world: World,
        commands: CommandStore,
        store: InteractionStore,
        history: History,
        snowflakes: Snowflakes,
        clock: Callable[[], int],
        seed: int,
    ) -> None:
        self.endpoint = Endpoint()
        self._identity, self._world, self._commands, self._store = identity, world, commands, store
        self._history, self._snowflakes, self._clock = history, snowflakes, clock
        self._random = random.Random(f"interactions {seed}")

    def set_interactions_url(self, url: str | None) -> None:
        """Where interactions go from now on, unchecked; `verify_endpoint` is the portal's check."""
        self.endpoint.url = url

    # What people do

    async def ping(self) -> Outcome:
        """A PING."""
        return await self._send(interaction_payloads.ping(self._identity.application_id, *self._new()))

    async def verify_endpoint(self) -> None:
        """What saving the URL in the portal does: a PING must be answered, forged ones must get 401."""
        await self.ping()
        body = payloads.text(interaction_payloads.ping(self._identity.application_id, *self._new()))
        for forgery in _PORTAL_FORGERIES:
            outcome = await self.send_raw(body, forge=forgery)
            if outcome.status != 401:
                raise BadReply([f"a request with {forgery} must be answered with 401"], outcome.status, outcome.body)

    async def command(
        self,
        name: str,
        user: int,
        *,
        guild: int | None = None,
        channel: int | None = None,
        options: Mapping[str, Any] | None = None,
        locale: str = "en-US",
        permissions: int = 0,
        kind: int = 1,
        target: int | None = None,
    ) -> Outcome:
        """Someone uses a command; README.md describes the arguments."""
        place = self._place(user, guild, channel, locale, permissions)
        return await self._send(self._command(COMMAND, name, place, options or {}, kind, target, None))

    def prepare_command(
        self, name: str, user: int, *, guild: int | None = None, options: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        """A signed command that is not sent: `{"body": text, "headers": {...}}`, for load tests."""
        place = self._place(user, guild, None, "en-US", 0)
        held = self._hold(self._command(COMMAND, name, place, options or {}, 1, None, None))
        return {"body": held.body.decode(), "headers": held.headers}

    async def autocomplete(
        self,
        name: str,
        user: int,
        *,
        focused: str,
        options: Mapping[str, Any],
        guild: int | None = None,
        channel: int | None = None,
        locale: str = "en-US",
        permissions: int = 0,
    ) -> Outcome:
        """Someone is typing the option `focused`, whose text so far is in `options`."""
        place = self._place(user, guild, channel, locale, permissions)
        return await self._send(self._command(AUTOCOMPLETE, name, place, options, 1, None, focused))

    async def component(
        self,
        custom_id: str,
        user: int,
        *,
        message: Outcome | int | None = None,
        component_type: int = 2,
        values: Sequence[str] = (),
        guild: int | None = None,
        channel: int | None = None,
        locale: str = "en-US",
        permissions: int = 0,
    ) -> Outcome:
        """Someone presses a button or chooses in a select; `message` is the outcome (or its id) that showed it."""
        place = self._place(user, guild, channel, locale, permissions)
        interaction = self._envelope(COMPONENT, place)
        interaction["data"] = {"custom_id": custom_id, "component_type": component_type, "id": 2}
        if component_type != 2:
            interaction["data"]["values"] = list(values)
        interaction["message"] = self._shown(custom_id, user, message, component_type, interaction)
        return await self._send(interaction)

    async def modal(
        self,
        custom_id: str,
        user: int,
        *,
        fields: Mapping[str, str],
        guild: int | None = None,
        channel: int | None = None,
        locale: str = "en-US",
        permissions: int = 0,
    ) -> Outcome:
        """Someone submits a form: `fields` are the text inputs by custom id."""
        interaction = self._envelope(MODAL_SUBMIT, self._place(user, guild, channel, locale, permissions))
        rows = [
            {"type": 1, "id": 2 * n + 1, "components": [{"type": 4, "id": 2 * n + 2, "custom_id": key, "value": text}]}
            for n, (key, text) in enumerate(fields.items())
        ]
        interaction["data"] = {"custom_id": custom_id, "components": rows}
        return await self._send(interaction)

    # What nobody should do

    async def send_raw(
        self,
        body: str | bytes,
        *,
        headers: Mapping[str, str] | None = None,
        timestamp: int | str | None = None,
        forge: str | None = None,
    ) -> Outcome:
        """Any body, signed as it is (or forged); `timestamp` in seconds, now by default. Nothing is checked."""
        raw = body.encode() if isinstance(body, str) else body
        stamp = str(self._clock() // 1000) if timestamp is None else str(timestamp)
        signed = signed_headers(self._identity.signing_key, raw, stamp, forge)
        return await self.endpoint.post(raw, {**signed, **(headers or {})}, None)

    async def repeat(self, outcome: Outcome | int) -> Outcome:
        """The same request again, byte for byte. Nothing is checked."""
        held = self._store.held(outcome if isinstance(outcome, int) else outcome.id)
        return await self.endpoint.post(held.body, held.headers, held.interaction)

    # What came of it

    def messages(self, interaction_id: int) -> list[dict[str, Any]]:
        """The messages that an interaction showed, as they are now."""
        return self._store.held(interaction_id).messages

    # How

    def _new(self) -> tuple[int, str]:
        return self._snowflakes.now(), f"{self._random.getrandbits(640):0160x}"

    def _place(self, user: int, guild: int | None, channel: int | None, locale: str, permissions: int) -> Place:
        person = self._world.user(user)
        there = None if guild is None else self._world.guild(guild)
        if there is not None:
            there.members.add(user)
        where = None if channel is None else self._world.channel(channel)
        if there is not None and where is None:
            where = next((one for one in there.channels.values() if one.kind == "text"), None)
        home = guild if guild is not None else user
        installed = there.joined if there is not None else self._world.shares_guild(user)
        return Place(person, there, where.id if where else home + 1, where, locale, permissions, installed)

    def _envelope(self, kind: int, place: Place) -> dict[str, Any]:
        return interaction_payloads.envelope(self._identity.application_id, *self._new(), kind, place)

    def _command(
        self,
        interaction_type: int,
        name: str,
        place: Place,
        options: Mapping[str, Any],
        kind: int,
        target: int | None,
        focused: str | None,
    ) -> dict[str, Any]:
        guild = place.guild.id if place.guild else None
        root = name.split(" ")[0] if kind == 1 else name
        definition = self._commands.find(root, kind, guild)
        if definition is None and self._commands.all() + self._commands.all(guild):
            raise Impossible(f"/{root} is not registered")
        if definition is not None and (0 if place.guild else 1) not in definition.get("contexts", [0, 1, 2]):
            raise Impossible(f"/{root} cannot be used in {'guilds' if place.guild else 'direct messages'}")
        if definition is not None and not place.installed and 1 not in definition.get("integration_types", [0]):
            raise Impossible(f"/{root} cannot be used where the bot is not")
        interaction = self._envelope(interaction_type, place)
        command_id = int(definition["id"]) if definition else self._identity.application_id + 1
        data = interaction_payloads.command_data(name, kind, definition, options, focused, command_id)
        if found := interaction_payloads.resolved(data, target, self._world, place.guild):
            data["resolved"] = found
        if target is not None:
            data["target_id"] = str(target)
        if definition is not None and "guild_id" in definition:
            data["guild_id"] = definition["guild_id"]
        return {**interaction, "data": data}

    def _shown(
        self, custom_id: str, user: int, message: Outcome | int | None, kind: int, interaction: dict[str, Any]
    ) -> dict[str, Any]:
        if message is None:
            return {
                "id": str(self._snowflakes.now()),
                "type": 0,
                "flags": 64,
                "channel_id": interaction["channel_id"],
                "author": payloads.user(self._identity.bot),
                "application_id": interaction["application_id"],
                "content": "",
                "embeds": [],
                "components": [],
            }
        held = self._store.held(message if isinstance(message, int) else message.id)
        return shown_component(held, custom_id, user, kind)

    def _hold(self, interaction: dict[str, Any]) -> Held:
        body = payloads.text(interaction).encode()
        headers = signed_headers(self._identity.signing_key, body, str(self._clock() // 1000))
        return self._store.open(interaction, body, headers)

    async def _send(self, interaction: dict[str, Any]) -> Outcome:
        held = self._hold(interaction)
        entry = self._history.add(
            "interaction", interaction_id=int(interaction["id"]), type=interaction["type"], **_who_and_what(interaction)
        )
        try:
            outcome = await self.endpoint.post(held.body, held.headers, interaction)
            problems = self._problems(held, outcome)
            if problems:
                raise BadReply(problems, outcome.status, outcome.body)
        except BadReply as bad:
            self._store.expire(held)
            entry["problems"] = bad.problems
            raise
        entry.update(status=outcome.status, took_ms=outcome.took_ms)
        if held.answer is not None:  # it came by the callback
            return Outcome(outcome.status, outcome.headers, held.answer, outcome.took_ms, interaction)
        self._store.answer(held, outcome.body)
        return outcome

    def _problems(self, held: Held, outcome: Outcome) -> list[str]:
        if held.answer is not None:
            fine = outcome.status == 202 and not outcome.body
            return [] if fine else ["answered by the callback: the request itself must get 202 without a body"]
        if outcome.status != 200:
            return [f"the status must be 200, not {outcome.status}"]
        if outcome.headers.get("content-type", "").split(";")[0].strip() != "application/json":
            return ["the Content-Type must be application/json"]
        kind = held.interaction["type"]
        return [str(problem) for problem in problems_with_reply(outcome.body, kind, focused_type=_focused_type(held))]


def _who_and_what(interaction: dict[str, Any]) -> dict[str, Any]:
    if interaction["type"] == PING:
        return {}
    who = interaction.get("user") or interaction["member"]["user"]
    data = interaction["data"]
    guild = interaction.get("guild_id")
    return {
        "user_id": int(who["id"]),
        "guild_id": None if guild is None else int(guild),
        "name": data.get("name") or data.get("custom_id"),
    }


def _focused_type(held: Held) -> int:
    def find(options: list[dict[str, Any]]) -> int | None:
        for option in options:
            if option.get("focused"):
                return int(option["type"])
            if (inner := find(option.get("options", []))) is not None:
                return inner
        return None

    return find(held.interaction.get("data", {}).get("options", [])) or 3
