"""Everything the listener does at the same time has an owner: an end that nobody asked for ends the process."""

from __future__ import annotations

import asyncio
import itertools
import re
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from db_client.records import ConsentDecision
from db_client.settings import StoreSettings
from db_client.snowflake import earliest
from db_client.statements import Statement
from db_client.store import Fate, Store
from gateway_listener.gateway import Gateway
from gateway_listener.listener import Listener
from program import exits, threads
from program.tasks import Unasked
from tests.failing import SECRET
from tests.gateway_listener.processes import listener, logged, page, pages, variables_of
from tests.gateway_listener.running import Scene
from tests.interactions_api.unreliable import ODD, Unreliable
from tests.services import RunningService
from tests.simulated_discord.control import Control, start_process
from tests.simulated_discord.server import wall_clock
from tests.waiting import eventually, soon

FAILING = "tests.failing gateway_listener"
WORKS = {
    "following consent": "gateway_listener.tracker:Tracker.decide",
    "keeping time": "gateway_listener.heartbeat:Heartbeat.turned",
    "an ACK": "gateway_listener.heartbeat:Heartbeat.acknowledged",
    "reading a frame": "gateway_listener.tracker:Tracker.is_proof",
    "hanging up": "gateway_listener.tracker:Tracker.hang_up",
    "Discord's time": "gateway_listener.clock:Clock.heard",
    "the comparison": "gateway_listener.tracker:Tracker.compare",
    "the comparison of servers": "gateway_listener.tracker:Tracker.compare_guilds",
    "asking about servers": "gateway_listener.presence:Presence.question",
    "sharing the watermark": "gateway_listener.listener:Listener._share_watermark",
    "handing over": "gateway_listener.tracker:Tracker.take",
    "a callback of the loop": "gateway_listener.listener:Listener._hand_over_rest",
    "the recorder": "gateway_listener.recorder:Recorder._write",
    "the recorder, at each try": "db_client.store:Store.keep",
    "the delivery": "db_client.delivery:Delivery._next_turn",
}


class Life:
    """A simulated Discord, a service, and the endpoint's part, for listeners that run as processes."""

    def __init__(self, discord: Control, service: RunningService, folder: Path) -> None:
        self.discord, self.service, self.folder = discord, service, folder
        self.store = Store(StoreSettings(service.url, folder / "endpoint.db"))
        self.store.start()
        self.desk = discord.add_channel(discord.add_guild("Study room"), "Desk")
        self.file = folder / "it fails"
        self._decided = itertools.count()

    def variables(self, **more: str) -> dict[str, str]:
        known = {"FAILS_WHILE": str(self.file), "RECONCILE_EVERY": "1"}
        return variables_of(self.discord, self.service, self.folder, **known, **more)

    def opt_in(self) -> int:
        """Somebody who is in, and in voice."""
        user = self.discord.add_user()
        decision = ConsentDecision(earliest(wall_clock()) + next(self._decided), user, "in", "u", "U")
        assert self.store.deliver(self.store.keep([decision]), within=10) is Fate.STORED
        self.discord.join(user, self.desk)
        return user

    def rows(self, user: int) -> list[dict[str, Any]]:
        asked = Statement("SELECT * FROM voice_sessions WHERE user_id = :user", {"user": user})
        return self.store.query(asked, within=5)[0]

    def ready(self, log: str = "listener.log") -> bool:
        return page(pages(self.folder, log), "readyz")[0] == 200


@pytest.fixture
def life(service: RunningService, tmp_path: Path) -> Iterator[Life]:
    with start_process(seed=12, heartbeat_interval=300) as discord:
        made = Life(discord, service, tmp_path)
        yield made
        made.store.stop(within=1)


