"""A simulated Discord in another process or thread, controlled by plain calls."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import json
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from tests.simulated_discord.actions import ACTIONS, OUTCOMES
from tests.simulated_discord.model import Impossible, NotConnected
from tests.simulated_discord.outcome import BadReply, Outcome

_CHECKOUT = Path(__file__).parents[2]
# The control API's own calls that wait (wait_connected) come with their own time.
_PATIENCE = 60.0


class Control:
    """Every action of README.md under its own name, with the same arguments: `control.join(user, channel)`.

    Raises Impossible and BadReply as the actions do, NotConnected where wait_connected waited in vain. Safe from
    several threads.
    """

    def __init__(self, url: str, process: subprocess.Popen[str] | None = None) -> None:
        self.url = url
        self.process = process
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def __getattr__(self, name: str) -> Callable[..., Any]:
        if name not in ACTIONS:
            raise AttributeError(f"no such action: {name}")
        signature = inspect.signature(ACTIONS[name])

        def act(*args: Any, **kwargs: Any) -> Any:
            bound = signature.bind(None, *args, **kwargs).arguments
            arguments: dict[str, Any] = {}
            for key, value in list(bound.items())[1:]:
                if signature.parameters[key].kind is inspect.Parameter.VAR_KEYWORD:
                    arguments.update(value)
                else:
                    arguments[key] = value.id if isinstance(value, Outcome) else value
            result = self.act({"action": name, **arguments})
            return Outcome(**result) if name in OUTCOMES else result

        return act

    def act(self, action: dict[str, Any] | list[dict[str, Any]]) -> Any:
        """One action as JSON, or a list of them, done in order in one request."""
        return self._request("/control", action)["result"]

    def history(self, after: int = 0) -> list[dict[str, Any]]:
        """The record, or what came after entry `after`."""
        return list(self._request(f"/control/history?after={after}"))

    def stays(self) -> list[dict[str, Any]]:
        """Who was where from when to when."""
        return list(self._request("/control/stays"))

    def watches(self) -> list[dict[str, Any]]:
        """When a listener was connected."""
        return list(self._request("/control/watches"))

    def state(self) -> dict[str, Any]:
        """Counts, and the switches."""
        return dict(self._request("/control/state"))

    def environment(self) -> dict[str, str]:
        """The variables with which our programs find this Discord."""
        return dict(self._request("/control/environment"))

    def _request(self, path: str, body: Any = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data, {"Content-Type": "application/json"})
        try:
            with self._opener.open(request, timeout=_PATIENCE) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            with error:
                raise _raised(json.load(error)) from None


def _raised(body: dict[str, Any]) -> Exception:
    if body["kind"] == "BadReply":
        return BadReply(body["problems"], body["status"], body["body"])
    return NotConnected(body["error"]) if body["kind"] == "NotConnected" else Impossible(body["error"])


@contextlib.contextmanager
def start_process(**settings: Any) -> Iterator[Control]:
    """A simulated Discord as a process of its own; settings are the command line's (`seed=7`, `shards=2`)."""
    words = [word for name, value in settings.items() for word in (f"--{name.replace('_', '-')}", str(value))]
    command = [sys.executable, "-m", "tests.simulated_discord", *words]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=_CHECKOUT)
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line:
            raise RuntimeError(f"the simulated Discord did not start: exit status {process.wait()}")
        yield Control(json.loads(line)["control_url"], process)
    finally:
        process.terminate()
        try:
            process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        assert process.stdout is not None
        process.stdout.close()


@contextlib.contextmanager
def in_thread(**settings: Any) -> Iterator[Control]:
    """A simulated Discord in a thread of this process; settings are SimulatedDiscord's."""
    from tests.simulated_discord.server import SimulatedDiscord

    addresses: list[str] = []
    loop = asyncio.new_event_loop()
    running, ended = threading.Event(), asyncio.Event()

    async def run() -> None:
        async with SimulatedDiscord(**settings) as discord:
            addresses.append(discord.control_url)
            running.set()
            await ended.wait()

    def body() -> None:
        try:
            loop.run_until_complete(run())
        finally:
            loop.close()
            running.set()

    thread = threading.Thread(target=body, name="simulated-discord")
    thread.start()
    try:
        running.wait()
        if not addresses:
            raise RuntimeError("the simulated Discord did not start")
        yield Control(addresses[0])
    finally:
        if not loop.is_closed():
            loop.call_soon_threadsafe(ended.set)
        thread.join()
