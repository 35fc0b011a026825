"""From a stay and the person's consent to the sessions that may be recorded of it, and from those to what to write."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import fields
from operator import attrgetter
from typing import NamedTuple

from db_client.records import VoiceSession
from gateway_listener.consent import Interval
from gateway_listener.recording import Hole
from gateway_listener.stays import Stay

FOREVER = 2**63 - 1


class _Window(NamedTuple):
    """A time in which the stay may be recorded: one consent, less the times in which its channel is unrecorded."""

    version: int
    from_at: int
    to_at: int | None
    begun_by: str = "opted_in"
    ended_by: str = "opted_out"


def piece_id(stay_id: str, version: int) -> str:
    """The id of the part of a stay that begins with a consent, or (`version` is then the moment) with its channel.

    It depends on nothing but the stay and that decision, so it is the same in whatever order decisions arrive, and the
    same as the service gives when it splits a session itself (`db_client.consent_statements.SPLIT_SESSIONS`).
    """
    return f"{stay_id.partition('-')[0]}-{version}"


def sessions_of(
    stay: Stay, intervals: Iterable[Interval], revision: int = 0, holes: Sequence[Hole] = ()
) -> list[VoiceSession]:
    """The sessions a stay amounts to under the person's consent intervals, oldest first, with that revision.

    Each is the part of the stay that lies within one interval, and between the `holes`: when the channel is not
    recorded. A part that begins with the stay has its id.
    """
    windows = (window for interval in intervals for window in _windows(interval, holes))
    return [session for window in windows if (session := _part(stay, window, revision)) is not None]


def _windows(interval: Interval, holes: Iterable[Hole]) -> Iterator[_Window]:
    rest = _Window(*interval)
    for begin, end in holes:
        if end is not None and end <= max(begin, rest.from_at):
            continue  # empty, or over before
        if rest.to_at is not None and rest.to_at <= begin:
            break
        if rest.from_at < begin:
            yield rest._replace(to_at=begin, ended_by="not_recorded")
        if end is None or (rest.to_at is not None and rest.to_at <= end):
            return
        rest = rest._replace(version=end, from_at=end, begun_by="recorded")
    yield rest


def _part(stay: Stay, window: _Window, revision: int) -> VoiceSession | None:
    stay_ends = FOREVER if stay.ended_at is None else stay.ended_at
    window_ends = FOREVER if window.to_at is None else window.to_at
    if stay.ended_at is None and stay.seen_until is not None:
        if window.from_at > stay.seen_until:
            return None  # nobody knows whether the person was there then
        if window_ends > max(stay.seen_until, stay.started_at) and window_ends != FOREVER:
            stay_ends = max(stay.seen_until, stay.started_at)
    start, end = max(stay.started_at, window.from_at), min(stay_ends, window_ends)
    # A stay wholly within unseen time has no length; it counts where consent covers its one moment.
    if start >= end and not (stay.started_at == start == end < window_ends and _surely_within(window, stay)):
        return None
    history = stay.history
    over = end != FOREVER
    begun_by_window = window.from_at > stay.started_at
    ended_by_window = window_ends < stay_ends
    counted_to = end if over else max(start, history.changed_at)
    spent = history.spent(start, counted_to)
    return VoiceSession(
        session_id=piece_id(stay.stay_id, window.version) if begun_by_window else stay.stay_id,
        guild_id=stay.guild_id,
        channel_id=stay.channel_id,
        user_id=stay.user_id,
        started_at=start,
        started_by=window.begun_by if begun_by_window else stay.started_by,
        started_within_ms=0 if begun_by_window else start - _earliest_start(stay, window),
        revision=revision,
        ended_at=end if over else None,
        ended_by=(window.ended_by if ended_by_window else stay.ended_by or window.ended_by) if over else None,
        ended_within_ms=(0 if ended_by_window else _end_within(stay, window, end)) if over else None,
        afk=stay.afk,
        muted_ms=spent.muted,
        deafened_ms=spent.deafened,
        video_ms=spent.video,
        stream_ms=spent.stream,
        alone_ms=spent.alone,
        flags=0 if over else history.flags,
        flags_at=counted_to,
    )


def _surely_within(window: _Window, stay: Stay) -> bool:
    """False for a stay that nobody ever saw, if it may have been before the window: a visit without consent."""
    if stay.ended_at is None or stay.ended_from >= stay.started_at:
        return True
    return stay.not_before is not None and window.from_at <= stay.not_before


def _earliest_start(stay: Stay, window: _Window) -> int:
    """The session cannot have begun before the consent, however long the person may have been there."""
    return window.from_at if stay.not_before is None else max(window.from_at, min(stay.not_before, stay.started_at))


def _end_within(stay: Stay, window: _Window, end: int) -> int:
    """How far the true end can lie from `end`; it cannot lie outside the consent either."""
    if stay.ended_at is None:
        return 0 if window.to_at is None else window.to_at - end
    earliest = max(stay.ended_from, window.from_at)
    latest = stay.ended_until if window.to_at is None else min(stay.ended_until, window.to_at)
    return max(end - earliest, latest - end)


def changes(
    recorded: Mapping[str, VoiceSession], desired: Sequence[VoiceSession], *, again: bool = False
) -> Iterator[VoiceSession | str]:
    """What makes `recorded` into `desired`: ids of sessions to retract, then sessions that are new or different.

    With `again` those that are not different come too; the revision makes no difference. In an order in which no moment
    has two sessions: parts that give up time come before parts that take it.
    """
    if not recorded:  # the most frequent case: each of them is new
        yield from desired
        return
    wanted = {session.session_id for session in desired}
    yield from (session_id for session_id in recorded if session_id not in wanted)
    differing = [session for session in desired if again or _differ(recorded.get(session.session_id), session)]
    grows = [session for session in differing if _grows(recorded.get(session.session_id), session)]
    yield from (session for session in differing if session not in grows)
    yield from grows


_content = attrgetter(*(field.name for field in fields(VoiceSession) if field.name != "revision"))


def _differ(before: VoiceSession | None, after: VoiceSession) -> bool:
    return before is None or bool(_content(before) != _content(after))


def _grows(before: VoiceSession | None, after: VoiceSession) -> bool:
    if before is None:
        return True
    ended_before = FOREVER if before.ended_at is None else before.ended_at
    ended_after = FOREVER if after.ended_at is None else after.ended_at
    return after.started_at < before.started_at or ended_after > ended_before
