"""One scripted evening, told to the real tracker: how many records it writes, beside how many edges sessions truly had.

`python -m bench.evening` prints both. Nothing here depends on the machine, its clock or its speed.
"""

from __future__ import annotations

import heapq
import itertools
import random
from collections import Counter
from collections.abc import Callable, Mapping

from db_client.records import Record
from db_client.snowflake import earliest
from gateway_listener import frames
from gateway_listener.consent import Decision
from gateway_listener.notes import BASELINE, remembered
from gateway_listener.recorder import coalesced
from gateway_listener.recording import ChannelDecision, Hole
from gateway_listener.tracker import Tracker

EIGHT_PM = 1_800_000_000_000
SECOND, MINUTE, HOUR = 1000, 60_000, 3_600_000
GUILDS, PEOPLE, CHANNELS = 10, 40, 6
STATES = ("self_mute", "self_deaf", "self_video", "self_stream")
HEARTBEAT_EVERY = 41_250
# What is seen within so long after a hand-over is handed over together.
HAND_OVER_EVERY = 50


class Evening:
    """Four hours of ten servers: people come, switch, mute and leave; four in five are in, some decide meanwhile.

    One of them decides eighty times in as many seconds, three channels are not recorded for a while, and for twenty
    seconds there is no connection.
    """

    def __init__(self, *, seed: int = 1, hours: float = 4.0) -> None:
        self.now = EIGHT_PM
        self.edges = 0
        """Beginnings and ends of what is to be recorded, in truth."""
        self.written: Counter[str] = Counter()
        """Records, by kind."""
        self.of_one = 0
        """Those about the person who decides again and again."""
        self._until = EIGHT_PM + int(hours * HOUR)
        self._random = random.Random(seed)
        self._timers: list[tuple[int, int, Callable[[], object]]] = []
        self._numbers = itertools.count(1)
        self._sequence = itertools.count(1)
        self._missed: list[dict[str, object]] | None = None
        """While there is no connection: what RESUME will bring."""
        self._hand_over_at: int | None = None
        self._guilds = [(number + 1) << 22 for number in range(GUILDS)]
        self._undecided = self._guilds[0] + 999
        self._seats: dict[int, int] = {}
        self._flags: dict[int, dict[str, bool]] = {}
        self._home: dict[int, int] = {}
        self._in: set[int] = set()
        self._closed: set[int] = set()
        self._running: dict[int, int] = {}
        ids = itertools.count(1)
        self._tracker = Tracker(new_id=lambda: f"stay{next(ids)}", tolerance_ms=120_000)
        self._tracker.presence.ours = True
        self._tracker.restore(remembered({BASELINE: "1"}), self.now)

    def play(self) -> tuple[int, int]:
        """How many records it wrote, and how many edges there were."""
        before = self.now - HOUR
        decisions: list[Decision] = []
        for guild in self._guilds:
            for place in range(PEOPLE):
                user = guild + 1000 + place
                self._home[user] = guild
                if place % 5:
                    self._in.add(user)
                    decisions.append(Decision(earliest(before) + len(decisions), user, "in", before))
                self._later(self._random.randrange(HOUR), self._comes, user)
        self._tracker.decide(decisions, [], self.now, complete=True)
        self._send({"op": 10, "t": None, "s": None, "d": {"heartbeat_interval": HEARTBEAT_EVERY}})
        self._identify()
        self._later(HEARTBEAT_EVERY, self._beat)
        user = self._undecided
        self._home[user], self._flags[user] = self._guilds[0], dict.fromkeys(STATES, False)
        self._later(MINUTE, self._sit, user, self._rooms(self._guilds[0])[0])
        self._later(HOUR // 2, self._decides_again_and_again, user, 80)
        for place, guild in enumerate(self._guilds[:3]):
            self._later(HOUR + place * MINUTE, self._close, guild, True)
            self._later(HOUR + (place + 20) * MINUTE, self._close, guild, False)
        self._later(2 * HOUR, self._hang_up)
        self._later(2 * HOUR + 20 * SECOND, self._resume)
        while self._timers and self._timers[0][0] < self._until:
            self.now, _, act = heapq.heappop(self._timers)
            act()
        self._hand_over()
        return sum(self.written.values()), self.edges

    def _later(self, milliseconds: int, act: Callable[..., object], *arguments: object) -> None:
        entry = (self.now + milliseconds, next(self._numbers), lambda: act(*arguments))
        heapq.heappush(self._timers, entry)

    # --- people ---

    def _rooms(self, guild: int) -> list[int]:
        return [guild + 1 + number for number in range(CHANNELS)]

    def _comes(self, user: int) -> None:
        self._flags[user] = dict.fromkeys(STATES, False)
        self._sit(user, self._random.choice(self._rooms(self._home[user])))
        self._later(self._random.randrange(SECOND, 10 * MINUTE), self._does_something, user)

    def _does_something(self, user: int) -> None:
        what = self._random.random()
        if what < 0.6:
            state = self._random.choices(STATES, (6, 2, 1, 1))[0]
            self._flags[user][state] = not self._flags[user][state]
            self._tell(user)
        elif what < 0.8:
            self._sit(user, self._random.choice(self._rooms(self._home[user])))
        elif what < 0.85:
            self._decide(user, "out" if user in self._in else "in")
        else:
            self._sit(user, None)
            self._later(self._random.randrange(MINUTE, HOUR), self._comes, user)
            return
        self._later(self._random.randrange(SECOND, 10 * MINUTE), self._does_something, user)

    def _sit(self, user: int, channel: int | None) -> None:
        if channel is None:
            del self._seats[user]
        else:
            self._seats[user] = channel
        self._tell(user)
        self._look(user)

    def _look(self, user: int) -> None:
        """Counts the edges that make what is running what should be."""
        channel = self._seats.get(user)
        wanted = channel if user in self._in and channel not in self._closed else None
        running = self._running.pop(user, None)
        if wanted != running:
            self.edges += (running is not None) + (wanted is not None)
        if wanted is not None:
            self._running[user] = wanted

    def _decide(self, user: int, decision: str) -> None:
        interaction = earliest(self.now) + next(self._numbers) % 4096
        self._tracker.decide([Decision(interaction, user, decision, self.now)], [], self.now)
        self._hand_over()
        (self._in.add if decision == "in" else self._in.discard)(user)
        self._look(user)

    def _decides_again_and_again(self, user: int, times: int) -> None:
        """In and out, once a second, all the time in voice."""
        self._decide(user, "out" if user in self._in else "in")
        if times > 1:
            self._later(SECOND, self._decides_again_and_again, user, times - 1)

    def _close(self, guild: int, closed: bool) -> None:
        """A channel of the server is not to be recorded for twenty minutes."""
        channel = self._rooms(guild)[0]
        hole = Hole(self.now, None) if closed else Hole(self.now - 20 * MINUTE, self.now)
        decision = ChannelDecision(channel, guild, earliest(self.now), hole)
        self._tracker.decide_recording([decision], self.now)
        self._hand_over()
        (self._closed.add if closed else self._closed.discard)(channel)
        for user in [user for user, seat in self._seats.items() if seat == channel]:
            self._look(user)

    # --- the gateway ---

    def _state(self, user: int) -> dict[str, object]:
        channel = self._seats.get(user)
        person = {"user": {"id": str(user), "bot": False}}
        return {
            "user_id": str(user),
            "channel_id": None if channel is None else str(channel),
            "member": person,
            **self._flags[user],
        }

    def _tell(self, user: int) -> None:
        guild = {"guild_id": str(self._home[user])}
        self._dispatch("VOICE_STATE_UPDATE", {**self._state(user), **guild})

    def _identify(self) -> None:
        self._dispatch(
            "READY", {"session_id": "evening", "guilds": [{"id": str(g), "unavailable": True} for g in self._guilds]}
        )
        for guild in self._guilds:
            rooms = [{"id": str(room), "name": f"Room {room}", "type": 2} for room in self._rooms(guild)]
            there = [self._state(user) for user in self._seats if self._home[user] == guild]
            data = {"id": str(guild), "name": "Study room", "channels": rooms, "voice_states": there}
            self._dispatch("GUILD_CREATE", data)

    def _hang_up(self) -> None:
        self._tracker.hang_up()
        self._missed = []

    def _resume(self) -> None:
        missed, self._missed = self._missed or [], None
        self._send({"op": 10, "t": None, "s": None, "d": {"heartbeat_interval": HEARTBEAT_EVERY}})
        for frame in missed:
            self._send(frame)
        self._dispatch("RESUMED", {})

    def _beat(self) -> None:
        if self._missed is None:
            self._send({"op": 11, "t": None, "s": None, "d": None})
        self._later(HEARTBEAT_EVERY, self._beat)

    def _dispatch(self, kind: str, data: Mapping[str, object]) -> None:
        frame = {"op": 0, "t": kind, "s": next(self._sequence), "d": data}
        if self._missed is None:
            self._send(frame)
        else:
            self._missed.append(frame)

    def _send(self, received: dict[str, object]) -> None:
        frame = frames.read(received)
        if frame is not None:
            self._tracker.see(frame, self.now)
        if self._hand_over_at is None and self._hand_over():
            self._hand_over_at = self.now + HAND_OVER_EVERY
            self._later(HAND_OVER_EVERY, self._hand_over_rest)

    def _hand_over_rest(self) -> None:
        self._hand_over_at = None
        self._hand_over()

    def _hand_over(self) -> bool:
        items = self._tracker.take()
        records = coalesced(item for item in items if isinstance(item, Record))
        self.written.update(type(record).__name__ for record in records)
        self.of_one += sum(record.person == self._undecided for record in records)
        return bool(items)


def main() -> None:
    """Prints the count of records, by kind, and the count of edges."""
    evening = Evening()
    records, edges = evening.play()
    kinds = ", ".join(f"{count} {kind}" for kind, count in sorted(evening.written.items()))
    print(f"{records} records ({kinds}) for {edges} edges of sessions: {records / edges:.3f}")
    print(f"{evening.of_one} of them for the person who decides 80 times in 80 seconds")


if __name__ == "__main__":
    main()
