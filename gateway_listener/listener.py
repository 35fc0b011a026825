"""The listener put together: the gateway's frames and the service's consent log in, the queue file out."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Callable

from db_client.records import Installation, Watermark
from db_client.store import QueueStatistics, Store
from gateway_listener import health, reading
from gateway_listener.application import OtherApplication, verified
from gateway_listener.clock import Clock, steady_seconds
from gateway_listener.frames import Frame, Malformed, VoiceState
from gateway_listener.gateway import Gateway
from gateway_listener.notes import APPLICATION, CONSENT_SEQ, IDENTIFIES, Memory, remembered
from gateway_listener.outbox import Note
from gateway_listener.position import Position
from gateway_listener.recorder import Recorder
from gateway_listener.recording import LOOK_BACK
from gateway_listener.settings import Settings
from gateway_listener.stays import stay_ids
from gateway_listener.tracker import Tracker
from program.logs import cause

log = logging.getLogger(__name__)

# In a burst, what is seen is handed to the disk so often (seconds); what comes after a quiet moment, at once.
HAND_OVER_EVERY = 0.05
# So long (seconds) the page of figures waits for the queue file; then it gives those of the time before.
QUEUE_ANSWERS_WITHIN = 1.0


class Listener:
    """One shard's listener; `run` goes on until `stop` is called or Discord will not have it."""

    def __init__(
        self,
        settings: Settings,
        *,
        store: Store | None = None,
        clock: Clock | None = None,
        new_id: Callable[[], str] | None = None,
    ) -> None:
        self.metrics_port = settings.metrics_port
        self._settings = settings
        self._clock = clock or Clock()
        self._store = store or Store(settings.store)
        self._tracker = Tracker(new_id=new_id or stay_ids(), tolerance_ms=settings.gap_tolerance_ms)
        self._recorder = Recorder(self._store)
        self._counts: Counter[str] = Counter()
        self._drift: Counter[str] = Counter()
        self._stopping = asyncio.Event()
        self._consent_known = asyncio.Event()
        self._position = Position()
        """How far the consent log was followed."""
        self._memory = Memory()
        self._application: int | None = None
        """The token's, once Discord has said it."""
        self._owner: int | None = None
        """Whose the data are, as the service said last."""
        self._refusal: OtherApplication | None = None
        self._channels_whole = True
        """The next look at the channels is at all of them."""
        self._gateway: Gateway | None = None
        self._started_at = self._clock.now()
        self._handing_over: asyncio.TimerHandle | None = None
        self._queue: QueueStatistics | None = None
        self._asking_queue: asyncio.Task[QueueStatistics] | None = None

    async def run(self) -> None:
        """Listens until `stop`; then everything is in the queue file, and as much as possible delivered.

        Raises GatewayRefused or OtherApplication, after the same, when a person must act, and GatewayLost when the
        process is to be started again.
        """
        self._store.start()
        self._recorder.start()
        notes = await asyncio.to_thread(self._store.notes)
        self._take_up(remembered(notes, self._settings.shard_id, self._settings.shard_count))
        runner, self.metrics_port = await health.serve(
            health.pages(self.condition, self._look_at_queue), self._settings.metrics_host, self._settings.metrics_port
        )
        log.info("the listener is up", extra={"shard": self._settings.shard_id, "metrics_port": self.metrics_port})
        self._gateway = gateway = self._connected_by(notes.get(IDENTIFIES, ""))
        helpers = [asyncio.create_task(self._follow_consent())]
        try:
            await self._first_read()
            helpers.append(asyncio.create_task(self._every(self._settings.reconcile_every, self._compare)))
            helpers.append(asyncio.create_task(self._every(self._settings.reconcile_every, self._compare_guilds)))
            helpers.append(asyncio.create_task(self._every(self._settings.timing.ask_every, self._ask)))
            helpers.append(asyncio.create_task(self._every(self._settings.timing.share_every, self._share_watermark)))
            await self._supervise(gateway)
        finally:
            for helper in helpers:
                helper.cancel()
            await asyncio.gather(*helpers, return_exceptions=True)
            await self._finish()
            await runner.cleanup()
        if self._refusal is not None:
            raise self._refusal

    def _connected_by(self, spent: str, *, steady: Callable[[], float] = steady_seconds) -> Gateway:
        return Gateway(
            self._settings,
            on_frame=self._on_frame,
            on_malformed=self._on_malformed,
            on_hang_up=self._tracker.hang_up,
            on_login=self._logged_in,
            spent=spent,
            note_spent=lambda text: self._recorder.hand_over([Note(IDENTIFIES, text)], self._recorder.watermark),
            now=self._clock.now,
            steady=steady,
        )

    def stop(self) -> None:
        """Ends `run`; may be called from a signal handler of the event loop."""
        self._stopping.set()

    # --- frames ---

    def _on_frame(self, frame: Frame, late_since: int | None) -> None:
        now = self._clock.now()
        proof = self._tracker.is_proof(frame.content)
        if proof and self._gateway is not None:
            self._gateway.heard()
        try:
            self._tracker.see(frame, now, late_since=late_since)
        except Exception as problem:  # noqa: BLE001 (a mistake of ours must not end the connection)
            if proof or type(frame.content) is not VoiceState:
                self._counts["failed"] += 1
                log.error("a frame could not be followed; a fresh session puts it right", extra=cause(problem))
                self._lose(getattr(frame.content, "guild_id", None), "a frame could not be followed")
        if self._handing_over is None and self._hand_over():
            self._handing_over = asyncio.get_running_loop().call_later(HAND_OVER_EVERY, self._hand_over_rest)

    def _on_malformed(self, problem: Malformed) -> None:
        """A frame that cannot be read; a stranger's leaves no trace, and what nobody can be told of changes nothing."""
        is_in = problem.user_id is not None and self._tracker.tracks(problem.user_id)
        if is_in or problem.user_id is None:
            self._counts["malformed"] += 1
            log.warning("a frame was left out", extra={"reason": str(problem)})
        if is_in:
            self._lose(problem.guild_id, "a frame could not be read")
            self._hand_over()

    def _lose(self, guild_id: int | None, why: str) -> None:
        """Something of a guild (None: of any) was missed: it is unseen until its next roll call, which is asked for."""
        self._tracker.lose(guild_id, self._clock.now())
        if self._gateway is not None:
            self._gateway.renew(why)

    def _hand_over_rest(self) -> None:
        """What came within `HAND_OVER_EVERY` after a hand-over; so a session that changed often is written once."""
        self._handing_over = None
        self._hand_over()

    def _hand_over(self) -> bool:
        """Hands over what there is; False if there is nothing."""
        items = self._tracker.take()
        if items:
            self._recorder.hand_over(items, self._tracker.watermark_to_keep)
        else:
            self._recorder.watermark = self._tracker.watermark_to_keep
        return bool(items)

    # --- what is known from before, and consent ---

    def _take_up(self, memory: Memory) -> None:
        self._position = memory.position
        self._memory = memory
        if memory.complete:
            self._tracker.restore(memory, self._clock.now())
            self._hand_over()

    async def _logged_in(self, application_id: int) -> None:
        """Before anything is heard of the gateway; raises OtherApplication."""
        self._application = application_id
        try:
            self._owner = await reading.owner(self._store)
        except reading.CannotRead:
            self._verify(self._owner, readable=False)
        else:
            self._verify(self._owner, readable=True)

    def _verify(self, owner: int | None, *, readable: bool) -> None:
        """Compares the token's application with the one whose data these are (`owner`: as the service says)."""
        ours, noted = self._application, self._memory.application
        if ours is None or not verified(ours, noted=noted, stated=owner, readable=readable):
            return
        if readable and owner is None:
            self._recorder.hand_over([Installation(ours)], self._recorder.watermark)
        if noted != ours:
            self._memory.application = ours
            self._recorder.hand_over([Note(APPLICATION, str(ours))], self._recorder.watermark)
        self._tracker.presence.ours = True

    def _end_for(self, refusal: OtherApplication) -> None:
        self._refusal = refusal
        self.stop()

    async def _first_read(self) -> None:
        """Gives the service a moment to say who is in before the gateway says who is there; then goes on without."""
        try:
            await asyncio.wait_for(self._consent_known.wait(), self._settings.timing.first_read_within)
        except asyncio.TimeoutError:
            log.warning("the SQLite service cannot be read yet: going on with what this disk knows")

    async def _follow_consent(self) -> None:
        """Polls the consent log; the first time it is read whole, for a decision is judged beside all of a person's."""
        failing = False
        while True:
            try:
                await self._read_consent()
                failing = False
            except OtherApplication as refusal:
                self._end_for(refusal)
                return
            except reading.CannotRead as problem:
                self._counts["unreadable_service"] += 1
                if not failing:
                    log.warning("the consent log cannot be read for now", extra={"cause": str(problem)})
                failing = True
            await asyncio.sleep(self._settings.timing.follow_every)

    async def _read_consent(self) -> None:
        if not self._tracker.presence.ours:  # before anything of it is taken up
            self._owner = await reading.owner(self._store)
            self._verify(self._owner, readable=True)
        if not self._tracker.recording:
            baseline = await reading.baseline(self._store, self._settings.shard_id, self._settings.shard_count)
            baseline.consents = self._memory.consents
            baseline.unrecorded, baseline.foreign = self._memory.unrecorded, self._memory.foreign
            baseline.away = self._memory.away
            self._tracker.restore(baseline, self._clock.now())
        await self._read_channels()
        whole = not self._consent_known.is_set()
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
            self._tracker.decide(decisions, erased, self._time_of_reading(), complete=whole)
            self._consent_known.set()
        items = self._tracker.take()
        if position != self._position:
            self._position = position
            items.append(Note(CONSENT_SEQ, position.to_text()))
        if items:
            self._recorder.hand_over(items, self._tracker.watermark_to_keep)

    async def _read_channels(self) -> None:
        """Which channels are not recorded; before consent, so that no session in one of them is written first."""
        after = 0 if self._channels_whole else max(0, self._tracker.channels_known_to - LOOK_BACK)
        shard_id, shard_count = self._settings.shard_id, self._settings.shard_count
        decisions = await reading.channel_decisions(self._store, after, shard_id, shard_count)
        self._channels_whole = False
        if decisions:
            self._tracker.decide_recording(decisions, self._time_of_reading())
            self._hand_over()

    def _time_of_reading(self) -> int:
        """The time, and whether what is read now is read late: decisions are judged by both."""
        now = self._clock.now()
        self._tracker.read_late(self._gateway.late_since() if self._gateway else None, now)
        return now

    # --- now and then ---

    async def _every(self, seconds: float, act: Callable[[], object]) -> None:
        while True:
            await asyncio.sleep(seconds)
            result = act()
            if asyncio.iscoroutine(result):
                await result

    async def _compare(self) -> None:
        """Compares the service's open sessions and names with ours while nothing is on its way."""
        if not (self._consent_known.is_set() and self._tracker.sight.ready and self.idle):
            return
        mark = self._tracker.revision
        if not await asyncio.to_thread(self._store.idle):
            return
        shard_id, shard_count = self._settings.shard_id, self._settings.shard_count
        standing: set[str] = set()
        try:
            rows = await reading.open_sessions(self._store, shard_id, shard_count)
            drift = self._tracker.compare(rows, mark, self._clock.now())
            self._counts["comparisons"] += 1
            self._drift.update(drift)
            self._hand_over()  # now, and not when the next frame comes, which may be a stranger's
            if drift:
                log.warning("open sessions differed from the service's and were put right", extra=dict(drift))
            async for page in reading.names(self._store, shard_id, shard_count):
                self._tracker.compare_names(page, self._clock.now())
                self._hand_over()
                standing.update(record.key for record in page)
            self._tracker.forget_other_names(standing, mark)
            async for missing in reading.nameless(self._store, self._tracker.channels_without_name()):
                self._tracker.tell_names(missing)
        except reading.CannotRead:
            return
        finally:
            self._hand_over()

    async def _compare_guilds(self) -> None:
        """Compares what the service has about the shard's guilds with what Discord says about them."""
        if not (self._tracker.recording and self._tracker.sight.ready):
            return
        try:
            there = await reading.guilds(self._store, self._settings.shard_id, self._settings.shard_count)
            self._verify(there.owner, readable=True)
        except reading.CannotRead:
            return
        except OtherApplication as refusal:
            self._end_for(refusal)
            return
        self._tracker.compare_guilds(there.presences, there.channels, self._time_of_reading())
        self._hand_over()

    async def _ask(self) -> None:
        """Asks Discord about one guild, if there is one of which it is not known whether the bot is in it."""
        presence = self._tracker.presence
        guild_id = presence.question(self._clock.now()) if presence.ours else None
        if guild_id is None or self._gateway is None:
            return
        is_there = await self._gateway.is_in(guild_id)
        if self._tracker.answer(guild_id, is_there, self._clock.now()):
            log.info("the bot is no longer in a server: unless it is invited again, the data go after thirty days")
        self._hand_over()

    def _share_watermark(self) -> None:
        observed_at = self._tracker.watermark_to_share
        if observed_at is not None:
            self._hand_over()  # the watermark says that all before it is written
            watermark = Watermark(self._settings.shard_id, observed_at)
            self._recorder.hand_over([watermark], self._tracker.watermark_to_keep)

    # --- the end ---

    async def _supervise(self, gateway: Gateway) -> None:
        running = asyncio.create_task(gateway.run())
        stopping = asyncio.create_task(self._stopping.wait())
        await asyncio.wait({running, stopping}, return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        if not running.done():
            await gateway.stop()
        await running

    async def _finish(self) -> None:
        self._hand_over()
        self._share_watermark()
        last_delivery = self._settings.timing.last_delivery_within
        kept = await asyncio.to_thread(lambda: self._recorder.stop(within=last_delivery))
        if not kept:
            log.error("%d changes could not be written to the queue file and are lost", self._recorder.waiting)
        delivered = await asyncio.to_thread(lambda: self._store.stop(within=last_delivery))
        log.info("the listener has ended", extra={"delivered": delivered})

    @property
    def idle(self) -> bool:
        """True if everything that was seen is in the queue file."""
        return self._recorder.idle and not self._tracker.unwritten

    def condition(self) -> health.Condition:
        """What the pages show."""
        gateway, tracker, recorder = self._gateway, self._tracker, self._recorder
        now = tracker.pass_to(self._clock.now())
        last_seen = max(tracker.sight.watermark or 0, self._started_at)
        waits = gateway is not None and gateway.waits
        return health.Condition(
            live={
                "the recorder runs": recorder.alive,
                "the gateway was seen in the last ten minutes": waits
                or now - last_seen < self._settings.timing.unseen_too_long * 1000,
            },
            ready={
                "the gateway is ready": tracker.sight.ready,
                "what was recorded before is known": tracker.recording,
                "the consent log has been read": self._consent_known.is_set() or tracker.recording,
                "the queue file takes writes": not recorder.refused,
            },
            gauges=self._gauges(now),
            counters={
                "frames": ("What became of frames, and was done beside them", "kind", self._counts),
                "tracked": ("Stays of people with consent begun and ended, by cause", "kind", tracker.counts),
                "recorded": ("What the recorder did", "kind", recorder.counts),
                "connections": ("What became of gateway connections", "kind", gateway.counts if gateway else {}),
                "drift": ("Open sessions that differed from the service's and were put right", "kind", self._drift),
            },
        )

    async def _look_at_queue(self) -> None:
        """Asks the queue file how it is, in a thread, one at a time: a disk that hangs must not stop the event loop."""
        if self._asking_queue is None:
            self._asking_queue = asyncio.create_task(asyncio.to_thread(self._store.statistics))
        asking = self._asking_queue
        await asyncio.wait({asking}, timeout=QUEUE_ANSWERS_WITHIN)
        if asking.done():
            self._asking_queue = None
            self._queue = self._queue if asking.exception() else asking.result()

    def _gauges(self, now: int) -> dict[str, tuple[str, float]]:
        figures = self._tracker.figures()
        watermark = self._tracker.sight.watermark
        queue = self._queue
        of_queue = (
            {}
            if queue is None
            else {
                "queue_waiting": ("Records that wait for the service", float(queue.waiting)),
                "queue_dead": ("Records that the service refused for good", float(queue.dead)),
            }
        )
        return {
            **of_queue,
            **{name: (name.replace("_", " ") + " in memory", float(value)) for name, value in figures.items()},
            "not_yet_on_disk": ("Changes that are in memory only", float(self._recorder.waiting)),
            "watermark_age_seconds": (
                "Since when the gateway was not seen",
                -1.0 if watermark is None else (now - watermark) / 1000,
            ),
            "system_clock_ahead_seconds": ("The system's clock minus the listener's", self._clock.off_by()),
        }
