"""The whole listener in one loop: consent, outages of the service, restarts, lost disks, two at once, shards, names."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
import time
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import aiohttp
import pytest

from db_client.reading_statements import guild_mark
from db_client.records import Retraction, VoiceSession, Watermark
from db_client.settings import StoreSettings
from db_client.snowflake import created_at, earliest
from db_client.store import QueueStatistics, Store
from gateway_listener.listener import Listener
from gateway_listener.reading import session_of
from tests.gateway_listener.running import DELIVERED_WITHIN, QUICK, SLACK_MS, Scene, scene
from tests.gateway_listener.test_gateway_faults import tried
from tests.services import RunningService
from tests.simulated_discord.server import wall_clock
from tests.waiting import soon


async def test_only_those_who_are_in(stage: Scene, caplog: pytest.LogCaptureFixture) -> None:
    """Three people play, two are in; the third is in no row, no file of the listener's, and no log."""
    async with stage.listening() as listener:
        for user in (stage.ada, stage.bob, stage.cat):
            stage.discord.join(user, stage.desk)
            stage.discord.set_state(user, self_mute=True)
            await stage.moment()
            stage.discord.switch(user, stage.sofa)
            await stage.moment()
            stage.discord.leave(user)
        await soon(lambda: listener._tracker.counts["left"] == 2 and not stage.seated(listener))
        stage.check(await stage.settled(listener, stays=4), stage.ada, stage.bob)
    secret = str(stage.cat).encode()
    for file in stage.folder.rglob("queue*"):
        assert secret not in file.read_bytes(), file
    assert str(stage.cat) not in caplog.text


@pytest.mark.parametrize("unseen_for_hours", [None, 50])
async def test_what_runs_counts_as_soon_as_the_shard_is_seen(stage: Scene, unseen_for_hours: int | None) -> None:
    """The mark is shared at once, in a new installation and after an outage: until it is, reports count nothing new."""
    if unseen_for_hours is not None:
        await stage.write(Watermark(0, wall_clock() - unseen_for_hours * 3_600_000))

    async def seen_to() -> int:
        (row,) = await stage.query(f"SELECT {guild_mark(str(stage.guild))} AS mark")
        mark: int = row["mark"]
        return mark

    begun = wall_clock()
    async with stage.listening(timing=replace(QUICK, share_every=3600.0)):
        until = time.monotonic() + DELIVERED_WITHIN
        while await seen_to() < begun:
            assert time.monotonic() < until, "the mark is not shared"
            await asyncio.sleep(0.05)


async def test_consent_while_in_voice(stage: Scene) -> None:
    """Opting in starts a session at that moment, opting out ends it at that moment."""
    async with stage.listening() as listener:
        stage.discord.join(stage.cat, stage.desk)
        await soon(lambda: stage.seated(listener) == 1)
        decided_in = wall_clock()
        await stage.decide(stage.cat, "in", decided_in)
        await stage.settled(listener, stays=1)
        decided_out = decided_in + 50
        await stage.decide(stage.cat, "out", decided_out)
        await stage.followed(listener, stage.cat, is_in=False)
        (row,) = await stage.settled(listener, stays=1)
        assert (row["started_at"], row["ended_at"]) == (decided_in, decided_out)
        assert (row["started_by"], row["ended_by"]) == ("opted_in", "opted_out")


async def test_erasure_leaves_nothing(stage: Scene) -> None:
    """Rows, queue and notes of the person are gone, and nothing brings them back."""
    async with stage.listening() as listener:
        stage.discord.join(stage.ada, stage.desk)
        stage.discord.join(stage.bob, stage.desk)
        await stage.settled(listener, stays=2)
        await stage.decide(stage.ada, "erase")
        await stage.followed(listener, stage.ada, is_in=False)
        stage.discord.leave(stage.ada)
        await soon(lambda: stage.seated(listener) == 1)
        (row,) = await stage.settled(listener, stays=1)
        assert row["user_id"] == stage.bob
        assert not [key for key, value in listener._store.notes().items() if str(stage.ada) in key + value]


async def test_with_the_service_away_in_the_middle(stage: Scene) -> None:
    """What happens meanwhile arrives later, whole and in order; the gateway side notices nothing."""
    async with stage.listening() as listener:
        stage.discord.join(stage.ada, stage.desk)
        await stage.settled(listener, stays=1)
        stage.service.kill()
        stage.discord.switch(stage.ada, stage.sofa)
        stage.discord.join(stage.bob, stage.sofa)
        stage.discord.leave(stage.ada)
        await soon(lambda: listener.idle and listener._tracker.counts["left"] == 1)
        assert not listener._store.idle()
        await asyncio.to_thread(stage.service.restart)
        rows = await stage.settled(listener, stays=3)
        stage.check(rows, stage.ada, stage.bob)


