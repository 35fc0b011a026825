"""What may be recorded of the stays, and what was: stays and consent in, records out. No clock, no disk, no network.

Everyone's stays are held here, in memory; nothing about a person leaves it before a consent of theirs covers the time.
What leaves it (records, their order, ids and revisions, and when) is the same whether anybody else is there or not.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from itertools import takewhile

from db_client.records import Retraction, VoiceSession
from gateway_listener.consent import ALL, FOREVER, Consents, Decision, Touched
from gateway_listener.guilds import GuildState
from gateway_listener.notes import consent_key, consent_note, open_key, recording_key
from gateway_listener.outbox import Forget, Item, Note
from gateway_listener.recording import ChannelDecision, Channels
from gateway_listener.sessions import changes, piece_id, sessions_of
from gateway_listener.stays import REMEMBERED_MS, Stay, moving

MOST_REMEMBERED = 100_000
NEVER = Touched(FOREVER, 0)


class Ledger:
    """Stays by person, the consents, and the sessions that were made of them; `new_id` makes ids for stays.

    What an event or a decision costs depends on the time that is different by it, not on what was before: a person's
    stays are a chain, those that go on at its new end, and before them the others in the order in which they ended.
    """

    def __init__(self, new_id: Callable[[], str], guilds: Mapping[int, GuildState] | None = None) -> None:
        self._new_id = new_id
        self._guilds = {} if guilds is None else guilds
        self.consents = Consents()
        self.channels = Channels()
        self.items: list[Item] = []
        self.recording = False
        self.informed = False
        """True once it is known who is in: before that nothing is written, nor taken back."""
        self._read_whole = False
        self.read_at = 0
        """When the consent log was last read to its end, by the tracker's time; 0: never in this run."""
        self.touched: dict[tuple[int, int], None] = {}
        """Guild and channel of what was recorded since the names were last looked at."""
        self.taken_back: set[tuple[int, int]] = set()
        """Guild and channel of what was taken back or written anew since then: the name may have gone with it."""
        self.revision = 0
        self._newest: dict[int, Stay] = {}
        """By person: the new end of the chain."""
        self._ended: tuple[deque[Stay], deque[Stay]] = (deque(), deque())
        """Stays that are over: those of nobody concerned, and the others."""
        self._differing: dict[Stay, tuple[int, int, Touched]] = {}
        """The stays that the next `write` looks at: when each became different; before which moment nothing of it is;
        and of which time what was sent is sent again, as a service that knew more may have cut or refused it."""
        self._written: dict[int, int] = {}
        """By person: the revision of the newest record."""
        self._noted: dict[int, int] = {}
        """By whose decision (its version) each person is in, as the notes have it."""
        self._knew: dict[int, int] = {}
        """Since when each person was in, as the notes of an earlier run say."""

    # --- stays ---

    def enter(self, stay: Stay, now: int) -> None:
        """Takes a new stay in."""
        self._place(stay, self._newest.get(stay.user_id), None)
        self.changed(stay, now)

    def changed(self, stay: Stay, now: int, *, since: int = 0, doubted: Touched = NEVER) -> bool:
        """Something about the stay is different: if that concerns a record (it says so), the next `write` looks at it.

        What ended before `since` is not.
        """
        if not stay.recorded and not self._may_be_recorded(stay):
            return False
        known = self._differing.get(stay)
        if known is not None:
            _, earlier, other = known
            since = min(since, earlier)
            if other is not NEVER:
                doubted = Touched(min(other.since, doubted.since), max(other.until, doubted.until))
        self._differing[stay] = now, since, doubted
        return True

    def _may_be_recorded(self, stay: Stay) -> bool:
        """True if a consent lasts until after its beginning."""
        intervals = self.consents.of(stay.user_id)
        return bool(intervals) and (intervals[-1].to_at is None or intervals[-1].to_at > stay.started_at)

    def ended(self, stay: Stay, now: int) -> None:
        """The stay is over; it is remembered for a while."""
        ended = self._ended[self.changed(stay, now, since=now)]
        stay.over_since = now
        if stay.newer is not None or (stay.older is not None and stay.older.ended_at is None):
            self._take_out(stay)
            newer, older = None, self._newest.get(stay.user_id)
            while older is not None and older.ended_at is None:
                newer, older = older, older.older
            self._place(stay, older, newer)
        ended.append(stay)
        if len(ended) > MOST_REMEMBERED:
            self._drop(ended.popleft())

    def forget(self, now: int) -> None:
        """Forgets what had been over for long when the consent log was read last: no decision about it is to come."""
        until = self.remembers_since(now)
        for ended in self._ended:
            while ended and ended[0].over_since < until:
                self._drop(ended.popleft())

    def remembers_since(self, now: int) -> int:
        """What was over before that may be forgotten."""
        return min(now, self.read_at) - REMEMBERED_MS

    def _drop(self, stay: Stay) -> None:
        self._differing.pop(stay, None)
        if stay.newer is not None:
            stay.newer.follows = max(stay.newer.follows, stay.ended_at or 0)
        self._take_out(stay)
        if stay.user_id not in self._newest:
            self._written.pop(stay.user_id, None)

    def _place(self, stay: Stay, older: Stay | None, newer: Stay | None) -> None:
        """Puts the stay between these of the person."""
        stay.older, stay.newer = older, newer
        if older is not None:
            older.newer = stay
        if newer is None:
            self._newest[stay.user_id] = stay
        else:
            newer.older = stay

    def _take_out(self, stay: Stay) -> None:
        older, newer = stay.older, stay.newer
        stay.older = stay.newer = None
        if older is not None:
            older.newer = newer
        if newer is not None:
            newer.older = older
        elif self._newest.get(stay.user_id) is stay:
            if older is None:
                del self._newest[stay.user_id]
            else:
                self._newest[stay.user_id] = older

    def stays(self, user_id: int, since: int = 0) -> list[Stay]:
        """The person's stays that are remembered and were not over before `since`, oldest first."""
        found: list[Stay] = []
        stay = self._newest.get(user_id)
        while stay is not None and (stay.ended_at is None or stay.over_since >= since):
            found.append(stay)
            stay = stay.older
        found.reverse()
        return found

    def stays_of(self, user_id: int, guild_id: int, since: int = 0) -> list[Stay]:
        """Those of them in a guild."""
        return [stay for stay in self.stays(user_id, since) if stay.guild_id == guild_id]

    def everybodys(self) -> Iterator[list[Stay]]:
        """All stays that are open or remembered, by person."""
        for user_id in self._newest:
            yield self.stays(user_id)

    def open_recorded(self) -> Iterable[Stay]:
        """The stays of which a recorded session is open."""
        return (stay for stay in self.recorded() if stay.running)

    def recorded(self) -> Iterable[Stay]:
        """The stays of which something is recorded."""
        return (stay for stays in self.everybodys() for stay in stays if stay.recorded)

    # --- consent ---

    def knew(self, user_id: int) -> int | None:
        """Since when the person was in, if the notes of an earlier run say so."""
        return self._knew.get(user_id)

    def recall(self, noted: dict[int, Decision]) -> None:
        """Takes up what an earlier run noted: who was in, until the service can be read."""
        if not noted:
            return
        self._noted = {user_id: decision.interaction_id for user_id, decision in noted.items()}
        self._knew = {user_id: decision.at for user_id, decision in noted.items()}
        self.consents.replace(noted.values())

    def decide(self, decisions: Iterable[Decision], erased: Iterable[int], now: int, *, complete: bool) -> list[Stay]:
        """Takes decisions in; with `complete` they are all there are. `erased`: whose erasure is among the new ones.

        All there are for the second time is a log that was restored. Decisions that were sent there again are only the
        newest: what was heard of the same people in between stays true. And what was sent may be another there by now.

        Returns the stays for which this may make a difference.
        """
        restored = complete and self._read_whole
        self._read_whole = self._read_whole or complete
        has_sent, self.informed = self.informed, self.informed or complete
        if restored:
            decisions = list(decisions)
            decisions += self.consents.heard_of({decision.user_id for decision in decisions})
        erasures = {user_id: self.consents.begins(user_id) for user_id in erased}
        different = self.consents.replace(decisions) if complete else self.consents.add(decisions)
        if restored:
            different.update(dict.fromkeys((stay.user_id for stay in self.recorded()), ALL))
        for user_id, last in erasures.items():
            self._erase(user_id, last, now)
            different[user_id] = Touched(self.consents.begins(user_id))
        differing: list[Stay] = []
        for user_id, touched in different.items():
            self._note_consent(user_id)
            for stay in self.stays(user_id, touched.since):
                if stay.started_at <= touched.until:
                    self.changed(stay, now, since=touched.since, doubted=touched if has_sent else NEVER)
                    differing.append(stay)
        return differing

    def shift(self, by: int, now: int, floor: int | None) -> None:
        """The clock has been set by that, to `now`: the stays move with it (None: they do not), to no moment before
        `floor`. What is recorded of them is written anew, in an order in which no moment has two sessions of a person.
        """
        self.read_at = self.read_at and max(1, self.read_at + by)
        move = moving(by, FOREVER if floor is None else floor)
        self.consents.shift(move, now)
        different = self.channels.shift(move, now)
        self.items.extend(Note(recording_key(channel_id), what.to_json()) for channel_id, what in different.items())
        for stays in self.everybodys():
            for stay in sorted(stays, key=lambda stay: (stay.started_at, _end(stay)), reverse=by > 0):
                if floor is not None:
                    stay.shift(by, floor)
                _, _, doubted = self._differing.pop(stay, (0, 0, NEVER))
                self.changed(stay, now, doubted=doubted if doubted is NEVER else ALL)

    def decide_recording(self, decisions: Iterable[ChannelDecision], now: int) -> list[Stay]:
        """Takes in what was decided about channels; the stays for which this may make a difference."""
        different = self.channels.add(decisions)
        self.items.extend(
            Note(recording_key(channel_id), what.to_json()) for channel_id, (what, _) in different.items()
        )
        guilds = dict.fromkeys(what.guild_id for what, _ in different.values())
        return self._differ_in(guilds, {channel_id: touched for channel_id, (_, touched) in different.items()}, now)

    def forget_channels(self, guild_id: int, now: int, *, but: Collection[int]) -> None:
        """What was decided about the guild's channels goes, but for these: they are recorded as if it never was."""
        forgotten = self.channels.forget(guild_id, but=but)
        self.items.extend(Note(recording_key(channel_id), None) for channel_id in forgotten)
        self._differ_in([guild_id], dict.fromkeys(forgotten, ALL), now)

    def _differ_in(self, guilds: Iterable[int], channels: Mapping[int, Touched], now: int) -> list[Stay]:
        """The stays in these channels, of these guilds, as far as they were not over before that."""
        if not channels:
            return []
        here = self._over_since(min(touched.since for touched in channels.values()))
        here += [stay for guild_id in guilds if (guild := self._guilds.get(guild_id)) for stay in guild.seats.values()]
        here = [stay for stay in here if stay.channel_id in channels]
        for stay in here:
            touched = channels[stay.channel_id]
            self.changed(stay, now, since=touched.since, doubted=touched if self.informed else NEVER)
        return here

    def _over_since(self, moment: int) -> list[Stay]:
        """Everybody's stays that were over then or later."""
        found: list[Stay] = []
        for ended in self._ended:
            found += [*takewhile(lambda stay: stay.over_since >= moment, reversed(ended))][::-1]
        return found

    def _erase(self, user_id: int, last: int, now: int) -> None:
        """What the service still has of the person goes there; what may stand again is written anew, after this.

        If the person is in again, what was on its way may have come after the erasure, cut to the new consent. Of what
        was over before the `last` erasure nothing has stood since.
        """
        since = self.consents.of(user_id)
        self.items.append(Forget(user_id, since[0].version) if since else Forget(user_id))
        for stay in self.stays(user_id, last):
            if stay.recorded:
                self._written[user_id] = self.next_revision(now)
            for session in stay.recorded:
                if since:
                    self.retract(session, now)
                else:
                    self.taken_back.add((session.guild_id, session.channel_id))
                    if session.ended_at is None:
                        self.items.append(Note(open_key(session.session_id), None))
            stay.recorded = ()

    def _note_consent(self, user_id: int) -> None:
        standing = self.consents.standing(user_id)
        if standing is None:
            if self._noted.pop(user_id, None) is not None:
                self.items.append(Note(consent_key(user_id), None))
        elif standing.version != self._noted.get(user_id):
            self._noted[user_id] = standing.version
            self.items.append(Note(consent_key(user_id), consent_note(standing.version, standing.from_at)))

    # --- records ---

    def next_revision(self, now: int) -> int:
        """Greater than every one before it, in this run and (clocks permitting) in the earlier ones."""
        self.revision = max(self.revision + 1, now)
        return self.revision

    def start_recording(self, now: int) -> None:
        """What was recorded before is known: from now on differences are written; all stays are looked at once."""
        self.recording = True
        for stays in self.everybodys():
            for stay in stays:
                self.changed(stay, now)

    def write(self) -> None:
        """Adds to `items` the records that make the recorded sessions what the stays and the consents imply."""
        if not (self.recording and self.informed):
            return
        for stay, (at, since, doubted) in self._differing.items():
            self._write(stay, at, since, doubted)
        self._differing.clear()

    def _write(self, stay: Stay, at: int, since: int, doubted: Touched) -> None:
        revision = max(self.revision + 1, at)
        if not stay.stay_id:
            stay.stay_id = self._new_id()
        elif doubted is not NEVER:
            # By these the service may have split it, before it heard of an earlier one by which the person is in.
            for version in self.consents.idle(stay.user_id, doubted):
                self.items.append(Retraction(piece_id(stay.stay_id, version), stay.user_id, revision))
                self.revision = self._written[stay.user_id] = revision
        # What ended after the person was last known to be there may be different by the end of the stay.
        if stay.ended_at is not None and stay.ended_from < since:
            since = stay.ended_from
        if stay.seen_until is not None and stay.seen_until < since:
            since = stay.seen_until
        holes = self.channels.holes(stay.channel_id)
        desired = sessions_of(stay, self.consents.of(stay.user_id), revision, holes, since)
        recorded = stay.recorded
        if not recorded:  # most stays are recorded for the first time, and then there is nothing to compare
            for session in desired:
                self._add(session, revision)
            stay.recorded = tuple(desired)
            return
        kept = bisect_left(recorded, since, key=_end)
        before = {session.session_id: session for session in recorded[kept:]}
        again = set() if doubted is NEVER else {key for key, one in before.items() if _reaches_into(one, doubted)}
        for change in changes(before, desired, again=again):
            if isinstance(change, str):
                self.items.append(Retraction(change, stay.user_id, revision))
                self.taken_back.add((stay.guild_id, stay.channel_id))
                self.revision = self._written[stay.user_id] = revision
                continue
            self._add(change, revision)
            earlier = before.get(change.session_id)
            gone = change.session_id in again and change.started_at >= doubted.since
            if gone or (earlier is not None and earlier.ended_at is not None):
                # The service may have had no place for it as it was before.
                self.taken_back.add((stay.guild_id, stay.channel_id))
        stay.recorded = (*recorded[:kept], *desired)

    def _add(self, session: VoiceSession, revision: int) -> None:
        self.items.append(session)
        self.touched[session.guild_id, session.channel_id] = None
        self.revision = self._written[session.user_id] = revision

    def written(self, user_id: int) -> int:
        """The revision of the newest record of the person's stays that are open or remembered."""
        return self._written.get(user_id, 0)

    def retract(self, session: VoiceSession, now: int) -> None:
        """The session must not stand in the service; the name of its channel may go there with it."""
        self.items.append(Retraction(session.session_id, session.user_id, self.next_revision(now)))
        self.taken_back.add((session.guild_id, session.channel_id))

    def write_again(self, stay: Stay, session_id: str, now: int) -> None:
        """The service does not have this session as it should: it is written anew, with a newer revision."""
        stay.recorded = tuple(session for session in stay.recorded if session.session_id != session_id)
        self.changed(stay, now)

    @property
    def unwritten(self) -> bool:
        """True while there is something that the next `write` looks at."""
        return self.recording and self.informed and bool(self._differing)

    def take(self) -> list[Item]:
        """The items so far, in order; they are the caller's now."""
        items, self.items = self.items, []
        return items


def _end(one: Stay | VoiceSession) -> int:
    return FOREVER if one.ended_at is None else one.ended_at


def _reaches_into(session: VoiceSession, time: Touched) -> bool:
    return _end(session) > time.since and session.started_at < time.until
