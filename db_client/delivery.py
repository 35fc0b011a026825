"""Delivery: the thread that sends what waits in the queue file, and the threads that wait for what it does.

One thread in each process delivers, and of all processes on a file one at a time (a kernel lock, free again at the
instant its holder dies). While the service cannot be asked everything waits, in order, and nobody is kept waiting.
"""

from __future__ import annotations

import contextlib
import logging
import random
import threading
import time
from collections.abc import Callable

from db_client.errors import NotKept, ServiceUnavailable
from db_client.queue_file import Position, QueueFile
from db_client.receipts import NOTHING, Delivered, Fate, Receipt, Waiter
from db_client.records import Newer
from db_client.sending import Batch, Sender
from program import threads
from program.logs import cause

FIRST_PAUSE = 0.1
LONGEST_PAUSE = 30.0
PROBE_SECONDS = 1.0  # while the service is down and a person waits, it is asked at most this often
BRISK_SECONDS = 0.1  # an attempt that has taken longer than this: others write to the disk themselves
SLOW_SECONDS = 2.0  # nobody joins the wait for an attempt that has taken longer than this
RETURN_SECONDS = 0.001  # how long those who were just answered are waited for, each
GLANCE_SECONDS = 0.03  # how often an idle process looks whether another one died and left entries behind
REPEATED_SECONDS = 60.0  # how often the log says that delivery still waits
KNOWN_DOWN = 2  # failures in a row after which nobody waits for the service
OVERRUN_SECONDS = 0.1

log = logging.getLogger(__name__)


def pause(failures: int, chance: float) -> float:
    """Seconds to wait after so many failures in a row: growing, with full jitter (`chance` from 0 to 1)."""
    return chance * min(LONGEST_PAUSE, FIRST_PAUSE * 2.0 ** min(failures, 16))


