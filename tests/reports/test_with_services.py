"""Reports, removal, rebuilding and import over HTTP: through a real store, on each body of the service."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from db_client import report_statements as statements
from db_client import reports
from db_client.export import Person
from db_client.periods import Window
from db_client.person_file import records_of
from db_client.records import ConsentDecision, Guild, GuildSetting, VoiceSession, Watermark
from db_client.removal import remove_due
from db_client.report_cells import cells_of
from db_client.report_sums import channel_time
from db_client.report_windows import BLOCK_MS
from db_client.settings import StoreSettings
from db_client.snowflake import earliest
from db_client.statements import Statement
from db_client.store import Fate, Store
from tests.reports.exports import GOOD, ME, NOW, ada, snowflake
from tests.services import NO_RQLITED, RunningService, rqlited_binary, start_embedded, start_rqlited

T = 185 * BLOCK_MS
DAY = 86_400_000
GUILD = 10
PATIENCE = 20.0


@pytest.fixture(params=["embedded", "rqlited"])
def service(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[RunningService]:
    if request.param == "rqlited" and not rqlited_binary():
        pytest.skip(NO_RQLITED)
    folder = tmp_path / "service"
    folder.mkdir()
    with start_embedded(folder) if request.param == "embedded" else start_rqlited(folder) as running:
        yield running


@pytest.fixture
def store(service: RunningService, tmp_path: Path) -> Iterator[Store]:
    made = Store(StoreSettings(service.url, tmp_path / "queue.db"))
    made.start()
    yield made
    made.stop(within=PATIENCE)


def keep(store: Store, *records) -> None:
    assert store.deliver(store.keep(records), within=PATIENCE) is Fate.STORED


def run(module: str, *arguments: str, url: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """A command line of this project, as an operator runs it."""
    variables = {**os.environ, "SQLITE_SERVICE_URL": url, "QUEUE_FILE": str(folder / "command.db")}
    return subprocess.run(
        [sys.executable, "-m", module, *arguments], env=variables, capture_output=True, text=True, timeout=60
    )


def fill(store: Store) -> None:
    """Three people, two of whom the server may see; stays over the edge of a block, one still running."""
    keep(store, Guild(GUILD, "A guild", None, 1))
    for user, visibility in ((1, "server"), (2, "server"), (3, "only_me")):
        chosen = (visibility, GUILD, True)
        keep(store, ConsentDecision(earliest(T - DAY) + user, user, "in", f"u{user}", f"U{user}", None, *chosen))
    for user, start, end in ((1, -600, 400), (2, -100, 300), (3, -50, 50), (1, 500, None)):
        start, end = T + start * 1000, None if end is None else T + end * 1000
        keep(store, VoiceSession(f"{user}.{start}", GUILD, 100, user, start, "joined", 0, 1, end, end and "left",
                                 end and 0, flags_at=start))  # fmt: skip


WINDOW = Window(T - 200_000, T + 700_000)


def asked(store: Store, *some: Statement) -> list[list[dict]]:
    return store.query(*some, within=PATIENCE)


def test_reports_over_http(store):
    """Every report's statement is understood by the service and gives the numbers of the story."""
    fill(store)
    channels, bars, running, sessions, board, in_channel, pairs, use, alone, of_other, other_bars = asked(
        store,
        statements.own_channels(GUILD, 1, WINDOW, seen_to=WINDOW.to_at),
        statements.own_bars(GUILD, 1, [Window(WINDOW.from_at, T), Window(T, WINDOW.to_at)], seen_to=WINDOW.to_at),
        statements.own_running(GUILD, 1, seen_to=WINDOW.to_at),
        statements.own_sessions(GUILD, 1, WINDOW, seen_to=WINDOW.to_at, limit=5),
        statements.leaderboard(GUILD, 3, WINDOW, seen_to=WINDOW.to_at, limit=5),
        statements.leaderboard(GUILD, 3, WINDOW, seen_to=WINDOW.to_at, limit=5, channel_id=100),
        statements.together(GUILD, 1, WINDOW, seen_to=WINDOW.to_at, limit=5),
        channel_time(
            GUILD,
            3,
            cells_of(Window(0, WINDOW.to_at), WINDOW.to_at, ZoneInfo("Asia/Kathmandu")),
            seen_to=WINDOW.to_at,
            limit=5,
        ),
        statements.own_alone(GUILD, 1, WINDOW, seen_to=WINDOW.to_at),
        statements.shown_channels(GUILD, 2, WINDOW, seen_to=WINDOW.to_at),
        statements.shown_bars(GUILD, 2, [Window(WINDOW.from_at, T), Window(T, WINDOW.to_at)], seen_to=WINDOW.to_at),
    )
    time = reports.voice_time(channels, bars, running, alone, WINDOW, 2)
    assert time.states.alone_ms == 800_000 - 400_000
    of_two = reports.shown_time(of_other, other_bars, 2)
    assert (of_two.counted_ms, of_two.bars) == (400_000, (100_000, 300_000))
    assert (time.counted_ms, time.bars, time.running) == (
        800_000, (200_000, 600_000), reports.Running(100, T + 500_000, WINDOW.to_at))  # fmt: skip
    assert [row["in_window_ms"] for row in sessions] == [200_000, 600_000]
    standings = reports.leaderboard(board)
    assert [(s.place, s.user_id, s.counted_ms) for s in standings.page] == [(1, 1, 800_000), (2, 2, 400_000)]
    assert standings.own is not None
    assert standings.own.place == 3
    assert in_channel == board
    [companion] = reports.companions(pairs)
    assert (companion.user_id, companion.together_ms, companion.last) == (2, 400_000, T + 300_000)
    used = reports.channel_time(use)
    assert used.server.counted_ms == sum(used.hours) == 1_700_000


