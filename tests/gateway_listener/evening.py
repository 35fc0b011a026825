"""A listener's evening without a network, a thread or a clock of its own: all that its run does, at given moments.

What is real: `Listener` with what follows frames, compares and shows figures; the tracker; what the recorder writes, in
which commits; the notes that the next run starts from; the statements, on a real SQLite. What is played: the gateway,
time, and the disk (`Disk`, which writes down each commit and when it came).
"""

from __future__ import annotations

import contextlib
import heapq
import itertools
import json
import logging
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from typing import Any

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import generate_latest

from db_client.errors import ServiceUnavailable
from db_client.records import Record
from db_client.statements import Statement
from db_client.store import QueueStatistics
from gateway_listener import health
from gateway_listener.frames import VoiceState
from gateway_listener.gateway import TURN_EVERY
from gateway_listener.heartbeat import Heartbeat
from gateway_listener.listener import Listener
from gateway_listener.notes import remembered
from gateway_listener.outbox import Forget, Item
from gateway_listener.reading import CannotRead
from gateway_listener.recorder import SAVE_EVERY, Recorder, subjects
from gateway_listener.settings import Settings
from tests.gateway_listener.gateway import ACK, Gateway
from tests.gateway_listener.harness import NOON, left_of_record
from tests.gateway_listener.tables import Service

ACK_AFTER = 30
APPLICATION = 77


def run_through(coroutine: Coroutine[Any, Any, object]) -> None:
    """A coroutine that waits for nothing, to its end."""
    with pytest.raises(StopIteration):
        coroutine.send(None)


class Disk:
    """What `Listener` needs of `db_client.store.Store`: a queue file and the way to the service, at once or not."""

    def __init__(self, service: Service, now: Callable[[], int]) -> None:
        self.service, self._now = service, now
        self.commits: list[tuple[int, list[str], dict[str, str | None]]] = []
        """When, the entries, the notes."""
        self.kept: dict[str, str] = {}
        self.waiting: list[Record] = []
        self.up = True

    def keep(self, records: Sequence[Record], *, notes: Mapping[str, str | None] | None = None) -> None:
        self.commits.append((self._now(), [record.to_json() for record in records], dict(notes or {})))
        self.waiting.extend(records)
        self.kept = {key: value for key, value in {**self.kept, **(notes or {})}.items() if value is not None}
        self.deliver()

    def forget(self, user_id: int, *, before: int) -> int:
        self.commits.append((self._now(), [f"forget {user_id} {before}"], {}))
        self.waiting = [left for one in self.waiting if (left := left_of_record(one, Forget(user_id, before)))]
        return 0

    def deliver(self) -> None:
        if self.up:
            for record in self.waiting:
                self.service.write(record)
            self.waiting.clear()

    def query(self, *statements: Statement, within: float) -> list[list[dict[str, Any]]]:
        if not self.up:
            raise ServiceUnavailable("refused")
        return [self.service.read(statement) for statement in statements]

    def subjects(self) -> tuple[set[int], set[str]]:
        return subjects(self.waiting)

    def idle(self) -> bool:
        return not self.waiting

    def statistics(self) -> QueueStatistics:
        return QueueStatistics(len(self.waiting), None, 0)


class AtOnce(Recorder):
    """A recorder that writes when it is handed something."""

    def hand_over(self, items: Iterable[Item], watermark: int | None) -> None:
        super().hand_over(items, watermark)
        self.save()

    def save(self) -> None:
        self._backlog.extend(self._items)
        self._items.clear()
        self._write(self.watermark)