@pytest.mark.parametrize("fails", WORKS.values(), ids=WORKS.keys())
def test_an_error_that_nobody_foresaw_ends_the_listener(life: Life, fails: str) -> None:
    """Whichever work it is: status 1, the place in the log and nothing of what it was about; what was seen before is
    stored, and the next start goes on with it."""
    with listener(life.folder, life.variables(FAILS=fails), program=FAILING) as process:
        eventually(life.ready, what="the listener is ready")
        ada = life.opt_in()
        eventually(lambda: life.rows(ada), what="her session is stored")
        life.file.touch()
        life.discord.set_state(ada, self_mute=True)
        life.opt_in()
        life.discord.abort()
        assert process.wait(60) == exits.AGAIN, logged(life.folder)
    log = logged(life.folder)
    assert "CRITICAL" in log
    assert "problem=ValueError" in log
    assert "the listener has ended" in log, "it ended in good order"
    assert SECRET not in log
    assert "Traceback" not in log
    life.file.unlink()
    with listener(life.folder, life.variables(FAILS=fails), program=FAILING, log="again.log") as process:
        eventually(lambda: life.ready("again.log"), what="the listener is ready again")
        life.discord.leave(ada)
        eventually(lambda: [row["ended_by"] for row in life.rows(ada)] == ["left"], what="her session is ended")
        process.terminate()
        assert process.wait(30) == exits.ASKED


@pytest.mark.parametrize("fails", ["db_client.erasure_follower:ErasureFollower._run", "db_client.store:Store.notes"])
def test_an_error_at_the_start(life: Life, fails: str) -> None:
    """The same: it does not run on without what did not begin."""
    life.file.touch()
    with listener(life.folder, life.variables(FAILS=fails), program=FAILING) as process:
        assert process.wait(60) == exits.AGAIN
    assert "problem=ValueError" in logged(life.folder)
    assert SECRET not in logged(life.folder)


def test_at_the_limit_of_threads_consent_is_followed_again_when_it_is_over(life: Life) -> None:
    """A disk that knows goes on by itself; whoever opts in meanwhile is recorded as soon as the log can be read."""
    with listener(life.folder, life.variables(NO_THREADS="reader"), program=FAILING) as process:
        eventually(life.ready, what="the listener is ready")
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == exits.ASKED
    life.file.touch()
    with listener(life.folder, life.variables(NO_THREADS="reader"), program=FAILING, log="again.log") as process:
        eventually(lambda: "the consent log cannot be read for now cause=no_thread" in logged(life.folder, "again.log"))
        assert (
            "[+]the consent log has not been read since the start" in page(pages(life.folder, "again.log"), "readyz")[1]
        )
        user = life.opt_in()
        life.file.unlink()
        eventually(lambda: life.rows(user), what="who opted in is recorded")
        assert "[+]the consent log was read" in page(pages(life.folder, "again.log"), "readyz")[1]
        assert process.poll() is None
        process.terminate()
        assert process.wait(30) == exits.ASKED


def test_too_few_threads_to_begin(life: Life) -> None:
    """Without a thread that records nothing begins: status 1."""
    life.file.touch()
    with listener(life.folder, life.variables(NO_THREADS="recorder"), program=FAILING) as process:
        assert process.wait(60) == exits.AGAIN
    assert "problem=NoThread" in logged(life.folder)


# --- in one loop ---


@contextmanager
def odd(proxy: Unreliable, how: str) -> Iterator[None]:
    proxy.odd = how
    try:
        yield
    finally:
        proxy.odd = ""


async def test_odd_answers_of_status_200_are_asked_for_again(stage: Scene) -> None:
    """Whatever stands in the place of rows, every reading is tried again, nothing is concluded, and nothing ends."""
    with Unreliable(stage.service.url) as proxy:
        async with stage.listening(SQLITE_SERVICE_URL=proxy.url, RECONCILE_EVERY="1") as listener:
            stage.discord.join(stage.ada, stage.desk)
            await stage.settled(listener, stays=1)
            for number, how in enumerate(["no element", *ODD]):
                with odd(proxy, how):
                    failed, works = listener._counts["unreadable_service"], dict(listener._tasks.done_at)
                    await stage.decide(stage.cat, "out" if number % 2 else "in")
                    await soon(
                        lambda: listener._counts["unreadable_service"] > failed + 1,  # noqa: B023
                        what=f"{how}: the log is asked for again",
                    )
                    await soon(
                        lambda: all(listener._tasks.done_at[name] > at for name, at in works.items()),  # noqa: B023
                        what=f"{how}: everything else goes on",
                    )
                    assert listener._tracker.figures()["open_sessions"] == 1, how
                await stage.followed(listener, stage.cat, is_in=number % 2 == 0)
            stage.check(await stage.rows(), stage.ada)


