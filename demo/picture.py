"""From what was read to what is shown: who is where, and what changed since the last look. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from demo.reading import Session
from demo.screen import Event, Person, Room, duration

_ENDED = {
    "left": "left",
    "switched": "switched channel",
    "opted_out": "opted out",
    "roll_call": "was gone when we looked again",
    "guild_left": "the bot left the server",
}


def rooms(sessions: Iterable[Session], bystanders: Iterable[tuple[str, str, str]] = ()) -> tuple[Room, ...]:
    """The channels with somebody in them, by guild and name.

    `bystanders` are (guild, channel, name) of people in voice who are not recorded: only a simulation knows them.
    """
    people: dict[tuple[str, str], list[Person]] = {}
    for session in sessions:
        person = Person(session.person, session.started_at, recorded=True, mark=session.mark)
        people.setdefault((session.guild, session.channel), []).append(person)
    for guild, channel, name in bystanders:
        people.setdefault((guild, channel), []).append(Person(name, 0, recorded=False, mark=0))
    return tuple(Room(guild, channel, tuple(people[guild, channel])) for guild, channel in sorted(people))


def changed(before: Mapping[str, Session], now: Mapping[str, Session]) -> tuple[list[Session], list[str]]:
    """The sessions that opened since, and the ids of those that are open no longer; both maps are by session id."""
    opened = [session for session_id, session in now.items() if session_id not in before]
    return opened, [session_id for session_id in before if session_id not in now]


def opening(session: Session) -> Event:
    """The line of a session that began."""
    return Event(session.started_at, f"+ {session.person:<10} {session.channel}")


def closing(session: Session) -> Event:
    """The line of a session that ended, with its length and why."""
    ended_at = session.ended_at if session.ended_at is not None else session.started_at
    why = _ENDED.get(session.ended_by or "", session.ended_by or "")
    length = duration(ended_at - session.started_at)
    return Event(ended_at, f"- {session.person:<10} {session.channel}, {length} ({why})")
