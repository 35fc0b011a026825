"""Keeps a gateway client alive within this process: one client after another, within a daily budget."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Awaitable, Callable

import aiohttp

from gateway_listener.budget import Backoff, IdentifyBudget
from gateway_listener.client import Client, GatewayLost, live
from gateway_listener.frames import Content, VoiceState
from gateway_listener.pulse import Pulse
from gateway_listener.settings import Settings

log = logging.getLogger(__name__)

# A connection that would have to wait longer than this for the budget is given up; Discord would close it.
PATIENCE_MS = 20_000


class Supervisor:
    """Runs clients until `stop`; `run` raises GatewayRefused when a person must act, or what `on_login` raises.

    `on_login` is awaited with the application's id before a client connects.
    `note_budget` is told the budget's text after each IDENTIFY; `now` gives milliseconds since 1970 UTC.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        on_frame: Callable[[object], None],
        on_beat: Callable[[], None],
        on_hang_up: Callable[[], None],
        on_login: Callable[[int], Awaitable[None]],
        budget: IdentifyBudget,
        note_budget: Callable[[str], None],
        now: Callable[[], int],
        http_trace: aiohttp.TraceConfig,
    ) -> None:
        self.counts: Counter[str] = Counter()
        self.waiting_for_budget = False
        self._pulse = Pulse(answer_within=settings.timing.answer_within)
        self._settings = settings
        self._on_frame = on_frame
        self._on_beat = on_beat
        self._on_hang_up = on_hang_up
        self._on_login = on_login
        self._budget = budget
        self._note_budget = note_budget
        self._now = now
        self._http_trace = http_trace
        self._client: Client | None = None
        self._stopping = asyncio.Event()

    async def run(self) -> None:
        """One client after another; returns after `stop`."""
        backoff = Backoff(clock=time.monotonic, longest=self._settings.timing.longest_pause)
        while not self._stopping.is_set():
            await self._pause(self._budget_wait())
            if self._stopping.is_set():
                return
            self._client = Client(
                self._settings,
                on_frame=self._on_frame,
                on_beat=self._on_beat,
                on_hang_up=self._on_hang_up,
                on_login=self._on_login,
                may_identify=self._may_identify,
                pulse=self._pulse,
                counts=self.counts,
                http_trace=self._http_trace,
            )
            cause = "closed"
            try:
                await live(self._client, self._settings.token)
            except GatewayLost as lost:
                cause = str(lost)
            if self._stopping.is_set():
                return
            self.counts["restarts"] += 1
            delay = backoff.delay()
            log.warning("the gateway client ended and is started anew", extra={"cause": cause, "in": f"{delay:.1f} s"})
            await self._pause(delay)

    async def stop(self) -> None:
        """Ends the client, and `run` with it."""
        self._stopping.set()
        if self._client is not None:
            await self._client.close()

    async def beat(self) -> None:
        """Sends a heartbeat now, if there is a connection."""
        if self._client is not None:
            await self._client.beat()

    async def is_in(self, guild_id: int) -> bool | None:
        """Whether the bot is in the guild, as Discord's API says; None if it does not say."""
        return None if self._client is None else await self._client.is_in(guild_id)

    async def ask_time(self) -> None:
        """Asks Discord's API for something, so that `http_trace` sees an answer."""
        if self._client is not None:
            await self._client.ask_time()

    async def voice_channel_of(self, guild_id: int, user_id: int) -> VoiceState | None:
        """Where the person is in the guild, as Discord's API says; None if it does not say."""
        return None if self._client is None else await self._client.voice_channel_of(guild_id, user_id)

    def renew(self, cause: str) -> None:
        """Asks for a fresh session; repeats while one is under way are one."""
        if self._client is not None:
            self._client.renewal = cause

    def felt(self, content: Content) -> None:
        """A frame came."""
        self._pulse.felt(content, time.monotonic())

    def _budget_wait(self) -> float:
        now = self._now()
        wait = self._budget.wait_ms(now)
        self.waiting_for_budget = self._budget.used_up(now)
        if self.waiting_for_budget:
            log.error(
                "%d IDENTIFYs were sent within a day and Discord allows 1,000 before it resets the token: the next one"
                " is sent in %d s. Something makes the listener start over and over: look further up in the log.",
                self._budget.sent(),
                wait // 1000,
            )
        return wait / 1000

    async def _may_identify(self) -> None:
        wait = self._budget.wait_ms(self._now())
        if wait > PATIENCE_MS:
            raise GatewayLost("no IDENTIFY is left for today")
        await asyncio.sleep(wait / 1000)
        self._budget.spend(self._now())
        self.counts["identifies"] += 1
        self._note_budget(self._budget.to_json())

    async def _pause(self, seconds: float) -> None:
        try:
            await asyncio.wait_for(self._stopping.wait(), seconds)
        except asyncio.TimeoutError:
            return
