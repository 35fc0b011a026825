"""The listener's pure centre with a disk and a service in memory: the real statements on a real SQLite, no sockets.

world = Harness()
world.connect({GUILD: {}})
world.opt_in(ADA)
world.state(ADA, DESK)
world.pass_ms(5000)
world.state(ADA, None)
assert world.rows() == [...]
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import db_client
from db_client import reading_statements
from db_client.erasure import Erasure, left_of
from db_client.records import (
    Channel,
    ChannelRecording,
    ConsentDecision,
    Guild,
    GuildPresence,
    GuildSight,
    Record,
    Watermark,
    from_json,
)
from gateway_listener import frames
from gateway_listener.consent import Decision
from gateway_listener.frames import Content, Frame
from gateway_listener.notes import CONSENT_SEQ, WATERMARK, Memory, remembered
from gateway_listener.outbox import Forget, Note
from gateway_listener.position import Position, Row
from gateway_listener.reading import session_of
from gateway_listener.recorder import coalesced, notes_with, subjects
from gateway_listener.recording import ChannelDecision
from gateway_listener.tracker import Tracker
from tests.gateway_listener.tables import Service

SCHEMA = Path(db_client.__file__).parent / "schema"
NOON = 1_800_000_000_000
GUILD, DESK, SOFA, AFK = 1 << 30, 101, 102, 103
ADA, BOB, CAT, BOT = 11, 12, 13, 99


def left_of_record(record: Record, forget: Forget) -> Record | None:
    """What `Store.forget` leaves of what waits; entries that have no moment of their own go."""
    if record.person != forget.user_id:
        return record
    left = left_of(Erasure(*forget), record.to_json().encode(), 0)
    return None if left is None else from_json(left.decode())


class Harness:
    """One listener, its disk, the service, and the time, all in memory; what is public moves one of them."""

    def __init__(
        self,
        *,
        tolerance_ms: int = 120_000,
        service: Service | None = None,
        prefix: str = "stay",
        shard: tuple[int, int] = (0, 1),
        new_disk: bool = False,
        ask_after_ms: int = 3_600_000,
    ) -> None:
        self.now = NOON
        self.shard = shard
        self.service = service or Service()
        self.tolerance_ms = tolerance_ms
        self.ask_after_ms = ask_after_ms
        self.notes: dict[str, str] = {}
        self.queue: list[Record] = []
        self.delivering = True
        self.answers_lost = False
        """What is delivered arrives, and is sent again: nobody heard that it did."""
        self.disk_full = False
        self.batching = False
        """Frames are seen, and what follows from them is handed over later, in one batch."""
        self.late_since: int | None = None
        """What is read now may have come at any time since then."""
        self.unwritten: list[Any] = []
        self.forgotten: list[int] = []
        self._ids = (f"{prefix}{number}" for number in itertools.count(1))
        self._sequence = itertools.count(1)
        self._sessions = itertools.count(1)
        self.tracker = self._new_tracker()
        self._memory = Memory(shard=shard)
        """What the process found on its disk."""
        if not new_disk:
            self.tracker.restore(Memory(shard=shard, known=shard), self.now)
            self._settle()

    def _new_tracker(self) -> Tracker:
        tracker = Tracker(
            new_id=lambda: next(self._ids), tolerance_ms=self.tolerance_ms, ask_after_ms=self.ask_after_ms
        )
        tracker.presence.ours = True
        self._position: Position | None = None
        """How far this process has followed the consent log; None: as far as its disk says."""
        return tracker

    def pass_ms(self, milliseconds: int) -> int:
        self.now += milliseconds
        return self.now

    # --- the gateway ---

    def see(self, content: Content, sequence: int | None = None) -> None:
        frame = Frame(content, next(self._sequence) if sequence is None else sequence)
        self.tracker.see(frame, self.now, late_since=self.late_since)
        self._settle()

    def text(self, text: str) -> None:
        """A frame as it is on the wire; one that cannot be read is left out."""
        try:
            frame = frames.read(json.loads(text))
        except frames.Malformed as problem:
            frame = Frame(frames.Seen(), problem.sequence)
        except ValueError:
            return
        if frame is not None:
            self.tracker.see(frame, self.now, late_since=self.late_since)
            if not self.batching:
                self._settle()

    def hand_over(self) -> None:
        """What `Listener._hand_over_rest` does."""
        self._settle()

    def ack(self) -> None:
        self.tracker.see(Frame(frames.Ack()), self.now, late_since=self.late_since)
        self._settle()

    def hello(self) -> None:
        self.tracker.see(Frame(frames.Hello(41_250)), self.now)

    def resumed(self) -> None:
        self.see(frames.Resumed())

    def ready(self, *guilds: int) -> None:
        self._sequence = itertools.count(1)
        self.see(frames.Ready(f"session {next(self._sessions)}", frozenset(guilds)))

    def connect(self, present: Mapping[int, Mapping[int, int]]) -> None:
        """HELLO, READY, and the roll call of each guild: person to channel."""
        self.hello()
        self.ready(*present)
        for guild, people in present.items():
            self.roll_call(guild, people)

    def roll_call(self, guild: int, people: Mapping[int, int], *, bots: Iterable[int] = (BOT,), **flags: int) -> None:
        self.see(
            frames.RollCall(
                guild_id=guild,
                name="Study room",
                afk_channel_id=AFK,
                channels=tuple(frames.ChannelInfo(i, n, 2) for i, n in ((DESK, "Desk"), (SOFA, "Sofa"), (AFK, "Away"))),
                voice_states=tuple(
                    frames.VoiceState(guild, user, None if user in bots else channel, flags.get("flags", 0))
                    for user, channel in people.items()
                ),
            )
        )

    def state(self, user: int, channel: int | None, *, flags: int = 0, guild: int = GUILD) -> None:
        self.see(frames.VoiceState(guild, user, channel, flags))

    # --- decisions ---

    def decision(self, user: int, decision: str, at: int | None = None) -> ConsentDecision:
        interaction = self.service.interaction(self.now if at is None else at)
        return ConsentDecision(interaction, user, decision, f"u{user}", f"U{user}")  # type: ignore[arg-type]

    def decide(self, user: int, decision: str, at: int | None = None) -> None:
        """A decision that reaches the service, and the listener, at once."""
        self.service.write(self.decision(user, decision, at))
        self.follow()

    def read_consent(self) -> None:
        """The consent log has been read to its end, with nothing new in it."""
        self.tracker.consent_read(self.now)

    def opt_in(self, user: int, at: int | None = None) -> None:
        self.decide(user, "in", at)

    def opt_out(self, user: int, at: int | None = None) -> None:
        self.decide(user, "out", at)

    def erase(self, user: int, at: int | None = None) -> None:
        self.decide(user, "erase", at)

    def follow(self, *, complete: bool = False) -> None:
        """The listener reads the consent log, as `ConsentFeed.read` does."""
        position = self._position or Position.from_text(self.notes.get(CONSENT_SEQ, ""))
        known = position.seq
        rows = self.service.read(reading_statements.consent_after(0 if complete else known, 100_000))
        decisions = [Decision.from_row(row) for row in rows]
        erased = {row["user_id"] for row in rows if row["decision"] == "erase" and row["seq"] > known}
        self.tracker.decide(decisions, erased, self.now, complete=complete)
        new = [Row(row["seq"], row["interaction_id"]) for row in rows if row["seq"] > known]
        self._position = position.moved(position.rows, new)
        newest = [Note(CONSENT_SEQ, self._position.to_text())] if new else []
        self._settle(*newest)

    def record(self, channel: int, recorded: bool, *, follow: bool = True) -> None:
        """A manager decides about a channel; with `follow` the listener hears of it at once."""
        interaction = self.service.interaction(self.now)
        self.service.write(ChannelRecording(interaction, GUILD, channel, recorded))
        if follow:
            self.follow_channels()

    def follow_channels(self) -> None:
        """The listener reads which channels are not recorded, as `ConsentFeed` does."""
        rows = self.service.read(reading_statements.recording_after(0, *self.shard))
        if rows:
            self.tracker.decide_recording([ChannelDecision.from_row(row) for row in rows], self.now)
            self._settle()

    # --- the disk and the service ---

    def _settle(self, *more: Any) -> None:
        """What the recorder does with the items, and the delivery with the queue."""
        self.unwritten += [*self.tracker.take(), *more]
        if not self.disk_full:
            self._commit()
        self.deliver()

    def _commit(self) -> None:
        items, self.unwritten = self.unwritten, []
        while items:
            length = next((place for place, item in enumerate(items) if isinstance(item, Forget)), len(items))
            self._keep(items[:length])
            for item in items[length : length + 1]:
                self.forgotten.append(item.user_id)
                self.queue = [left for record in self.queue if (left := left_of_record(record, item)) is not None]
            items = items[length + 1 :]
        if self.tracker.watermark_to_keep is not None:
            self.notes[WATERMARK] = str(self.tracker.watermark_to_keep)

    def _keep(self, items: list[Any]) -> None:
        self.queue.extend(coalesced(item for item in items if isinstance(item, Record)))
        for key, value in notes_with(items).items():
            if value is None:
                self.notes.pop(key, None)
            else:
                self.notes[key] = value

    def deliver(self) -> None:
        if self.delivering:
            for record in self.queue:
                self.service.write(record)
            if not self.answers_lost:
                self.queue.clear()

    def restart(self, *, service_up: bool = True, shard: tuple[int, int] | None = None) -> None:
        """kill -9 and a new process on the same disk, perhaps of another shard."""
        self.shard = shard or self.shard
        self.unwritten = []
        self.tracker = self._new_tracker()
        self._memory = remembered(self.notes, *self.shard)
        if self._memory.complete:
            self.tracker.restore(self._memory, self.now)
            self._settle()
            if service_up:
                self.follow(complete=True)
        elif service_up:
            self.read_baseline()

    def new_disk(self) -> None:
        """kill -9 and a new process on another machine: it knows what the service knows, when that can be read."""
        self.notes, self.queue, self.unwritten = {}, [], []
        self._memory = Memory(shard=self.shard)
        self.tracker = self._new_tracker()

    def read_baseline(self) -> None:
        """What `ConsentFeed.read` does where the disk does not know all that is open."""
        memory = self._memory.completed(
            watermark=next(
                (row["observed_at"] for row in self.service.read(reading_statements.watermark(*self.shard))), None
            ),
            marks={
                row["guild_id"]: row["mark"]
                for row in self.service.read(reading_statements.open_guild_marks(*self.shard))
            },
            sights=self._sights(),
            sessions=[session_of(row) for row in self.service.read(reading_statements.open_sessions(*self.shard))],
        )
        self.tracker.restore(memory, self.now)
        self.follow_channels()
        self.follow(complete=True)

    def _sights(self) -> list[GuildSight]:
        rows = self.service.read(reading_statements.unseen_guilds(*self.shard))
        return [GuildSight(**row, seen=False) for row in rows]

    def share(self) -> None:
        """Tells the service up to when the gateway was seen, as `Listener._share_watermark` does."""
        self._settle()
        marks = self.tracker.marks_to_share()
        if marks is not None:
            sights, observed_at = marks
            self._settle(*sights, Watermark(self.shard[0], observed_at, self.shard[1]))

    def compare(self) -> dict[str, int]:
        """The listener compares open sessions and names, as `Listener._compare` does, whatever is on its way."""
        self._settle()
        people, keys = subjects([*self.unwritten, *self.queue])
        rows = [session_of(row) for row in self.service.read(reading_statements.open_sessions(*self.shard))]
        mark = self.tracker.revision
        drift = self.tracker.compare(rows, mark, self.now, waiting=people)
        guilds = [Guild(**row) for row in self.service.read(reading_statements.guild_names(*self.shard))]
        channels = [Channel(**row) for row in self.service.read(reading_statements.channel_names(*self.shard))]
        names = [*guilds, *channels]
        self.tracker.compare_names([record for record in names if record.key not in keys], self.now)
        self.tracker.forget_other_names({record.key for record in names} | keys, mark)
        asked = reading_statements.nameless_channels(self.tracker.channels_without_name())
        self.tracker.tell_names({row["channel_id"] for row in self.service.read(asked)})
        self._settle()
        return dict(drift)

    def look(self) -> None:
        """Compares what the service has about the shard's guilds, as `Listener._compare_guilds` does."""
        guilds = self.service.read(reading_statements.guilds_of_shard(*self.shard))
        channels = self.service.read(reading_statements.recording_after(0, *self.shard))
        self.tracker.compare_guilds(
            [GuildPresence(**row) for row in guilds],
            [ChannelDecision.from_row(row) for row in channels],
            self._sights(),
            self.now,
        )
        self._settle()

    def ask(self, *there: int, answers: bool = True) -> list[int]:
        """Discord is asked about every guild that is in doubt, as `Listener._ask` does: the bot is in those given."""
        asked = []
        while (guild := self.tracker.presence.question(self.now)) is not None:
            asked.append(guild)
            self.tracker.answer(guild, guild in there if answers else None, self.now)
            self._settle()
        return asked

    # --- looking ---

    def rows(self, user: int | None = None) -> list[dict[str, Any]]:
        where = "" if user is None else "WHERE user_id = :user"
        return self.service.rows(
            f"SELECT * FROM voice_sessions {where} ORDER BY user_id, started_at, session_id",
            **({} if user is None else {"user": user}),
        )

    def times(self, user: int) -> list[tuple[int, int, int | None, str, str | None]]:
        """(channel, start, end, started_by, ended_by) of the person's rows, times counted from NOON."""
        return [
            (
                row["channel_id"],
                row["started_at"] - NOON,
                None if row["ended_at"] is None else row["ended_at"] - NOON,
                row["started_by"],
                row["ended_by"],
            )
            for row in self.rows(user)
        ]
