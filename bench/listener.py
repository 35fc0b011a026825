"""Voice events per second from the gateway to the queue file, beside discord.py with an empty handler.

The processor time of an event is shown too: it says what the work costs, also when the machine is busy. And how many
records an evening makes (`bench.evening`), which is the same on every machine.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import NamedTuple

from bench.evening import Evening
from bench.figures import Figure, Row, at_least
from bench.gateway_world import World, bare_listener, everyone_opts_in, our_listener, world
from bench.programs import Fleet, Program, cpu_seconds, wait_for
from tests.services import start_embedded

GUILDS, PEOPLE, VOICE_CHANNELS, TEXT_CHANNELS = 20, 50, 10, 0
ALL_MOVE = 20  # how often everyone moves in a round
STEP = 0.01


class Taken(NamedTuple):
    """What a program made of one burst: events per second, and microseconds of processor time an event."""

    rate: float
    cost: float


def figures(folder: Path, *, scale: float, rounds: int) -> Iterator[Row]:
    """A burst goes to ours, then the same burst to the floor, each with a simulated Discord of its own; and a count."""
    moves = max(1, int(ALL_MOVE * scale))
    pairs = []
    with (
        start_embedded(folder / "service") as service,
        Fleet(folder) as fleet,
        a_world() as of_ours,
        a_world() as of_floor,
    ):
        everyone_opts_in(service.url, of_ours, folder)
        ours = our_listener(fleet, of_ours, service.url)
        floor = bare_listener(fleet, of_floor)
        service.kill()  # from the gateway to the queue file: everything stays there
        to_ours, to_floor = _Bursts(of_ours), _Bursts(of_floor)
        for _ in range(rounds):
            kept = _ours(of_ours, to_ours, ours, moves, folder / "queue.db")
            pairs.append((kept, _floor(to_floor, floor, moves)))
    rates = [(ours.rate, floor.rate) for ours, floor in pairs]
    costs = [(ours.cost, floor.cost) for ours, floor in pairs]
    yield Figure("voice events, gateway to queue file", "/s", rates, at_least(0.8))
    yield Figure("processor time of a voice event", "us", costs)
    yield Figure("records of a scripted evening", "", [Evening(hours=max(2.5, 4 * scale)).play()])


@contextmanager
def a_world() -> Iterator[World]:
    """20 guilds of 50 people, everyone in voice."""
    with world(GUILDS, PEOPLE, VOICE_CHANNELS, TEXT_CHANNELS) as there:
        yield there


class _Bursts:
    """The bursts of one simulated Discord. It makes all events of a burst before it sends the first."""

    def __init__(self, there: World) -> None:
        self._there = there
        self._known = len(there.discord.history())

    def send(self, moves: int) -> int:
        """Everyone moves so many times, then `last` joins; how many events that is."""
        there, count = self._there, moves * PEOPLE
        there.discord.act(
            [
                *(
                    {"action": "burst", "count": count, "users": people, "channels": channels}
                    for people, channels in zip(there.people, there.channels, strict=True)
                ),
                {"action": "join", "user": there.last, "channel": there.channels[0][0]},
            ]
        )
        return count * len(there.people) + 1

    def end(self) -> float:
        """Lets `last` leave; when the burst's last event was made, in seconds since 1970."""
        self._there.discord.leave(self._there.last)
        news = self._there.discord.history(after=self._known)
        self._known += len(news)
        (joined,) = [
            entry["at"]
            for entry in news
            if entry["kind"] == "voice" and entry["user_id"] == self._there.last and entry["channel_id"] is not None
        ]
        return float(joined) / 1000


def _ours(there: World, bursts: _Bursts, program: Program, moves: int, queue_file: Path) -> Taken:
    """Until the last person's arrival is in the queue file."""
    # Only the end of the queue is looked at: reading all of it again and again would slow the machine down.
    newest = "SELECT max(id) FROM (SELECT id, person FROM entries ORDER BY id DESC LIMIT 100) WHERE person = ?"
    with closing(sqlite3.connect(f"file:{queue_file}?mode=ro", uri=True)) as queue:

        def arrival() -> int:
            return int(queue.execute(newest, (there.last,)).fetchone()[0] or 0)

        before, spent = arrival(), cpu_seconds(program)
        count = bursts.send(moves)
        wait_for(lambda: arrival() > before, program, "everything is kept", step=STEP)
        ended = time.time()
        cost = (cpu_seconds(program) - spent) / count * 1e6
    return Taken(count / (ended - bursts.end()), cost)


def _floor(bursts: _Bursts, program: Program, moves: int) -> Taken:
    """Until the handler was called for the last person's arrival; by then it must have been called for all."""
    before, spent = _seen(program), cpu_seconds(program)
    count = bursts.send(moves)
    wait_for(lambda: len(_seen(program)) > len(before), program, "everything was handled", step=STEP)
    cost = (cpu_seconds(program) - spent) / count * 1e6
    at, calls = _seen(program)[len(before)]
    handled = calls - (before[-1][1] if before else 0)
    if handled != count:
        raise RuntimeError(f"discord.py called its handler {handled} times for {count} events: this is no floor")
    rate = count / (at - bursts.end())
    wait_for(lambda: len(_seen(program)) > len(before) + 1, program, "the last person's leaving was handled")
    return Taken(rate, cost)


def _seen(program: Program) -> list[tuple[float, int]]:
    """When the handler was called for `last`, and how often it had been called for anybody then."""
    lines = (line.split() for line in program.log.read_text().splitlines() if line.startswith("seen "))
    return [(float(at), int(calls)) for _, at, calls in lines]
