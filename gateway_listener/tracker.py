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
from gateway_listener.edge import LIVE, NEVER, Edge, Live, Unseen, What, edge, last_known
from gateway_listener.flags import FlagHistory
from gateway_listener.guilds import GuildState
from gateway_listener.ledger import REMEMBERED_MS, Ledger
from gateway_listener.naming import Naming
from gateway_listener.notes import BASELINE, Memory, open_key, past, unseen_key
from gateway_listener.outbox import Item, Note
from gateway_listener.presence import Presence
from gateway_listener.recording import ChannelDecision
from gateway_listener.sight import Sight
from gateway_listener.signs import Question, Signs
from gateway_listener.stays import Stay, recorded_stay
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
        self._tolerance = tolerance_ms
        self._guilds: dict[int, GuildState] = {}
        self._ledger = Ledger(new_id, self._guilds)
        self._naming = Naming(self._ledger)
        self._now = 0
        self._began = 0
        """When the first frame of this run was read; 0: none was."""
        self._noticed_at = 0
        """When something came last that no stranger caused."""
        self._unseen_noted: dict[int, int | None] = {}
        self._unseen_told = UnseenGuilds()
        self._held_back: dict[Stay, None] = {}
        self._begun_in_doubt: list[Stay] = []
        """Stays that began with what was replayed, or read late."""
        self._signs = Signs(ask_after_ms)
        self.wants_renewal: str | None = None
        """Why a fresh gateway session is asked for: what was lost on this one comes back with no other."""
        self.presence = Presence(self._ledger)
        self._handlers: dict[type, Callable[[Any, int], None]] = {
            frames.VoiceState: self._voice_state,
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

    def see(self, frame: frames.Frame, now: int, *, late_since: int | None = None) -> None:
        """Takes in one frame, which was read at `now`; with `late_since` it may have come at any time since then."""
        if not self._began:
            self._began = self._place(now)
        self.read_late(late_since, now)
        now = self._now
        content = frame.content
        proof = self.is_proof(content)
        if proof:
            self._noticed_at = now
        if self.sight.repeats(frame):
            if proof:
                self.counts["repeated"] += 1
        else:
            if self.sight.missed:
                self._lose_all(now)
            handle = self._handlers.get(type(content))
            if handle is not None:
                if type(content) in _OF_THE_CONNECTION:
                    self._write()
                handle(content, now)
        if proof:
            self.sight.saw(now)
            for guild_id in self.sight.overdue(now):
                self._note_unseen(self._guild(guild_id))
            if self._signs and self.sight.view() is LIVE:
                self._judge(now)

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
            self._look_again()

    def decide(self, decisions: Sequence[Decision], erased: Iterable[int], now: int, *, complete: bool = False) -> None:
        """Takes in decisions; with `complete` they are the whole consent log. `erased`: whose erasure is new."""
        self.pass_to(now)
        self._write()
        decisions = [decision.read_at(self._now) for decision in decisions]
        for stay in self._ledger.decide(decisions, erased, self._now, complete=complete):
            if stay.ended_at is None:
                self._hold_back(stay)

    def decide_recording(self, decisions: Sequence[ChannelDecision], now: int) -> None:
        """Takes in what managers decided about channels, however often; each is the newest unrecorded time of one."""
        self.pass_to(now)
        self._write()
        for stay in self._ledger.decide_recording([d.read_at(self._now) for d in decisions], self._now):
            if stay.ended_at is None:
                self._hold_back(stay)

    def restore(self, memory: Memory, now: int) -> None:
        """Takes up what was recorded before this run; from now on it is recorded what follows.

        May come late, when frames have been seen already: those are then compared with `memory` afterwards.
        """
        now = self.pass_to(now)
        if self._began:
            memory.leave_out_future(now)
        if self.sight.watermark is None:
            self.sight.watermark = memory.watermark
        self._ledger.recall(memory.consents)
        self._ledger.informed = self._ledger.informed or memory.noted
        self._ledger.channels.recall(memory.unrecorded)
        for guild_id in {*memory.unseen, *(session.guild_id for session in memory.sessions)}:
            guild = self._guilds.setdefault(guild_id, GuildState(guild_id))
            if guild.seen_since is None and guild.unseen.since == NEVER:
                guild.unseen = Unseen(memory.unseen.get(guild_id, memory.watermark) or NEVER, by_earlier_run=True)
        self._unseen_noted.update(memory.unseen)
        if memory.noted:
            self._unseen_told.recall(memory.unseen)
        else:
            self._unseen_told.compare(memory.sights)
        for session in sorted(memory.sessions, key=lambda session: session.started_at):
            self._ledger.revision = max(self._ledger.revision, session.revision)
            since = memory.unseen.get(session.guild_id, memory.watermark)
            self._take_up(session, Unseen(since or NEVER, by_earlier_run=True))
        if not memory.noted:
            self._ledger.items.extend(Note(open_key(s.session_id), s.to_json()) for s in memory.sessions)
        self.presence.recall(memory.there, memory.away, memory.watermark, now)
        if self.presence.here is not None:
            for guild_id in self._guilds.keys() - self.presence.here:
                self._leave(self._guilds[guild_id], now)
        self._ledger.items.extend(Note(key, None) for key in memory.foreign)
        self._ledger.items.append(Note(BASELINE, memory.shard_note))
        self._ledger.start_recording(now)
        for guild in map(self._guild, list(self._unseen_noted)):
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
            self._ledger.shift(by, self._now, lambda moment: moment)
            return
        floor = max(self._began, self._now - REMEMBERED_MS)

        def move(moment: int) -> int:
            return moment + by if by > 0 else min(moment, max(moment + by, floor))

        self._now = move(self._now)
        self._noticed_at = move(self._noticed_at)
        self.sight.shift(move)
        self._signs.shift(move)
        self.presence.shift(move)
        for guild in self._guilds.values():
            guild.shift(move)
        for guild_id in list(self._unseen_noted):
            self._note_unseen(self._guild(guild_id))
        self._ledger.shift(by, self._now, move)

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
        unseen = {guild: since for guild, since in self._unseen_noted.items() if self._guild(guild).is_recorded}
        return self._unseen_told.news(unseen, mark), mark

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
        self._now = max(self._now, now)
        self._ledger.forget(self._now)
        return self._now

    def hang_up(self) -> None:
        """The connection has ended: until the next one says READY or RESUMED nothing is seen."""
        self.sight.connect()

    def _hello(self, hello: frames.Hello, now: int) -> None:
        self.sight.connect()

    def _resumed(self, resumed: frames.Resumed, now: int) -> None:
        self.sight.resume()
        self._look_again()

    def _lose_all(self, now: int) -> None:
        """Something was sent before what comes now, and has not come, in whatever guild; no RESUME brings it back."""
        self.sight.missed = False
        self._write()
        for guild in self._guilds.values():
            guild.lose_sight(self.sight.watermark or NEVER)
        self.sight.wait_for(self._guilds, now)
        self.wants_renewal = "a jump in the sequence numbers"

    def lose(self, guild_id: int | None, now: int) -> None:
        """Something that came now was lost of the guild, or (None) of any: it is unseen until its next roll call."""
        now = self.pass_to(now)
        self._write()
        for guild in list(self._guilds.values()) if guild_id is None else [self._guild(guild_id)]:
            self._lose_sight(guild, now)

    def _lose_sight(self, guild: GuildState, now: int) -> None:
        view = self._view(guild)
        guild.lose_sight(view.since if isinstance(view, Unseen) else now)
        self._note_unseen(guild)
        self.sight.came(guild.guild_id)

    def _hold_back(self, stay: Stay) -> None:
        """A decision about somebody who cannot be seen: it is known of their stay only until when it was seen."""
        until = last_known(self._view(self._guild(stay.guild_id)), stay.proved_at, self._now)
        before, stay.seen_until = stay.seen_until, until if until < self._now else None
        if stay.seen_until is not None:
            self._held_back[stay] = None
        if stay.seen_until != before:
            self._ledger.changed(stay, self._now, since=until if before is None else min(before, until))

    def _look_again(self) -> None:
        """Stays that were held back, or began in doubt, and can be seen again."""
        begun, self._begun_in_doubt = self._begun_in_doubt, []
        for stay in begun:
            if stay.ended_at is not None:
                continue
            if self._view(self._guild(stay.guild_id)) is LIVE:
                stay.proved_at = max(stay.proved_at, stay.started_at)
            else:
                self._begun_in_doubt.append(stay)
        held_back, self._held_back = self._held_back, {}
        for stay in held_back:
            if stay.ended_at is None and stay.seen_until is not None:
                self._hold_back(stay)

    def _ready(self, ready: frames.Ready, now: int) -> None:
        """A new session: events of the gap are lost, and each guild is unseen until its roll call."""
        watermark = self.sight.watermark or NEVER
        known = self._known_guilds()
        for guild_id in ready.guild_ids - known.keys():
            self._guild(guild_id).unseen = Unseen(watermark if guild_id in self.presence.there else NEVER, True)
        self.presence.ready(ready.guild_ids)
        for guild in list(self._guilds.values()):
            guild.lose_sight(watermark)
            if guild.guild_id not in ready.guild_ids:
                self._leave(guild, now)
        self.sight.begin_session(self._guilds, now)
        self.wants_renewal = None

    def _note_unseen(self, guild: GuildState) -> None:
        if guild.seen_since is None:
            self._unseen_noted[guild.guild_id] = guild.unseen.since or None
            if self.recording:
                self._ledger.items.append(Note(unseen_key(guild.guild_id), str(guild.unseen.since)))

    def _forget_unseen(self, guild_id: int) -> None:
        self.sight.came(guild_id)
        if guild_id in self._unseen_noted:
            del self._unseen_noted[guild_id]
            self._ledger.items.append(Note(unseen_key(guild_id), None))

    # --- guilds ---

    def _guild(self, guild_id: int) -> GuildState:
        guild = self._guilds.get(guild_id)
        if guild is None:
            guild = self._guilds[guild_id] = GuildState(guild_id)
        return guild

    def _known_guild(self, guild_id: int) -> GuildState | None:
        """The guild, if Discord has named it or something is recorded in it: others are known by strangers alone."""
        guild, here = self._guilds.get(guild_id), self.presence.here
        return guild if guild is not None and (here is None or guild_id in here or guild.is_recorded) else None

    def _known_guilds(self) -> dict[int, GuildState]:
        """All guilds that are known."""
        return {key: guild for key in self._guilds if (guild := self._known_guild(key)) is not None}

    def _view(self, guild: GuildState) -> Live | Unseen:
        """How what is read of the guild now is seen."""
        return guild.unseen if guild.seen_since is None else self.sight.view()

    def _roll_call(self, call: frames.RollCall, now: int) -> None:
        guild = self._guild(call.guild_id)
        self.presence.arrived(call.guild_id)
        self.counts["unreadable"] += sum(map(self.tracks, call.unreadable))
        self._naming.called(guild, call, now)
        guild.deleted, guild.behind = (), {}
        present = {
            state.user_id: state for state in map(guild.placed, call.voice_states) if state.channel_id is not None
        }
        view, heard = self._view(guild), self.sight.proof(now)
        elsewhere = {
            user_id: stay.proved_at
            for user_id, stay in guild.seats.items()
            if user_id in present and present[user_id].channel_id != stay.channel_id
        }
        for stay in list(guild.seats.values()):
            state = present.get(stay.user_id)
            if state is not None and self._goes_on(stay, state.channel_id, guild.is_afk(stay.channel_id), view, now):
                self._prove(stay, state.flags, heard, now)
            else:
                hidden = guild.behind.get(stay.user_id)
                by = "not_recorded" if hidden and hidden.channel_id == stay.channel_id else "roll_call"
                self._end(guild, stay, by, edge(What.GONE, view, stay.proved_at, now), now)
        looked_at = view.since if isinstance(view, Unseen) else guild.seen_since or NEVER
        for user_id, state in present.items():
            if user_id not in guild.seats:
                self._find(guild, state, "roll_call", view, elsewhere.get(user_id, looked_at), now)
        guild.come_in_sight(now)
        self._look_again()
        self._forget_unseen(guild.guild_id)
        self.counts["roll_calls"] += 1

    def _goes_on(self, stay: Stay, channel_id: int | None, afk: bool, view: Live | Unseen, now: int) -> bool:
        """True if who is found in that channel, after what may be a gap, is taken to have been there all the time."""
        return (stay.channel_id, stay.afk) == (channel_id, afk) and now - last_known(
            view, stay.proved_at, now
        ) <= self._tolerance

    def _guild_unavailable(self, outage: frames.GuildUnavailable, now: int) -> None:
        self.presence.arrived(outage.guild_id)
        self._lose_sight(self._guild(outage.guild_id), now)

    def _guild_unread(self, unread: frames.GuildUnread, now: int) -> None:
        self.presence.arrived(unread.guild_id)
        self._lose_sight(self._guild(unread.guild_id), now)
        self.wants_renewal = "a guild without its voice states"

    def _guild_gone(self, gone: frames.GuildGone, now: int) -> None:
        guild = self._guilds.get(gone.guild_id)
        self.presence.gone(gone.guild_id, now)
        if guild is not None:
            self._leave(guild, now, What.WENT)

    def _leave(self, guild: GuildState, now: int, what: What = What.GONE) -> None:
        """The bot is not in the guild: that was told, or Discord does not name it any more."""
        view = self._view(guild)
        for stay in list(guild.seats.values()):
            self._end(guild, stay, "guild_left", edge(what, view, stay.proved_at, now), now)
        self._forget_unseen(guild.guild_id)
        del self._guilds[guild.guild_id]

    def _guild_changed(self, change: frames.GuildChanged, now: int) -> None:
        guild = self._guild(change.guild_id)
        self._naming.guild_changed(guild, change, now)
        self._cut(guild, now)

    def _channel_changed(self, change: frames.ChannelChanged, now: int) -> None:
        guild = self._guild(change.guild_id)
        self._naming.channel_changed(guild, change, now)
        guild.deleted = tuple(deleted for deleted in guild.deleted if deleted != change.channel.channel_id)
        if change.channel.hidden or guild.behind:
            self._cut(guild, now)

    def _cut(self, guild: GuildState, now: int) -> None:
        """Channels are other ones now: stays in one that is hidden end, those in what was, or is, the AFK channel are
        cut, and who is in a channel that is hidden no more begins."""
        if guild.names is None:
            return
        view = self._view(guild)
        came = edge(What.CAME, view, now, now)
        for stay in list(guild.seats.values()):
            is_open = guild.is_open(stay.channel_id)
            if is_open and stay.afk == guild.is_afk(stay.channel_id):
                continue
            state = frames.VoiceState(guild.guild_id, stay.user_id, stay.channel_id, stay.history.flags)
            went = edge(What.WENT, view, stay.proved_at, now)
            self._end(guild, stay, "switched" if is_open else "not_recorded", went, now)
            if guild.placed(state).channel_id is not None:
                self._begin(guild, state, "switched", came, now)
        for state in list(guild.behind.values()):
            if guild.placed(state).channel_id is not None:
                self._begin(guild, state, "recorded", came, now)

    def _channel_deleted(self, deleted: frames.ChannelDeleted, now: int) -> None:
        guild = self._guild(deleted.guild_id)
        guild.delete(deleted.channel_id)
        view = self._view(guild)
        for stay in [stay for stay in guild.seats.values() if stay.channel_id == deleted.channel_id]:
            self._end(guild, stay, "left", edge(What.WENT, view, stay.proved_at, now), now)
        self._write()  # while the channel has its name
        self._naming.channel_deleted(guild, deleted, now)

    # --- people ---

    def _voice_state(self, state: frames.VoiceState, now: int) -> None:
        guild = self._guild(state.guild_id)
        stay = guild.seats.get(state.user_id)
        if stay is not None and stay.channel_id == state.channel_id:
            stay.proved_at = max(stay.proved_at, self.sight.proof(now))
            if stay.history.change(now, state.flags):
                self._ledger.changed(stay, now, since=now)
            return
        state = guild.placed(state)
        view = self._view(guild)
        if stay is not None:
            by = "left" if state.channel_id is None else "switched"
            self._end(guild, stay, by, edge(What.WENT, view, stay.proved_at, now), now)
        if state.channel_id is None:
            return
        by = "joined" if stay is None else "switched"
        if stay is None and view is guild.unseen:
            self._find(guild, state, by, view, guild.unseen.since, now)
        else:
            self._begin(guild, state, by, edge(What.CAME, view, now, now), now)

    def _prove(self, stay: Stay, flags: int, at: int, now: int) -> None:
        """The person was there at `at`. Now and then that is written, so that the next run knows it, too."""
        stay.proved_at = max(stay.proved_at, at)
        if stay.history.change(now, flags):
            self._ledger.changed(stay, now, since=now)
        elif stay.recorded and at - stay.history.changed_at >= self._signs.ask_after_ms:
            stay.history.say(at, flags)
            self._ledger.changed(stay, now, since=at)

    def _find(
        self, guild: GuildState, state: frames.VoiceState, by: str, view: Live | Unseen, elsewhere_at: int, now: int
    ) -> None:
        """The person is found in a channel, and was last known not to be there at `elsewhere_at`.

        What an earlier run saw of people whom it did not know to be in, nobody remembers.
        """
        if isinstance(view, Unseen) and view.by_earlier_run and self._ledger.knew(state.user_id) is None:
            elsewhere_at = NEVER
        self._begin(guild, state, by, edge(What.FOUND, view, elsewhere_at, now), now)

    def _begin(self, guild: GuildState, state: frames.VoiceState, by: str, came: Edge, now: int) -> None:
        """The person is in a channel since `came`."""
        assert state.channel_id is not None  # noqa: S101 (for the type checker)
        stay = Stay(
            stay_id="",
            guild_id=guild.guild_id,
            channel_id=state.channel_id,
            user_id=state.user_id,
            started_at=came.at,
            started_by=by,
            not_before=came.earliest,
            afk=guild.is_afk(state.channel_id),
            history=FlagHistory(came.at, state.flags),
            proved_at=min(self.sight.proof(now), came.at),
        )
        if stay.proved_at < stay.started_at:
            self._begun_in_doubt.append(stay)
        guild.sit(stay)
        self._signs.sat(stay, now)
        self._ledger.enter(stay, now)
        self._count(by, stay)

    def _end(self, guild: GuildState, stay: Stay, by: str, went: Edge, now: int) -> None:
        """The person is not there any more since `went`."""
        stay.end_at(went, by)
        guild.rise(stay)
        self._signs.rose(stay)
        self._ledger.ended(stay, now)
        self._count(by, stay)

    # --- what the gateway has not said ---

    def question(self, now: int) -> Question | None:
        """Somebody who is in and of whom nothing was heard for long; Discord is to be asked where they are."""
        now = self.pass_to(now)
        if not (self.recording and self.sight.view() is LIVE):
            return None
        return self._signs.question(lambda: self._known_guilds().values(), self.tracks, now)

    def answered(self, question: Question, state: frames.VoiceState | None, now: int) -> None:
        """Takes Discord's answer to a question (None: there was none); what the gateway has said since then counts."""
        self._noticed_at = now = self.pass_to(now)
        guild = self._guilds.get(question.guild_id)
        stay = None if guild is None else guild.seats.get(question.user_id)
        if state is None or guild is None or stay is None or stay.proved_at != question.proved_at:
            return
        if self._view(guild) is not LIVE:
            return
        if state.channel_id == stay.channel_id:
            self._prove(stay, state.flags, question.asked_at, now)
        else:
            self._signs.said(stay, state, now)

    def _judge(self, now: int) -> None:
        """Ends the stays of which there was a sign that they are over, and no other."""
        for sign in self._signs.due(self.sight.watermark or NEVER):
            guild, stay = self._guild(sign.stay.guild_id), sign.stay
            if guild.seen_since is None or not sign.stands:
                continue
            since, proof = sign.read_at, stay.proved_at
            state = guild.placed(sign.state)
            by = "left" if state.channel_id is None else "switched"
            self._end(guild, stay, by, edge(What.GONE, LIVE, proof, since), now)
            if state.channel_id is not None:
                self._begin(guild, state, by, edge(What.FOUND, LIVE, proof, since), now)

    def _count(self, what: str, stay: Stay) -> None:
        if self.tracks(stay.user_id):
            self.counts[what] += 1

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
        self.presence.recall((), {}, self.sight.watermark, now)
        for guild in self._guilds.values():
            guild.unseen = guild.unseen._replace(since=past(guild.unseen.since, now) or NEVER)
            if guild.guild_id in self._unseen_noted:
                self._note_unseen(guild)
        for stay in restored:
            if stay.started_at > now:
                self._guilds[stay.guild_id].rise(stay)
                self._end_somewhere(stay, now)
            else:
                stay.history.shift(lambda moment: min(moment, now))
                stay.proved_at = min(stay.proved_at, now)
        return now

    def _end_somewhere(self, stay: Stay, now: int) -> None:
        """It is over, and was at some time since the person was in; a clock that was ahead said when."""
        stay.started_at, stay.not_before = now, self._ledger.knew(stay.user_id) or NEVER
        stay.history = FlagHistory(now, 0)
        stay.end(now, "roll_call", since=0, until=now)
        self._signs.rose(stay)
        self._ledger.ended(stay, now)

    def _take_up(self, session: VoiceSession, view: Unseen) -> None:
        """An open session of before: the person may still be there, or a roll call has shown already that they left."""
        guild = self._guilds[session.guild_id]
        known = self._ledger.stays_of(session.user_id, session.guild_id)
        stay = recorded_stay(session)
        if not known and guild.first_seen is None:
            guild.sit(stay)
            self._signs.sat(stay, self._now)
            self._ledger.enter(stay, self._now)
            return
        looked_at = known[0].started_at if known else guild.first_seen or self._now
        if past(session.started_at, self._now) is None:
            self._ledger.enter(stay, self._now)
            self._end_somewhere(stay, looked_at)
            return
        first = known[0] if known and known[0].started_by == "roll_call" else None
        if first is not None and self._goes_on(stay, first.channel_id, first.afk, view, looked_at):
            first.go_on_from(session)
            return
        stay.end_at(edge(What.GONE, view, stay.proved_at, looked_at), "roll_call")
        self._ledger.enter(stay, self._now)
        self._ledger.ended(stay, self._now)
        for later in known:
            later.begin_after(stay)

    # --- writing ---

    def _write(self) -> None:
        self._ledger.write()
        self._naming.write(self._known_guild)
        self.presence.write(self._noticed_at)
