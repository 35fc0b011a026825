"""What gateway.py uses of discord.py that is not documented, held against the installed version, in a second.

After an update: each failure names the thing, and where discord.py has it (or had it, in 2.7.1).
"""

from __future__ import annotations

import dis
import inspect
import threading
from types import CodeType
from typing import Any

import discord
import discord.gateway
import discord.http
import discord.utils
import pytest

from gateway_listener.gateway import _Socket
from gateway_listener.heartbeat import Heartbeat
from tests.gateway_listener.running import Scene

WebSocket = discord.gateway.DiscordWebSocket
SIGNATURES = [
    (WebSocket, "__init__", "(self, socket, *, loop)", "gateway.py:330"),
    (WebSocket, "poll_event", "(self)", "gateway.py:631"),
    (WebSocket, "received_message", "(self, msg, /)", "gateway.py:507"),
    (WebSocket, "send_as_json", "(self, data)", "gateway.py:679"),
    (WebSocket, "send_heartbeat", "(self, data)", "gateway.py:686"),
    (WebSocket, "close", "(self, code=4000)", "gateway.py:775"),
    (discord.http.HTTPClient, "ws_connect", "(self, url, *, compress=0)", "http.py:553"),
    (discord.http.HTTPClient, "request", "(self, route, *, files=None, form=None, **kwargs)", "http.py:589"),
    (discord.http.Route, "__init__", "(self, method, path, *, metadata=None, **parameters)", "http.py:309"),
    (discord.Client, "login", "(self, token)", "client.py:647"),
    (discord.Client, "close", "(self)", "client.py:793"),
]


def where(thing: Any) -> str:
    """File and line of a function or class of the installed discord.py."""
    return f"look at {inspect.getsourcefile(thing)}:{inspect.getsourcelines(thing)[1]}"


def used(function: Any) -> set[str]:
    """The attributes of `self` that a function reads or sets, in what it defines too."""

    def of(code: CodeType) -> set[str]:
        names = set()
        before = None
        for step in dis.get_instructions(code):
            if before == "self" and step.opname in ("LOAD_ATTR", "LOAD_METHOD", "STORE_ATTR"):
                names.add(step.argval)
            before = step.argval if step.opname.startswith("LOAD_FAST") else None
        return names.union(*(of(inner) for inner in code.co_consts if isinstance(inner, CodeType)))

    return of(function.__code__)


@pytest.mark.parametrize(("owner", "name", "expected", "line"), SIGNATURES, ids=[line for *_, line in SIGNATURES])
def test_signatures(owner: type, name: str, expected: str, line: str) -> None:
    """The methods that are called and overridden take what they took."""
    method = getattr(owner, name, None)
    assert method is not None, f"{owner.__name__}.{name} is gone; it was in discord/{line}"
    signature = inspect.signature(method)
    plain = [parameter.replace(annotation=inspect.Parameter.empty) for parameter in signature.parameters.values()]
    found = str(signature.replace(parameters=plain, return_annotation=inspect.Signature.empty))
    assert found == expected, where(method)


def test_names() -> None:
    """The constants and switches are there, of their kind."""
    assert isinstance(discord.http.Route.BASE, str), where(discord.http.Route)
    assert str(WebSocket.DEFAULT_GATEWAY).startswith("wss://"), where(WebSocket)
    assert [WebSocket.DISPATCH, WebSocket.HEARTBEAT, WebSocket.IDENTIFY, WebSocket.RESUME] == [0, 1, 2, 6]
    assert [WebSocket.RECONNECT, WebSocket.INVALIDATE_SESSION] == [7, 9], where(WebSocket)
    assert discord.VoiceClient.warn_nacl in (True, False)
    assert discord.VoiceClient.warn_dave in (True, False)
    context = discord.utils._ActiveDecompressionContext
    assert context.COMPRESSION_TYPE in ("zlib-stream", "zstd-stream"), where(context)
    assert context().decompress(b"") is None or context.COMPRESSION_TYPE == "zstd-stream", where(context)
    assert issubclass(discord.gateway.ReconnectWebSocket, Exception)


async def test_what_the_methods_that_are_called_read_is_there() -> None:
    """discord.py sets more on a socket in `from_client`, which is not used here: what its methods need must be set."""
    socket = _Socket(None, "ws://nowhere", Heartbeat(0, late_ms=500), lambda heart, frame: None)  # type: ignore[arg-type]
    for name in ("poll_event", "send", "send_as_json", "send_heartbeat", "close", "_can_handle_close"):
        method = getattr(WebSocket, name)
        missing = {attribute for attribute in used(method) if not hasattr(socket, attribute)}
        assert not missing, f"{name} needs {missing}: {where(method)}"
    assert {"_decompressor", "session_id", "sequence"} <= used(WebSocket.__init__), where(WebSocket.__init__)
    assert "_max_heartbeat_timeout" in used(WebSocket.poll_event), where(WebSocket.poll_event)


def test_who_starts_a_thread() -> None:
    """Of the socket only `received_message` does, which is overridden; nothing else that is called here does."""
    starting = [
        f"{owner.__name__}.{name}"
        for owner in (WebSocket, discord.Client, discord.http.HTTPClient)
        for name, member in vars(owner).items()
        if inspect.isfunction(member) and {"KeepAliveHandler", "Thread", "run_in_executor"} & names_in(member.__code__)
    ]
    assert starting == ["DiscordWebSocket.received_message"], where(WebSocket)
    assert "received_message" in vars(_Socket)
    assert "super" not in names_in(_Socket.received_message.__code__)


def names_in(code: CodeType) -> set[str]:
    """Every name that a piece of code uses."""
    return set(code.co_names).union(*(names_in(inner) for inner in code.co_consts if isinstance(inner, CodeType)))


async def test_no_thread_of_discord_py_runs_while_connected(stage: Scene) -> None:
    """A thread that outlives its socket reports to the next one."""
    before = set(threading.enumerate())
    async with stage.listening():
        started = set(threading.enumerate()) - before
        assert not [thread for thread in started if type(thread).__module__.startswith("discord")]
        assert not [thread.name for thread in started if "keep-alive" in thread.name]
