"""What may be recorded of the stays, and what was: stays and consent in, records out. No clock, no disk, no network.

Everyone's stays are held here, in memory; nothing about a person leaves it before a consent of theirs covers the time.
What leaves it (records, their order, ids and revisions, and when) is the same whether anybody else is there or not.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Iterable

from db_client.records import Retraction, VoiceSession
from gateway_listener.consent import Consents, Decision
from gateway_listener.notes import consent_key, consent_note, open_key, recording_key
from gateway_listener.outbox import Forget, Item, Note
from gateway_listener.recording import ChannelDecision, Channels
from gateway_listener.sessions import FOREVER, changes, sessions_of
from gateway_listener.stays import Stay

# How long an ended stay is kept for a decision that is still on its way (the service cuts what is older by itself).
REMEMBERED_MS = 2 * 60 * 60 * 1000
MOST_REMEMBERED = 100_000


class Ledger:
    """Stays by person, the consents, and the sessions that were made of them; `new_id` makes ids for stays."""

    def __init__(self, new_id: Callable[[], str]) -> None:
        self._new_id = new_id
        self.consents = Consents()
        self.channels = Channels()
        self.items: list[Item] = []
        self.recording = False
        self.informed = False
        """True once it is known who is in: before that nothing is written, nor taken back."""
        self._read_whole = False
        self.touched: dict[tuple[int, int], None] = {}
        """Guild and channel of what was recorded since the names were last looked at."""
        self.taken_back: set[tuple[int, int]] = set()
        """Guild and channel of what was taken back or written anew since then: the name may have gone with it."""
        self.revision = 0
        self._stays: dict[int, tuple[Stay, ...]] = {}
        self._ended: tuple[deque[tuple[int, Stay]], deque[tuple[int, Stay]]] = (deque(), deque())
        """Stays that are over, and since when: those of nobody concerned, and the others."""
        self._differing: dict[Stay, int] = {}
        """The stays that the next `write` looks at, and when each became different."""
        self._noted: dict[int, int] = {}
        """By whose decision (its version) each person is in, as the notes have it."""
        self._knew: dict[int, int] = {}
        """Since when each person was in, as the notes of an earlier run say."""

    # --- stays ---

    def enter(self, stay: Stay, now: int) -> None:
        """Takes a new stay in."""
        self._stays[stay.user_id] = (*self._stays.get(stay.user_id, ()), stay)
        self.changed(stay, now)

    def changed(self, stay: Stay, now: int) -> None:
        """Something about the stay is different: if that concerns a record, the next `write` looks at it."""
        if self._concerns(stay):
            self._differing[stay] = now

    def _concerns(self, stay: Stay) -> bool:
        """True if something of the stay is recorded, or a consent lasts until after its beginning."""
        if stay.recorded:
            return True
        intervals = self.consents.of(stay.user_id)
        return bool(intervals) and (intervals[-1].to_at is None or intervals[-1].to_at > stay.started_at)

    def ended(self, stay: Stay, now: int) -> None:
        """The stay is over; it is remembered for a while."""
        self.changed(stay, now)
        ended = self._ended[self._concerns(stay)]
        ended.append((now, stay))
        if len(ended) > MOST_REMEMBERED:
            self._drop(ended.popleft()[1])

    def forget(self, now: int) -> None:
        """Forgets what has been over for long, without a word; nothing while it is not known what may be written."""
        if not (self.recording and self.informed):
            return
        for ended in self._ended:
            while ended and ended[0][0] < now - REMEMBERED_MS:
                self._drop(ended.popleft()[1])

    def _drop(self, stay: Stay) -> None:
        self._differing.pop(stay, None)
        others = tuple(other for other in self._stays.pop(stay.user_id, ()) if other is not stay)
        if others:
            self._stays[stay.user_id] = others

    def stays_of(self, user_id: int, guild_id: int) -> list[Stay]:
        """The person's stays in a guild that are open or remembered, oldest first."""
        return [stay for stay in self._stays.get(user_id, ()) if stay.guild_id == guild_id]

    def open_recorded(self) -> Iterable[Stay]:
        """The stays of which a recorded session is open."""
        for stays in self._stays.values():
            for stay in stays:
                if any(session.ended_at is None for session in stay.recorded):
                    yield stay

    def recorded(self) -> Iterable[Stay]:
        """The stays of which something is recorded."""
        for stays in self._stays.values():
            for stay in stays:
                if stay.recorded:
                    yield stay

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
        self.informed = self.informed or complete
        differing: list[Stay] = []
        if restored:
            decisions = list(decisions)
            decisions += self.consents.heard_of({decision.user_id for decision in decisions})
        affected = self.consents.replace(decisions) if complete else self.consents.add(decisions)
        if complete:
            affected.update(self._noted)
        if restored:
            affected.update(stay.user_id for stay in self.recorded())
        for user_id in erased:
            self._erase(user_id, now)
            affected.add(user_id)
        for user_id in affected:
            self._note_consent(user_id)
            for stay in self._stays.get(user_id, ()):
                self.changed(stay, now)
                stay.doubted = stay.doubted or restored or not complete
                differing.append(stay)
        return differing

    def shift(self, by: int, now: int, move: Callable[[int], int]) -> None:
        """The clock has been set by that, to `now`: the stays move with it. What is recorded of them is written anew,
        in an order in which no moment has two sessions of a person.
        """
        self._differing = {stay: since + by for stay, since in self._differing.items()}
        for ended in self._ended:
            moved = [(at + by, stay) for at, stay in ended]
            ended.clear()
            ended.extend(moved)
        for user_id in self.consents.shift(by, now):
            self._note_consent(user_id)
        different = self.channels.shift(by, now)
        self.items.extend(Note(recording_key(channel_id), what.to_json()) for channel_id, what in different.items())
        for stays in self._stays.values():
            for stay in sorted(stays, key=lambda stay: (stay.started_at, stay.ended_at or FOREVER), reverse=by > 0):
                stay.shift(move)
                self._differing.pop(stay, None)
                self.changed(stay, now)

    def decide_recording(self, decisions: Iterable[ChannelDecision], now: int) -> list[Stay]:
        """Takes in what was decided about channels; the stays for which this may make a difference."""
        different = self.channels.add(decisions)
        self.items.extend(Note(recording_key(channel_id), what.to_json()) for channel_id, what in different.items())
        return self._differing_in(different, now)

    def forget_channels(self, guild_id: int, now: int, *, but: Collection[int]) -> None:
        """What was decided about the guild's channels goes, but for these: they are recorded as if it never was."""
        forgotten = self.channels.forget(guild_id, but=but)
        self.items.extend(Note(recording_key(channel_id), None) for channel_id in forgotten)
        self._differing_in(forgotten, now)

    def _differing_in(self, different: Collection[int], now: int) -> list[Stay]:
        differing = (
            [stay for stays in self._stays.values() for stay in stays if stay.channel_id in different]
            if different
            else []
        )
        for stay in differing:
            self.changed(stay, now)
            stay.doubted = True
        return differing

    def _erase(self, user_id: int, now: int) -> None:
        """What the service still has of the person goes there; what may stand again is written anew, after this.

        If the person is in again, what was on its way may have come after the erasure, cut to the new consent.
        """
        since = self.consents.of(user_id)
        self.items.append(Forget(user_id, since[0].version) if since else Forget(user_id))
        for stay in self._stays.get(user_id, ()):
            for session in stay.recorded:
                self.items.append(Note(open_key(session.session_id), None))
                self.taken_back.add((session.guild_id, session.channel_id))
                if since:
                    self.retract(session, now)
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
        for stays in self._stays.values():
            for stay in stays:
                self.changed(stay, now)

    def write(self) -> None:
        """Adds to `items` the records that make the recorded sessions what the stays and the consents imply."""
        if not (self.recording and self.informed):
            return
        for stay, since in self._differing.items():
            self._write(stay, since)
        self._differing.clear()

    def _write(self, stay: Stay, since: int) -> None:
        if not stay.stay_id:
            stay.stay_id = self._new_id()
        revision = max(self.revision + 1, since)
        desired = sessions_of(stay, self.consents.of(stay.user_id), revision, self.channels.holes(stay.channel_id))
        place = stay.guild_id, stay.channel_id
        # Most stays are recorded for the first time, and then there is nothing to compare.
        for change in changes(stay.recorded, desired, again=stay.doubted) if stay.recorded else desired:
            if isinstance(change, str):
                self.items.append(Retraction(change, stay.user_id, revision))
                self.taken_back.add(place)
            else:
                self.items.append(change)
                self.touched[place] = None
                if stay.doubted or stay.has_ended(change.session_id):
                    self.taken_back.add(place)  # the service may have had no place for it as it was before
            self.revision = stay.written_at = revision
        stay.recorded = tuple(desired)
        stay.doubted = False

    def retract(self, session: VoiceSession, now: int) -> None:
        """The session must not stand in the service; the name of its channel may go there with it."""
        self.items.append(Retraction(session.session_id, session.user_id, self.next_revision(now)))
        self.taken_back.add((session.guild_id, session.channel_id))

    def write_again(self, stay: Stay, session_id: str, now: int) -> None:
        """The service does not have this session as it should: it is written anew, with a newer revision."""
        stay.recorded = tuple(session for session in stay.recorded if session.session_id != session_id)
        self.changed(stay, now)

    def has_news_of(self, channel_id: int) -> bool:
        """True if the next `write` looks at a stay in that channel."""
        return any(stay.channel_id == channel_id for stay in self._differing)

    @property
    def unwritten(self) -> bool:
        """True while there is something that the next `write` looks at."""
        return self.recording and self.informed and bool(self._differing)

    def take(self) -> list[Item]:
        """The items so far, in order; they are the caller's now."""
        items, self.items = self.items, []
        return items
