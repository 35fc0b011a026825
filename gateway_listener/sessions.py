"""From a stay and the person's consent to the sessions that may be recorded of it, and from those to what to write."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from operator import attrgetter
from typing import NamedTuple, TypeVar

from db_client.records import VoiceSession
from gateway_listener.consent import FOREVER, Interval
from gateway_listener.recording import Hole
from gateway_listener.stays import Stay


class _Window(NamedTuple):
    """A time in which the stay may be recorded: what a hole in the recording of its channel leaves of a consent."""

    version: int
    from_at: int
    to_at: int | None
    begun_by: str
    ended_by: str


def piece_id(stay_id: str, version: int) -> str:
    """The id of the part of a stay that begins with a consent, or (`version` is then the moment) with its channel.

    It depends on nothing but the stay and that decision, so it is the same in whatever order decisions arrive, and the
    same as the service gives when it splits a session itself (`db_client.consent_statements.SPLIT_SESSIONS`).
    """
    return f"{stay_id.partition('-')[0]}-{version}"


def sessions_of(
    stay: Stay, intervals: Sequence[Interval], revision: int = 0, holes: Sequence[Hole] = (), since: int = 0
) -> list[VoiceSession]:
    """The sessions a stay amounts to under the person's consent intervals, oldest first, with that revision; those that
    ended before `since` are left out, and cost nothing.

    Each is the part of the stay that lies within one interval, and between the `holes`: when the channel is not
    recorded. A part that begins with the stay has its id.
    """
    if len(intervals) > 1 or holes:
        parts = (_part(stay, window, revision) for window in _windows_of(stay, intervals, holes, since))
        return [session for session in parts if session is not None]
    if not intervals or (intervals[0].to_at is not None and intervals[0].to_at < since):
        return []
    session = _part(stay, intervals[0], revision)  # most people have decided once, to be in
    return [] if session is None else [session]


def _windows_of(
    stay: Stay, intervals: Sequence[Interval], holes: Sequence[Hole], since: int
) -> Iterator[Interval | _Window]:
    begin, end = max(stay.started_at, since), FOREVER if stay.ended_at is None else stay.ended_at
    for interval in _around(intervals, begin, end):
        here = _around(holes, max(begin, interval.from_at), end)
        for window in _windows(interval, here, since) if here else (interval,):
            if window.to_at is None or window.to_at >= since:
                yield window


_Span = TypeVar("_Span", Interval, Hole)
_from_at = attrgetter("from_at")


def _around(spans: Sequence[_Span], begin: int, end: int) -> Sequence[_Span]:
    """Of these spans, which come one after another, those that reach into the time from `begin` to `end`, and perhaps
    one before."""
    if len(spans) < 2:
        return spans
    first = max(0, bisect_left(spans, begin, key=_from_at) - 1)
    return spans[first : bisect_left(spans, end + 1, first, key=_from_at)]


def _windows(interval: Interval, holes: Iterable[Hole], since: int) -> Iterator[_Window]:
    """What the holes leave of the interval, as far as it ends at `since` or later."""
    rest = _Window(*interval, interval.begun_by, interval.ended_by)
    for begin, end in holes:
        if end is not None and end <= max(begin, rest.from_at):
            continue  # empty, or over before
        if rest.to_at is not None and rest.to_at <= begin:
            break
        if rest.from_at < begin >= since:
            yield rest._replace(to_at=begin, ended_by="not_recorded")
        if end is None or (rest.to_at is not None and rest.to_at <= end):
            return
        rest = rest._replace(version=end, from_at=end, begun_by="recorded")
    yield rest


def _part(stay: Stay, window: Interval | _Window, revision: int) -> VoiceSession | None:
    # This is the listener's hottest code: hence no `max` and `min` of two, and no keywords.
    stay_ends = FOREVER if stay.ended_at is None else stay.ended_at
    window_ends = FOREVER if window.to_at is None else window.to_at
    if stay.ended_at is None and stay.seen_until is not None:
        if window.from_at > stay.seen_until:
            return None  # nobody knows whether the person was there then
        if window_ends > max(stay.seen_until, stay.started_at) and window_ends != FOREVER:
            stay_ends = max(stay.seen_until, stay.started_at)
    begun_by_window = window.from_at > stay.started_at
    ended_by_window = window_ends < stay_ends
    start = window.from_at if begun_by_window else stay.started_at
    end = window_ends if ended_by_window else stay_ends
    # A stay wholly within unseen time has no length; it counts where consent covers its one moment.
    if start >= end and not (stay.started_at == start == end < window_ends and _surely_within(window, stay)):
        return None
    history = stay.history
    over = end != FOREVER
    counted_to = end if over else max(start, history.changed_at)
    return VoiceSession(
        piece_id(stay.stay_id, window.version) if begun_by_window else stay.stay_id,
        stay.guild_id,
        stay.channel_id,
        stay.user_id,
        start,
        window.begun_by if begun_by_window else stay.started_by,
        0 if begun_by_window else start - _earliest_start(stay, window),
        revision,
        end if over else None,
        (window.ended_by if ended_by_window else stay.ended_by or window.ended_by) if over else None,
        (0 if ended_by_window and end <= stay.ended_from else _end_within(stay, window, end)) if over else None,
        stay.afk,
        *history.spent(start, counted_to),
        0 if over else history.flags,
        counted_to,
    )


def _surely_within(window: Interval | _Window, stay: Stay) -> bool:
    """False for a stay that nobody ever saw, if it may have been before the window: a visit without consent."""
    if stay.ended_at is None or stay.ended_from >= stay.started_at:
        return True
    return window.from_at <= stay.not_before


def _earliest_start(stay: Stay, window: Interval | _Window) -> int:
    """The session cannot have begun before the consent, however long the person may have been there."""
    not_before = stay.not_before
    if not_before < window.from_at:
        return window.from_at
    return not_before if not_before < stay.started_at else stay.started_at


def _end_within(stay: Stay, window: Interval | _Window, end: int) -> int:
    """How far the true end can lie from `end`; it cannot lie outside the consent either."""
    if stay.ended_at is None:
        return 0 if window.to_at is None else window.to_at - end
    earliest, latest = stay.ended_from, stay.ended_until
    if earliest == latest == end:
        return 0
    latest = latest if window.to_at is None else min(latest, window.to_at)
    return max(end - max(earliest, window.from_at), latest - end)


def changes(
    recorded: Mapping[str, VoiceSession], desired: Sequence[VoiceSession], *, again: Container[str] = ()
) -> Iterator[VoiceSession | str]:
    """What makes `recorded` (by id) into `desired`: ids to retract, then sessions that are new or different.

    Those of `again` (ids) come too if they are not different; the revision makes no difference. In an order in which no
    moment has two sessions: parts that give up time come before parts that take it.
    """
    wanted = {session.session_id for session in desired}
    yield from (session_id for session_id in recorded if session_id not in wanted)
    grows: list[VoiceSession] = []
    for session in desired:
        earlier = recorded.get(session.session_id)
        if earlier is None or _grows(earlier, session):
            grows.append(session)
        elif session.session_id in again or _differ(earlier, session):
            yield session
    yield from grows


_content = attrgetter(*(name for name in VoiceSession._fields if name != "revision"))


def _differ(before: VoiceSession, after: VoiceSession) -> bool:
    return bool(_content(before) != _content(after))


def _grows(before: VoiceSession, after: VoiceSession) -> bool:
    ended_before = FOREVER if before.ended_at is None else before.ended_at
    ended_after = FOREVER if after.ended_at is None else after.ended_at
    return after.started_at < before.started_at or ended_after > ended_before
