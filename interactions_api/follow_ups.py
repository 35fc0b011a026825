"""Messages with a file that follow an interaction, made and sent by threads of this process.

https://discord.com/developers/docs/interactions/receiving-and-responding#followup-messages
"""

from __future__ import annotations

import json
import logging
import os
import queue
import threading
import time
from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import requests

from db_client.errors import DbClientError
from db_client.statements import Statement
from db_client.store import Store
from interactions_api.interaction import Address
from interactions_api.plan import File, Later, Rows
from program import threads
from program.identity import USER_AGENT
from program.logs import cause

THREADS = 2
MOST_WAITING = 50
LIFETIME_S = 14.5 * 60
"""Discord takes messages for fifteen minutes after the interaction."""
READ_S = 10.0
LONGEST_PAUSE_S = 30.0
TIMEOUT_S = (5.0, 30.0)

log = logging.getLogger(__name__)


class _TooLarge(Exception):
    """Discord will not take a file of this size."""


class _NoLongerWanted(Exception):
    """The token is worth nothing (any more), or Discord refuses this message for good."""


class _Job(NamedTuple):
    later: Later
    address: Address
    until: float
    done: Callable[[str], None]


class FollowUps:
    """Makes and sends what follows. Safe for many threads, and for forks after it is made.

    What is under way lives in memory only: a token lets anybody write in the bot's name, and may not lie on a disk. A
    process that ends in good order finishes first (`stop`); after a kill the person asks again, and nothing is lost.
    """

    def __init__(self, store: Store, api_url: str) -> None:
        self._store = store
        self._api_url = api_url
        self._mutex = threading.Lock()
        self._pid = 0
        self._threads: list[threading.Thread] = []
        self._jobs: queue.Queue[_Job | None] = queue.Queue(MOST_WAITING)
        self._hurry = threading.Event()

    def send(self, later: Later, address: Address, done: Callable[[str], None] = lambda end: None) -> bool:
        """Begins; False if too many wait already, no thread can be started or this process is ending. `done` is told
        how it ended."""
        if self._hurry.is_set():
            return False
        try:
            self._start()
            self._jobs.put_nowait(_Job(later, address, time.monotonic() + LIFETIME_S, done))
        except (queue.Full, threads.NoThread):
            return False
        return True

    def stop(self, *, within: float) -> bool:
        """Takes no more, tries what there is a last time, and ends the threads; True if nothing is left undone."""
        deadline = time.monotonic() + within
        self._hurry.set()
        with self._mutex:
            threads = self._threads if self._pid == os.getpid() else []
        for _ in threads:
            try:
                self._jobs.put(None, timeout=max(0.0, deadline - time.monotonic()))
            except queue.Full:
                return False
        for thread in threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        return not any(thread.is_alive() for thread in threads)

    def _start(self) -> None:
        """Threads do not survive a fork, so each process makes its own when it first needs them."""
        with self._mutex:
            if self._pid != os.getpid():
                self._pid, self._threads = os.getpid(), []
                self._jobs = queue.Queue(MOST_WAITING)
            while len(self._threads) < THREADS:
                self._threads.append(threads.start(f"follow-up-{len(self._threads)}", self._work))

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            try:
                end = self._carry_out(job)
            except Exception as problem:  # noqa: BLE001 - the next one is somebody else's
                self._tell_failure(problem)
                end = "failed"
            job.done(end)

    def _tell_failure(self, problem: Exception) -> None:
        self._store.count("failed", "follow_up")
        log.error("a follow-up failed", extra=cause(problem))

    def _carry_out(self, job: _Job) -> Literal["sent", "too_large", "failed", "unwanted"]:
        try:
            try:
                file = self._again_and_again(job, lambda: job.later.make(self._ask))
            except Exception as problem:  # noqa: BLE001 - the person waits, and is told
                self._tell_failure(problem)
                file = None
            if file is None:
                self._again_and_again(job, lambda: self._edit(job.address, job.later.failed), last_chance_s=20.0)
                return "failed"
            try:
                self._again_and_again(job, lambda: self._edit(job.address, file.content, file))
            except _TooLarge:
                self._again_and_again(job, lambda: self._edit(job.address, job.later.too_large))
                return "too_large"
        except _NoLongerWanted:
            return "unwanted"
        return "sent"

    def _again_and_again(self, job: _Job, step: Callable[[], Any], *, last_chance_s: float = 0.0) -> Any:
        """The step's result as soon as it succeeds; None if time ran out. The last half minute is for saying so."""
        until = job.until - 30.0 + last_chance_s
        pause = 1.0
        while True:
            try:
                return step()
            except _Wait as wait:
                pause = wait.seconds
            except (DbClientError, requests.RequestException) as problem:
                log.warning("a follow-up must wait", extra={"problem": type(problem).__name__})
            if self._hurry.is_set() or time.monotonic() + pause > until:
                return None
            self._hurry.wait(pause)
            pause = min(2 * pause, LONGEST_PAUSE_S)

    def _ask(self, *questions: Statement) -> list[Rows]:
        return self._store.query(*questions, within=READ_S)

    def _edit(self, address: Address, content: str, file: File | None = None) -> bool:
        """Puts the content, and the file, in place of "thinking". True; raises for every other end.

        https://discord.com/developers/docs/reference#uploading-files
        """
        url = f"{self._api_url}/webhooks/{address.application_id}/{address.token}/messages/@original"
        message: dict[str, Any] = {"content": content, "allowed_mentions": {"parse": []}}
        parts: dict[str, tuple[str | None, str | bytes, str]] = {}
        if file is not None:
            if len(file.file) > address.size_limit:
                raise _TooLarge
            message["attachments"] = [{"id": 0, "filename": file.name}]
            parts["files[0]"] = (file.name, file.file, "application/zip")
        parts["payload_json"] = (None, json.dumps(message), "application/json")
        response = requests.patch(url, files=parts, headers={"User-Agent": USER_AGENT}, timeout=TIMEOUT_S)
        if response.status_code == 200:
            return True
        if response.status_code == 413:
            raise _TooLarge
        if response.status_code == 429 or response.status_code >= 500:
            raise _Wait(_seconds(response))
        # The address holds the token, so only the number may stand in a log.
        log.error("Discord refused a follow-up", extra={"status": response.status_code})
        raise _NoLongerWanted


class _Wait(Exception):
    """Discord wants us to come back later."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        super().__init__(seconds)


def _seconds(response: requests.Response) -> float:
    try:
        return min(max(float(response.headers.get("Retry-After", "1")), 0.1), LONGEST_PAUSE_S)
    except ValueError:
        return 1.0
