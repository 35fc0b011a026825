"""Follows what people and managers decided: the service's consent log, and which channels are not recorded."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable

from db_client.snowflake import created_at
from db_client.store import Store
from gateway_listener import reading
from gateway_listener.notes import CONSENT_SEQ, Memory
from gateway_listener.outbox import Item, Note
from gateway_listener.position import Position
from gateway_listener.recording import LOOK_BACK
from gateway_listener.settings import Settings
from gateway_listener.tracker import Tracker

log = logging.getLogger(__name__)


class ConsentFeed:
    """Reads decisions and tells the tracker; `follow` goes on until it is cancelled, whatever the service answers.

    `verify` is awaited before each reading and raises what is to end the following. `moment` gives the time of a
    reading (ms since 1970 UTC), `told` takes the newest moment that Discord set to a decision, `hand_over` what follows
    and the notes given; `steady` counts seconds.
    """

    def __init__(
        self,
        settings: Settings,
        store: Store,
        tracker: Tracker,
        *,
        verify: Callable[[], Awaitable[None]],
        moment: Callable[[], int],
        told: Callable[[int], None],
        hand_over: Callable[..., object],
        steady: Callable[[], float],
        counts: Counter[str],
    ) -> None:
        self.known = asyncio.Event()
        """Set once the whole log has been read in this run."""
        self.read_at: float | None = None
        """When it was last read to its end, by `steady`."""
        self._shard = settings.shard_id, settings.shard_count
        self._timing = settings.timing
        self._store = store
        self._tracker = tracker
        self._verify = verify
        self._moment = moment
        self._told = told
        self._hand_over = hand_over
        self._steady = steady
        self._counts = counts
        self._memory = Memory()
        self._position = Position()
        """How far the consent log was followed."""
        self._channels_whole = True
        """The next look at the channels is at all of them."""

    def take_up(self, memory: Memory) -> None:
        """What an earlier run left behind: the reading goes on from there."""
        self._memory, self._position = memory, memory.position

    async def first(self) -> None:
        """Gives the service a moment to say who is in before the gateway says who is there; then goes on without."""
        try:
            await asyncio.wait_for(self.known.wait(), self._timing.first_read_within)
        except asyncio.TimeoutError:
            log.warning("the SQLite service cannot be read yet: going on with what this disk knows")

    async def follow(self) -> None:
        """Polls the consent log; the first time it is read whole, for a decision is judged beside all of a person's."""
        failing = False
        while True:
            try:
                await self.read()
                failing = False
            except reading.CannotRead as problem:
                self._counts["unreadable_service"] += 1
                if not failing:
                    log.warning("the consent log cannot be read for now", extra={"cause": str(problem)})
                failing = True
            await asyncio.sleep(self._timing.follow_every)

    async def read(self) -> None:
        """Reads once to the end, before any of it is applied; raises CannotRead, and then nothing was applied of the
        log, or what `verify` raises."""
        await self._verify()
        if not self._tracker.recording:
            self._tracker.restore(await reading.baseline(self._store, self._memory), self._moment())
        await self._read_channels()
        whole = not self.known.is_set()
        known = self._position.seq
        try:
            log_read, position = await reading.consent_log(self._store, self._position)
            if whole and known:
                log_read, position = await reading.consent_log(self._store, Position())
        except reading.OtherLog:
            log.warning("the consent log is not the one that was followed (a restored backup?): all of it is read")
            self._channels_whole = whole = True
            known = 0  # rows of another log have numbers of old ones: any erasure in it may be new
            log_read, position = await reading.consent_log(self._store, Position())
        erased = {decision.user_id for seq, decision in log_read if decision.decision == "erase" and seq > known}
        if log_read or whole:
            decisions = [decision for _, decision in log_read]
            self._told(max((decision.at for decision in decisions), default=0))
            self._tracker.decide(decisions, erased, self._moment(), complete=whole)
            self.known.set()
        self._tracker.consent_read(self._moment())
        notes: list[Item] = []
        if position != self._position:
            self._position = position
            notes.append(Note(CONSENT_SEQ, position.to_text()))
        self._hand_over(*notes)
        self.read_at = self._steady()

    async def unread(self) -> set[int]:
        """Whose decisions have arrived since the last reading; raises CannotRead or OtherLog."""
        unread, _ = await reading.consent_log(self._store, self._position)
        return {decision.user_id for _, decision in unread}

    async def _read_channels(self) -> None:
        """Which channels are not recorded; before consent, so that no session in one of them is written first."""
        after = 0 if self._channels_whole else max(0, self._tracker.channels_known_to - LOOK_BACK)
        decisions = await reading.channel_decisions(self._store, after, *self._shard)
        self._channels_whole = False
        if decisions:
            self._told(max(created_at(decision.version) for decision in decisions))
            self._tracker.decide_recording(decisions, self._moment())
            self._hand_over()