def test_rebuild_makes_damaged_totals_right(store, service, tmp_path):
    """`python -m db_client.rebuild` says for how many servers, and the totals are those of the sessions again."""
    fill(store)
    right = "SELECT guild_id, block, channel_id, user_id, sum(sessions) AS sessions, sum(counted_ms) AS counted_ms," \
            " sum(afk_ms) AS afk_ms FROM session_shares GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3, 4"  # fmt: skip
    totals, sums = asked(store, Statement("SELECT * FROM voice_totals ORDER BY 1, 2, 3, 4", {}), Statement(right, {}))
    assert totals == sums
    assert len(totals) == 6
    done = run("db_client.rebuild", url=service.url, folder=tmp_path)
    assert (done.returncode, done.stdout) == (0, "Totals made anew for 1 servers.\n"), done.stderr
    assert asked(store, Statement("SELECT * FROM voice_totals ORDER BY 1, 2, 3, 4", {})) == [sums]


def test_removal_until_nothing_is_due(store):
    """What is past the retention goes in batches; another process with the lease keeps us out."""
    fill(store)
    keep(store, GuildSetting(earliest(T), GUILD, "retention_days", "30"))
    assert remove_due(store, "one", lambda: T + 10 * DAY) == 0
    assert remove_due(store, "two", lambda: T + 10 * DAY) == 0
    now = T + 31 * DAY
    assert remove_due(store, "one", lambda: now + 3650 * DAY) == 0, "nobody but this clock says that it is so late"
    keep(store, Watermark(0, now))
    assert remove_due(store, "one", lambda: now) == 1
    [left] = asked(store, Statement("SELECT user_id FROM voice_sessions", {}))
    assert left == [{"user_id": 1}]  # the one that still runs
    keep(store, VoiceSession("late", GUILD, 100, 2, T + 800_000, "joined", 0, 1, T + 900_000, "left", 0))
    assert remove_due(store, "two", lambda: now) == 0
    assert remove_due(store, "two", lambda: now + 60_000) == 1


def person(store: Store, user_id: int) -> Person:
    return Person(
        user_id,
        *asked(
            store,
            statements.person_profile(user_id),
            statements.person_decisions(user_id),
            statements.person_visible_on(user_id),
            statements.person_sessions(user_id),
            statements.person_totals(user_id),
            statements.person_guilds(user_id),
            statements.person_channels(user_id),
        ),
    )


def test_an_export_is_read_back_into_an_empty_service(store, service, tmp_path):
    """The command imports it, a second time changes nothing, and other decisions of the person keep it out."""
    keep(store, *records_of(ada()))
    mine = person(store, ME)
    assert mine == ada()
    file = tmp_path / "person.zip"
    file.write_bytes(GOOD)
    folder = tmp_path / "other"
    folder.mkdir()
    with start_embedded(folder) as empty:
        for _ in range(2):
            done = run("db_client.import_person", str(file), url=empty.url, folder=folder)
            assert done.returncode == 0, done.stderr
            assert done.stdout.startswith(f"Imported 4 decisions and 3 sessions of the user {ME}; ")
        there = Store(StoreSettings(empty.url, folder / "queue.db"))
        there.start()
        assert person(there, ME) == mine
        keep(there, ConsentDecision(snowflake(NOW), ME, "out"))
        done = run("db_client.import_person", str(file), url=empty.url, folder=folder)
        assert done.returncode == 1
        assert "already knows this person" in done.stderr
        there.stop(within=PATIENCE)


def test_rebuilding_an_empty_service_is_no_error(service, tmp_path):
    """There is nothing to do, and that is said."""
    done = run("db_client.rebuild", url=service.url, folder=tmp_path)
    assert (done.returncode, done.stdout) == (0, "Totals made anew for 0 servers.\n"), done.stderr


def test_a_file_that_is_no_export_is_refused_before_anything_is_asked(tmp_path):
    """Wrong use and wrong files: status 2 and a sentence, no traceback."""
    (tmp_path / "x.zip").write_bytes(b"x")
    for arguments in (["--help"], [str(tmp_path / "x.zip")], [str(tmp_path / "missing.zip")]):
        done = run("db_client.import_person", *arguments, url="http://127.0.0.1:9", folder=tmp_path)
        assert done.returncode == 2
        assert "Traceback" not in done.stderr
        assert done.stderr
