"""Over signed HTTP: the day on which the clocks changed, and the week that begins after it, in every report."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from tests.interactions_api.study_room import HOUR, StudyRoom, study_room

pytestmark = pytest.mark.xdist_group("processes")

BERLIN = ZoneInfo("Europe/Berlin")
LENGTHS = {datetime(2026, 3, 29, tzinfo=BERLIN): 23, datetime(2026, 10, 25, tzinfo=BERLIN): 25}


def shown(room: StudyRoom, user: int, period: str) -> dict[str, str]:
    """What each report says of a period."""
    commands = ("voice_time", "leaderboard", "channel_time", "sessions")
    return {command: room.use(command, user, period=period).content for command in commands}


@pytest.mark.parametrize("sunday", LENGTHS, ids=lambda day: f"{day:%B}")
def test_a_sunday_has_the_hours_it_had_and_the_week_begins_on_monday(tmp_path: Path, sunday: datetime):
    """Somebody was there from Saturday noon to Monday noon: Sunday is 23 or 25 hours, the new week 12."""
    hours = LENGTHS[sunday]
    monday_noon = int(datetime(sunday.year, sunday.month, sunday.day + 1, 12, tzinfo=BERLIN).timestamp() * 1000)
    with study_room(tmp_path, monday_noon) as room:
        user, desk = room.person("Ada"), room.channel("Desk")
        room.session(user, desk, (12 + hours + 12) * HOUR, 0)
        room.use("settings", user, _permissions=1 << 5, time_zone="Europe/Berlin")
        for command, said in shown(room, user, "yesterday").items():
            assert f"{hours} h 00 min" in said, command
        for command, said in shown(room, user, "this_week").items():
            assert "12 h 00 min" in said, command
        days = room.use("voice_time", user, period="last_7_days").content.split("```")[1].strip().splitlines()
    assert [(day.split()[0], day.split()[-4]) for day in days] == [("Sat", "12"), ("Sun", f"{hours}"), ("Mon", "12")]