async def test_started_while_the_service_is_away(stage: Scene) -> None:
    """A disk that knows goes on by itself; one that does not tracks in memory, and decides nothing from an error."""
    async with stage.listening() as listener:
        stage.discord.join(stage.ada, stage.desk)
        await stage.settled(listener, stays=1)
    stage.service.kill()
    stage.discord.switch(stage.ada, stage.sofa)
    async with stage.listening() as listener:
        assert listener._tracker.figures()["open_sessions"] == 1
        await asyncio.to_thread(stage.service.restart)
        stage.check(await stage.settled(listener, stays=2), stage.ada)


async def test_a_new_disk_while_the_service_is_away(stage: Scene) -> None:
    """Nothing is written until the service says what was open; then the same comes out."""
    async with stage.listening() as listener:
        stage.discord.join(stage.ada, stage.desk)
        stage.discord.join(stage.bob, stage.desk)
        await stage.settled(listener, stays=2)
        await soon(lambda: listener._store.idle())
    for file in stage.folder.glob("queue*"):
        file.unlink()
    stage.service.kill()
    stage.discord.leave(stage.bob)
    async with stage.listening(connected=False) as listener:
        await stage.discord.wait_connected()
        await soon(lambda: stage.seated(listener) == 1)
        assert not listener.condition().ready["what was recorded before is known"]
        assert listener._tracker.figures()["open_sessions"] == 0
        await asyncio.to_thread(stage.service.restart)
        await soon(lambda: listener._tracker.recording)
        rows = await stage.settled(listener, stays=2)
        stage.check(rows, stage.ada, stage.bob)
        assert {row["user_id"]: row["ended_by"] for row in rows} == {stage.ada: None, stage.bob: "roll_call"}


def recorded(listener: Listener, user: int, guild: int) -> set[str]:
    """The ids of the sessions of the newest stay."""
    return {session.session_id for session in listener._tracker._ledger.stays_of(user, guild)[-1].recorded}


async def test_two_listeners_on_one_shard(stage: Scene) -> None:
    """By mistake: no doubled session, and the second takes over the first's sessions within one comparison."""
    async with (
        stage.listening(RECONCILE_EVERY="1") as first,
        stage.listening(RECONCILE_EVERY="1", QUEUE_FILE=str(stage.folder / "second.db")) as second,
    ):
        stage.discord.join(stage.ada, stage.desk)
        await stage.settled(first, stays=1)
        await soon(
            lambda: first._drift["unknown"] + second._drift["unknown"] >= 1, what="one finds the other's session"
        )
        await soon(
            lambda: recorded(first, stage.ada, stage.guild) == recorded(second, stage.ada, stage.guild),
            what="both have the same session",
        )
        first.stop()
        stage.discord.leave(stage.ada)
        await soon(lambda: second._tracker.counts["left"] == 1)
        stage.check(await stage.settled(second, stays=1), stage.ada)


async def test_what_somebody_did_to_the_rows_is_put_right(stage: Scene) -> None:
    """A missing session is written again, one of a person who is not there is ended; both are counted."""
    async with stage.listening(RECONCILE_EVERY="1") as listener:
        stage.discord.join(stage.ada, stage.desk)
        (row,) = await stage.settled(listener, stays=1)
        session = session_of(row)
        ghost = VoiceSession("ghost", stage.guild, stage.sofa, stage.bob, wall_clock() - 50, "joined", 0, wall_clock())
        await stage.write(Retraction(session.session_id, stage.ada, session.revision + 1), ghost)
        await soon(lambda: listener._drift["missing"] >= 1 and listener._drift["ghost"] >= 1)
        rows = await stage.settled(listener, stays=2)
        assert [row["user_id"] for row in rows if row["ended_at"] is None] == [stage.ada]


async def names(stage: Scene) -> tuple[dict[int, tuple[str, int | None]], dict[str, tuple[int, bool]]]:
    """The guilds and channels that have a name in the service: by id name and AFK channel, by name kind and deleted."""
    guilds = await stage.query("SELECT * FROM guilds WHERE name <> ''")
    channels = await stage.query("SELECT * FROM channels")
    return (
        {row["guild_id"]: (row["name"], row["afk_channel_id"]) for row in guilds},
        {row["name"]: (row["kind"], row["deleted_at"] is not None) for row in channels},
    )


