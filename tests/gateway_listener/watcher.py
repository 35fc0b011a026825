"""One listener of the small world: its process, disk and gateway connection, and what it could know of the truth.

What it could know is worked out here from the rules of Discord and of the disk, never from the listener itself.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from db_client import reading_statements
from db_client.records import VoiceSession
from gateway_listener.clock import Clock
from gateway_listener.frames import VoiceState
from gateway_listener.notes import BASELINE, WATERMARK, remembered
from gateway_listener.stays import REMEMBERED_MS
from tests.gateway_listener.gateway import ACK, Gateway
from tests.gateway_listener.harness import Harness
from tests.gateway_listener.people import BOT, GUILDS, PEOPLE, People
from tests.gateway_listener.rooms import Believed, Rooms
from tests.gateway_listener.tables import Service
from tests.gateway_listener.truth import FOREVER, Span, within, without

ASK_AFTER = 100_000
"""Somebody of whom nothing was heard for so long is asked about: seldom enough that much happens in between."""
# So long after a heartbeat its ACK is due; what is read later than that, and before the ACK, may have waited.
LATE = 500


class Watcher:
    """`shard` is (id, count). Every public method is something that can happen; an impossible one does nothing."""

    def __init__(
        self,
        people: People,
        rooms: Rooms,
        service: Service,
        new_clock: Callable[[], Clock],
        *,
        shard: tuple[int, int],
        prefix: str,
    ) -> None:
        self.people, self.rooms, self.service = people, rooms, service
        self._new_clock = new_clock
        self._clock = new_clock()
        self.harness = Harness(service=service, shard=shard, prefix=prefix, new_disk=True, ask_after_ms=ASK_AFTER)
        self.gateway = Gateway(self._hear)
        self.alive = False
        self.followed = False
        """The consent log has been read by this process."""
        self.farthest = 0
        """How far the listener's clock was from the truth, at most."""
        self.read: dict[int, int] = {}
        """When it read each decision that ends a consent, by its interaction."""
        self.killed_at = 0
        self.disks_lost: list[int] = []
        self.lost_unsent = False
        """A disk was lost with something that the service did not have, and nothing was compared since."""
        self.seen_since: dict[int, int] = {}
        self.seen: dict[int, list[Span]] = defaultdict(list)
        self.looks: dict[int, list[Span]] = defaultdict(list)
        self.blind: dict[int, list[Span]] = defaultdict(list)
        """Gaps that no RESUME bridged: from the last moment that was seen to the roll call after it."""
        self.sure: dict[int, list[Span]] = defaultdict(list)
        """What it and the service have both known of each person's consent, since it last asked."""
        self.lost: dict[tuple[int, int], list[Span]] = defaultdict(list)
        """By person and guild: what it forgot before it could know that it was consented to."""
        self.lost_rooms: dict[int, list[Span]] = defaultdict(list)
        """By channel: what it forgot before it could know that it was to be recorded."""
        self.cut_blindly: set[str] = set()
        """Sessions that the service cut by itself, when this listener had forgotten the stay behind them."""
        self._uncut: set[str] = set()
        self._stood_since = 0
        self._stood_still_in: set[int] = set()
        self._waiting: list[str] | None = None
        """What has come and is not read yet, while the process stands still; None: all is read as it comes."""
        self._beats: list[tuple[int, int]] = []
        """Heartbeats without an ACK: when each was sent, and the last sign before it, by our clock."""
        self._ack_is_lost = False
        """The next heartbeat has no ACK."""
        self._closes = False
        """When the heartbeat after that is due, the connection is closed and the session resumed."""
        self._believed = Believed(rooms)
        self._hidden_bot_in = 0
        """Where it cannot know yet that the bot is one."""
        self._is_in: set[int] = set()
        """Whom it takes to be in: what anybody else does is no sign, to the next process, of how far it has looked."""
        self._looked_at = self._started_at = people.now
        self._last_seen: dict[int, int] = {}
        self._moments: dict[int, int] = {}
        """When it was by the listener's clock, and then by ours."""
        self._tell_time()

    @property
    def guilds(self) -> list[int]:
        """Those of its shard."""
        shard_id, count = self.harness.shard
        return [guild for guild in GUILDS if (guild >> 22) % count == shard_id]

    @property
    def connected(self) -> bool:
        """True while its connection stands."""
        return self.gateway.connected

    @property
    def settled(self) -> bool:
        """True if what it knows is on the disk and in the service, and it sees all that there is to see."""
        harness = self.harness
        ready = self.alive and self.followed and self.connected and not self.gateway.awaiting
        return (
            ready
            and not (harness.queue or harness.unwritten or harness.tracker.unwritten)
            and harness.tracker.recording
        )

    # --- the gateway ---

    def tell(self, guild: int, kind: str, data: dict[str, Any]) -> None:
        """Discord has an event of the guild."""
        if guild not in self.guilds or guild not in self.people.joined:
            return
        if (guild in self.people.down or guild in self.gateway.awaiting) and kind != "GUILD_DELETE":
            return
        if data.get("user_id") == str(BOT):
            self._hidden_bot_in = guild if "member" not in data and data["channel_id"] is not None else 0
        self.gateway.emit(kind, data)
        if kind == "GUILD_DELETE":
            self._lose(guild, at=self.people.now)
            self._stood_still_in.discard(guild)
            if guild in self.gateway.awaiting:
                self.gateway.awaiting.remove(guild)

    def _tell_time(self) -> None:
        self.harness.now = self._clock.now()

    # --- the clock ---

    def _ask_time(self) -> None:
        """Discord's API answers, at once."""
        now = self._clock.steady_ms()
        self._set_clock(self._clock.heard(self.people.now // 1000, now, now))

    def _set_clock(self, by: int) -> None:
        """What `Listener._set_clock` does."""
        tracker = self.harness.tracker
        if by:
            kept, seen = tracker.watermark_to_keep or 0, tracker.sight.watermark or 0
            tracker.shift(by)
            moments = self._moments.get(kept, 0), self._moments.get(seen, 0)
            self._moments[tracker.watermark_to_keep or 0], self._moments[tracker.sight.watermark or 0] = moments
            self._tell_time()
            self.harness.hand_over()

    # --- what is heard ---

    def _hear(self, text: str, live: bool) -> None:
        self._miss_ack()
        if self._waiting is not None:
            self._waiting.append(text)
            return
        self._tell_time()
        self.farthest = max(self.farthest, abs(self.harness.now - self.people.now))
        self.harness.text(text)
        if live and self._is_proof(text) and not self.is_late:
            self._looked_at = self.people.now
            self._moments[self.harness.tracker.sight.watermark or 0] = self.people.now

    def ask(self) -> None:
        """Discord is asked where somebody is of whom nothing was heard for long, and says it."""
        tracker = self.harness.tracker
        asking = self.alive and self.connected and self._waiting is None
        while asking and (question := tracker.question(self.harness.now)) is not None:
            guild, channel, _ = self.people.seats.get(question.user_id, (0, None, 0))
            there = channel if guild == question.guild_id else None
            state = VoiceState(question.guild_id, question.user_id, there, self.people.flags[question.user_id])
            tracker.answered(question, state, self.harness.now)

    def _is_proof(self, text: str) -> bool:
        """What comes whoever is there, and what those do who are in."""
        kind, data = (json.loads(text)[name] for name in ("t", "d"))
        if kind == "VOICE_STATE_UPDATE":
            return int(data["user_id"]) in self._is_in
        return kind in (None, "READY", "RESUMED", "GUILD_CREATE", "GUILD_DELETE")

    def heartbeat(self) -> None:
        """A heartbeat is acknowledged, if somebody is connected; and Discord is asked for its time when that is due."""
        if self.connected and self._waiting is None and self._clock.asks():
            self._ask_time()
        self._tell_time()
        if self._waiting is None:
            self._beat_as_due()
        else:
            self._hear(ACK, True)

    def _beat_as_due(self) -> None:
        """It is sent, and acknowledged at once or, that one, never."""
        if self._beats and self._closes:
            self.disconnect()
            self.resume()
            return
        lost, self._ack_is_lost = self._ack_is_lost, False
        self.beat()
        if not lost:
            self.acknowledge()

    def lose_ack(self, *, closes: bool) -> None:
        """The ACK of the next heartbeat will never come; `closes`: and so the connection is closed at the one after."""
        self._ack_is_lost, self._closes = True, closes

    def beat(self) -> None:
        """A heartbeat is sent, and its ACK is to come."""
        if self.connected and self._waiting is None:
            self._beats.append((self.people.now, self._looked_at))

    def acknowledge(self) -> None:
        """The ACK of the newest heartbeat comes: what Discord had sent before it has been read."""
        self._miss_ack()
        if not self.connected or not self._beats or self._waiting is not None:
            return
        was_late, self.harness.late_since = self.is_late, None
        self._beats.clear()
        self._hear(ACK, True)
        if was_late:
            self.seen_since |= dict.fromkeys(self._stood_still_in, self.people.now)

    @property
    def is_late(self) -> bool:
        """True while what is read may have waited, for a heartbeat has no ACK in time."""
        return bool(self._beats) and self.harness.late_since is not None

    def _miss_ack(self) -> None:
        """The ACK that is due has not come: what is read may be as old as the last sign before its heartbeat."""
        if not self._beats or self.people.now - self._beats[0][0] <= LATE:
            return
        self._tell_time()
        looked_at = self._beats[0][1]
        if not self.is_late:
            self._stood_still_in = set(self.seen_since)
            self._lose(*self.seen_since, at=looked_at)
        self.harness.late_since = looked_at + self.harness.now - self.people.now

    def identify(self) -> None:
        """A new session: READY, and then a roll call of each guild, one by one."""
        if self.alive and not self.connected:
            self._ask_time()
            joined = set(self.guilds) & self.people.joined
            self.gateway.identify(joined, self.people.down)
            self.seen_since.clear()

    def roll_call(self) -> None:
        """The next of the awaited guilds comes."""
        if self.connected and self.gateway.awaiting:
            self.call(self.gateway.awaiting.pop(0))

    def all_roll_calls(self) -> None:
        """All of them come."""
        while self.connected and self.gateway.awaiting:
            self.roll_call()

    def call(self, guild: int) -> None:
        """GUILD_CREATE: the guild as it is."""
        if guild not in self.guilds:
            return
        if self._hidden_bot_in == guild:
            self._hidden_bot_in = 0
        self.gateway.emit("GUILD_CREATE", self.people.snapshot(guild))
        if self.connected:
            if self.is_late and guild in self._stood_still_in:
                return
            if guild not in self.seen_since:
                self.blind[guild].append((self._last_seen.get(guild, 0), self.people.now))
            if self.is_late:
                self._stood_still_in.add(guild)
            else:
                self.seen_since.setdefault(guild, self.people.now)

    def disconnect(self) -> None:
        """The connection breaks; the session lives on."""
        self._miss_ack()
        if self.connected:
            self.gateway.connected = False
            self._clock.interrupted()
            self.harness.tracker.hang_up()
            self._lose(*self.seen_since, at=self._looked_at)
            if self._beats:
                self._beats.clear()
                self.harness.late_since = None

    def resume(self) -> None:
        """A connection again: what was missed is replayed."""
        if self.alive and not self.connected and self.gateway.resumable:
            self._ask_time()
            self.gateway.resume()
            there = set(self.guilds) & self.people.joined - self.people.down - set(self.gateway.awaiting)
            self.seen_since = dict.fromkeys(there, self.people.now)

    def stand_still(self) -> None:
        """The process stands still; what comes waits."""
        if self.connected and self._waiting is None and not self._beats:
            self._tell_time()
            self._waiting = []
            self._stood_since = self.harness.now
            self._stood_still_in = set(self.seen_since)
            self._lose(*self.seen_since, at=self.people.now)

    def go_on(self) -> None:
        """It goes on, reads what has waited, knows that it is late, and by an ACK that it is so no more."""
        if self._waiting is None:
            return
        texts, self._waiting = self._waiting, None
        self._tell_time()
        self.harness.late_since = self._stood_since
        for text in texts:
            self.harness.text(text)
        self.harness.late_since = None
        self._hear(ACK, True)
        self.seen_since |= dict.fromkeys(self._stood_still_in, self.people.now)

    def malformed(self, text: str) -> None:
        """A frame that cannot be read comes between the others."""
        if self.connected:
            self._tell_time()
            self.harness.text(text)

    def _lose(self, *guilds: int, at: int) -> None:
        for guild in list(guilds):
            since = self.seen_since.pop(guild, None)
            if since is None:
                continue
            self._last_seen[guild] = at
            self.looks[guild].append((since, at))
            if since < at:
                self.seen[guild].append((since, at))

    # --- consent and rooms ---

    def follow(self) -> None:
        """Reads what was decided about channels and by people, in this order, as `ConsentFeed.read` does."""
        if not self.alive:
            return
        self._read_late()
        self._tell_time()
        harness = self.harness
        read = self.service.rows("SELECT interaction_id, decision, at FROM consent_log")
        self._set_clock(self._clock.told(max((row["at"] for row in read), default=0)))
        for row in read:
            if row["decision"] != "in":
                self.read.setdefault(row["interaction_id"], self.people.now)
        if not harness.tracker.recording:
            self.cut_blindly |= self._uncut  # they are over, and this disk never knew of them
            harness.read_baseline()
        else:
            harness.follow_channels()
            harness.follow(complete=not self.followed)
        self.followed = True
        harness.read_consent()
        self._is_in = {user for user, spans in consent_in(self.service).items() if any(b == FOREVER for _, b in spans)}
        if not harness.disk_full:
            self._uncut.clear()
            known = consent_in(self.service)
            for user in PEOPLE:
                self.sure[user] = known.get(user, [])
            self._believed.look(self.service)

    def _read_late(self) -> None:
        """What is read of the service now is judged as frames are, as `Listener._time_of_reading` does."""
        self._miss_ack()
        if self.is_late:
            self.harness.tracker.read_late(self.harness.late_since, self.harness.now)

    def decided(self, user: int, *, before: list[Span], decision: str) -> None:
        """A decision of the person has reached the service: what this listener has forgotten cannot follow it."""
        known = consent_in(self.service).get(user, [])
        self.sure[user] = within(self.sure[user], known)
        unknown = without([(0, self.killed_at)], known) if self.killed_at else []
        unknown += within(without(known, before), [(0, self.people.now - REMEMBERED_MS)])
        if decision == "erase":
            # What waits of an earlier process, and began before the erasure, loses its beginning.
            self.cut_blindly |= {
                record.session_id
                for record in self.harness.queue
                if isinstance(record, VoiceSession) and record.user_id == user and record.started_at <= self.killed_at
            }
        for guild in self.guilds:
            self.lost[user, guild] += unknown

    def decided_about(self, channel: int, at: int) -> None:
        """A decision about a channel has reached the service."""
        if at < self.killed_at:
            self.lost_rooms[channel].append((at, self.killed_at))

    def was_cut(self, row: Mapping[str, Any], before: Mapping[str, Any] | None) -> None:
        """The service changed the row by itself, which was so before; this listener will do it better, if it can."""
        if row["guild_id"] not in self.guilds:
            return
        ended_at = row["ended_at"] if before is None else before["ended_at"]
        if ended_at is not None and ended_at <= max(self.killed_at, self.people.now - REMEMBERED_MS):
            self.cut_blindly.add(row["session_id"])
        else:
            self._uncut.add(row["session_id"])

    # --- the process ---

    def kill(self, *, disk_lost: bool = False) -> None:
        """kill -9, and perhaps the disk with it."""
        if not self.alive:
            return
        self.disconnect()
        self.gateway.forget()
        self.alive = False
        now = self.people.now
        waiting = {record.person for record in self.harness.queue}
        if disk_lost:
            self.lost_unsent |= bool(self.harness.queue or self.harness.unwritten or self.harness.tracker.unwritten)
            self.harness.notes, self.harness.queue = {}, []
            self.disks_lost.append(now)
        self.harness.unwritten = []
        self.cut_blindly |= self._uncut
        self._uncut.clear()
        kept = self._moments.get(self._kept(), 0)
        for guild in self.guilds:
            self.seen[guild] = within(self.seen[guild], [(0, kept)])
            for user in PEOPLE:
                if disk_lost and user in waiting:
                    self.lost[user, guild].append((0, now))
                self.lost[user, guild] += without([(self._started_at, now)], self.sure[user])
        for channel, spans in self._believed.forgotten(now).items():
            self.lost_rooms[channel] += spans
        if disk_lost:
            self._believed = Believed(self.rooms, since=now)
        self.killed_at = now

    def known_to(self) -> int:
        """`_kept`, by our clock."""
        return self._moments.get(self._kept(), self._kept())

    def _kept(self) -> int:
        """Up to when the gateway was seen, as the next process will learn it."""
        if BASELINE in self.harness.notes:
            return int(self.harness.notes.get(WATERMARK, 0))
        rows = self.service.read(reading_statements.watermark(*self.harness.shard))
        return max((int(row["observed_at"]) for row in rows), default=0)

    def start(self) -> None:
        """A new process; on a new disk it waits until the service can be read."""
        if self.alive:
            return
        self.alive, self.followed = True, False
        self._started_at = self.people.now
        self._clock = self._new_clock()
        self._tell_time()
        service = consent_in(self.service)
        noted = remembered(self.harness.notes).consents
        self._is_in = set(noted) if BASELINE in self.harness.notes else set()
        for user in PEOPLE:
            by_note = [(noted[user].at, FOREVER)] if user in noted else []
            self.sure[user] = within(by_note, service.get(user, []))
        if BASELINE in self.harness.notes:
            self.harness.restart(service_up=False)
        else:
            self.harness.new_disk()

    def share(self) -> None:
        """Tells the service up to when it saw."""
        if self.alive:
            self.harness.share()

    def compare(self) -> dict[str, int] | None:
        """Compares the open sessions with the service's, whatever is on its way; None if it cannot."""
        tracker = self.harness.tracker
        able = self.alive and self.followed and tracker.recording and tracker.sight.ready
        return self.harness.compare() if able else None

    # --- what it knows ---

    def wrong_memory(self) -> Iterator[str]:
        """What the process has in memory and is not so, as soon as it can know all of it."""
        tracker, people = self.harness.tracker, self.people
        if self.alive and self.connected and self._waiting is None:
            for guild in self.seen_since:
                state = tracker._guilds.get(guild)
                seats = {} if state is None else {user: stay.channel_id for user, stay in state.seats.items()}
                true = {user: seat[1] for user, seat in people.seats.items() if seat[0] == guild}
                true = {user: channel for user, channel in true.items() if user != BOT or self._hidden_bot_in == guild}
                if seats != true:
                    yield f"in memory {seats} are seated in {guild}, and in truth {true}"
        if self.alive and self.followed:
            taken = {user for user in PEOPLE if tracker.tracks(user)}
            if taken != self._is_in:
                yield f"in memory {taken} are in, and {self._is_in} were"
        if self.settled:
            rows = self.service.rows("SELECT guild_id FROM voice_sessions WHERE ended_at IS NULL")
            count = sum(row["guild_id"] in self.guilds for row in rows)
            if tracker.figures()["open_sessions"] != count:
                yield f"{tracker.figures()['open_sessions']} sessions are open in memory, and {count} in the service"

    # --- what it could know ---

    def looks_until_now(self, guild: int) -> list[Span]:
        """When it saw the guild, whether or not that was kept."""
        return [*self.looks[guild], *self._still(guild)]

    def seen_until_now(self, guild: int) -> list[Span]:
        """When it saw the guild, and will not forget it."""
        return [*self.seen[guild], *self._still(guild)]

    def _still(self, guild: int) -> Iterable[Span]:
        return [(self.seen_since[guild], FOREVER)] if guild in self.seen_since else []

    @property
    def unsure_rooms(self) -> dict[int, list[Span]]:
        """By channel: when nobody told this listener whether it was recorded."""
        return self._believed.unsure


def consent_in(service: Service) -> dict[int, list[Span]]:
    """Each person's consent, as the service has it now."""
    found: dict[int, list[Span]] = defaultdict(list)
    for row in service.rows("SELECT user_id, from_at, to_at FROM consent_intervals"):
        found[row["user_id"]].append((row["from_at"], FOREVER if row["to_at"] is None else row["to_at"]))
    return found
