"""The listener's memory in 1,000 guilds with 10 people each in voice, beside bare discord.py with the same intents."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

from bench.figures import Figure, Row, at_most
from bench.gateway_world import bare_listener, everyone_opts_in, our_listener, world
from bench.programs import Fleet, Program, resident_bytes
from tests.services import start_embedded

GUILDS, PEOPLE, VOICE_CHANNELS, TEXT_CHANNELS = 1000, 10, 4, 20
SETTLED_SECONDS = 2.0
MIB = 2**20


def figures(folder: Path, *, scale: float, rounds: int) -> Iterator[Row]:
    """One figure; memory hardly varies, so two rounds of fresh processes are enough."""
    guilds = max(2, int(GUILDS * scale))
    pairs = []
    with world(guilds, PEOPLE, VOICE_CHANNELS, TEXT_CHANNELS) as there:
        for number in range(min(2, rounds)):
            of_round = folder / str(number)
            of_round.mkdir()
            # A service of its own: with the sessions of the round before, the listener would begin elsewhere.
            with start_embedded(of_round / "service") as service, Fleet(of_round) as fleet:
                everyone_opts_in(service.url, there, of_round)
                floor = settled(bare_listener(fleet, there))
                ours = settled(our_listener(fleet, there, service.url))
            pairs.append((ours / MIB, floor / MIB))
    yield Figure(f"memory, {guilds:,} guilds with {PEOPLE} in voice", "MiB", pairs, at_most(1.25))


def settled(program: Program) -> int:
    """The program's memory once it has not changed by a hundredth for some seconds."""
    while True:
        before = resident_bytes(program)
        time.sleep(SETTLED_SECONDS)
        if abs(resident_bytes(program) - before) < before / 100:
            return resident_bytes(program)
