"""Whether the bot is in a guild: a fact of its own, of which the guild's data hang. Pure.

Discord says it: READY and GUILD_CREATE name guilds in which the bot is, GUILD_DELETE without `unavailable` one in which
it is no more. A guild of which the service has something, and that READY does not name, is asked for; and once more,
long after, before anything of it is removed. Until there is an answer nothing is said: absence alone proves nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping

from db_client.records import GuildPresence
from db_client.upkeep_statements import ABSENCE_COUNTS_MS, LEFT_GUILD_DAYS
from gateway_listener.clock import NEAR_MS
from gateway_listener.ledger import Ledger
from gateway_listener.notes import left_key, there_key
from gateway_listener.outbox import Note

LEFT_MS = LEFT_GUILD_DAYS * 24 * 60 * 60 * 1000
# A question that was answered comes again after the one, one that was not after the other.
ASK_AGAIN_MS = ABSENCE_COUNTS_MS // 2
TRY_AGAIN_MS = 10 * 60 * 1000


class Presence:
    """In which guilds of the shard the bot is; what is to be said goes into the ledger's items.

    `here`: the guilds that Discord names in this gateway session; None before READY. `there`: those that it named last,
    in this run or an earlier one on this disk. `ours`: it is known that the data are our application's; before that
    nothing is said of what was noticed.
    """

    def __init__(self, ledger: Ledger) -> None:
        self.here: set[int] | None = None
        self.there: set[int] = set()
        self._ledger = ledger
        self.ours = False
        self._said: set[int] = set()
        self._left: dict[int, int] = {}
        """Which guilds the bot was found not to be in, in this run, and when."""
        self._away: dict[int, int] = {}
        """Since when the bot is, or was, not in a guild, until it is settled what that means for its channels."""
        self._news: dict[int, tuple[int | None, int | None]] = {}
        self._doubted: dict[int, GuildPresence] = {}
        self._ask_at: dict[int, int] = {}
        self._asking: int | None = None

    def recall(self, there: Collection[int], away: Mapping[int, int], watermark: int | None, now: int) -> None:
        """Takes up what an earlier run noted, and when it saw the gateway last.

        If that was so long ago, the bot may have been out of any guild since, and another listener may have seen it.
        """
        if self.here is None:
            self.there.update(there)
        self._away.update(away)
        if watermark is not None and now - watermark >= LEFT_MS:
            for guild_id in self._ledger.channels.guild_ids() - self._away.keys():
                self._note_away(guild_id, watermark)

    # --- what Discord says ---

    def ready(self, guild_ids: Collection[int]) -> None:
        """READY: the bot is in these guilds; of others of the shard nothing is known."""
        self.here = set()
        self._ask_at.clear()
        for guild_id in self.there.difference(guild_ids):
            self._forget_there(guild_id)
        for guild_id in guild_ids:
            self.arrived(guild_id)

    def arrived(self, guild_id: int) -> None:
        """The bot is in the guild. That is said once a run, and again whenever something else was."""
        if self.here is not None:
            self.here.add(guild_id)
        if guild_id not in self.there:
            self.there.add(guild_id)
            self._ledger.items.append(Note(there_key(guild_id), "1"))
        self._heard_of(guild_id)
        if guild_id not in self._said:
            self._said.add(guild_id)
            self._news[guild_id] = None, None

    def gone(self, guild_id: int, now: int) -> None:
        """The bot is not in the guild, as is noticed now, whenever it left."""
        if self.here is not None:
            self.here.discard(guild_id)
        self._forget_there(guild_id)
        self._heard_of(guild_id)
        self._said.discard(guild_id)
        self._left[guild_id] = now
        self._news[guild_id] = now, None
        if guild_id not in self._away:
            self._note_away(guild_id, now)

    def _heard_of(self, guild_id: int) -> None:
        self._left.pop(guild_id, None)
        self._doubted.pop(guild_id, None)
        if guild_id == self._asking:
            self._asking = None

    def _forget_there(self, guild_id: int) -> None:
        if guild_id in self.there:
            self.there.discard(guild_id)
            self._ledger.items.append(Note(there_key(guild_id), None))

    def _note_away(self, guild_id: int, since: int) -> None:
        self._away[guild_id] = since
        self._ledger.items.append(Note(left_key(guild_id), str(since)))

    def shift(self, move: Callable[[int], int]) -> None:
        """Every moment that this run gave becomes another."""
        self._left = {guild_id: move(at) for guild_id, at in self._left.items()}
        self._ask_at = {guild_id: move(at) for guild_id, at in self._ask_at.items()}
        for guild_id, (left_at, confirmed_at) in self._news.items():
            self._news[guild_id] = left_at and move(left_at), confirmed_at and move(confirmed_at)

    # --- what is asked ---

    def question(self, now: int) -> int | None:
        """A guild about which Discord is to be asked now; `answered` says what came of it before the next question."""
        self._asking = next((guild for guild in self._doubted if self._ask_at.get(guild, 0) <= now), None)
        if self._asking is not None:
            self._ask_at[self._asking] = now + TRY_AGAIN_MS
        return self._asking

    def answered(self, guild_id: int, is_there: bool | None, now: int) -> bool:
        """Takes the answer (None: there was none); True if the bot is not in the guild, which is news.

        What the gateway has said since the question counts, and the answer does not.
        """
        asked, self._asking = self._asking, None
        stored = self._doubted.get(guild_id)
        if guild_id != asked or stored is None or is_there is None:
            return False
        self._ask_at[guild_id] = now + ASK_AGAIN_MS
        if is_there:
            self._left.pop(guild_id, None)
            if stored.left_at is not None:
                self._news[guild_id] = None, None
            return False
        if stored.left_at is None:
            self.gone(guild_id, now)
            return True
        self._news[guild_id] = stored.left_at, now
        return False

    # --- what the service has ---

    def compare(self, presences: Iterable[GuildPresence], channel_ids: Collection[int], now: int) -> None:
        """Compares what the service has about the shard's guilds, and about which of their channels something was
        decided (`channel_ids`), with what Discord said: says it again where it differs, and doubts what nobody said.
        """
        if self.here is None:
            return
        known = {stored.guild_id: stored for stored in presences}
        self._doubted = {}
        for guild_id, stored in known.items():
            self._ledger.revision = max(self._ledger.revision, stored.revision)
            if guild_id in self.here:
                if stored.left_at is not None:
                    self._news[guild_id] = None, None
            elif stored.left_at is None and guild_id in self._left:
                self._news[guild_id] = self._left[guild_id], None
            elif stored.left_at is not None and stored.left_at > now + NEAR_MS:
                self._news[guild_id] = now, None  # by a clock that was ahead: it counts from now at the latest
            elif stored.left_at is None or _to_confirm(stored, now):
                self._doubted[guild_id] = stored
        self._settle(known, channel_ids, now)

    def _settle(self, known: Mapping[int, GuildPresence], channel_ids: Collection[int], now: int) -> None:
        """Of a guild in which the bot was not for so long that its data may have been removed, the service's word
        counts about its channels: an exclusion goes that the service has no more. Else it stays, whatever was restored.
        """
        for guild_id, since in list(self._away.items()):
            stored = known.get(guild_id)
            if stored is not None and (stored.left_at is not None or guild_id not in (self.here or ())):
                continue
            if now - since >= LEFT_MS:
                self._ledger.forget_channels(guild_id, now, but=channel_ids)
            del self._away[guild_id]
            self._ledger.items.append(Note(left_key(guild_id), None))

    @property
    def unwritten(self) -> bool:
        """True while there is something to say, and it may be said."""
        return bool(self._news) and self.ours and self._ledger.recording

    def write(self, now: int) -> None:
        """Says what is new."""
        if self.unwritten:
            for guild_id, (left_at, confirmed_at) in self._news.items():
                revision = self._ledger.next_revision(now)
                self._ledger.items.append(GuildPresence(guild_id, revision, left_at, confirmed_at))
            self._news.clear()


def _to_confirm(stored: GuildPresence, now: int) -> bool:
    """True if the guild's data could go, but for a fresh confirmation that the bot is not there."""
    long_ago = stored.left_at is not None and stored.left_at + LEFT_MS <= now
    return long_ago and (stored.confirmed_at is None or abs(now - stored.confirmed_at) >= ASK_AGAIN_MS)
