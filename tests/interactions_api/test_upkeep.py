"""What is past its retention goes, by whichever process looks first, without anybody calling for it."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from db_client.records import ConsentDecision, GuildPresence, GuildSetting, VoiceSession, Watermark
from db_client.removal import remove_due
from db_client.settings import StoreSettings
from db_client.snowflake import earliest
from db_client.statements import Statement
from db_client.store import Fate, Store
from interactions_api.app import create_app
from interactions_api.settings import Settings
from interactions_api.upkeep import Upkeep
from tests.services import RunningService, start_embedded
from tests.waiting import eventually

DAY = 86_400_000
KEPT, LEFT, RETURNED = 991 << 22, 992 << 22, 993 << 22
ADA = 994 << 22


def now() -> int:
    return time.time_ns() // 1_000_000


def test_three_processes_upkeep_removes_what_is_due_and_nothing_else(service: RunningService, tmp_path: Path):
    """Sessions older than a server's 30 days, and everything of a server that the bot left 31 days ago."""
    stores = [Store(StoreSettings(service.url, tmp_path / f"{n}.db")) for n in range(3)]
    for store in stores:
        store.start()
    old, young = now() - 40 * DAY, now() - 20 * DAY
    records = [
        ConsentDecision(earliest(old - DAY), ADA, "in", "ada", "Ada"),
        GuildSetting(earliest(old) + 1, KEPT, "retention_days", "30"),
        Watermark(0, now()),
        GuildPresence(LEFT, 1, left_at=now() - 31 * DAY, confirmed_at=now()),
        GuildPresence(RETURNED, 1, left_at=now() - 31 * DAY, confirmed_at=now()),
        GuildPresence(RETURNED, 2, left_at=None),
        *(
            VoiceSession(f"{guild:x}.{at:x}", guild, guild + 1, ADA, at, "joined", 0, 1, at + 1000, "left", 0)
            for guild in (KEPT, LEFT, RETURNED)
            for at in (old, young)
        ),
    ]
    assert stores[0].deliver(stores[0].keep(records), within=20) is Fate.STORED
    upkeeps = [Upkeep(store, now, first_after_s=0.0, every_s=0.2) for store in stores]
    for upkeep in upkeeps:
        upkeep.start()

    def left() -> list[tuple[int, int]]:
        guilds = f"({KEPT}, {LEFT}, {RETURNED})"
        sql = f"SELECT guild_id, started_at FROM voice_sessions WHERE guild_id IN {guilds} ORDER BY 1, 2"
        return [(row["guild_id"], row["started_at"]) for row in stores[0].query(Statement(sql, {}), within=10)[0]]

    eventually(lambda: left() == [(KEPT, young), (RETURNED, old), (RETURNED, young)], what="what is due is gone")
    for upkeep in upkeeps:
        upkeep.stop(within=10)
    for store in stores:
        assert store.stop(within=10)


def test_every_endpoint_process_keeps_up(public_key: str, service: RunningService, tmp_path: Path):
    """gunicorn.conf.py starts and stops what stands under `background`."""
    store = Store(StoreSettings(service.url, tmp_path / "queue.db"))
    background = create_app(Settings((public_key,)), store).extensions["background"]
    background.start()
    background.start()
    background.stop()
    assert store.stop(within=10)


@pytest.mark.parametrize("told", ["nobody", "the service", "this process"])
def test_a_clock_that_is_years_ahead_removes_nothing(told: str, tmp_path: Path):
    """It is believed up to a day after the newest moment that Discord is known to have given, and no further."""
    with start_embedded(tmp_path) as service:
        removed_with_a_clock_that_is_ahead(told, Store(StoreSettings(service.url, tmp_path / "queue.db")))


def removed_with_a_clock_that_is_ahead(told: str, store: Store) -> None:
    store.start()
    guild, old, young = KEPT, now() - 40 * DAY, now() - 20 * DAY
    records = [
        ConsentDecision(earliest(old - DAY) + 7, ADA, "in", "ada", "Ada"),
        GuildSetting(earliest(old) + 2, guild, "retention_days", "30"),
        *(
            VoiceSession(f"{guild:x}.{at:x}", guild, guild + 1, ADA, at, "joined", 0, 1, at + 1000, "left", 0)
            for at in (old, young)
        ),
        *([Watermark(7, now())] if told == "the service" else []),
    ]
    assert store.deliver(store.keep(records), within=20) is Fate.STORED
    heard = now() if told == "this process" else 0
    remove_due(store, "me", lambda: now() + 3650 * DAY, heard=lambda: heard)
    sql = f"SELECT started_at FROM voice_sessions WHERE guild_id = {guild} ORDER BY 1"
    left = [row["started_at"] for row in store.query(Statement(sql, {}), within=10)[0]]
    assert left == ([old, young] if told == "nobody" else [young])
    assert store.stop(within=10)


def test_an_outage_only_delays_it(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    """Nothing is raised and the thread goes on, with nothing that waits for it; it ends when it is told to."""
    store = Store(StoreSettings("http://127.0.0.1:9", tmp_path / "queue.db"))
    store.start()
    upkeep = Upkeep(store, now, first_after_s=0.0, every_s=0.01)
    upkeep.start()
    eventually(lambda: len(caplog.records) > 2, what="it tried again and again")
    assert store.statistics().waiting == 0
    upkeep.stop(within=15)
    store.stop(within=0.1)
