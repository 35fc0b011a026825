"""What the rows of `report_statements` mean, as frozen values (pure). Durations and moments are milliseconds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

from db_client.periods import WEEK_HOURS, Window
from db_client.records import Flags

Row: TypeAlias = Mapping[str, Any]


class States(NamedTuple):
    """How much of some time was spent with the microphone muted, deafened, and without anyone in the channel whose time
    the person may see."""

    muted_ms: int = 0
    deafened_ms: int = 0
    alone_ms: int = 0


class OwnChannel(NamedTuple):
    """A person's time in one channel; `name` is None if it is not known. AFK time is not counted."""

    channel_id: int
    name: str | None
    sessions: int
    counted_ms: int
    afk_ms: int


class Running(NamedTuple):
    """A person's session that has not ended, and how far it is counted: until now, or when it was last seen."""

    channel_id: int
    started_at: int
    runs_to: int


class VoiceTime(NamedTuple):
    """A person's time in a window; `channels` are the longest first, `bars` as long as what was asked for."""

    sessions: int
    counted_ms: int
    afk_ms: int
    states: States
    channels: tuple[OwnChannel, ...]
    bars: tuple[int, ...]
    running: Running | None


class Standing(NamedTuple):
    """One place on the board; `display_name` is None in the asker's own standing."""

    place: int
    user_id: int
    display_name: str | None
    counted_ms: int


class Leaderboard(NamedTuple):
    """A page of the board; `own` is None if the asker has no counted time, `people` how many the board has."""

    own: Standing | None
    page: tuple[Standing, ...]
    people: int


class Companion(NamedTuple):
    """Someone with whom a person shared channels; `favourite_*` is the channel of the longest time together."""

    user_id: int
    display_name: str
    together_ms: int
    times: int
    since: int
    last: int
    favourite_id: int
    favourite_name: str | None
    favourite_ms: int


class ShownTime(NamedTuple):
    """What others may see of a person's time in a window: `channels` (the longest first) with sessions and ms."""

    sessions: int
    counted_ms: int
    channels: tuple[tuple[int, int, int], ...]
    bars: tuple[int, ...]


class ChannelUse(NamedTuple):
    """How a channel, or (with channel_id None) the whole server, was used."""

    channel_id: int | None
    deleted: bool
    counted_ms: int
    afk_ms: int


class ChannelTime(NamedTuple):
    """The whole server and its busiest channels; `channels` is how many there are with any use.

    `hours` is how long people were present in each hour of the local week (0: Monday from 00:00), in all weeks drawn.
    """

    server: ChannelUse
    busiest: tuple[ChannelUse, ...]
    channels: int
    hours: tuple[int, ...]


def voice_time(
    channels: Sequence[Row],
    bars: Sequence[Row],
    running: Sequence[Row],
    alone: Sequence[Row],
    window: Window,
    bar_count: int,
) -> VoiceTime:
    """From the rows of `own_channels`, `own_bars`, `own_running` and `own_alone`, all asked for the same window."""
    open_now = [row for row in running if row["started_at"] < window.to_at]
    runs = [Running(row["channel_id"], row["started_at"], row["runs_to"]) for row in open_now]
    states = [States(row["muted_ms"], row["deafened_ms"]) for row in channels]
    states += [running_states(row, window) for row in open_now if not row["afk"]]
    return VoiceTime(
        sessions=sum(row["sessions"] for row in channels),
        counted_ms=sum(row["counted_ms"] for row in channels),
        afk_ms=sum(row["afk_ms"] for row in channels),
        states=States(
            sum(state.muted_ms for state in states),
            sum(state.deafened_ms for state in states),
            sum(row["alone_ms"] for row in alone),
        ),
        channels=tuple(
            OwnChannel(row["channel_id"], row["name"], row["sessions"], row["counted_ms"], row["afk_ms"])
            for row in channels
        ),
        bars=_heights(bars, bar_count),
        running=runs[0] if runs else None,
    )


def shown_time(channels: Sequence[Row], bars: Sequence[Row], bar_count: int) -> ShownTime:
    """From the rows of `shown_channels` and `shown_bars`, asked for the same window."""
    return ShownTime(
        sessions=sum(row["sessions"] for row in channels),
        counted_ms=sum(row["counted_ms"] for row in channels),
        channels=tuple((row["channel_id"], row["sessions"], row["counted_ms"]) for row in channels),
        bars=_heights(bars, bar_count),
    )


def _heights(bars: Sequence[Row], bar_count: int) -> tuple[int, ...]:
    heights = {int(row["bar"]): int(row["counted_ms"]) for row in bars}
    return tuple(heights.get(bar, 0) for bar in range(bar_count))


def running_states(row: Row, window: Window) -> States:
    """The states of a running session in the window, as far as it is counted: up to flags_at by their sums, in
    proportion to how much of that time lies in the window; since then, all of the time in it for each flag that holds.
    """
    started: int = row["started_at"]
    to_at: int = min(window.to_at, row["runs_to"])
    known_to = max(started, int(row["flags_at"]))
    known = known_to - started
    known_inside = max(0, min(known_to, to_at) - max(started, window.from_at))
    since = max(0, to_at - max(known_to, window.from_at))

    def of(total: int, flag: Flags) -> int:
        return total * known_inside // max(1, known) + (since if flags & flag else 0)

    flags = int(row["flags"])
    return States(of(row["muted_ms"], Flags.MUTED), of(row["deafened_ms"], Flags.DEAFENED))


def leaderboard(rows: Sequence[Row]) -> Leaderboard:
    """From the rows of `report_statements.leaderboard`; a page behind the end is empty."""
    standings = [
        (bool(row["own"]), Standing(row["place"], row["user_id"], row["display_name"], row["counted_ms"]))
        for row in rows
    ]
    return Leaderboard(
        own=next((standing for own, standing in standings if own), None),
        page=tuple(standing for own, standing in standings if not own),
        people=rows[0]["people"] if rows else 0,
    )


def companions(rows: Sequence[Row]) -> tuple[Companion, ...]:
    """From the rows of `report_statements.together`, longest first."""
    return tuple(
        Companion(
            row["user_id"],
            row["display_name"],
            row["together_ms"],
            row["times"],
            row["since"],
            row["last"],
            row["favourite_id"],
            row["favourite_name"],
            row["favourite_ms"],
        )
        for row in rows
    )


def channel_time(rows: Sequence[Row]) -> ChannelTime:
    """From the rows of `report_sums.channel_time`."""
    hours = {int(row["hour"]): int(row["counted_ms"]) for row in rows if row["hour"] is not None}
    server, *busiest = (
        ChannelUse(row["channel_id"], row["deleted_at"] is not None, row["counted_ms"], row["afk_ms"])
        for row in rows
        if row["hour"] is None
    )
    return ChannelTime(
        server, tuple(busiest), rows[0]["channels"], tuple(hours.get(hour, 0) for hour in range(WEEK_HOURS))
    )
