"""From a stay and the person's consent to the sessions that may be recorded of it, and from those to what to write."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import fields
from operator import attrgetter

from db_client.records import VoiceSession
from gateway_listener.consent import Interval
from gateway_listener.stays import Stay

FOREVER = 2**63 - 1


def piece_id(stay_id: str, version: int) -> str:
    """The id of the part of a stay that begins with a consent.

    It depends on nothing but the stay and that decision, so it is the same in whatever order decisions arrive, and the
    same as the service gives when it splits a session itself (`db_client.statements.SPLIT_SESSIONS`).
    """
    return f"{stay_id.partition('-')[0]}-{version}"


def sessions_of(stay: Stay, intervals: Iterable[Interval], revision: int = 0) -> list[VoiceSession]:
    """The sessions a stay amounts to under the person's consent intervals, oldest first, with that revision.

    Each is the part of the stay that lies within one interval. A part that begins with the stay has its id.
    """
    return [session for interval in intervals if (session := _part(stay, interval, revision)) is not None]


def _part(stay: Stay, interval: Interval, revision: int) -> VoiceSession | None:
    stay_ends = FOREVER if stay.ended_at is None else stay.ended_at
    consent_ends = FOREVER if interval.to_at is None else interval.to_at
    if stay.ended_at is None and stay.seen_until is not None:
        if interval.from_at > stay.seen_until:
            return None  # nobody knows whether the person was there then
        if consent_ends > max(stay.seen_until, stay.started_at) and consent_ends != FOREVER:
            stay_ends = max(stay.seen_until, stay.started_at)
    start, end = max(stay.started_at, interval.from_at), min(stay_ends, consent_ends)
    # A stay wholly within unseen time has no length; it counts where consent covers its one moment.
    if start >= end and not (stay.started_at == start == end < consent_ends):
        return None
    history = stay.history
    over = end != FOREVER
    by_consent_begun = interval.from_at > stay.started_at
    by_consent_ended = consent_ends < stay_ends
    counted_to = end if over else max(start, history.changed_at)
    spent = history.spent(start, counted_to)
    return VoiceSession(
        session_id=piece_id(stay.stay_id, interval.version) if by_consent_begun else stay.stay_id,
        guild_id=stay.guild_id,
        channel_id=stay.channel_id,
        user_id=stay.user_id,
        started_at=start,
        started_by="opted_in" if by_consent_begun else stay.started_by,
        started_within_ms=0 if by_consent_begun else start - _earliest_start(stay, interval),
        revision=revision,
        ended_at=end if over else None,
        ended_by=("opted_out" if by_consent_ended else stay.ended_by or "opted_out") if over else None,
        ended_within_ms=(0 if by_consent_ended else _end_within(stay, interval, end)) if over else None,
        afk=stay.afk,
        muted_ms=spent.muted,
        deafened_ms=spent.deafened,
        video_ms=spent.video,
        stream_ms=spent.stream,
        alone_ms=spent.alone,
        flags=0 if over else history.flags,
        flags_at=counted_to,
    )


def _earliest_start(stay: Stay, interval: Interval) -> int:
    """The session cannot have begun before the consent, however long the person may have been there."""
    return interval.from_at if stay.not_before is None else max(interval.from_at, min(stay.not_before, stay.started_at))


def _end_within(stay: Stay, interval: Interval, end: int) -> int:
    """How far the true end can lie from `end`; it cannot lie outside the consent either."""
    if stay.ended_at is None:
        return 0 if interval.to_at is None else interval.to_at - end
    earliest = max(stay.ended_from, interval.from_at)
    latest = stay.ended_until if interval.to_at is None else min(stay.ended_until, interval.to_at)
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
