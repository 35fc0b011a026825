"""The listener put together: the gateway's frames and the service's consent log in, the queue file out."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Callable
from typing import Any, TypeVar

from aiohttp import web

from db_client.errors import NotKept
from db_client.records import Installation, Watermark
from db_client.store import QueueStatistics, Store
from gateway_listener import health, reading
from gateway_listener.application import verified
from gateway_listener.clock import STEP_MS, Clock
from gateway_listener.consent_feed import ConsentFeed
from gateway_listener.dates import dates
from gateway_listener.frames import Frame, Malformed, Seen, VoiceState
from gateway_listener.gateway import Gateway
from gateway_listener.notes import APPLICATION, IDENTIFIES, Memory, remembered
from gateway_listener.outbox import Item, Note
from gateway_listener.recorder import Recorder
from gateway_listener.settings import Settings
from gateway_listener.stays import stay_ids
from gateway_listener.tracker import Tracker
from program import threads
from program.logs import cause
from program.tasks import Tasks, Unasked

log = logging.getLogger(__name__)

T = TypeVar("T")

# In a burst, what is seen is handed to the disk so often (seconds); what comes after a quiet moment, at once.
HAND_OVER_EVERY = 0.05
# So long (seconds) the page of figures waits for the queue file; then it gives those of the time before.
QUEUE_ANSWERS_WITHIN = 1.0
# How often (seconds) we look whether the mark has moved so far that the service is told.
SHARE_LOOK_EVERY = 0.5
# What is done again and again, and was not for so long (seconds) beyond its time, has stopped.
STOPPED_AFTER = 60.0


class Listener:
    """One shard's listener; `run` goes on until `stop` is called or Discord will not have it.

    `steady` counts seconds as the event loop does: in a machine's sleep nothing was to be done. (The clock counts it.)
    """

    def __init__(
        self,
        settings: Settings,
        *,
        store: Store | None = None,
        clock: Clock | None = None,
        new_id: Callable[[], str] | None = None,
        steady: Callable[[], float] = time.monotonic,
    ) -> None:
        self.metrics_port = settings.metrics_port
        self._settings = settings
        self._clock = clock or Clock()
        self._store = store or Store(settings.store)
        self._told_clock = False
        self._tracker = Tracker(
            new_id=new_id or stay_ids(),
            tolerance_ms=settings.gap_tolerance_ms,
            ask_after_ms=int(settings.timing.ask_presence_after * 1000),
        )
        self._recorder = Recorder(self._store, steady=steady)
        self._counts: Counter[str] = Counter()
        self._drift: Counter[str] = Counter()
        self._steady = steady
        self._stopping = asyncio.Event()
        self._tasks = Tasks(self._end_for, steady=steady)
        self._unasked: BaseException | None = None
        """Why the listener ends, if nobody asked it to."""
        self._consent = ConsentFeed(
            settings,
            self._store,
            self._tracker,
            verify=self._verify_owner,
            moment=self._time_of_reading,
            told=self._told_time,
            hand_over=self._hand_over,
            steady=steady,
            counts=self._counts,
        )
        self._memory = Memory()
        self._application: int | None = None
        """The token's, once Discord has said it."""
        self._owner: int | None = None
        """Whose the data are, as the service said last."""
        self._gateway: Gateway | None = None
        self._started_at = self._clock.now()
        self._shared: int | None = None
        """The shard's mark that was shared last."""
        self._steady_start = steady()
        self._handing_over: asyncio.TimerHandle | None = None
        self._queue: QueueStatistics | None = None
        self._asking_queue: asyncio.Future[QueueStatistics] | None = None

    async def run(self) -> None:
        """Listens until `stop`; then everything is in the queue file, and as much as possible delivered.

        Raises, after the same, GatewayRefused or OtherApplication when a person must act, GatewayLost when the process
        is to be started again, and whatever else ended it that nobody asked for: each task of it is to go on, and one
        that does not ends them all.
        """
        asyncio.get_running_loop().set_exception_handler(self._look_at_failure)
        self._store.start()
        self._recorder.start()
        runner: web.AppRunner | None = None
        try:
            notes = await threads.beside(self._store.notes)
            self._take_up(remembered(notes, self._settings.shard_id, self._settings.shard_count))
            runner, self.metrics_port = await health.serve(
                health.pages(self.condition, self._look_at_queue),
                self._settings.metrics_host,
                self._settings.metrics_port,
            )
            log.info("the listener is up", extra={"shard": self._settings.shard_id, "metrics_port": self.metrics_port})
            self._gateway = gateway = self._connected_by(notes.get(IDENTIFIES, ""))
            self._tasks.start("following consent", self._consent.follow())
            await self._consent.first()
            self._tasks.every("the comparison", self._settings.reconcile_every, self._compare)
            self._tasks.every("the comparison of servers", self._settings.reconcile_every, self._compare_guilds)
            self._tasks.every("asking about servers", self._settings.timing.ask_every, self._ask)
            self._tasks.every("looking at the clock", self._settings.timing.ask_every, self._look_at_clock)
            self._tasks.every("sharing the watermark", SHARE_LOOK_EVERY, self._share_if_moved)
            await gateway.run()
            if not self._stopping.is_set():
                self._end_for(Unasked("the gateway"))
        finally:
            await self._tasks.cancel()
            await self._finish()
            if runner is not None:
                await runner.cleanup()
        if self._unasked is not None:
            raise self._unasked

    def _connected_by(self, spent: str) -> Gateway:
        return Gateway(
            self._settings,
            on_frame=self._on_frame,
            on_malformed=self._on_malformed,
            on_hang_up=self._hang_up,
            on_login=self._logged_in,
            spent=spent,
            note_spent=lambda text: self._recorder.hand_over([Note(IDENTIFIES, text)], self._recorder.watermark),
            stopping=self._stopping,
            clock=self._clock,
            http_trace=dates(self._clock.steady_ms, self._heard_date),
        )

    def stop(self) -> None:
        """Ends `run`; may be called from a signal handler of the event loop."""
        self._stopping.set()

    def _end_for(self, problem: BaseException) -> None:
        """Ends `run`, which then raises this; the first counts, as the others may follow from it."""
        if self._unasked is None:
            self._unasked = problem
        self.stop()

    def _look_at_failure(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """What met an error with nobody there to be told: a callback of the loop ends the listener, as a task does;
        what a library's connection or task left behind is its own affair."""
        problem = context.get("exception")
        if isinstance(problem, Exception) and "handle" in context:
            self._end_for(problem)
        else:
            where = {} if problem is None else cause(problem)
            log.warning("something in the event loop failed", extra={"what": context["message"], **where})

    # --- frames ---

    def _on_frame(self, frame: Frame, now: int, late_since: int | None) -> bool:
        try:
            proof = self._tracker.see(frame, now, late_since=late_since)
        except Exception as problem:  # noqa: BLE001 (a mistake of ours must not end the connection)
            proof = self._tracker.is_proof(frame.content)
            if proof or type(frame.content) is not VoiceState:
                self._counts["failed"] += 1
                log.error("a frame could not be followed; a fresh session puts it right", extra=cause(problem))
                guild_id = getattr(frame.content, "guild_id", None)
                self._tracker.lose(guild_id, "a frame could not be followed", self._clock.now())
        if self._tracker.wants_renewal is not None and self._gateway is not None:
            self._gateway.renew(self._tracker.wants_renewal)
            self._tracker.wants_renewal = None
        if self._handing_over is None and self._hand_over():
            self._handing_over = asyncio.get_running_loop().call_later(HAND_OVER_EVERY, self._hand_over_rest)
        return proof

    def _on_malformed(self, problem: Malformed) -> None:
        """A frame that cannot be read; a stranger's leaves no trace, and what nobody can be told of changes nothing."""
        is_in = problem.user_id is not None and self._tracker.tracks(problem.user_id)
        if is_in or problem.user_id is None:
            self._counts["malformed"] += 1
            log.warning("a frame was left out", extra={"reason": str(problem)})
        if is_in:
            self._tracker.lose(problem.guild_id, "a frame could not be read", self._clock.now())
            self._hand_over()
        if self._gateway is not None:  # it has come, whatever was in it
            self._on_frame(Frame(Seen(), problem.sequence), self._clock.now(), self._gateway.late_since())

    def _hand_over_rest(self) -> None:
        """What came within `HAND_OVER_EVERY` after a hand-over; so a session that changed often is written once."""
        self._handing_over = None
        self._hand_over()

    def _hand_over(self, *notes: Item) -> bool:
        """Hands over what there is, and these notes behind it; False if there is nothing.

        A mistake of ours ends the listener, and not whoever calls: the gateway's connection, a callback, a reading.
        """
        try:
            items = [*self._tracker.take(), *notes]
        except Exception as problem:  # noqa: BLE001
            self._end_for(problem)
            return False
        if items:
            self._recorder.hand_over(items, self._tracker.watermark_to_keep)
        else:
            self._recorder.watermark = self._tracker.watermark_to_keep
        return bool(items)

    # --- the clock ---

    def _heard_date(self, date: float, sent_at: int, received_at: int) -> None:
        """A mistake of ours is not whoever's who asked: to them no answer would be nothing."""
        try:
            self._set_clock(self._clock.heard(date, sent_at, received_at))
        except Exception as problem:  # noqa: BLE001
            self._end_for(problem)

    def _told_time(self, moment: int) -> None:
        """Discord set this moment (ms since 1970 UTC) to what has been read."""
        self._set_clock(self._clock.told(moment))

    def _set_clock(self, by: int) -> None:
        """The clock has been set by so many ms, and all that it gave moves with it."""
        if by:
            self._counts["clock_set"] += 1
            log.info("the listener's clock was set to Discord's", extra={"by": f"{by} ms"})
            self._started_at += by
            self._tracker.shift(by)
            self._hand_over()

    def _hang_up(self) -> None:
        self._clock.interrupted()
        self._tracker.hang_up()

    async def _look_at_clock(self) -> None:
        difference = self._clock.difference()
        is_off = self._tracker.sight.ready if difference is None else abs(difference[0]) * 1000 >= STEP_MS
        if is_off and not self._told_clock:
            if difference is None:
                log.warning("Discord's answers come without a Date: moments are stored by this machine's clock")
            else:
                by, which = abs(difference[0]), "ahead of" if difference[0] > 0 else "behind"
                log.warning("this machine's clock is %.1f s %s Discord's; moments are stored by Discord's", by, which)
        self._told_clock = is_off
        if self._gateway is not None and self._clock.asks():
            await self._gateway.ask_time()

    # --- what is known from before, and consent ---

    def _take_up(self, memory: Memory) -> None:
        self._memory = memory
        self._consent.take_up(memory)
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

    async def _verify_owner(self) -> None:
        """Before anything of the service is taken up; raises CannotRead or OtherApplication."""
        if not self._tracker.presence.ours:
            self._owner = await reading.owner(self._store)
            self._verify(self._owner, readable=True)

    def _time_of_reading(self) -> int:
        """The time, and whether what is read now is read late: decisions are judged by both."""
        now = self._clock.now()
        self._tracker.read_late(self._gateway.late_since() if self._gateway else None, now)
        return now

    # --- now and then ---

    async def _compare(self) -> None:
        """Compares the service's open sessions and names with ours, but for what is on its way there."""
        if not (self._consent.known.is_set() and self._tracker.sight.ready):
            return
        self._hand_over()
        mark = self._tracker.revision
        # All up to the mark is in memory, in the queue file, or delivered; it goes this way while we look.
        waiting, names_waiting = self._recorder.subjects()
        try:
            people, names = await threads.beside(self._store.subjects)
        except (NotKept, threads.NoThread):
            return
        shard_id, shard_count = self._settings.shard_id, self._settings.shard_count
        try:
            waiting |= people
            names_waiting |= names
            rows = await reading.open_sessions(self._store, shard_id, shard_count)
            waiting |= await self._consent.unread()  # the service has acted by these
            drift = self._tracker.compare(rows, mark, self._clock.now(), waiting=waiting)
            self._counts["comparisons"] += 1
            self._drift.update(drift)
            self._hand_over()  # now, and not when the next frame comes, which may be a stranger's
            if drift:
                log.warning("open sessions differed from the service's and were put right", extra=dict(drift))
            standing = set(names_waiting)
            async for page in reading.names(self._store, shard_id, shard_count):
                settled = [record for record in page if record.key not in names_waiting]
                self._tracker.compare_names(settled, self._clock.now())
                self._hand_over()
                standing.update(record.key for record in page)
            self._tracker.forget_other_names(standing, mark)
            async for missing in reading.nameless(self._store, self._tracker.channels_without_name()):
                self._tracker.tell_names(missing)
        except (reading.CannotRead, reading.OtherLog, NotKept):
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
        self._tracker.compare_guilds(there.presences, there.channels, there.sights, self._time_of_reading())
        self._hand_over()

    async def _ask(self) -> None:
        """Asks one thing: whether the bot is in a guild that Discord does not name, or else where somebody is of whom
        nothing was heard for long."""
        if self._gateway is None:
            return
        presence = self._tracker.presence
        guild_id = presence.question(self._clock.now()) if presence.ours else None
        if guild_id is not None:
            is_there = await self._gateway.is_in(guild_id)
            if self._tracker.answer(guild_id, is_there, self._clock.now()):
                log.info("the bot is no longer in a server: unless it is invited again, the data go after thirty days")
        elif (question := self._tracker.question(self._clock.now())) is not None:
            state = await self._gateway.voice_channel_of(question.guild_id, question.user_id)
            self._counts["asked_about_people"] += 1
            self._tracker.answered(question, state, self._clock.now())
        self._hand_over()

    async def _share_if_moved(self) -> None:
        """Every half minute while all goes well, at once when the shard is seen (again): what runs counts up to it."""
        mark, last = self._tracker.watermark_to_keep, self._shared
        if mark is not None and (last is None or abs(mark - last) >= self._settings.timing.share_every * 1000):
            self._share_watermark()

    def _share_watermark(self) -> None:
        self._hand_over()  # the marks say that all before them is written
        marks = self._tracker.marks_to_share()
        if marks is not None:
            sights, observed_at = marks
            self._shared = observed_at
            watermark = Watermark(self._settings.shard_id, observed_at, self._settings.shard_count)
            self._recorder.hand_over([*sights, watermark], self._tracker.watermark_to_keep)

    # --- the end ---

    async def _finish(self) -> None:
        try:
            self._hand_over()
            self._share_watermark()
        except Exception as problem:  # noqa: BLE001 (what was handed over before is to be written)
            self._end_for(problem)
        last_delivery = self._settings.timing.last_delivery_within
        kept = await _aside(lambda: self._recorder.stop(within=last_delivery))
        if not kept:
            log.error("%d changes could not be written to the queue file and are lost", self._recorder.waiting)
        delivered = await _aside(lambda: self._store.stop(within=last_delivery))
        log.info("the listener has ended", extra={"delivered": delivered})

    @property
    def idle(self) -> bool:
        """True if everything that was seen is in the queue file."""
        return not self._recorder.waiting and not self._tracker.unwritten

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
                "the queue file takes writes": not recorder.refused,
                **self._last_done(),
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

    def _last_done(self) -> dict[str, bool]:
        """Whether what is done again and again has been done of late; each sentence says when it was last."""
        now, consent_read = self._steady(), self._consent.read_at
        since = now - (self._steady_start if consent_read is None else consent_read)
        how = "was read" if consent_read is not None else "has not been read since the start,"
        checks = {f"the consent log {how} {since:.0f} s ago": since <= STOPPED_AFTER}
        idle = now - self._recorder.done_at
        checks[f"what was seen was on the disk {idle:.0f} s ago"] = idle <= STOPPED_AFTER
        for name, seconds in self._tasks.periods.items():
            since = now - self._tasks.done_at[name]
            checks[f"{name} was done {since:.0f} s ago"] = since <= 2 * seconds + STOPPED_AFTER
        return checks

    async def _look_at_queue(self) -> None:
        """Asks the queue file how it is, in a thread, one at a time: a disk that hangs must not stop the event loop."""
        if self._asking_queue is None:
            try:
                self._asking_queue = threads.begin(self._store.statistics)
            except threads.NoThread:
                return
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
        difference = self._clock.difference()
        of_clock = (
            {}
            if difference is None
            else {
                "clock_difference_seconds": ("The system's clock minus Discord's", difference[0]),
                "clock_uncertainty_seconds": ("How far that may be off", difference[1]),
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
            "consent_age_seconds": (
                "Since when the consent log was not read",
                self._steady() - (self._consent.read_at or self._steady_start),
            ),
            **of_clock,
        }


async def _aside(act: Callable[[], T]) -> T:
    """What `act` gives, off the event loop if a thread can be had; at the end there is nothing else for the loop."""
    try:
        return await threads.beside(act)
    except threads.NoThread:
        return act()