async def until_named(stage: Scene, *expected: object) -> None:
    found: object = None
    until = time.monotonic() + DELIVERED_WITHIN
    while (found := await names(stage)) != expected:
        assert time.monotonic() < until, found
        await asyncio.sleep(0.02)


async def test_names_of_channels_in_which_something_was_recorded(stage: Scene) -> None:
    """They, their kinds, the guild's name and AFK channel, and deletions are kept current, also over a restart; of
    other guilds and other channels nothing is known, in no row and in no file."""
    discord = stage.discord
    other = discord.add_guild("Private club")
    hall = discord.add_channel(other, "Hall")
    async with stage.listening() as listener:
        strangers_room = discord.add_channel(stage.guild, "Dorabella's room")
        discord.join(stage.cat, hall)
        discord.join(stage.cat, strangers_room)
        stand = discord.add_channel(stage.guild, "Stand", kind="stage")
        discord.join(stage.ada, stage.desk)
        discord.join(stage.bob, stand)
        await stage.settled(listener, stays=2)
        discord.rename_guild(stage.guild, "Reading room")
        discord.rename_channel(stage.desk, "Long desk")
        discord.rename_channel(strangers_room, "Dorabella's den")
        discord.set_afk_channel(stage.guild, stage.sofa)
        discord.leave(stage.bob)
        discord.delete_channel(stand)
        guilds = {stage.guild: ("Reading room", stage.sofa)}
        await until_named(stage, guilds, {"Long desk": (2, False), "Stand": (13, True)})
    discord.rename_channel(stage.desk, "Table")
    discord.rename_guild(stage.guild, "Library")
    discord.rename_channel(strangers_room, "Dorabella's garden")
    async with stage.listening(RECONCILE_EVERY="1"):
        await until_named(stage, {stage.guild: ("Library", stage.sofa)}, {"Table": (2, False), "Stand": (13, True)})
        discord.delete_channel(strangers_room)
    for file in stage.folder.rglob("*"):
        if file.is_file():
            assert b"Dorabella" not in file.read_bytes(), file
            assert b"Private club" not in file.read_bytes(), file


async def test_one_shard_of_two_re_identifies(tmp_path: Path, service: RunningService) -> None:
    """One process a shard: the other's sessions are not touched."""
    async with scene(tmp_path, service, shards=2) as stage:
        discord = stage.discord
        guilds = [discord.add_guild(f"guild {number}") for number in range(8)]
        by_shard = {(guild >> 22) % 2: guild for guild in guilds}
        assert set(by_shard) == {0, 1}
        rooms = {shard: discord.add_channel(guild, "Room") for shard, guild in by_shard.items()}
        people = {0: stage.ada, 1: stage.bob}
        for user in people.values():
            await stage.decide(user, "in")
        async with (
            stage.listening(connected=False, SHARD_ID="0", SHARD_COUNT="2") as first,
            stage.listening(
                connected=False, SHARD_ID="1", SHARD_COUNT="2", QUEUE_FILE=str(tmp_path / "second.db")
            ) as second,
        ):
            await stage.until_live(first)
            await stage.until_live(second)
            for shard, user in people.items():
                discord.join(user, rooms[shard])
            await stage.settled(first, stays=2)
            discord.invalidate(False, shard=0)
            await soon(lambda: discord.state()["identifies"] == 3)
            await stage.until_live(first)
            assert tried(second) == 0
            for user in people.values():
                discord.leave(user)
            await soon(lambda: first._tracker.counts["left"] == second._tracker.counts["left"] == 1)
            await soon(lambda: first._store.idle() and first.idle)
            stage.check(await stage.settled(second, stays=2), *people.values())


async def test_a_service_restored_from_a_backup_is_noticed_at_once(
    stage: Scene, caplog: pytest.LogCaptureFixture
) -> None:
    """Decisions after the backup are gone, and those after the restore count, though their rows have old numbers."""
    async with stage.listening() as listener:
        await stage.decide(stage.cat, "in")
        await stage.followed(listener, stage.cat)
        with closing(sqlite3.connect(stage.folder / "service" / "bigbrother.db", timeout=10)) as file, file:
            file.execute("DELETE FROM consent_log WHERE user_id IN (?, ?)", (stage.cat, stage.bob))
            file.execute("UPDATE sqlite_sequence SET seq = (SELECT max(seq) FROM consent_log)")
        await stage.followed(listener, stage.cat, is_in=False)
        await stage.followed(listener, stage.bob, is_in=False)
        await stage.followed(listener, stage.ada)
        await stage.decide(stage.ada, "out")
        await stage.followed(listener, stage.ada, is_in=False)
    assert "the consent log is not the one that was followed" in caplog.text