class Delivery:
    """The delivering thread of this process for one queue file.

    `commit` writes what other threads left for this one to write; `chance` gives numbers from 0 to 1.
    """

    def __init__(
        self,
        queue: QueueFile,
        sender: Sender,
        *,
        commit: Callable[[], None] = lambda: None,
        chance: Callable[[], float] | None = None,
    ) -> None:
        self._queue = queue
        self._sender = sender
        self._commit = commit
        self._chance = chance or random.Random().random  # a source of its own: tests seed the shared one
        self._lock = threading.Lock()
        self._called = threading.Condition(self._lock)  # the delivering thread waits here
        self._progress = threading.Condition(self._lock)  # who waits for the end waits here
        self._waiters: list[Waiter] = []
        self._thread: threading.Thread | None = None
        self._stopping = False
        self._work = True  # something may wait in the file; at first it may have been left by an earlier process
        self._calls = 0  # since the last commit
        self._expected = 0  # so many calls are waited for
        self._asked = False  # a person waits
        self._busy = False
        self._failures = 0
        self._attempts = 0
        self._last_attempt = 0.0
        self._next_attempt = 0.0
        self._next_word = 0.0
        self._seen: tuple[int, int] | None = None

    # --- for those who keep and wait ---

    def start(self) -> None:
        """Starts the delivering thread if there is none; raises `threads.NoThread`."""
        with self._lock:
            self._start()

    def call(self) -> None:
        """Says that something new waits; to be called once for each `keep` or `send`."""
        with self._lock:
            self._work = True
            self._calls += 1
            if self._calls >= self._expected:
                self._called.notify()

    def brisk(self) -> bool:
        """True if the thread can be counted on to commit within moments."""
        if self._failures or self._stopping or self._thread is None or not self._thread.is_alive():
            return False
        return not (self._busy and time.monotonic() > self._last_attempt + BRISK_SECONDS)

    def expect(self, waiter: Waiter, receipt: Receipt) -> None:
        """The waiter, whose thread calls `wait` next, waits for the receipt; to be called before `call`."""
        with self._lock:
            with contextlib.suppress(threads.NoThread):  # what is kept is kept; whoever comes next tries again
                self._start()
            waiter.receipt, waiter.attempts = receipt, self._attempts
            self._asked = True
            if receipt == NOTHING or self._hopeless(waiter):
                waiter.end()
            else:
                self._waiters.append(waiter)

    def wait(self, waiter: Waiter, deadline: float) -> Delivered:
        """What became of the waiter's receipt by the deadline (of `time.monotonic`); sooner if the service is down."""
        if not waiter.sleep(deadline):
            with self._lock:
                if waiter in self._waiters:
                    self._waiters.remove(waiter)
        fate = self._fate(waiter.receipt, waiter.position)
        if time.monotonic() > deadline + OVERRUN_SECONDS:
            self._sender.count("budget_overruns", "deliver")
        return Delivered(fate, waiter.answers if fate is Fate.STORED else None)

    def wait_for(self, receipt: Receipt, within: float) -> Fate:
        """What became of the receipt's entries after at most `within` seconds; sooner if the service is down."""
        deadline = time.monotonic() + within
        waiter = Waiter()
        self.expect(waiter, receipt)
        self.call()
        return self.wait(waiter, deadline).fate

    def idle(self) -> bool:
        """True if nothing waits in the file and this process is sending nothing."""
        with self._lock:
            if self._busy:
                return False
        return not self._queue.waiting(1)

    def stop(self, within: float) -> bool:
        """Tries to deliver what waits, for at most `within` seconds, and ends the thread; True if nothing is left."""
        deadline = time.monotonic() + within
        with self._lock:
            if self._thread is not None and self._thread.is_alive():
                attempts = self._attempts
                self._work = self._asked = True
                self._next_attempt = 0.0
                self._called.notify()
                while (self._work or self._busy) and (left := deadline - time.monotonic()) > 0:
                    if self._failures and self._attempts > attempts + 1:
                        break
                    self._progress.wait(left)
            self._stopping = True
            self._called.notify()
            self._wake(lambda waiter: True)
            thread = self._thread
        if thread is not None:
            thread.join(max(0.05, deadline - time.monotonic()))
        try:
            return not self._queue.waiting(1)
        except NotKept:
            return False

    def _hopeless(self, waiter: Waiter) -> bool:
        """With the lock held: True if waiting on only burns a person's time."""
        now = time.monotonic()
        if self._stopping or (self._busy and now > self._last_attempt + SLOW_SECONDS):
            return True
        return self._failures >= KNOWN_DOWN and (self._attempts > waiter.attempts or not self._may_try(now))

    def _wake(self, is_over: Callable[[Waiter], bool]) -> None:
        """With the lock held: wakes the waiters for whom it is over."""
        still = []
        for waiter in self._waiters:
            if is_over(waiter):
                waiter.end()
            else:
                still.append(waiter)
        self._waiters = still

    def _fate(self, receipt: Receipt, position: Position) -> Fate:
        try:
            if position.head <= receipt.last:  # another process may have delivered it without this one's knowing
                position = self._queue.position()
            if position.head <= receipt.last:
                return Fate.KEPT
            if position.newest_dead >= receipt.first and self._queue.any_dead(*receipt):
                return Fate.REFUSED
        except NotKept:
            return Fate.KEPT
        return Fate.STORED

    # --- the thread ---

    def _start(self) -> None:
        if not self._stopping and (self._thread is None or not self._thread.is_alive()):
            self._thread = threads.start("delivery", self._run)

    def _may_try(self, now: float) -> bool:
        """With the lock held: True if the pause is over, or, with a person waiting, a probe is due."""
        return self._busy or now >= self._next_attempt or (self._asked and now >= self._last_attempt + PROBE_SECONDS)

    def _run(self) -> None:
        while (turn := self._next_turn()) is not None:
            try:
                turn()
            except ServiceUnavailable as fault:
                self._failed(fault.cause, str(fault))
            except Newer as entry:
                self._failed("newer", str(entry))
            except NotKept as problem:
                self._failed("queue_file", str(problem))
            except Exception as problem:  # noqa: BLE001 (the next turn may go well)
                log.error("delivery met an error of its own and goes on", extra=cause(problem))
                self._failed("error", "see the log")

    def _next_turn(self) -> Callable[[], None] | None:
        """Waits for what to do next; None when it is to end."""
        with self._lock:
            self._busy = False
            self._progress.notify_all()
            while not self._stopping:
                now = time.monotonic()
                if self._failures:
                    if self._may_try(now):
                        break
                    self._called.wait(max(0.001, min(self._next_attempt, self._last_attempt + PROBE_SECONDS) - now))
                elif self._work:
                    break
                elif not self._called.wait(GLANCE_SECONDS):
                    return self._glance
            if self._stopping:
                return None
            self._busy, self._work, self._asked = True, False, False
            self._last_attempt = now
            return self._turn

    def _turn(self) -> None:
        """Everything that waits, after whoever is delivering now."""
        with self._queue.delivering(wait=False) as alone:
            if alone:
                self._deliver_all()
                return
        self._commit()  # what others left here is safe, however long it takes to get the turn
        with self._queue.delivering(wait=True):
            self._deliver_all()

    def _deliver_all(self) -> None:
        """Batch after batch, until nothing more waits or another process wants its turn."""
        committed = False
        while True:
            with self._lock:
                self._last_attempt = time.monotonic()
                if not committed:
                    self._take_calls()
            if not committed:
                self._commit()
            committed = self._deliver()
            with self._lock:
                if self._stopping or not (committed or self._work):
                    return
            if self._queue.others_wait():
                with self._lock:
                    self._work = True
                return

    def _take_calls(self) -> bool:
        """With the lock held: True if anyone called; who calls from here on has left something behind this commit."""
        called, self._work, self._asked, self._calls = self._work, False, False, 0
        return called

    def _glance(self) -> None:
        """Looks whether another process left entries behind: a commit happened, and nobody is delivering."""
        if self._queue.signature() == self._seen:
            self._sender.commit_counts()
            return
        with self._queue.delivering(wait=False) as alone:
            if alone and self._deliver():
                with self._lock:
                    self._work = True

    def _deliver(self) -> bool:
        """One batch; True if more waits in the file, with all that was called for before the batch was settled."""
        signature = self._queue.signature()
        more = False

        def tell(batch: Batch) -> None:
            nonlocal more
            self._arrived(batch)
            if batch.some:
                more = self._gathered() or batch.more

        batch = self._sender.send_some(tell)
        if not batch.some:
            self._seen = signature
        elif any(waiter.receipt.last < batch.position.head for waiter in self._waiters):
            self._wake_by_the_file()
        return more

    def _arrived(self, batch: Batch) -> None:
        """Wakes those whose entries were in the batch."""
        with self._lock:
            if self._failures:
                log.info("delivery goes on", extra={"failures": self._failures})
            self._failures = 0
            self._attempts += 1
            for waiter in self._waiters:
                if waiter.receipt.first >= batch.first:
                    waiter.position = batch.position
                    if waiter.receipt.first == waiter.receipt.last:
                        waiter.answers = batch.answers.get(waiter.receipt.last)
            waited = len(self._waiters)
            self._wake(lambda waiter: batch.first <= waiter.receipt.first and waiter.receipt.last < batch.position.head)
            self._expected = waited - len(self._waiters)
            self._progress.notify_all()

    def _gathered(self) -> bool:
        """Waits a moment for as many calls as were just answered, beside those there already; True if there are any.

        Under load who was answered is soon back with the next request, or somebody else is in their place. Batches
        grow with the load, and nobody is held up who comes when there is none.
        """
        with self._lock:
            until = time.monotonic() + self._expected * RETURN_SECONDS
            self._expected += self._calls
            while not self._stopping and self._calls < self._expected and (left := until - time.monotonic()) > 0:
                self._called.wait(left)
            self._expected = 0
            return self._take_calls()

    def _wake_by_the_file(self) -> None:
        """Wakes those whose entries went before this batch: parts of it in an earlier one, or by another process."""
        position = self._queue.position()
        with self._lock:
            for waiter in self._waiters:
                waiter.position = position
            self._wake(lambda waiter: waiter.receipt.last < position.head)

    def _failed(self, cause: str, message: str) -> None:
        self._sender.count("retried", cause)
        with self._lock:
            self._failures += 1
            self._attempts += 1
            self._last_attempt = time.monotonic()
            self._next_attempt = self._last_attempt + pause(self._failures, self._chance())
            self._work = True
            self._wake(self._hopeless)
            self._progress.notify_all()
            failures = self._failures
        if failures == 1 or self._last_attempt >= self._next_word:
            self._next_word = self._last_attempt + REPEATED_SECONDS
            log.warning("delivery waits", extra={"cause": cause, "failures": failures, "problem": message})
