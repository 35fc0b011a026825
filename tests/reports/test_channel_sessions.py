"""The view channel_sessions is what the voice sessions imply."""

from __future__ import annotations

import itertools

from hypothesis import given, settings
from hypothesis import strategies as st

from db_client.statements import Statement
from tests.reports.service_file import GUILD, ServiceFile, Stay

FOREVER = 2**63 - 1


@st.composite
def seatings(draw: st.DrawFn) -> list[Stay]:
    """People who come and go in three channels; nobody is in two at once, some are still there."""
    stays: list[Stay] = []
    for user in range(1, draw(st.integers(1, 6)) + 1):
        now = draw(st.integers(0, 20))
        for _ in range(draw(st.integers(0, 5))):
            end = now + draw(st.integers(0, 8))
            stays.append(Stay(user, draw(st.integers(1, 3)), now, end))
            now = end + draw(st.integers(1, 8))
        if draw(st.booleans()):
            stays.append(Stay(user, draw(st.integers(1, 3)), now, None))
    return draw(st.permutations(stays))


def until(stay: Stay) -> int:
    return FOREVER if stay.ended_at is None else stay.ended_at


def implied(stays: list[Stay]) -> list[tuple[int, int, int, int | None, int]]:
    """The slow, obvious way: two stays in one channel that meet belong together, over and over."""
    groups = [[stay] for stay in stays]
    merged = True
    while merged:
        merged = False
        for one, other in itertools.combinations(groups, 2):
            if any(
                a.channel_id == b.channel_id and a.started_at <= until(b) and b.started_at <= until(a)
                for a, b in itertools.product(one, other)
            ):
                groups.remove(other)
                one.extend(other)
                merged = True
                break
    return sorted(
        (
            (
                GUILD,
                group[0].channel_id,
                min(stay.started_at for stay in group),
                None if any(stay.ended_at is None for stay in group) else max(map(until, group)),
                len({stay.user_id for stay in group}),
            )
            for group in groups
        ),
        key=lambda row: row[:3],
    )


@settings(max_examples=150, deadline=None)
@given(seatings())
def test_channel_sessions_are_what_the_voice_sessions_imply(stays: list[Stay]) -> None:
    """From the first arrival to the last departure, with how many people, in whatever order stored."""
    file = ServiceFile()
    file.seat(*stays)
    rows = file.rows(Statement("SELECT * FROM channel_sessions ORDER BY channel_id, started_at", {}))
    names = ("guild_id", "channel_id", "started_at", "ended_at", "people")
    assert [tuple(row[name] for name in names) for row in rows] == implied(stays)
