"""The pure centre of the listener: frames, decisions and times in; records and notes out.

    tracker = Tracker(new_id=..., tolerance_ms=...)
    tracker.restore(memory, now)                    # once: what an earlier run, or the service, knows
    tracker.see(frame, now)                         # each frame, in order
    tracker.decide(decisions, erased, now)          # each batch of decisions, in order
    tracker.take()                                  # the items for the recorder, in order
    tracker.watermark_to_keep                       # kept together with them

What comes out is the same whether people without consent are there or not.
Times are milliseconds since 1970 UTC and never run backwards here: an earlier one counts as the latest given.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Container, Iterable, Sequence
from typing import Any

from db_client.records import Channel, Guild, GuildPresence, GuildSight, VoiceSession
from gateway_listener import frames, heal
from gateway_listener.clock import NEAR_MS
from gateway_listener.consent import Decision
from gateway_listener.edge import LIVE, NEVER, Unseen, What
from gateway_listener.guilds import GuildState
from gateway_listener.ledger import Ledger
from gateway_listener.naming import Naming
from gateway_listener.notes import BASELINE, Memory, open_key, past, unseen_key
from gateway_listener.outbox import Item, Note
from gateway_listener.presence import Presence
from gateway_listener.recording import ChannelDecision
from gateway_listener.seats import Seats
from gateway_listener.sight import Sight
from gateway_listener.signs import Question
from gateway_listener.stays import moving
from gateway_listener.unseen import UnseenGuilds

# No stranger can cause these, and each shows that all before it has arrived.
_OF_THE_CONNECTION = frozenset(
    {
        frames.Ack,
        frames.Hello,
        frames.Ready,
        frames.Resumed,
        frames.RollCall,
        frames.GuildUnavailable,
        frames.GuildUnread,
        frames.GuildGone,
    }
)


class Tracker:
    """Who is in voice, what of it may be recorded, and since when the gateway is being seen.

    `new_id` makes ids for stays: unique, without '-'. `tolerance_ms` is the longest unseen gap that a stay survives;
    without a sign of life for `ask_after_ms`, a person is asked about (`question`).
    """

    def __init__(self, *, new_id: Callable[[], str], tolerance_ms: int, ask_after_ms: int = 3_600_000) -> None:
        self.counts: Counter[str] = Counter()
        self.sight = Sight()
        self._guilds: dict[int, GuildState] = {}
        self._ledger = Ledger(new_id, self._guilds)
        self._seats = Seats(
            self._guilds, self._ledger, self.sight, self.counts, tolerance_ms=tolerance_ms, ask_after_ms=ask_after_ms
        )
        self._naming = Naming(self._ledger)
        self._now = 0
        self._began = 0
        """When the first frame of this run was read; 0: none was."""
        self._earlier_until = 0
        """Up to then there may be rows of an earlier run, which nobody moves."""
        self._noticed_at = 0
        """When something came last that no stranger caused."""
        self._unseen_noted: dict[int, None] = {}
        """The guilds that have a note of their own."""
        self._unseen_told = UnseenGuilds()
        self.wants_renewal: str | None = None
        """Why a fresh gateway session is asked for: what was lost on this one comes back with no other."""
        self.presence = Presence(self._ledger)
        self._handlers: dict[type, Callable[[Any, int], None]] = {
            frames.VoiceState: self._seats.voice_state,
            frames.Ready: self._ready,
            frames.Resumed: self._resumed,
            frames.Hello: self._hello,
            frames.RollCall: self._roll_call,
            frames.GuildUnavailable: self._guild_unavailable,
            frames.GuildUnread: self._guild_unread,
            frames.GuildGone: self._guild_gone,
            frames.GuildChanged: self._guild_changed,
            frames.ChannelChanged: self._channel_changed,
            frames.ChannelDeleted: self._channel_deleted,
        }

    # --- what goes in ---

    def see(self, frame: frames.Frame, now: int, *, late_since: int | None = None) -> bool:
        """Takes in one frame, which was read at `now`; with `late_since` it may have come at any time since then.

        Returns what `is_proof` said of it.
        """
        if not self._began:
            self._began = self._place(now)
        if late_since is None and self.sight.late_since is None:
            now = self.pass_to(now)
        else:
            self.read_late(late_since, now)
            now = self._now
        content = frame.content
        proof = self.is_proof(content)
        if proof:
            self._noticed_at = now
        repeated = self.sight.repeats(frame)
        counted = frame.sequence is not None and not repeated
        if repeated:
            if proof:
                self.counts["repeated"] += 1
        else:
            if self.sight.missed and proof and counted:
                self._lose_all(now)
            handle = self._handlers.get(type(content))
            if handle is not None:
                if type(content) in _OF_THE_CONNECTION:
                    self._write()
                handle(content, now)
        if proof:
            self.sight.saw(now, counted=counted)
            for guild_id in self.sight.overdue(now):
                self._note_unseen(self._seats.guild(guild_id))
            self._seats.judge(now)
        return proof

    def is_proof(self, content: frames.Content) -> bool:
        """True if no stranger can have caused it: only that may move what is stored of how far the gateway was seen."""
        if type(content) is frames.VoiceState:
            return self.tracks(content.user_id)
        return type(content) in _OF_THE_CONNECTION

    def tracks(self, user_id: int) -> bool:
        """True if the person is in, as far as that is known now."""
        return self._ledger.consents.standing(user_id) is not None

    def read_late(self, since: int | None, now: int) -> None:
        """From now on what is read may have come at any time since then; None: it has just come."""
        self.pass_to(now)
        on_time_again = since is None and self.sight.late_since is not None
        self.sight.late_since = since
        if on_time_again:
            self._seats.look_again(self._now)

    def decide(self, decisions: Sequence[Decision], erased: Iterable[int], now: int, *, complete: bool = False) -> None:
        """Takes in decisions; with `complete` they are the whole consent log. `erased`: whose erasure is new."""
        self.pass_to(now)
        self._write()
        decisions = [decision.read_at(self._now) for decision in decisions]
        for stay in self._ledger.decide(decisions, erased, self._now, complete=complete):
            if stay.ended_at is None:
                self._seats.hold_back(stay, self._now)

    def consent_read(self, now: int) -> None:
        """The consent log has been read to its end: what is to come from there was decided later."""
        self._ledger.read_at = self.pass_to(now)
        self._ledger.forget(self._now)

    def decide_recording(self, decisions: Sequence[ChannelDecision], now: int) -> None:
        """Takes in what managers decided about channels, however often; each is the newest unrecorded time of one."""
        self.pass_to(now)
        self._write()
        for stay in self._ledger.decide_recording([d.read_at(self._now) for d in decisions], self._now):
            if stay.ended_at is None:
                self._seats.hold_back(stay, self._now)

    def restore(self, memory: Memory, now: int) -> None:
        """Takes up what was recorded before this run; from now on it is recorded what follows.

        May come late, when frames have been seen already: those are then compared with `memory` afterwards.
        """
        now = self.pass_to(now)
        if self._began:
            memory.leave_out_future(now)
            self._earlier_until = memory.watermark or 0
        if self.sight.watermark is None:
            self.sight.watermark = memory.watermark
        self._ledger.recall(memory.consents)
        self._ledger.informed = self._ledger.informed or memory.noted
        self._ledger.channels.recall(memory.unrecorded)
        for guild_id in {*memory.unseen, *(session.guild_id for session in memory.sessions)}:
            guild = self._guilds.setdefault(guild_id, GuildState(guild_id))
            if guild.seen_since is None and guild.unseen.since == NEVER:
                guild.unseen = Unseen(memory.unseen.get(guild_id, memory.watermark) or NEVER, by_earlier_run=True)
        self._unseen_noted.update(dict.fromkeys(memory.unseen))
        if memory.noted:
            self._unseen_told.recall(memory.unseen)
        else:
            self._unseen_told.compare(memory.sights)
        for session in sorted(memory.sessions, key=lambda session: session.started_at):
            self._ledger.revision = max(self._ledger.revision, session.revision)
            since = memory.unseen.get(session.guild_id, memory.watermark)
            self._seats.take_up(session, Unseen(since or NEVER, by_earlier_run=True), now)
        if not memory.noted:
            self._ledger.items.extend(Note(open_key(s.session_id), s.to_json()) for s in memory.sessions)
        self.presence.recall(memory.there, memory.away, memory.watermark, now)
        if self.presence.here is not None:
            for guild_id in self._guilds.keys() - self.presence.here:
                self._leave(self._guilds[guild_id], now)
        self._ledger.items.extend(Note(key, None) for key in memory.foreign)
        self._ledger.items.append(Note(BASELINE, memory.shard_note))
        self._ledger.start_recording(now)
        for guild in map(self._seats.guild, list(self._unseen_noted)):
            if guild.seen_since is None:
                self._note_unseen(guild)
            else:
                self._forget_unseen(guild.guild_id)

    def shift(self, by: int) -> None:
        """The clock that gives `now` has been set by so many ms: every moment that it gave moves with it.

        So lengths stay, and what is open is written anew. Before anything was seen it gave none: what an earlier run
        left is in Discord's time.
        """
        self._write()
        if not self._began:
            self._now += by
            self._ledger.shift(by, self._now, None)
            return
        move = moving(by, self._earlier_until)
        self._now = move(self._now)
        self._noticed_at = move(self._noticed_at)
        self.sight.shift(move)
        self._seats.signs.shift(move)
        self.presence.shift(move)
        for guild in self._guilds.values():
            guild.shift(move)
        for guild_id in list(self._unseen_noted):
            self._note_unseen(self._seats.guild(guild_id))
        self._ledger.shift(by, self._now, self._earlier_until)

    def compare(
        self, rows: Iterable[VoiceSession], mark: int, now: int, *, waiting: Container[int] = ()
    ) -> Counter[str]:
        """Heals what differs between the open sessions of the service (`rows`) and these; how often, by kind.

        `mark` is what `revision` was before the rows were asked for, when all of it was taken: later changes are not
        judged, nor people of whom something was on its way to the service then (`waiting`).
        """
        now = self.pass_to(now)
        self._write()
        return heal.heal(self._ledger, self._known_guilds(), rows, mark, now, waiting)

    def compare_names(self, stored: Iterable[Guild | Channel], now: int) -> None:
        """Tells of those among the names that the service has which are other ones by now, or gone."""
        self._naming.compare(self._guilds, stored, self.pass_to(now))

    def forget_other_names(self, standing: Container[str], mark: int) -> None:
        """`standing`: the keys of all the names that the service had at `mark`; others have to be told anew."""
        self._naming.forget_others(standing, mark)

    def channels_without_name(self) -> list[int]:
        """The channels of guilds that are seen, of which the service is not known to have a name."""
        return self._naming.untold(self._known_guilds().values())

    def tell_names(self, channel_ids: Collection[int]) -> None:
        """Something is recorded in these channels, and their names are not: they are told."""
        self._naming.tell(self._known_guilds().values(), channel_ids)

    def compare_guilds(
        self,
        presences: Sequence[GuildPresence],
        channels: Sequence[ChannelDecision],
        sights: Sequence[GuildSight],
        now: int,
    ) -> None:
        """Compares what the service has about the shard's guilds, and everything decided about their channels."""
        self.decide_recording(channels, now)
        self._unseen_told.compare(sights)
        self._noticed_at = now = self._now
        self.presence.compare(presences, {decision.channel_id for decision in channels}, now)

    def answer(self, guild_id: int, is_there: bool | None, now: int) -> bool:
        """Takes Discord's answer to a question of `presence`; True if the bot is not in the guild, which is news."""
        self._noticed_at = self.pass_to(now)
        return self.presence.answered(guild_id, is_there, self._noticed_at)

    # --- what comes out ---

    def take(self) -> list[Item]:
        """The items for the recorder since the last call, in order.

        What changed more than once in between is written once, as it is now.
        """
        self._write()
        return self._ledger.take()

    @property
    def unwritten(self) -> bool:
        """True while `take` has something to make items of, or has some."""
        return self._ledger.unwritten or self.presence.unwritten or bool(self._ledger.items)

    @property
    def watermark_to_keep(self) -> int | None:
        """The moment up to which everything seen is in the items so far, for every guild without a note of its own.

        None while nothing is in them: what this disk, or the service, has of an earlier run is still true.
        """
        return self.sight.watermark_to_keep if self.recording else None

    def marks_to_share(self) -> tuple[list[GuildSight], int] | None:
        """The same for whoever has no notes, to be written in this order behind what was taken; None: not yet.

        What is new of guilds that are not seen and in which something is open, and the moment that holds for others.
        """
        mark = self.watermark_to_keep
        if mark is None:
            return None
        noted = map(self._seats.guild, self._unseen_noted)
        unseen = {guild.guild_id: guild.unseen.surely or None for guild in noted if guild.is_recorded}
        return self._unseen_told.news(unseen, max(mark, self._noticed_at)), mark

    @property
    def revision(self) -> int:
        """The newest revision that was given out."""
        return self._ledger.revision

    @property
    def channels_known_to(self) -> int:
        """The newest version of a decision about a channel that came in this run; 0: none did."""
        return self._ledger.channels.newest

    @property
    def recording(self) -> bool:
        """True once it is known what was recorded before this run."""
        return self._ledger.recording

    def figures(self) -> dict[str, int]:
        """How much is held in memory: guilds, and of those with consent stays and open sessions."""
        guilds = self._known_guilds().values()
        return {
            "guilds": len(guilds),
            "unseen_guilds": sum(guild.seen_since is None for guild in guilds),
            "stays_in_memory": sum(1 for _ in self._ledger.recorded()),
            "open_sessions": sum(1 for _ in self._ledger.open_recorded()),
        }

    # --- the connection ---

    def pass_to(self, now: int) -> int:
        """It is `now`, or the latest moment given before if that is later: what has been over for long is forgotten."""
        if now > self._now:
            self._now = now
            self._ledger.forget(now)
        return self._now

    def hang_up(self) -> None:
        """The connection has ended: until the next one says READY or RESUMED nothing is seen."""
        self.sight.connect()

    def _hello(self, hello: frames.Hello, now: int) -> None:
        self.sight.connect()

    def _resumed(self, resumed: frames.Resumed, now: int) -> None:
        self.sight.resume()
        self._seats.look_again(self._now)

    def _lose_all(self, now: int) -> None:
        """Something was sent before what comes now, and has not come, in whatever guild; no RESUME brings it back."""
        self.sight.missed = False
        self._write()
        known = self._known_guilds()
        for guild in known.values():
            guild.lose_sight(self.sight.watermark or NEVER, self.sight.counted_at)
        self.sight.wait_for(known, now, since=self.sight.counted_at)
        self.wants_renewal = "a jump in the sequence numbers"

    def lose(self, guild_id: int | None, why: str, now: int) -> None:
        """Something that came now was lost of the guild, or (None) of any: it is unseen until its next roll call, which
        is asked for."""
        now = self.pass_to(now)
        self._write()
        for guild in self._known_guilds().values() if guild_id is None else [self._seats.guild(guild_id)]:
            self._lose_sight(guild, now)
        self.wants_renewal = why

    def _lose_sight(self, guild: GuildState, now: int) -> None:
        view = self._seats.view(guild)
        guild.lose_sight(view.since if isinstance(view, Unseen) else now)
        self._note_unseen(guild)
        self.sight.came(guild.guild_id)

    def _ready(self, ready: frames.Ready, now: int) -> None:
        """A new session: events of the gap are lost, and each guild is unseen until its roll call."""
        watermark = self.sight.watermark or NEVER
        known = self._known_guilds()
        for guild_id in ready.guild_ids - known.keys():
            self._seats.guild(guild_id).unseen = Unseen(watermark if guild_id in self.presence.there else NEVER, True)
        self.presence.ready(ready.guild_ids)
        for guild in list(self._guilds.values()):
            guild.lose_sight(watermark)
            if guild.guild_id not in ready.guild_ids:
                self._leave(guild, now)
        self.sight.begin_session(self._guilds, now)
        self.wants_renewal = None

    def _note_unseen(self, guild: GuildState) -> None:
        if guild.seen_since is None:
            self._unseen_noted[guild.guild_id] = None
            if self.recording:
                self._ledger.items.append(Note(unseen_key(guild.guild_id), str(guild.unseen.surely)))

    def _forget_unseen(self, guild_id: int) -> None:
        self.sight.came(guild_id)
        if guild_id in self._unseen_noted:
            del self._unseen_noted[guild_id]
            self._ledger.write()  # what was found there comes before
            self._ledger.items.extend(self._unseen_told.seen_again(guild_id, self._noticed_at))
            self._ledger.items.append(Note(unseen_key(guild_id), None))

    # --- guilds ---

    def _known_guild(self, guild_id: int) -> GuildState | None:
        """The guild, if Discord has named it or something is recorded in it: others are known by strangers alone."""
        guild, here = self._guilds.get(guild_id), self.presence.here
        return guild if guild is not None and (here is None or guild_id in here or guild.is_recorded) else None

    def _known_guilds(self) -> dict[int, GuildState]:
        """All guilds that are known."""
        return {key: guild for key in self._guilds if (guild := self._known_guild(key)) is not None}

    def _roll_call(self, call: frames.RollCall, now: int) -> None:
        unreadable = sum(map(self.tracks, call.unreadable))
        if unreadable:
            self.counts["unreadable"] += unreadable
            self._guild_unread(frames.GuildUnread(call.guild_id), now)
            return
        guild = self._seats.guild(call.guild_id)
        self.presence.arrived(call.guild_id)
        self._naming.called(guild, call, now)
        self._seats.roll_call(guild, call, now)
        self._forget_unseen(guild.guild_id)
        self.counts["roll_calls"] += 1

    def _guild_unavailable(self, outage: frames.GuildUnavailable, now: int) -> None:
        self.presence.arrived(outage.guild_id)
        self._lose_sight(self._seats.guild(outage.guild_id), now)

    def _guild_unread(self, unread: frames.GuildUnread, now: int) -> None:
        if unread.guild_id is not None:
            self.presence.arrived(unread.guild_id)
        self.lose(unread.guild_id, "something of a server could not be read", now)

    def _guild_gone(self, gone: frames.GuildGone, now: int) -> None:
        guild = self._guilds.get(gone.guild_id)
        self.presence.gone(gone.guild_id, now)
        if guild is not None:
            self._leave(guild, now, What.WENT)

    def _leave(self, guild: GuildState, now: int, what: What = What.GONE) -> None:
        """The bot is not in the guild: that was told, or Discord does not name it any more."""
        self._seats.clear(guild, "guild_left", what, now)
        self._forget_unseen(guild.guild_id)
        del self._guilds[guild.guild_id]

    def _guild_changed(self, change: frames.GuildChanged, now: int) -> None:
        guild = self._seats.guild(change.guild_id)
        self._naming.guild_changed(guild, change, now)
        self._seats.cut(guild, now)

    def _channel_changed(self, change: frames.ChannelChanged, now: int) -> None:
        guild = self._seats.guild(change.guild_id)
        self._naming.channel_changed(guild, change, now)
        guild.deleted = tuple(deleted for deleted in guild.deleted if deleted != change.channel.channel_id)
        if change.channel.hidden or guild.behind:
            self._seats.cut(guild, now)

    def _channel_deleted(self, deleted: frames.ChannelDeleted, now: int) -> None:
        guild = self._seats.guild(deleted.guild_id)
        guild.delete(deleted.channel_id)
        self._seats.clear(guild, "left", What.WENT, now, channel_id=deleted.channel_id)
        self._write()  # while the channel has its name
        self._naming.channel_deleted(guild, deleted, now)

    # --- what the gateway has not said ---

    def question(self, now: int) -> Question | None:
        """Somebody who is in and of whom nothing was heard for long; Discord is to be asked where they are."""
        now = self.pass_to(now)
        if not (self.recording and self.sight.view() is LIVE):
            return None
        return self._seats.signs.question(lambda: self._known_guilds().values(), self.tracks, now)

    def answered(self, question: Question, state: frames.VoiceState | None, now: int) -> None:
        """Takes Discord's answer to a question (None: there was none); what the gateway has said since then counts."""
        self._noticed_at = self.pass_to(now)
        self._seats.answered(question, state, self._noticed_at)

    # --- what was recorded before ---

    def _place(self, now: int) -> int:
        """Discord's time is known. What an earlier run left may be in its future: then that run's clock was ahead, and
        nobody knows by how much; but for the little by which two runs can differ, by which this one begins later.
        """
        restored = [stay for guild in self._guilds.values() for stay in guild.seats.values()]
        moments = [self.sight.watermark or 0, *(guild.unseen.since for guild in self._guilds.values())]
        moments += [stay.started_at for stay in restored]
        self._now = now = max([now, *(moment for moment in moments if moment <= now + NEAR_MS)])
        self.sight.watermark = past(self.sight.watermark, now)
        self._earlier_until = self.sight.watermark or 0
        self.presence.recall((), {}, self.sight.watermark, now)
        for guild in self._guilds.values():
            guild.unseen = guild.unseen._replace(since=past(guild.unseen.since, now) or NEVER)
            if guild.guild_id in self._unseen_noted:
                self._note_unseen(guild)
        for stay in restored:
            if stay.started_at > now:
                self._seats.end_somewhere(stay, now)
            else:
                stay.history.shift(lambda moment: min(moment, now))
                stay.proved_at = min(stay.proved_at, now)
        return now

    # --- writing ---

    def _write(self) -> None:
        self._ledger.write()
        self._naming.write(self._known_guild)
        self.presence.write(self._noticed_at)