class Evening:
    """One listener after another on one disk, one gateway, one service, and the time; `log` and `seen` grow.

    `seen` holds what the pages say at each `look`.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = NOON
        self.service = Service()
        self.disk = Disk(self.service, lambda: self.now)
        self.log: list[tuple[object, ...]] = []
        self.seen: list[str] = []
        self.gateway = Gateway(lambda text, live: self._hear(text))
        self.ack_after = ACK_AFTER
        self.asked: list[tuple[int, int, int]] = []
        """About whom Discord was asked, where, and when; `where` answers."""
        self.where: Callable[[int, int], VoiceState | None] = lambda guild_id, user_id: None
        self._timers: list[tuple[int, int, Callable[[], object]]] = []
        self._numbers = itertools.count()
        self._runs = itertools.count(1)
        monkeypatch.setattr("program.threads.beside", _inline)
        monkeypatch.setattr("asyncio.get_running_loop", lambda: self)
        self._handler = _Lines(self)
        self.start()

    # --- the event loop ---

    def call_later(self, seconds: float, act: Callable[[], object]) -> object:
        heapq.heappush(self._timers, (self.now + round(seconds * 1000), next(self._numbers), act))
        return object()

    def _seconds(self) -> float:
        return self.now / 1000

    def pass_ms(self, milliseconds: int) -> None:
        """Time passes, and the event loop comes round as it should."""
        until = self.now + milliseconds
        with self._handler:
            while self._timers and self._timers[0][0] <= until:
                at, _, act = heapq.heappop(self._timers)
                self.now = max(self.now, at)
                act()
        self.now = until

    def stall(self, milliseconds: int) -> None:
        """The machine sleeps: time passes and nothing is done."""
        self.now += milliseconds

    def _every(self, run: int, seconds: float, act: Callable[[], object]) -> None:
        def again() -> None:
            if run == self._run:
                act()
                self.call_later(seconds, again)

        self.call_later(seconds, again)

    # --- the listener ---

    def start(self, *, new_disk: bool = False, application: int | None = APPLICATION) -> None:
        """kill -9, if one runs, and a new process, which logs in at once (None: not yet)."""
        self.hang_up()
        self.gateway.forget()
        if new_disk:
            self.disk.kept, self.disk.waiting = {}, []
        self._run = run = next(self._runs)
        ids = itertools.count(1)
        settings = Settings.read({"DISCORD_BOT_TOKEN": "secret"})
        self.listener = Listener(
            settings,
            store=self.disk,  # type: ignore[arg-type]
            clock=_Hands(self),  # type: ignore[arg-type]
            new_id=lambda: f"stay{run}x{next(ids)}",
            steady=self._seconds,
        )
        self.recorder = self.listener._recorder = AtOnce(self.disk, steady=self._seconds)
        self.connection = self.listener._connected_by(spent="")
        self.connection.is_in = _not_there  # type: ignore[method-assign]
        self.connection.voice_channel_of = self._where  # type: ignore[method-assign]
        self.listener._gateway = self.connection
        with self._handler:
            self.listener._take_up(remembered(self.disk.kept))
            if application is not None:
                run_through(self.listener._logged_in(application))
        self._every(run, 1.0, lambda: run_through(self._follow()))
        self._every(run, TURN_EVERY, self._come_round)
        self._every(run, SAVE_EVERY, self.recorder.save)
        self._every(run, 30.0, self.listener._share_watermark)
        self._every(run, 300.0, lambda: run_through(self.listener._compare()))
        self._every(run, 300.0, lambda: run_through(self.listener._compare_guilds()))
        self._every(run, 1.0, lambda: run_through(self.listener._ask()))

    async def _follow(self) -> None:
        self.disk.deliver()
        with contextlib.suppress(CannotRead):
            await self.listener._consent.read()

    # --- the gateway ---

    def identify(self, guilds: Iterable[int]) -> None:
        self._connect()
        self.gateway.identify(list(guilds), ())

    def resume(self) -> None:
        if self.gateway.resumable and not self.gateway.connected:
            self._connect()
            self.gateway.resume()

    def _connect(self) -> None:
        self.connection._heart = Heartbeat(self.now, late_ms=500)

    def _come_round(self) -> None:
        heart = self.connection._heart
        if heart is not None and self.connection._come_round(heart):
            heart.beat(self.now)
            self.call_later(self.ack_after / 1000, lambda: heart is self.connection._heart and self._hear(ACK))

    async def _where(self, guild_id: int, user_id: int) -> VoiceState | None:
        self.asked.append((self.now, guild_id, user_id))
        return self.where(guild_id, user_id)

    def hang_up(self) -> None:
        """The connection breaks."""
        if self.gateway.connected:
            self.connection._heart = None
            self.gateway.connected = False
            self.listener._tracker.hang_up()

    def tell(self, kind: str, data: dict[str, Any]) -> None:
        """Something happens that the bot is told of, at once or by a RESUME."""
        self.gateway.emit(kind, data)

    def _hear(self, text: str) -> None:
        heart = self.connection._heart
        assert heart is not None
        with self._handler:
            self.connection._hear(heart, json.loads(text))

    # --- looking ---

    def look(self) -> None:
        """Writes down what the pages say now."""
        self.listener._queue = self.disk.statistics()
        registry = CollectorRegistry()
        registry.register(health._Figures(self.listener.condition))
        condition = self.listener.condition()
        self.seen.append(f"{self.now} {condition.live} {condition.ready} {generate_latest(registry).decode()}")

    def rows(self) -> dict[str, list[dict[str, Any]]]:
        """All that stands in the service, by table."""
        tables = self.service.rows("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name")
        return {table["name"]: self.service.rows(f"SELECT * FROM {table['name']} ORDER BY 1") for table in tables}


class _Hands:
    """The clock of the listener."""

    def __init__(self, evening: Evening) -> None:
        self.now = self.steady_ms = lambda: evening.now
        self.at = lambda moment: moment
        self.told = lambda moment: 0
        self.difference = lambda: None


class _Lines(logging.Handler):
    """While it is entered, what the listener logs goes to the evening's `log`, with when and with what."""

    def __init__(self, evening: Evening) -> None:
        super().__init__(logging.DEBUG)
        self._evening = evening
        self._logger = logging.getLogger("gateway_listener")
        self._depth = 0

    def emit(self, record: logging.LogRecord) -> None:
        known = {*logging.makeLogRecord({}).__dict__, "message", "asctime"}
        more = {name: value for name, value in record.__dict__.items() if name not in known}
        self._evening.log.append((self._evening.now, record.levelname, record.getMessage(), sorted(more.items())))

    def __enter__(self) -> None:
        self._depth += 1
        if self._depth == 1:
            self._level, self._logger.propagate = self._logger.level, False
            self._logger.setLevel(logging.DEBUG)
            self._logger.addHandler(self)

    def __exit__(self, *error: object) -> None:
        self._depth -= 1
        if not self._depth:
            self._logger.removeHandler(self)
            self._logger.propagate = True
            self._logger.setLevel(self._level)


async def _not_there(guild_id: int) -> bool | None:
    return False


async def _inline(act: Callable[[], Any]) -> Any:
    """In place of a thread."""
    return act()
