"""demo.picture: what is shown follows from what was read."""

from __future__ import annotations

from demo.picture import changed, closing, opening, rooms
from demo.reading import Session
from demo.screen import Person, Room


def session(person: str = "Ada", channel: str = "Desk", *, ended_at: int | None = None, why: str = "left") -> Session:
    ended_by = None if ended_at is None else why
    return Session(f"{person}-{channel}", 1, 2, 1000, ended_at, "joined", ended_by, person, "Study room", channel, 5000)


def test_people_stand_under_their_channel() -> None:
    """Recorded people with their time, bystanders of a simulation without."""
    shown = rooms([session("Ada"), session("Ben", "Lounge")], [("Study room", "Desk", "Dora")])
    assert shown == (
        Room("Study room", "Desk", (Person("Ada", 1000, True, 5000), Person("Dora", 0, False, 0))),
        Room("Study room", "Lounge", (Person("Ben", 1000, True, 5000),)),
    )


def test_what_opened_and_what_is_gone() -> None:
    """By session id."""
    ada, ben = session("Ada"), session("Ben")
    assert changed({"a": ada}, {"a": ada, "b": ben}) == ([ben], [])
    assert changed({"a": ada, "b": ben}, {"b": ben}) == ([], ["a"])


def test_lines_of_sessions() -> None:
    """An end says how long it was and why it ended, also for a reason this version does not know."""
    assert opening(session()).text == "+ Ada        Desk"
    assert closing(session(ended_at=63_000)).text == "- Ada        Desk, 1:02 (left)"
    assert closing(session(ended_at=63_000, why="roll_call")).text.endswith("(was gone when we looked again)")
    assert closing(session(ended_at=63_000, why="moon")).text.endswith("(moon)")
