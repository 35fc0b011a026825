"""The HTTP API under /api/v10: who asks, and the answers about the application, its commands and the gateway.

https://discord.com/developers/docs/reference
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web

from tests.simulated_discord import payloads
from tests.simulated_discord.api_errors import ApiError, bad_form, not_found, unauthorized
from tests.simulated_discord.command_rules import problems_with
from tests.simulated_discord.command_store import CommandStore
from tests.simulated_discord.faults import Faults
from tests.simulated_discord.gateway import Gateway
from tests.simulated_discord.history import History
from tests.simulated_discord.identity import Identity
from tests.simulated_discord.interactions import Interactions
from tests.simulated_discord.outcome import BadReply
from tests.simulated_discord.world import World

BASE = "/api/v10"
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

# https://discord.com/developers/docs/reference#user-agent; discord.py leaves the comma out, and Discord lets it.
_USER_AGENT = re.compile(r"DiscordBot \(\S+,? \S+\)")
_RETRY_AFTER = 0.2


def json_answer(value: Any, status: int = 200, headers: dict[str, str] | None = None) -> web.Response:
    """Content-Type exactly `application/json`: discord.py reads nothing else as JSON."""
    return web.Response(
        body=payloads.text(value).encode(), status=status, content_type="application/json", headers=headers
    )


class HttpApi:
    """Handlers of the API; `app` is the application that serves them."""

    def __init__(
        self,
        identity: Identity,
        world: World,
        faults: Faults,
        history: History,
        commands: CommandStore,
        gateway: Gateway,
        interactions: Interactions,
    ) -> None:
        self._identity, self._world, self._faults, self._history = identity, world, faults, history
        self._commands, self._gateway, self._interactions = commands, gateway, interactions
        self.app = web.Application(middlewares=[self._guard], client_max_size=30 * 1024 * 1024)
        commands_path = f"{BASE}/applications/{{application}}/commands"
        guild_path = f"{BASE}/applications/{{application}}/guilds/{{guild}}/commands"
        routes = [
            web.get(f"{BASE}/gateway", self._gateway_url),
            web.get(f"{BASE}/gateway/bot", self._gateway_bot),
            web.get(f"{BASE}/users/@me", self._me),
            web.get(f"{BASE}/applications/@me", self._application),
            web.patch(f"{BASE}/applications/@me", self._change_application),
            web.get(f"{BASE}/oauth2/applications/@me", self._application),
            web.get(f"{BASE}/guilds/{{guild}}", self._guild),
            web.get(f"{BASE}/guilds/{{guild}}/voice-states/{{user}}", self._voice_state),
        ]
        for path in (commands_path, guild_path):
            routes += [
                web.get(path, self._list_commands),
                web.put(path, self._overwrite_commands),
                web.post(path, self._upsert_command),
                web.delete(path + "/{command}", self._delete_command),
            ]
        self.app.add_routes(routes)

    @web.middleware
    async def _guard(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        while self._faults.api_silent and request.transport is not None:  # noqa: ASYNC110 (a switch is no event)
            await asyncio.sleep(0.02)
        try:
            if (refusal := self._refusal(request)) is not None:
                return refusal
            return await handler(request)
        except ApiError as error:
            return json_answer(error.body, error.status)
        except web.HTTPNotFound:
            return json_answer(not_found().body, 404)
        except web.HTTPMethodNotAllowed:
            return json_answer({"message": "405: Method Not Allowed", "code": 0}, 405)

    def _refusal(self, request: web.Request) -> web.Response | None:
        if not _USER_AGENT.match(request.headers.get("User-Agent", "")):
            return json_answer({"message": "internal network error", "code": 40333}, 403)
        if self._faults.api_status is not None:
            return web.Response(status=self._faults.api_status, text="upstream connect error")
        if self._faults.rate_limit > 0:
            self._faults.rate_limit -= 1
            headers = {"Retry-After": "1"} | ({} if self._faults.no_via else {"Via": "1.1 google"})
            body = {"message": "You are being rate limited.", "retry_after": _RETRY_AFTER, "global": False}
            return json_answer(body, 429, headers)
        open_to_all = request.path.startswith((f"{BASE}/webhooks/", f"{BASE}/interactions/")) or (
            request.path == f"{BASE}/gateway"
        )
        if not open_to_all and request.headers.get("Authorization") != f"Bot {self._identity.bot_token}":
            raise unauthorized()
        return None

    # The gateway and the application

    async def _gateway_url(self, request: web.Request) -> web.Response:
        return json_answer({"url": self._gateway.url})

    async def _gateway_bot(self, request: web.Request) -> web.Response:
        gateway = self._gateway
        limit = {
            "total": gateway.session_starts,
            "remaining": gateway.session_starts - gateway.identifies,
            "reset_after": gateway.reset_after,
            "max_concurrency": gateway.max_concurrency,
        }
        return json_answer({"url": gateway.url, "shards": gateway.shards, "session_start_limit": limit})

    async def _me(self, request: web.Request) -> web.Response:
        more = {"email": None, "verified": True, "mfa_enabled": True, "locale": "en-US", "flags": 0}
        return json_answer({**payloads.user(self._identity.bot), **more})

    async def _application(self, request: web.Request) -> web.Response:
        return json_answer(self._described())

    def _described(self) -> dict[str, Any]:
        return {
            "id": str(self._identity.application_id),
            "name": self._identity.bot.name,
            "description": "",
            "icon": None,
            "bot_public": True,
            "bot_require_code_grant": False,
            "owner": payloads.user(self._identity.owner),
            "verify_key": self._identity.public_key,
            "interactions_endpoint_url": self._interactions.endpoint.url,
            "flags": 0,
            "team": None,
            "summary": "",
            "tags": [],
        }

    async def _change_application(self, request: web.Request) -> web.Response:
        changes = await read_json(request)
        if "interactions_endpoint_url" in changes:
            before, self._interactions.endpoint.url = (
                self._interactions.endpoint.url,
                changes["interactions_endpoint_url"],
            )
            try:
                if self._interactions.endpoint.url:
                    await self._interactions.verify_endpoint()
            except BadReply as bad:
                self._interactions.endpoint.url = before
                why = {"code": "APPLICATION_INTERACTIONS_ENDPOINT_URL_INVALID", "message": f"{bad}"}
                errors = {"interactions_endpoint_url": {"_errors": [why]}}
                body = {"message": "Invalid Form Body", "code": 50035, "errors": errors}
                raise ApiError(400, 50035, "Invalid Form Body", body) from None
        return json_answer(self._described())

    async def _guild(self, request: web.Request) -> web.Response:
        guild = self._world.guilds.get(number(request, "guild"))
        if guild is None:
            raise ApiError(404, 10004, "Unknown Guild")
        if not guild.joined:
            raise ApiError(403, 50001, "Missing Access")
        return json_answer(payloads.guild(guild, self._identity.bot.id))

    async def _voice_state(self, request: web.Request) -> web.Response:
        guild = self._world.guilds.get(number(request, "guild"))
        if guild is None or not guild.joined:
            raise ApiError(404, 10004, "Unknown Guild")
        state = guild.voice.get(number(request, "user"))
        if state is None:
            raise ApiError(404, 10065, "Unknown Voice State")
        if state.channel_id is not None and self._world.channel(state.channel_id).hidden:
            raise ApiError(403, 50013, "Missing Permissions")
        member = payloads.member(self._world.user(state.user_id), self._faults)
        return json_answer({"guild_id": str(guild.id), **payloads.voice_state(state), "member": member})

    # Commands

    def _scope(self, request: web.Request) -> int | None:
        if request.match_info["application"] != str(self._identity.application_id):
            raise ApiError(403, 20012, "You are not authorized to perform this action on this application")
        if "guild" not in request.match_info:
            return None
        guild = self._world.guilds.get(number(request, "guild"))
        if guild is None or not guild.joined:
            raise ApiError(403, 50001, "Missing Access")
        return guild.id

    async def _list_commands(self, request: web.Request) -> web.Response:
        return json_answer(self._commands.all(self._scope(request)))

    async def _overwrite_commands(self, request: web.Request) -> web.Response:
        scope, commands = self._scope(request), await read_json(request)
        if problems := problems_with(commands):
            raise bad_form(problems)
        stored = self._commands.overwrite(scope, commands)
        self._history.add("registered", guild_id=scope, names=[command["name"] for command in stored])
        return json_answer(stored)

    async def _upsert_command(self, request: web.Request) -> web.Response:
        scope, command = self._scope(request), await read_json(request)
        if problems := problems_with([command]):
            raise bad_form([type(problem)(problem.path[1:], problem.code, problem.message) for problem in problems])
        stored, new = self._commands.upsert(scope, command)
        self._history.add("registered", guild_id=scope, names=[stored["name"]])
        return json_answer(stored, 201 if new else 200)

    async def _delete_command(self, request: web.Request) -> web.Response:
        if not self._commands.delete(self._scope(request), request.match_info["command"]):
            raise ApiError(404, 10063, "Unknown application command")
        return web.Response(status=204)


def number(request: web.Request, name: str) -> int:
    """A snowflake of the path, or 400 as Discord answers."""
    text = request.match_info[name]
    if not (text.isascii() and text.isdigit()):
        message = f'Value "{text}" is not snowflake.'
        errors = {f"{name}_id": {"_errors": [{"code": "NUMBER_TYPE_COERCE", "message": message}]}}
        raise ApiError(400, 50035, message, {"message": "Invalid Form Body", "code": 50035, "errors": errors})
    return int(text)


async def read_json(request: web.Request) -> Any:
    """The body, or 400 with Discord's code for what is no JSON."""
    try:
        return json.loads(await request.read())
    except ValueError:
        raise ApiError(400, 50109, "The request body contains invalid JSON.") from None
