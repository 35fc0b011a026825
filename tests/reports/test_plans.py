"""No report's cost depends on what other servers have stored: every table is reached by an index."""

import re
from zoneinfo import ZoneInfo

import pytest

from db_client import report_statements as say
from db_client.periods import Window
from db_client.report_cells import cells_of
from db_client.report_sums import channel_time
from db_client.report_windows import BLOCK_MS
from db_client.upkeep_statements import past_sessions
from tests.reports.service_file import ServiceFile

WINDOW = Window(180 * BLOCK_MS - 5, 183 * BLOCK_MS + 5)
STATEMENTS = {
    "guild_sight": say.guild_sight(1, 2),
    "own_channels": say.own_channels(1, 2, WINDOW, seen_to=5),
    "own_bars": say.own_bars(1, 2, [WINDOW], seen_to=5),
    "own_running": say.own_running(1, 2, seen_to=5),
    "own_sessions": say.own_sessions(1, 2, WINDOW, seen_to=5, limit=10),
    "own_alone": say.own_alone(1, 2, WINDOW, seen_to=5),
    "shown_member": say.shown_member(1, 2),
    "shown_channels": say.shown_channels(1, 2, WINDOW, seen_to=5),
    "shown_bars": say.shown_bars(1, 2, [WINDOW], seen_to=5),
    "leaderboard": say.leaderboard(1, 2, WINDOW, seen_to=5, limit=10),
    "leaderboard of a channel": say.leaderboard(1, 2, WINDOW, seen_to=5, limit=10, channel_id=3),
    "together": say.together(1, 2, WINDOW, seen_to=5, limit=10),
    "together with one": say.together(1, 2, WINDOW, seen_to=5, limit=10, member_id=3),
    "channel_time": channel_time(1, 2, cells_of(WINDOW, WINDOW.to_at, ZoneInfo("Europe/Berlin")), seen_to=5, limit=10),
    "past_sessions": past_sessions(1, 5, most=10),
    "person_counts": say.person_counts(2),
    "person_profile": say.person_profile(2),
    "person_decisions": say.person_decisions(2),
    "person_sessions": say.person_sessions(2, after=(1, 2, "x")),
    "person_totals": say.person_totals(2),
    "person_guilds": say.person_guilds(2),
    "person_channels": say.person_channels(2),
}


@pytest.mark.parametrize("name", STATEMENTS)
def test_every_table_is_reached_by_an_index(name):
    """No scan of a table, no index built for one query, and whole-guild reports read nothing but covering indexes."""
    statement = STATEMENTS[name]
    file = ServiceFile()
    plan = [row["detail"] for row in file.rows(statement._replace(sql="EXPLAIN QUERY PLAN " + statement.sql))]
    tables = "opt_in_users|voice_sessions|voice_totals|channels|blocks|s|p|t|u|c|me|b"
    scans = [step for step in plan if re.match(rf"SCAN ({tables})( USING|$)", step)]
    made_up = [step for step in plan if re.match(r"SEARCH [suc] USING AUTOMATIC", step)]
    # These short names are also given to results inside a statement, which may be scanned.
    inner = {"leaderboard": {"SCAN t", "SCAN b"}, "leaderboard of a channel": {"SCAN t", "SCAN b"}}
    inner |= {key: {"SCAN p"} for key in ("together", "together with one")} | {"channel_time": {"SCAN b"}}
    inner |= {"person_totals": {"SCAN p", "SCAN b"}}
    assert not set(scans) - inner.get(name, set())
    assert not made_up
    assert not [step for step in plan if "ended_sessions_of_" in step and "COVERING" not in step]
    if not name.startswith("person_") and name not in ("own_running", "shown_member"):
        assert any(step.startswith("SEARCH s USING") for step in plan)


def test_each_row_finds_its_person_by_an_index():
    """Of the people in a sum, all are looked through once to make them and once for those who began to show it."""
    statement = STATEMENTS["channel_time"]
    plan = ServiceFile().rows(statement._replace(sql="EXPLAIN QUERY PLAN " + statement.sql))
    steps = [row["detail"] for row in plan]
    assert steps.count("SCAN w") == 2
    assert sum(step.startswith("SEARCH w USING AUTOMATIC COVERING INDEX") for step in steps) > 5
