"""A small world that is the truth, a gateway that shows it well or badly, and listeners that watch (watcher.py).

Every public method is something that can happen; none that is impossible at the moment does anything.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from typing import Any

from db_client.records import ChannelRecording, ConsentDecision, Record
from db_client.snowflake import created_at
from gateway_listener.clock import NEAR_MS, Clock
from tests.gateway_listener.clocks import recorded_after_reading, wrong_lengths
from tests.gateway_listener.harness import DESK
from tests.gateway_listener.people import GUILDS, NAMED, People, room
from tests.gateway_listener.rooms import Rooms
from tests.gateway_listener.rules import channel_sessions_of, ill_formed, unseen_counted
from tests.gateway_listener.tables import Service
from tests.gateway_listener.truth import Span, TrueDecision, Truth, broken_rules, within, without
from tests.gateway_listener.watcher import ASK_AFTER, Watcher, consent_in

HEARTBEAT = 41_250
TABLES = ("voice_sessions", "consent_log", "opt_in_users", "listener_watermarks", "voice_totals", "unrecorded_channels")
SUM_OF_SESSIONS = """SELECT guild_id, block, channel_id, user_id,
 sum(sessions) AS sessions, sum(counted_ms) AS counted_ms, sum(afk_ms) AS afk_ms
 FROM session_shares GROUP BY guild_id, block, channel_id, user_id ORDER BY guild_id, block, channel_id, user_id"""


class SmallWorld:
    """Two guilds, the endpoint's two pods, the service, and a listener (or two)."""

    def __init__(self, *, stepping: bool = False) -> None:
        self.people = People(self._tell)
        self.rooms = Rooms()
        self.service = Service()
        self.stepping = stepping
        self._wall_ahead = self._uncounted = 0
        self._prefixes = iter(f"stay{letter}x" for letter in "abcdefghijklmnopqrstuvwxyz" * 100)
        # the endpoint's two pods
        self.decisions: list[ConsentDecision] = []
        self.pods: tuple[list[Record], list[Record]] = ([], [])
        self.stuck = [False, False]
        self.service_up = True
        self.lagging = False
        """What the listeners have waits, though the service is up."""
        self.watcher = self._watcher((0, 1))
        """The listener that things happen to."""
        self.second: Watcher | None = None
        """Another one on the same shard, by mistake, alive or (with something on its disk) not."""
        self.seconds = 0
        self.unheard: dict[tuple[int, int], list[Span]] = defaultdict(list)
        """By person and guild: from a leave that was never sent until it was found out."""
        self._before_resharding: list[Record] = []
        self._disturbed: list[Span] = []
        self._disturbed_since: int | None = None
        self.watcher.start()
        self.watcher.follow()
        self.watcher.identify()

    @property
    def watchers(self) -> list[Watcher]:
        """All of them."""
        return [self.watcher] if self.second is None else [self.watcher, self.second]

    def surround(self, *, service_up: bool, lagging: bool, answers_lost: bool, disk_full: bool, batching: bool) -> None:
        """How the service, the way there, and the listener's machine are from now on."""
        self.service_up, self.lagging = service_up, lagging
        for watcher in self.watchers:
            harness = watcher.harness
            harness.delivering = service_up and not lagging
            harness.answers_lost, harness.disk_full, harness.batching = answers_lost, disk_full, batching

    def _watcher(self, shard: tuple[int, int]) -> Watcher:
        prefix = next(self._prefixes)
        return Watcher(self.people, self.rooms, self.service, self._new_clock, shard=shard, prefix=prefix)

    def _new_clock(self) -> Clock:
        """The clock of a process, on a machine whose own may be wrong; Discord's is the truth."""
        return Clock(
            wall=lambda: (self.people.now + self._wall_ahead) / 1000,
            steady=lambda: (self.people.now - self._uncounted) / 1000,
        )

    def lose_leave(self, user: int, then: int, sign: str, meanwhile: Callable[[], None]) -> None:
        """A leave that is never sent, and some time later a sign of it: a new session's roll call, the person in the
        other guild, or an answer. (If the person came back to the guild before that, nobody could ever know.)
        `meanwhile` something else happens."""
        seat, watcher = self.people.seats.get(user), self.watcher
        if seat is None or self.second is not None or seat[0] not in watcher.seen_since:
            return
        left_at = self.people.now
        self.people.vanish(user)
        self.wait(then)
        meanwhile()
        self.wait(then)
        other = next((guild for guild in watcher.seen_since if guild != seat[0]), None)
        if sign == "elsewhere" and other is not None:
            self.people.move(user, other, DESK)
            self.wait(2000 + 2 * HEARTBEAT)
        else:
            if sign == "asked":
                self.wait(ASK_AFTER + 2 * HEARTBEAT)
            watcher.disconnect()
            watcher.identify()
            watcher.all_roll_calls()
        self.unheard[user, seat[0]].append((left_at, self.people.now))

    def _tell(self, guild: int, kind: str, data: dict[str, Any]) -> None:
        for watcher in self.watchers:
            watcher.tell(guild, kind, data)

    # --- time ---

    def wait(self, milliseconds: int) -> None:
        """Time passes: heartbeats are acknowledged, what can be delivered is, the consent log is followed."""
        until = self.people.now + milliseconds
        while self.people.now < until:
            self.people.now = min(until, (self.people.now // HEARTBEAT + 1) * HEARTBEAT)
            if self.people.now % HEARTBEAT == 0:
                for watcher in self.watchers:
                    watcher.heartbeat()
                    watcher.ask()
        if milliseconds:
            for watcher in self.watchers:
                if watcher.alive:
                    watcher.harness.hand_over()
        self.deliver()
        self.follow()

    def step_clock(self, ahead: int) -> None:
        """The machine's clock is set, by NTP or by hand or by a power cut, to so much ahead of Discord's."""
        self._wall_ahead = ahead

    def doze(self, milliseconds: int, *, wall_counts: bool) -> None:
        """The machine sleeps, its connection breaks, and its steady clock does not count the time."""
        self.watcher.disconnect()
        self.people.now += milliseconds
        self._uncounted += milliseconds
        if not wall_counts:
            self._wall_ahead -= milliseconds

    # --- decisions ---

    def decide(self, user: int, decision: str, pod: int) -> None:
        """A slash command, answered by one of two pods."""
        interaction = self.service.interaction(self.people.now)
        made = ConsentDecision(interaction, user, decision, f"u{user}", f"U{user}")  # type: ignore[arg-type]
        self.decisions.append(made)
        self.pods[pod].append(made)

    def decide_recording(self, guild: int, kind: int, recorded: bool) -> None:
        """A manager opens or closes a channel; one pod answers all of these, for the service keeps the newest only."""
        made = ChannelRecording(self.service.interaction(self.people.now), guild, room(guild, kind), recorded)
        self.rooms.decide(made)
        self.pods[0].append(made)

    def deliver(self) -> None:
        """What the pods and the listeners have goes to the service, if that can be."""
        if self.service_up:
            for pod, queue in enumerate(self.pods):
                while queue and not self.stuck[pod]:
                    self._write(queue.pop(0))
        for watcher in self.watchers:
            if watcher.alive or watcher is self.second:
                watcher.harness.delivering = self.service_up and not self.lagging
                watcher.harness.deliver()

    def _write(self, decision: Record) -> None:
        before, known = {row["session_id"]: row for row in self.rows()}, consent_in(self.service)
        self.service.write(decision)
        if isinstance(decision, ChannelRecording):
            self.rooms.arrive(decision)
        for watcher in self.watchers:
            if isinstance(decision, ChannelRecording):
                watcher.decided_about(decision.channel_id, decision.at)
            elif isinstance(decision, ConsentDecision):
                watcher.decided(decision.user_id, before=known.get(decision.user_id, []), decision=decision.decision)
        for row in self.rows():
            earlier = before.get(row["session_id"])
            if row != earlier:
                for watcher in self.watchers:
                    watcher.was_cut(row, earlier)

    def follow(self) -> None:
        """The listeners read what was decided."""
        if self.service_up:
            for watcher in self.watchers:
                watcher.follow()

    def repeat(self, place: int) -> None:
        """A decision arrives a second time: rule 4."""
        waiting = {id(made) for queue in self.pods for made in queue}
        arrived = [made for made in self.decisions if id(made) not in waiting]
        if arrived and self.service_up:
            before = self._dump()
            self.service.write(arrived[place % len(arrived)])
            assert self._dump() == before, "rule 4: a decision sent twice changed something"

    def deliver_twice(self) -> None:
        """The listener's batch is sent, the answer is lost, and it is sent again: rule 4."""
        for watcher in self.watchers:
            batch = list(watcher.harness.queue)
            if self.service_up and batch:
                watcher.harness.delivering = True
                watcher.harness.deliver()
                before = self._dump()
                for record in batch:
                    self.service.write(record)
                # Of two listeners, the one may be let in the second time where the other stood in its way at first.
                same = self._dump() == before or self._disturbed_since is not None
                assert same, "rule 4: a batch sent twice changed something"

    def _dump(self) -> list[Any]:
        return [self.service.rows(f"SELECT * FROM {table} ORDER BY 1, 2") for table in TABLES]

    # --- guilds ---

    def outage(self, guild: int) -> None:
        """Discord loses the guild."""
        self.people.outage(guild)

    def recover(self, guild: int) -> None:
        """The guild is back, with all that changed meanwhile."""
        if guild in self.people.down:
            self.people.down.discard(guild)
            self._call(guild)

    def remove_bot(self, guild: int) -> None:
        """The bot is thrown out of the guild."""
        self.people.remove_bot(guild)

    def add_bot(self, guild: int) -> None:
        """The bot is invited again."""
        if self.people.add_bot(guild):
            self._call(guild)

    def _call(self, guild: int) -> None:
        for watcher in self.watchers:
            watcher.call(guild)

    # --- resharding ---

    def reshard(self) -> None:
        """SHARD_COUNT becomes 2: from now on the other guild is another listener's affair, and none of this one's."""
        if self.second is None and self.watcher.harness.shard == (0, 1):
            self.watcher.kill()
            self._before_resharding = list(self.watcher.harness.queue)
            self.watcher.harness.shard = (0, 2)
            self.watcher.start()
            self.watcher.identify()

    def _meddling(self) -> Iterator[str]:
        """What the listener writes about a guild that is not one of its own."""
        ours = {None, *self.watcher.guilds}
        for record in self.watcher.harness.queue:
            if getattr(record, "guild_id", None) not in ours and record not in self._before_resharding:
                yield f"{record} is about another shard's guild"

    # --- a second listener on the same shard ---

    def start_second(self) -> None:
        """It comes with a new disk; the first has told the service lately up to when it saw, if it could."""
        if self.second is not None or self.stepping:
            return
        self.watcher.share()
        self.deliver()
        self.second = self._watcher(self.watcher.harness.shard)
        self.seconds += 1
        if self._disturbed_since is None:
            self._disturbed_since = min(self.people.now, self.second.known_to())
        self.second.start()
        self.second.identify()
        self.second.all_roll_calls()

    def kill_second(self) -> None:
        """What is on its disk is delivered later."""
        if self.second is not None:
            self.second.kill()

    def compare(self) -> dict[str, int] | None:
        """The listener compares; with no second one any more, all is then as if there had never been one."""
        if not self.service_up:
            return None
        settled = self.watcher.settled
        drift = self.watcher.compare()
        second = self.second
        if not settled or self._disturbed_since is None or (second and (second.alive or second.harness.queue)):
            return drift
        if self.people.joined.intersection(self.watcher.guilds) - self.watcher.seen_since.keys():
            return drift  # what cannot be seen is not compared
        self._disturbed.append((self._disturbed_since, self.people.now))
        self._disturbed_since = self.second = None
        return drift

    @property
    def may_differ(self) -> bool:
        """True if a comparison may find something: a disk was lost with what it had, or a second listener was there."""
        return self.watcher.lost_unsent or self._disturbed_since is not None

    def both_compare(self) -> None:
        """They compare in turn, and agree; mostly after once, after three times at the latest."""
        self.wait(1)
        second = self.second
        if second is None or not (self.watcher.settled and second.settled and self.service_up and not self.lagging):
            return
        for _ in range(3):
            for watcher in (self.watcher, second):
                watcher.compare()
                self.deliver()
        if self.watcher.settled and second.settled:
            again = [watcher.compare() for watcher in (self.watcher, second)]
            assert again == [{}, {}], f"two listeners do not agree after both have compared: {again}"

    # --- the end ---

    def settle(self) -> None:
        """Everything works again, and what waits is delivered."""
        self.service_up, self.lagging, self.stuck = True, False, [False, False]
        for guild in list(self.people.down):
            self.recover(guild)
        for watcher in self.watchers:
            watcher.harness.disk_full = watcher.harness.answers_lost = False
            watcher.beat()
            watcher.acknowledge()
        self.watcher.start()
        self.wait(1)
        for watcher in self.watchers:
            watcher.resume()
            watcher.identify()
            watcher.all_roll_calls()
        for _ in range(2):
            self.wait(1)
            self.deliver()
        self.both_compare()
        self.kill_second()
        self.wait(1)

    def truth(self) -> Truth:
        """What happened until now, and what of it can be known."""
        watcher = self.watcher
        return Truth(
            now=self.people.now,
            stays=[stay for stay in self.people.all_stays() if stay.guild_id in watcher.guilds],
            decisions=[
                TrueDecision(made.interaction_id, made.user_id, made.decision, created_at(made.interaction_id))
                for made in self.decisions
            ],
            seen={guild: without(watcher.seen_until_now(guild), self._disturbed) for guild in watcher.guilds},
            looks={guild: [*watcher.looks_until_now(guild), *self._disturbed] for guild in watcher.guilds},
            lost=watcher.lost,
            unheard=self.unheard,
            lost_rooms=watcher.lost_rooms,
            unsure_rooms=watcher.unsure_rooms,
            unrecorded={channel: self.rooms.holes(channel) for channel in self.rooms.channels},
            afk=self.people.afk_until_now(),
            flags=self.people.flag_changes,
            disks_lost=watcher.disks_lost,
            disturbed=self._disturbed,
            cut_blindly=frozenset(watcher.cut_blindly),
            tolerance=watcher.harness.tolerance_ms,
            slack=self._slack(),
        )

    def _slack(self) -> int:
        """Discord's `Date` says whole seconds: the listener's moments are off by that much."""
        return 2 * (self.watcher.farthest + 1) if self.stepping else 0

    def own_rows(self) -> list[dict[str, Any]]:
        """The stored sessions of the listener's shard."""
        return [row for row in self.rows() if row["guild_id"] in self.watcher.guilds]

    def rows(self) -> list[dict[str, Any]]:
        """The stored sessions."""
        return self.service.rows("SELECT * FROM voice_sessions ORDER BY user_id, started_at, session_id")

    def broken(self) -> Iterator[str]:
        """What is against the rules that hold at any moment."""
        rows = self.rows()
        yield from broken_rules(rows, consent_in(self.service))
        yield from ill_formed(rows)
        slack = self._slack()
        waiting = frozenset() if self.watcher.settled else frozenset(GUILDS)
        since = self._disturbed_since
        disturbed = self._disturbed if since is None else [*self._disturbed, (since, self.people.now)]
        blind = {
            guild: [gap for gap in self.watcher.blind[guild] if not within([gap], disturbed)]
            for guild in self.watcher.guilds
        }
        yield from unseen_counted(rows, blind, self.watcher.harness.tolerance_ms + slack, waiting)
        yield from self._meddling()
        known = {made.user_id for made in self.decisions if made.decision == "in"}
        for watcher in self.watchers:
            yield from watcher.wrong_memory() if self._disturbed_since is None else ()
            kept = {record.person for record in watcher.harness.queue if record.person is not None}
            noted = {int(key.partition(":")[2]) for key in watcher.harness.notes if key.startswith("consent:")}
            yield from (f"rule 1: {user} is on the disk and never was in" for user in (kept | noted) - known)

    def wrong_by_a_clock(self) -> Iterator[str]:
        """What the clocks may not change."""
        watcher = self.watcher
        if watcher.farthest > NEAR_MS:
            yield f"the listener's clock was {watcher.farthest} ms beside Discord's"
        looks = {guild: watcher.looks_until_now(guild) for guild in watcher.guilds}
        truth, rows = self.truth(), self.own_rows()
        yield from wrong_lengths(truth, rows, looks)
        yield from recorded_after_reading(truth, rows, watcher.read)

    def wrong_names(self) -> Iterator[str]:
        """Of a guild that is seen, channels that Discord names and in which a session stands have a name; no others.

        What a second listener told, and took back, it alone would have told again.
        """
        named = {row["channel_id"] for row in self.service.rows("SELECT * FROM channels")}
        recorded = {(row["guild_id"], row["channel_id"]) for row in self.rows()}
        for channel in named - {channel for _, channel in recorded}:
            yield f"{channel} has a name, and nothing is recorded there"
        for guild, channel in recorded:
            is_named = guild in self.watcher.seen_since and channel in {room(guild, kind) for kind in NAMED}
            if is_named and channel not in named and not self.seconds:
                yield f"{channel} has no name"

    def wrong_views(self) -> Iterator[str]:
        """What is derived from the sessions and is not what they imply."""
        stored = [
            (row["channel_id"], row["started_at"], row["ended_at"], row["people"])
            for row in self.service.rows("SELECT * FROM channel_sessions ORDER BY channel_id, started_at")
        ]
        implied = channel_sessions_of(self.rows())
        if stored != implied:
            yield f"channel sessions are {stored} and should be {implied}"
        totals = self.service.rows("SELECT * FROM voice_totals ORDER BY guild_id, block, channel_id, user_id")
        shares = self.service.rows(SUM_OF_SESSIONS)
        if totals != shares:
            yield f"totals are {totals} and should be {shares}"
