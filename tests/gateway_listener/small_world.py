"""A small world that is the truth, a gateway that shows it well or badly, and one listener that watches (harness.py).

What happens is written down by the world itself; what a listener could know of it is worked out beside it, from the
rules of Discord and of the disk, never from the listener.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

from db_client.records import ConsentDecision
from db_client.snowflake import created_at
from gateway_listener.clock import Clock
from gateway_listener.notes import BASELINE, WATERMARK, remembered
from tests.gateway_listener.harness import AFK, DESK, NOON, SOFA, Harness
from tests.gateway_listener.truth import FOREVER, Span, TrueDecision, TrueStay, Truth, broken_rules, within, without

GUILDS = (1 << 30, 2 << 30)
PEOPLE = (11, 12, 13)
BOT = 99
UNKNOWN = 104
"""A channel that no snapshot names."""
ROOMS = (DESK, SOFA, AFK, UNKNOWN)
HEARTBEAT = 41_250


def room(guild: int, kind: int) -> int:
    """A channel of the guild."""
    return kind if guild == GUILDS[0] else kind + 1000


class SmallWorld:
    """Every public method is something that can happen; none that is impossible at the moment does anything."""

    def __init__(self, *, stepping: bool = False) -> None:
        self.now = NOON
        self.harness = Harness()
        self.stepping = stepping
        self.wall_ahead = 0
        self.farthest = 0
        self.clock = self._new_clock()
        # the truth
        self.seats: dict[int, tuple[int, int, int]] = {}
        self.stays: list[TrueStay] = []
        self.flags: dict[int, int] = defaultdict(int)
        self.decisions: list[ConsentDecision] = []
        # the endpoint's two pods
        self.pods: tuple[list[ConsentDecision], list[ConsentDecision]] = ([], [])
        self.stuck = [False, False]
        self.service_up = True
        self.lagging = False
        # Discord
        self.joined = set(GUILDS)
        self.left_behind: dict[int, dict[int, int]] = {}
        self.down: set[int] = set()
        self.session = 0
        self.sequence = 0
        self.heard = 0
        self.sent: list[tuple[int, str]] = []
        self.awaiting: list[int] = []
        self.connected = False
        # the listener
        self.alive = True
        self.followed = True
        self.disk_lost = False
        self.looked_at = NOON
        self.moments: dict[int, int] = {NOON: NOON}
        """When it was by the listener's clock, and then by ours."""
        self.seen_since: dict[int, int] = {}
        self.seen: dict[int, list[Span]] = defaultdict(list)
        self.looks: dict[int, list[Span]] = defaultdict(list)
        self.sure: dict[int, list[Span]] = defaultdict(list)
        """What the listener and the service have both known of each person's consent, since the listener last asked."""
        self.lost: dict[int, list[Span]] = defaultdict(list)
        self.killed_at = 0
        self.identify()

    # --- time ---

    def _new_clock(self) -> Clock:
        return Clock(wall=lambda: (self.now + self.wall_ahead) / 1000, steady=lambda: self.now / 1000)

    def _tell_time(self) -> None:
        self.harness.now = self.clock.now() if self.stepping else self.now
        self.farthest = max(self.farthest, abs(self.harness.now - self.now) + 1)

    def wait(self, milliseconds: int) -> None:
        """Time passes: heartbeats are acknowledged, what can be delivered is, the consent log is followed."""
        until = self.now + milliseconds
        while self.now < until:
            self.now = min(until, (self.now // HEARTBEAT + 1) * HEARTBEAT)
            self._tell_time()
            if self.now % HEARTBEAT == 0:
                self._hear('{"t":null,"s":null,"op":11,"d":null}')
        if milliseconds and self.alive:
            self.harness.hand_over()
        self.deliver()
        self.follow()

    def step_clock(self, milliseconds: int) -> None:
        """The machine's clock is set, by NTP or by hand."""
        self.wall_ahead = max(-3000, min(3000, self.wall_ahead + milliseconds))

    # --- people ---

    def move(self, user: int, guild: int, kind: int | None, *, member: bool = True) -> None:
        """The person joins, switches or leaves."""
        seat = self.seats.get(user)
        channel = None if kind is None else room(guild, kind)
        if seat is not None and (seat[0] != guild or channel is None):
            self._stand_up(user)
            self._tell(seat[0], user, None, member)
        if channel is None or guild not in self.joined or (seat is not None and seat[1] == channel):
            return
        self._stand_up(user)
        self.seats[user] = (guild, channel, self.now)
        self._tell(guild, user, channel, member)

    def _stand_up(self, user: int) -> None:
        seat = self.seats.pop(user, None)
        if seat is not None and user != BOT:
            self.stays.append(TrueStay(user, *seat, self.now))

    def set_flags(self, user: int, flags: int, *, member: bool = True) -> None:
        """The person mutes, deafens, streams; nothing about where they are changes."""
        self.flags[user] = flags
        if user in self.seats:
            self._tell(self.seats[user][0], user, self.seats[user][1], member)

    def _state(self, user: int, channel: int | None) -> dict[str, Any]:
        flags = self.flags[user]
        return {
            "user_id": str(user),
            "channel_id": None if channel is None else str(channel),
            "self_mute": bool(flags & 1),
            "self_deaf": bool(flags & 2),
            "self_stream": bool(flags & 8),
        }

    def _tell(self, guild: int, user: int, channel: int | None, member: bool) -> None:
        state = self._state(user, channel) | {"guild_id": str(guild)}
        if member or user == BOT:
            state["member"] = {"user": {"id": str(user), "bot": user == BOT}}
        self._emit(guild, "VOICE_STATE_UPDATE", state)

    def empty(self, guild: int, kind: int) -> None:
        """The channel is deleted with everyone in it, and another one is made under its id."""
        channel = room(guild, kind)
        there = [user for user, seat in self.seats.items() if seat[1] == channel]
        self._emit(guild, "CHANNEL_DELETE", {"id": str(channel), "guild_id": str(guild), "type": 2})
        for user in there:
            self._stand_up(user)
            self._tell(guild, user, None, True)

    # --- decisions ---

    def decide(self, user: int, decision: str, pod: int) -> None:
        """A slash command, answered by one of two pods."""
        made = self.harness.decision(user, decision, self.now)
        self.decisions.append(made)
        self.pods[pod].append(made)

    def deliver(self) -> None:
        """What the pods and the listener have goes to the service, if that can be."""
        self.harness.delivering = self.service_up and not self.lagging
        if self.service_up:
            for pod, queue in enumerate(self.pods):
                while queue and not self.stuck[pod]:
                    self._write(queue.pop(0))
            self.harness.deliver()

    def _write(self, decision: ConsentDecision) -> None:
        self.harness.service.write(decision)
        user = decision.user_id
        known = self.intervals().get(user, [])
        self.sure[user] = within(self.sure[user], known)
        waits = decision.decision == "erase" and user in {record.person for record in self.harness.queue}
        self.lost[user] += without([(0, self.killed_at)] if self.killed_at else [], [] if waits else known)

    def repeat(self, place: int) -> None:
        """A decision arrives a second time: rule 4."""
        waiting = {made.interaction_id for queue in self.pods for made in queue}
        delivered = [made for made in self.decisions if made.interaction_id not in waiting]
        if delivered and self.service_up:
            before = self._dump()
            self.harness.service.write(delivered[place % len(delivered)])
            assert self._dump() == before, "rule 4: a decision sent twice changed something"

    def deliver_twice(self) -> None:
        """The listener's batch is sent, the answer is lost, and it is sent again: rule 4."""
        if self.service_up and self.harness.queue:
            batch = list(self.harness.queue)
            self.harness.delivering = True
            self.harness.deliver()
            before = self._dump()
            for record in batch:
                self.harness.service.write(record)
            assert self._dump() == before, "rule 4: a batch sent twice changed something"

    def _dump(self) -> list[Any]:
        tables = ("voice_sessions", "consent_log", "opt_in_users", "listener_watermarks", "voice_totals")
        return [self.harness.service.rows(f"SELECT * FROM {table} ORDER BY 1, 2") for table in tables]

    def intervals(self) -> dict[int, list[Span]]:
        """Each person's consent, as the service has it now."""
        found: dict[int, list[Span]] = defaultdict(list)
        for row in self.harness.service.rows("SELECT user_id, from_at, to_at FROM consent_intervals"):
            found[row["user_id"]].append((row["from_at"], FOREVER if row["to_at"] is None else row["to_at"]))
        return found

    # --- the gateway ---

    def _emit(self, guild: int, kind: str, data: dict[str, Any]) -> None:
        """An event, for the session if it has the guild; it is heard at once if somebody is connected."""
        if not self.session or guild not in self.joined | {int(data.get("id", 0))}:
            return
        if (guild in self.down or guild in self.awaiting) and kind != "GUILD_DELETE":
            return
        self.sequence += 1
        self.sent.append((self.sequence, json.dumps({"t": kind, "s": self.sequence, "op": 0, "d": data})))
        if self.connected:
            self._hear(self.sent[-1][1])
            self.heard = self.sequence

    def _hear(self, text: str, *, live: bool = True) -> None:
        if not self.connected:
            return
        self._tell_time()
        self.harness.text(text)
        if live:
            self.looked_at = self.now
            self.moments[self.harness.tracker.sight.watermark or 0] = self.now

    def identify(self) -> None:
        """A new session: READY, and then a roll call of each guild, one by one."""
        if not self.alive or self.connected:
            return
        self.session, self.sequence, self.heard, self.sent = self.session + 1, 0, 0, []
        self.connected = True
        self._hear('{"t":null,"s":null,"op":10,"d":{"heartbeat_interval":41250}}', live=False)
        self.sequence = self.heard = 1
        guilds = [{"id": str(guild), "unavailable": True} for guild in sorted(self.joined)]
        ready = {"t": "READY", "s": 1, "op": 0, "d": {"session_id": f"session {self.session}", "guilds": guilds}}
        self._hear(json.dumps(ready))
        self.seen_since.clear()
        self.awaiting = sorted(self.joined - self.down)

    def roll_call(self) -> None:
        """The next of the awaited guilds comes."""
        if self.connected and self.awaiting:
            self._create(self.awaiting.pop(0))

    def all_roll_calls(self) -> None:
        """All of them come."""
        while self.connected and self.awaiting:
            self.roll_call()

    def _create(self, guild: int) -> None:
        there = [(user, seat[1]) for user, seat in self.seats.items() if seat[0] == guild]
        data = {
            "id": str(guild),
            "name": "Study room",
            "afk_channel_id": str(room(guild, AFK)),
            "channels": [{"id": str(room(guild, kind)), "name": "room", "type": 2} for kind in (DESK, SOFA, AFK)],
            "voice_states": [self._state(user, channel) for user, channel in there],
            "members": [{"user": {"id": str(user), "bot": user == BOT}} for user, _ in there],
        }
        self._emit(guild, "GUILD_CREATE", data)
        if self.connected:
            self.seen_since.setdefault(guild, self.now)

    def disconnect(self) -> None:
        """The connection breaks; the session lives on."""
        if self.connected:
            self.connected = False
            self.harness.tracker.hang_up()
            self._lose(*self.seen_since, at=self.looked_at)

    def resume(self) -> None:
        """A connection again: what was missed is replayed."""
        if not self.alive or self.connected or not self.session or not self.heard:
            return
        self.connected = True
        self._hear('{"t":null,"s":null,"op":10,"d":{"heartbeat_interval":41250}}', live=False)
        for sequence, text in self.sent:
            if sequence > self.heard:
                self._hear(text, live=False)
        self.sequence += 1
        self._hear(json.dumps({"t": "RESUMED", "s": self.sequence, "op": 0, "d": {}}))
        self.heard = self.sequence
        self.seen_since = dict.fromkeys(self.joined - self.down - set(self.awaiting), self.now)

    def resend(self, count: int) -> None:
        """The last dispatches come again, old sequence numbers and all."""
        for sequence, text in self.sent[-count:]:
            if self.connected and sequence <= self.heard:
                self._hear(text)

    def malformed(self, text: str) -> None:
        """A frame that cannot be read comes between the others."""
        if self.connected:
            self._tell_time()
            self.harness.text(text)

    def _lose(self, *guilds: int, at: int) -> None:
        for guild in list(guilds):
            since = self.seen_since.pop(guild, None)
            if since is not None and since < at:
                self.seen[guild].append((since, at))
            if since is not None:
                self.looks[guild].append((since, at))

    def outage(self, guild: int) -> None:
        """Discord loses the guild."""
        if guild in self.joined - self.down:
            self._emit(guild, "GUILD_DELETE", {"id": str(guild), "unavailable": True})
            self.down.add(guild)
            self._lose(guild, at=self.now)
            if guild in self.awaiting:
                self.awaiting.remove(guild)

    def recover(self, guild: int) -> None:
        """The guild is back, with all that changed meanwhile."""
        if guild in self.down:
            self.down.discard(guild)
            self._create(guild)

    def remove_bot(self, guild: int) -> None:
        """The bot is thrown out: what happens in the guild is no affair of ours, until it is invited again."""
        if guild in self.joined:
            self._emit(guild, "GUILD_DELETE", {"id": str(guild)})
            self._lose(guild, at=self.now)
            self.left_behind[guild] = {user: seat[1] for user, seat in self.seats.items() if seat[0] == guild}
            for user in self.left_behind[guild]:
                self._stand_up(user)
            self.joined.discard(guild)
            self.down.discard(guild)
            if guild in self.awaiting:
                self.awaiting.remove(guild)

    def add_bot(self, guild: int) -> None:
        """The bot is invited again."""
        if guild not in self.joined:
            self.joined.add(guild)
            for user, channel in self.left_behind.pop(guild, {}).items():
                self.seats.setdefault(user, (guild, channel, self.now))
            self._create(guild)

    # --- the listener ---

    def follow(self) -> None:
        """The listener reads the consent log."""
        if not (self.alive and self.service_up):
            return
        self._tell_time()
        if not self.harness.tracker.recording:
            self.harness.read_baseline()
        else:
            self.harness.follow(complete=not self.followed)
        self.followed = True
        if not self.harness.disk_full:
            known = self.intervals()
            for user in PEOPLE:
                self.sure[user] = known.get(user, [])

    def kill(self, *, disk_lost: bool = False) -> None:
        """kill -9, and perhaps the disk with it."""
        if not self.alive:
            return
        self.disconnect()
        self.alive, self.session = False, 0
        waiting = {record.person for record in self.harness.queue}
        if disk_lost:
            self.harness.notes, self.harness.queue = {}, []
            self.disk_lost = True
        self.harness.unwritten = []
        kept = self.moments.get(self._kept(), 0)
        for guild in GUILDS:
            self.seen[guild] = within(self.seen[guild], [(0, kept)])
        for user in PEOPLE:
            sure = [] if disk_lost and user in waiting else self.sure[user]
            self.lost[user] += without([(0, self.now)], sure)
        self.killed_at = self.now

    def _kept(self) -> int:
        """Up to when the gateway was seen, as the next process will learn it."""
        if BASELINE in self.harness.notes:
            return int(self.harness.notes.get(WATERMARK, 0))
        return max(
            (row["observed_at"] for row in self.harness.service.rows("SELECT * FROM listener_watermarks")), default=0
        )

    def start(self) -> None:
        """A new process; on a new disk it waits until the service can be read."""
        if self.alive:
            return
        self.alive, self.followed = True, False
        self.clock = self._new_clock()
        self._tell_time()
        service = self.intervals()
        noted = remembered(self.harness.notes).consents
        for user in PEOPLE:
            by_note = [(noted[user].at, FOREVER)] if user in noted else []
            self.sure[user] = within(by_note, service.get(user, []))
        if BASELINE in self.harness.notes:
            self.harness.restart(service_up=False)
        else:
            self.harness.new_disk()

    def share(self) -> None:
        """The listener tells the service up to when it saw."""
        if self.alive:
            self.harness.share()

    def compare(self) -> dict[str, int]:
        """The listener compares the open sessions with the service's, when nothing waits."""
        harness = self.harness
        ready = self.alive and self.followed and self.connected and self.service_up
        if not ready or harness.queue or harness.unwritten or not harness.tracker.recording:
            return {}
        return harness.compare()

    # --- the end ---

    def settle(self) -> None:
        """Everything works again, and what waits is delivered."""
        self.service_up, self.lagging, self.stuck, self.harness.disk_full = True, False, [False, False], False
        for guild in list(self.down):
            self.recover(guild)
        self.start()
        self.wait(1)
        self.resume()
        self.identify()
        self.all_roll_calls()
        for _ in range(2):
            self.wait(1)
            self.deliver()

    def truth(self) -> Truth:
        """What happened until now, and what of it can be known."""
        live = {guild: [(since, FOREVER)] for guild, since in self.seen_since.items()}
        still = [TrueStay(user, *seat, FOREVER) for user, seat in self.seats.items() if user != BOT]
        return Truth(
            now=self.now,
            stays=[*self.stays, *still],
            decisions=[
                TrueDecision(made.interaction_id, made.user_id, made.decision, created_at(made.interaction_id))
                for made in self.decisions
            ],
            seen={guild: [*self.seen[guild], *live.get(guild, [])] for guild in GUILDS},
            looks={guild: [*self.looks[guild], *live.get(guild, [])] for guild in GUILDS},
            lost=self.lost,
            disk_lost=self.disk_lost,
            tolerance=self.harness.tolerance_ms,
            slack=2 * self.farthest if self.stepping else 0,
        )

    def broken(self) -> Iterator[str]:
        """What is against the rules that hold at any moment."""
        rows = self.harness.rows()
        yield from broken_rules(rows, self.intervals())
        known = {made.user_id for made in self.decisions if made.decision == "in"}
        kept = {record.person for record in self.harness.queue if record.person is not None}
        noted = {int(key.partition(":")[2]) for key in self.harness.notes if key.startswith("consent:")}
        yield from (f"rule 1: {user} is on the disk and never was in" for user in (kept | noted) - known)
