"""Follow-ups of interactions: the callback, and the webhook whose token is the interaction's. No Authorization needed.

https://discord.com/developers/docs/interactions/receiving-and-responding#endpoints
"""

from __future__ import annotations

import json
from typing import Any

from aiohttp import BodyPartReader, web

from tests.simulated_discord.api_errors import ApiError
from tests.simulated_discord.http_api import BASE, json_answer, number, read_json
from tests.simulated_discord.interaction_store import File, Held, InteractionStore

_LARGEST_FILE = 10 * 1024 * 1024


class WebhookApi:
    """Handlers, and the routes to them."""

    def __init__(self, store: InteractionStore) -> None:
        self._store = store
        webhook = f"{BASE}/webhooks/{{application}}/{{token}}"
        message = webhook + "/messages/{message}"
        self.routes = [
            web.post(f"{BASE}/interactions/{{interaction}}/{{token}}/callback", self._call_back),
            web.post(webhook, self._follow_up),
            web.get(message, self._get),
            web.patch(message, self._edit),
            web.delete(message, self._delete),
        ]

    def _held(self, request: web.Request) -> Held:
        return self._store.by_token(number(request, "application"), request.match_info["token"])

    async def _call_back(self, request: web.Request) -> web.Response:
        reply, files = await read_message(request)
        held = self._store.call_back(number(request, "interaction"), request.match_info["token"], reply, files)
        if request.query.get("with_response", "").lower() != "true":
            return web.Response(status=204)
        interaction = {"id": held.interaction["id"], "type": held.interaction["type"]}
        answer: dict[str, Any] = {"interaction": interaction}
        if held.original is not None:
            answer["resource"] = {"type": reply["type"], "message": held.original}
        return json_answer(answer)

    async def _follow_up(self, request: web.Request) -> web.Response:
        held = self._held(request)
        return json_answer(self._store.follow_up(held, *await read_message(request)))

    async def _get(self, request: web.Request) -> web.Response:
        return json_answer(self._store.find(self._held(request), request.match_info["message"]))

    async def _edit(self, request: web.Request) -> web.Response:
        held, message = self._held(request), request.match_info["message"]
        return json_answer(self._store.edit(held, message, *await read_message(request)))

    async def _delete(self, request: web.Request) -> web.Response:
        self._store.delete(self._held(request), request.match_info["message"])
        return web.Response(status=204)


async def read_message(request: web.Request) -> tuple[Any, list[File]]:
    """JSON, or multipart/form-data with `payload_json` and `files[n]`.

    https://discord.com/developers/docs/reference#uploading-files
    """
    if not request.content_type.startswith("multipart/"):
        return await read_json(request), []
    data: Any = {}
    files: list[File] = []
    async for part in await request.multipart():
        if not isinstance(part, BodyPartReader):
            continue
        content = bytes(await part.read())
        if part.name == "payload_json":
            try:
                data = json.loads(content)
            except ValueError:
                raise ApiError(400, 50109, "The request body contains invalid JSON.") from None
        elif part.name is not None and part.name.startswith("files["):
            files.append(File(part.filename or "unknown", len(content), part.headers.get("Content-Type", "")))
    if any(file.size > _LARGEST_FILE for file in files):
        raise ApiError(413, 40005, "Request entity too large")
    return data, files