async def test_a_service_restored_and_grown_to_as_many_rows_is_noticed(stage: Scene) -> None:
    """Between two readings: the rows that were known have the same numbers as others now, of which none was heard.

    Also what is erased among them is forgotten on the disk; and so at a start, by the note of the last run.
    """
    database = stage.folder / "service" / "bigbrother.db"

    def restored_and_grown(*decisions: tuple[int, str]) -> None:
        """Back to Ada's row, and then these, in place of all others."""
        with closing(sqlite3.connect(database, timeout=10)) as file, file:
            file.execute("DELETE FROM consent_log WHERE seq > 1")
            for place, (user, decision) in enumerate(decisions, 2):
                interaction = earliest(wall_clock()) + place
                file.execute(
                    "INSERT INTO consent_log VALUES (?, ?, ?, ?, ?)",
                    (place, interaction, user, decision, created_at(interaction)),
                )

    async with stage.listening() as listener:
        await stage.decide(stage.cat, "in")
        await stage.followed(listener, stage.cat)
        restored_and_grown((stage.ada, "out"), (stage.cat, "in"))
        await stage.followed(listener, stage.ada, is_in=False)
        await stage.followed(listener, stage.bob, is_in=False)
        await stage.followed(listener, stage.cat)
    restored_and_grown((stage.bob, "in"), (stage.cat, "erase"))
    async with stage.listening() as listener:
        await stage.followed(listener, stage.bob)
        await stage.followed(listener, stage.ada)
        await soon(lambda: listener._recorder.counts["forgotten"] == 1, what="the erasure is taken for new")


async def page(port: int, name: str) -> tuple[int, str]:
    async with aiohttp.ClientSession() as session, session.get(f"http://127.0.0.1:{port}/{name}") as answer:
        return answer.status, await answer.text()


class HangingStore(Store):
    """A store whose file can be made to take for ever to say how it is."""

    hanging = False

    def __init__(self, settings: StoreSettings) -> None:
        super().__init__(settings)
        self.let_go = threading.Event()

    def statistics(self) -> QueueStatistics:
        if self.hanging:
            self.let_go.wait(30)
        return super().statistics()


async def test_a_disk_that_hangs_does_not_stop_the_event_loop(stage: Scene) -> None:
    """The figures of the queue file are asked for off the loop, by one thread; the page then has those of before."""
    settings = stage.settings()
    store = HangingStore(settings.store)
    listener = Listener(settings, store=store)
    running = asyncio.create_task(listener.run())
    await stage.until_live(listener)
    assert "bigbrother_listener_queue_waiting" in (await page(listener.metrics_port, "metrics"))[1]
    store.hanging = True
    figures = [asyncio.create_task(page(listener.metrics_port, "metrics")) for _ in range(3)]
    stage.discord.join(stage.ada, stage.desk)
    await soon(lambda: listener._tracker.counts["joined"] == 1)
    assert (await page(listener.metrics_port, "livez"))[0] == 200
    assert not store.let_go.is_set()
    for status, text in await asyncio.gather(*figures):
        assert status == 200
        assert "bigbrother_listener_queue_waiting" in text
    store.let_go.set()
    listener.stop()
    await running


async def test_the_pages(stage: Scene) -> None:
    """Red before the gateway is ready, green after, red again without it; nothing on them is about a person."""

    stage.discord.set_faults(refuse=True)
    async with stage.listening(connected=False) as listener:
        await soon(lambda: tried(listener) > 0)
        assert (await page(listener.metrics_port, "livez"))[0] == 200
        status, text = await page(listener.metrics_port, "readyz")
        assert (status, "[-]the gateway is ready" in text) == (503, True)
        stage.discord.clear_faults()
        stage.discord.join(stage.ada, stage.desk)
        await stage.until_live(listener)
        await stage.settled(listener, stays=1)
        assert (await page(listener.metrics_port, "readyz"))[0] == 200
        status, text = await page(listener.metrics_port, "metrics")
        assert status == 200
        assert "bigbrother_listener_open_sessions 1.0" in text
        assert str(stage.ada) not in text
        assert str(stage.guild) not in text


async def test_a_decision_is_followed(stage: Scene) -> None:
    """Who opts in before joining is recorded from the first moment."""
    async with stage.listening() as listener:
        await stage.decide(stage.cat, "in")
        await stage.followed(listener, stage.cat)
        stage.discord.join(stage.cat, stage.desk)
        (row,) = await stage.settled(listener, stays=1)
        (stay,) = stage.discord.stays()
        assert abs(row["started_at"] - stay["started_at"]) <= SLACK_MS