@pytest.mark.parametrize("how", ["no element", "an empty row", "text for numbers", "null for values"])
async def test_odd_answers_to_a_new_disk(stage: Scene, how: str) -> None:
    """What was recorded before is not known until it was said in earnest."""
    async with stage.listening() as listener:
        stage.discord.join(stage.ada, stage.desk)
        await stage.settled(listener, stays=1)
    for file in stage.folder.glob("queue*"):
        file.unlink()
    with Unreliable(stage.service.url) as proxy, odd(proxy, how):
        async with stage.listening(connected=False, SQLITE_SERVICE_URL=proxy.url) as listener:
            await soon(lambda: listener._counts["unreadable_service"] > 3)
            assert not listener._tracker.recording
            proxy.odd = ""
            await soon(lambda: listener._tracker.recording)
            stage.check(await stage.settled(listener, stays=1), stage.ada)


async def test_no_thread_to_ask_with_is_a_reading_that_failed(stage: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything is tried again; the end needs no thread."""

    def none(act: object) -> None:
        raise threads.NoThread

    listener = Listener(stage.settings(RECONCILE_EVERY="1"))
    running = asyncio.create_task(listener.run())
    await stage.until_live(listener)
    with monkeypatch.context() as limited:
        limited.setattr(threads, "begin", none)
        works = dict(listener._tasks.done_at)
        await soon(lambda: listener._counts["unreadable_service"] > 1)
        await soon(lambda: all(listener._tasks.done_at[name] > at for name, at in works.items()), what="all goes on")
        await stage.decide(stage.cat, "in")
    await stage.followed(listener, stage.cat)
    monkeypatch.setattr(threads, "begin", none)
    listener.stop()
    await running
    assert not listener._recorder.alive


async def test_a_gateway_that_returns_was_not_asked_to(stage: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without an error as with one: a listener that hears nothing does not go on, nor end as if all were well."""

    async def returns(*_: object) -> None:
        return

    monkeypatch.setattr(Gateway, "run", returns)
    with pytest.raises(Unasked, match="the gateway"):
        await Listener(stage.settings()).run()


def failing(listener: Listener) -> list[str]:
    """What stands in the way of readiness."""
    return [sentence for sentence, holds in listener.condition().ready.items() if not holds]


async def test_readiness_says_when_consent_was_last_read(stage: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """And is lost when that is too long ago, whatever the reason; it comes back with the next reading."""
    monkeypatch.setattr("gateway_listener.listener.STOPPED_AFTER", 2.0)
    async with stage.listening() as listener:
        assert "the consent log was read 0 s ago" in listener.condition().ready
        stage.service.kill()
        (sentence,) = await soon(lambda: failing(listener), what="readiness is lost")
        assert re.fullmatch(r"the consent log was read \d+ s ago", sentence)
        await asyncio.to_thread(stage.service.restart)
        await soon(lambda: not failing(listener), what="it is ready again")


async def test_readiness_is_lost_with_a_work_that_stands_still(stage: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that waits for ever for an answer does not end, and is noticed all the same."""
    monkeypatch.setattr("gateway_listener.listener.STOPPED_AFTER", 1.0)
    answered = asyncio.Event()

    async def waits(listener: Listener) -> None:
        await answered.wait()

    monkeypatch.setattr(Listener, "_compare_guilds", waits)
    async with stage.listening(RECONCILE_EVERY="1") as listener:
        (sentence,) = await soon(lambda: failing(listener), what="readiness is lost")
        assert re.fullmatch(r"the comparison of servers was done \d+ s ago", sentence)
        answered.set()
        await soon(lambda: not failing(listener), what="it is ready again")


async def test_readiness_is_lost_with_a_disk_that_stands_still(stage: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """It neither takes what it is given nor refuses it."""
    monkeypatch.setattr("gateway_listener.listener.STOPPED_AFTER", 2.0)
    goes_on = threading.Event()
    keep = Store.keep

    def waits(store: Store, *arguments: Any, **options: Any) -> Any:
        if store is not stage.store:
            goes_on.wait(30)
        return keep(store, *arguments, **options)

    async with stage.listening() as listener:
        monkeypatch.setattr(Store, "keep", waits)
        try:
            (sentence,) = await soon(lambda: failing(listener), what="readiness is lost")
        finally:
            goes_on.set()
        assert re.fullmatch(r"what was seen was on the disk \d+ s ago", sentence)
        await soon(lambda: not failing(listener), what="it is ready again")
