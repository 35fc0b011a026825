"""Who sits where: the stays of all guilds, from what is read and how it is seen. Pure.

Every beginning and every end is asked of `edge`.
"""

from __future__ import annotations

from collections import Counter

from db_client.records import VoiceSession
from gateway_listener import frames
from gateway_listener.edge import LIVE, NEVER, Edge, Live, Unseen, What, edge, last_known
from gateway_listener.flags import FlagHistory
from gateway_listener.guilds import GuildState
from gateway_listener.ledger import Ledger
from gateway_listener.notes import past
from gateway_listener.sight import Sight
from gateway_listener.signs import Question, Signs
from gateway_listener.stays import Stay, recorded_stay


class Seats:
    """The guilds and who is in their channels; `counts` are of people who are in. What it means is the ledger's."""

    def __init__(
        self,
        guilds: dict[int, GuildState],
        ledger: Ledger,
        sight: Sight,
        counts: Counter[str],
        *,
        tolerance_ms: int,
        ask_after_ms: int,
    ) -> None:
        self.guilds = guilds
        self.signs = Signs(ask_after_ms)
        self._ledger, self._sight, self._counts, self._tolerance = ledger, sight, counts, tolerance_ms
        self._held_back: dict[Stay, None] = {}
        self._begun_in_doubt: list[Stay] = []
        """Stays that began with what was replayed, or read late."""

    def guild(self, guild_id: int) -> GuildState:
        """The guild, whoever named it."""
        guild = self.guilds.get(guild_id)
        if guild is None:
            guild = self.guilds[guild_id] = GuildState(guild_id)
        return guild

    def view(self, guild: GuildState) -> Live | Unseen:
        """How what is read of the guild now is seen."""
        return guild.unseen if guild.seen_since is None else self._sight.view()

    # --- what is read ---

    def voice_state(self, state: frames.VoiceState, now: int) -> None:
        """Somebody is somewhere."""
        guild = self.guild(state.guild_id)
        stay = guild.seats.get(state.user_id)
        if stay is not None and stay.channel_id == state.channel_id:
            stay.proved_at = max(stay.proved_at, self._sight.proof(now))
            if stay.history.change(now, state.flags):
                self._ledger.changed(stay, now, since=now)
            return
        state = guild.placed(state)
        view = self.view(guild)
        came = edge(What.CAME, view, now, now)
        if stay is not None:
            by = "left" if state.channel_id is None else "switched"
            went = came if view is LIVE else edge(What.WENT, view, stay.proved_at, now)
            self._end(guild, stay, by, went, now)
        if state.channel_id is None:
            return
        by = "joined" if stay is None else "switched"
        if stay is None and view is guild.unseen:
            self._find(guild, state, by, view, guild.unseen.since, now)
        else:
            self._begin(guild, state, by, came, now)

    def roll_call(self, guild: GuildState, call: frames.RollCall, now: int) -> None:
        """The whole truth of a guild, which is seen from now on; its channels have their names already."""
        guild.deleted, guild.behind = (), {}
        present = {
            state.user_id: state for state in map(guild.placed, call.voice_states) if state.channel_id is not None
        }
        view, heard = self.view(guild), self._sight.proof(now)
        elsewhere = {
            user_id: stay.proved_at
            for user_id, stay in guild.seats.items()
            if user_id in present and present[user_id].channel_id != stay.channel_id
        }
        for stay in list(guild.seats.values()):
            state = present.get(stay.user_id)
            if state is not None and self.goes_on(stay, state.channel_id, guild.is_afk(stay.channel_id), view, now):
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
        self.look_again(now)

    def goes_on(self, stay: Stay, channel_id: int | None, afk: bool, view: Live | Unseen, now: int) -> bool:
        """True if who is found in that channel, after what may be a gap, is taken to have been there all the time."""
        return (stay.channel_id, stay.afk) == (channel_id, afk) and now - last_known(
            view, stay.proved_at, now
        ) <= self._tolerance

    def clear(self, guild: GuildState, by: str, what: What, now: int, *, channel_id: int | None = None) -> None:
        """Nobody is in the guild any more, or (`channel_id`) in that channel."""
        view = self.view(guild)
        for stay in list(guild.seats.values()):
            if channel_id is None or stay.channel_id == channel_id:
                self._end(guild, stay, by, edge(what, view, stay.proved_at, now), now)

    def cut(self, guild: GuildState, now: int) -> None:
        """Channels are other ones now: stays in one that is hidden end, those in what was, or is, the AFK channel are
        cut, and who is in a channel that is hidden no more begins."""
        if guild.names is None:
            return
        view = self.view(guild)
        came = edge(What.CAME, view, now, now)
        for stay in list(guild.seats.values()):
            is_open = guild.is_open(stay.channel_id)
            if is_open and stay.afk == guild.is_afk(stay.channel_id):
                continue
            state = frames.VoiceState(guild.guild_id, stay.user_id, stay.channel_id, stay.history.flags)
            went = edge(What.WENT, view, stay.proved_at, now)
            self._end(guild, stay, "switched" if is_open else "not_recorded", went, now)
            if guild.placed(state).channel_id is not None:
                self._begin(guild, state, "switched", came, now, proved_at=stay.proved_at)
        for state in list(guild.behind.values()):
            if guild.placed(state).channel_id is not None:
                self._begin(guild, state, "recorded", came, now)

    # --- what cannot be seen ---

    def hold_back(self, stay: Stay, now: int) -> None:
        """A decision about somebody who cannot be seen: it is known of their stay only until when it was seen."""
        until = last_known(self.view(self.guild(stay.guild_id)), stay.proved_at, now)
        before, stay.seen_until = stay.seen_until, until if until < now else None
        if stay.seen_until is not None:
            self._held_back[stay] = None
        if stay.seen_until != before:
            self._ledger.changed(stay, now, since=until if before is None else min(before, until))

    def look_again(self, now: int) -> None:
        """Stays that were held back, or began in doubt, and can be seen again."""
        begun, self._begun_in_doubt = self._begun_in_doubt, []
        for stay in begun:
            if stay.ended_at is not None:
                continue
            if self.view(self.guild(stay.guild_id)) is LIVE:
                stay.proved_at = max(stay.proved_at, stay.started_at)
            else:
                self._begun_in_doubt.append(stay)
        held_back, self._held_back = self._held_back, {}
        for stay in held_back:
            if stay.ended_at is None and stay.seen_until is not None:
                self.hold_back(stay, now)

    def answered(self, question: Question, state: frames.VoiceState | None, now: int) -> None:
        """Takes Discord's answer to a question (None: there was none); what the gateway has said since then counts."""
        guild = self.guilds.get(question.guild_id)
        stay = None if guild is None else guild.seats.get(question.user_id)
        if state is None or guild is None or stay is None or stay.proved_at != question.proved_at:
            return
        if self.view(guild) is not LIVE:
            return
        if state.channel_id == stay.channel_id:
            self._prove(stay, state.flags, question.asked_at, now)
        else:
            self.signs.said(stay, state, now)

    def judge(self, now: int) -> None:
        """Ends the stays of which there was a sign that they are over, and no other."""
        if not self.signs or self._sight.view() is not LIVE:
            return
        for sign in self.signs.due(self._sight.watermark or NEVER):
            guild, stay = self.guild(sign.stay.guild_id), sign.stay
            if guild.seen_since is None or not sign.stands:
                continue
            since, proof = sign.read_at, stay.proved_at
            state = guild.placed(sign.state)
            by = "left" if state.channel_id is None else "switched"
            self._end(guild, stay, by, edge(What.GONE, LIVE, proof, since), now)
            if state.channel_id is not None:
                self._begin(guild, state, by, edge(What.FOUND, LIVE, proof, since), now)

    def take_up(self, session: VoiceSession, view: Unseen, now: int) -> None:
        """An open session of before: the person may still be there, or a roll call has shown already that they left."""
        guild = self.guilds[session.guild_id]
        known = self._ledger.stays_of(session.user_id, session.guild_id)
        stay = recorded_stay(session)
        if not known and guild.first_seen is None:
            guild.seats[stay.user_id] = stay
            self.signs.sat(stay, now)
            self._ledger.enter(stay, now)
            return
        looked_at = known[0].started_at if known else guild.first_seen or now
        if past(session.started_at, now) is None:
            self._ledger.enter(stay, now)
            self.end_somewhere(stay, looked_at)
            return
        first = known[0] if known and known[0].started_by == "roll_call" else None
        if first is not None and self.goes_on(stay, first.channel_id, first.afk, view, looked_at):
            first.go_on_from(session)
            return
        stay.end(edge(What.GONE, view, stay.proved_at, looked_at), "roll_call")
        self._ledger.enter(stay, now)
        self._ledger.ended(stay, now)
        for later in known:
            later.begin_after(stay)

    def end_somewhere(self, stay: Stay, now: int) -> None:
        """It is over, and was at some time since the person was in; a clock that was ahead said when."""
        guild = self.guild(stay.guild_id)
        if guild.seats.get(stay.user_id) is stay:
            del guild.seats[stay.user_id]
            self.signs.rose(stay)
        stay.started_at, stay.not_before = now, self._ledger.knew(stay.user_id) or NEVER
        stay.history = FlagHistory(now, 0)
        stay.end(Edge(now, NEVER, now), "roll_call")
        self._ledger.ended(stay, now)

    # --- beginnings and ends ---

    def _prove(self, stay: Stay, flags: int, at: int, now: int) -> None:
        """The person was there at `at`. Now and then that is written, so that the next run knows it, too."""
        stay.proved_at = max(stay.proved_at, at)
        if stay.history.change(now, flags):
            self._ledger.changed(stay, now, since=now)
        elif stay.recorded and at - stay.history.changed_at >= self.signs.ask_after_ms:
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

    def _begin(
        self,
        guild: GuildState,
        state: frames.VoiceState,
        by: str,
        came: Edge,
        now: int,
        *,
        proved_at: int | None = None,
    ) -> None:
        """The person is in a channel since `came`; `proved_at`: what is read does not say so."""
        _, user_id, channel_id, flags = state
        assert channel_id is not None  # noqa: S101 (for the type checker)
        at, earliest, _ = came
        proof = min(self._sight.proof(now), at) if proved_at is None else proved_at
        is_afk = guild.is_afk(channel_id)
        stay = Stay("", guild.guild_id, channel_id, user_id, at, by, earliest, is_afk, FlagHistory(at, flags), proof)
        if proved_at is None and proof < at:
            self._begun_in_doubt.append(stay)
        guild.seats[stay.user_id] = stay
        self.signs.sat(stay, now)
        self._ledger.enter(stay, now)
        self._count(by, stay)

    def _end(self, guild: GuildState, stay: Stay, by: str, went: Edge, now: int) -> None:
        """The person is not there any more since `went`."""
        stay.end(went, by)
        del guild.seats[stay.user_id]
        self.signs.rose(stay)
        self._ledger.ended(stay, now)
        self._count(by, stay)
        if went.earliest < stay.started_at:
            self._doubt_cuts(stay, went, now)

    def _doubt_cuts(self, stay: Stay, went: Edge, now: int) -> None:
        """Nothing was heard of the person since the channel became the AFK channel, or was it no more: they may have
        gone before that, and the part of the stay that was cut off there ended as this one did."""
        for earlier in reversed(self._ledger.stays_of(stay.user_id, stay.guild_id, went.earliest)):
            cut_at = stay.started_at
            if (earlier.channel_id, earlier.ended_at) == (stay.channel_id, cut_at) and earlier.afk is not stay.afk:
                stay.not_before = min(stay.not_before, went.earliest)
                self._ledger.changed(stay, now)
                earlier.end(Edge(min(went.at, cut_at), went.earliest, cut_at), "switched")
                self._ledger.changed(earlier, now, since=went.earliest)
                stay = earlier

    def _count(self, what: str, stay: Stay) -> None:
        if self._ledger.consents.standing(stay.user_id) is not None:
            self._counts[what] += 1
