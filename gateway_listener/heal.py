"""The open sessions of the service against ours: what differs is counted and put right.

Normally nothing does. A second listener on the same shard, a queue file that was lost, or a hand in the database make
differences; whatever they are, afterwards the service's open sessions are those of the people who are there.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Iterable, Mapping

from db_client.records import VoiceSession
from gateway_listener.edge import Edge, Unseen, What, edge
from gateway_listener.guilds import GuildState
from gateway_listener.ledger import Ledger
from gateway_listener.notes import open_key
from gateway_listener.outbox import Note
from gateway_listener.stays import Stay, recorded_stay


def heal(
    ledger: Ledger,
    guilds: Mapping[int, GuildState],
    rows: Iterable[VoiceSession],
    mark: int,
    now: int,
    waiting: Container[int] = (),
) -> Counter[str]:
    """Puts right what differs; how often, by kind: `missing`, `unknown`, `ghost`.

    missing: a session of ours is not open there, and is written again. unknown: an open one there is not ours, but
    the person is in that channel: we take it over. ghost: the person (or the bot) is not there: it is ended where it
    was last known. People of whom something was written after revision `mark`, or is on its way to the service
    (`waiting`), and guilds that are not seen, are left for the next time.
    """
    drift: Counter[str] = Counter()
    open_there = {row.session_id: row for row in rows}
    ours = {session.session_id: stay for stay in ledger.open_recorded() for session in stay.running}
    for session_id, row in open_there.items():
        guild = guilds.get(row.guild_id)
        if session_id in ours or (guild is not None and guild.seen_since is None):
            continue
        if row.user_id in waiting or ledger.written(row.user_id) > mark:
            continue
        seat = None if guild is None else guild.seats.get(row.user_id)
        if seat is not None and seat.channel_id == row.channel_id:
            drift["unknown"] += 1
            _take_over(ledger, seat, row, now)
        else:
            drift["ghost"] += 1
            _end(ledger, guild, row, now)
    for session_id, stay in ours.items():
        guild = guilds.get(stay.guild_id)
        if guild is not None and guild.seen_since is None:
            continue
        if stay.user_id in waiting or ledger.written(stay.user_id) > mark:
            continue
        if session_id not in open_there and stay.has_recorded(session_id):
            drift["missing"] += 1
            ledger.write_again(stay, session_id, now)
    return drift


def _take_over(ledger: Ledger, stay: Stay, row: VoiceSession, now: int) -> None:
    """The earlier beginning stands: theirs is continued under its id, or ours replaces it.

    Ours does so once only: if it is not there the next time, something that is over stands in its way, and theirs is
    continued after all. If the channel became the AFK channel in between, or was it no more, theirs ends there. What is
    compared is the running part: those that a decision ended before it stay as they are.
    """
    ledger.revision = max(ledger.revision, row.revision)
    running = stay.running
    began = min((session.started_at for session in running), default=stay.started_at)
    if row.afk != stay.afk and row.started_at < began:
        theirs = recorded_stay(row)
        theirs.end(Edge(began, min(stay.not_before, began), began), "switched")
        ledger.enter(theirs, now)
        ledger.ended(theirs, now)
        for session in running:
            ledger.write_again(stay, session.session_id, now)
        return
    if (row.started_at > began or row.afk != stay.afk) and not stay.contested:
        stay.contested = True
        ledger.taken_back.add((row.guild_id, row.channel_id))
        ledger.retract(row, now)
        for session in running:
            ledger.write_again(stay, session.session_id, now)
        return
    for session in running:
        ledger.retract(session, now)
        ledger.items.append(Note(open_key(session.session_id), None))
    stay.go_on_from(row)
    ledger.write_again(stay, row.session_id, now)


def _end(ledger: Ledger, guild: GuildState | None, row: VoiceSession, now: int) -> None:
    """A session of someone who is not there: a stay that we remember says when it ended, else nobody looked between
    when it was last written and our roll call, or looked and has forgotten it."""
    ledger.revision = max(ledger.revision, row.revision)
    stay = recorded_stay(row)
    remembered = [
        known
        for known in ledger.stays_of(row.user_id, row.guild_id, row.started_at)
        if known.channel_id == row.channel_id and known.ended_at is not None and known.ended_at >= row.started_at
    ]
    if remembered:
        known = remembered[0]
        stay.end(Edge(known.ended_at or 0, known.ended_from, known.ended_until), known.ended_by or "")
    else:
        looked_at = now if guild is None else max(guild.seen_since or now, ledger.remembers_since(now))
        gone = edge(What.GONE, Unseen(), stay.proved_at, looked_at)
        stay.end(gone, "guild_left" if guild is None else "roll_call")
        if stay.ended_until == stay.started_at and row.started_by in ("opted_in", "recorded"):
            ledger.retract(row, now)  # it began with a decision, and by then the person was seen not to be there
            return
    ledger.enter(stay, now)
    ledger.ended(stay, now)
