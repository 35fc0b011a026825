"""The control API: every action over HTTP, and the record to read."""

from __future__ import annotations

import inspect
import json
from typing import TYPE_CHECKING, Any

from aiohttp import web

from tests.simulated_discord import payloads
from tests.simulated_discord.actions import ACTIONS
from tests.simulated_discord.model import Impossible, NotConnected
from tests.simulated_discord.outcome import BadReply, Outcome

if TYPE_CHECKING:
    from tests.simulated_discord.server import SimulatedDiscord


class ControlApi:
    """Handlers of POST /control and GET /control/...; `app` is the application that serves them."""

    def __init__(self, discord: SimulatedDiscord) -> None:
        self._discord = discord
        self.app = web.Application(client_max_size=64 * 1024 * 1024)
        self.app.add_routes(
            [
                web.post("/control", self._act),
                web.get("/control/history", self._history),
                web.get("/control/{what:stays|watches|state|environment}", self._look),
            ]
        )

    async def _act(self, request: web.Request) -> web.Response:
        try:
            asked = json.loads(await request.read())
            if isinstance(asked, list):
                return _answer({"result": [_plain(await self._do(one)) for one in asked]})
            return _answer({"result": _plain(await self._do(asked))})
        except BadReply as bad:
            body = {"error": str(bad), "problems": bad.problems, "status": bad.status, "body": bad.body}
            return _answer({"kind": "BadReply", **body}, 400)
        except (Impossible, ValueError, TypeError, KeyError) as error:
            return _answer({"kind": "Impossible", "error": f"{error}"}, 400)
        except NotConnected as error:
            return _answer({"kind": "NotConnected", "error": f"{error}"}, 400)

    async def _do(self, asked: Any) -> Any:
        if not isinstance(asked, dict) or asked.get("action") not in ACTIONS:
            raise Impossible(f"the body is no known action; there are {', '.join(ACTIONS)}")
        arguments = {name: _number(value) for name, value in asked.items() if name != "action"}
        result = getattr(self._discord, asked["action"])(**arguments)
        return await result if inspect.isawaitable(result) else result

    async def _history(self, request: web.Request) -> web.Response:
        return _answer(self._discord.history.after(int(request.query.get("after", "0"))))

    async def _look(self, request: web.Request) -> web.Response:
        return _answer(getattr(self._discord, request.match_info["what"])())


def _number(value: Any) -> Any:
    """Ids may come as text, for clients whose numbers are too small for them."""
    return int(value) if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) > 15 else value


def _plain(result: Any) -> Any:
    return result.as_json() if isinstance(result, Outcome) else result


def _answer(value: Any, status: int = 200) -> web.Response:
    return web.Response(text=payloads.text(value), status=status, content_type="application/json")
