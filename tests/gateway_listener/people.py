"""What truly happens in two guilds: who sits where and how, which channel is the AFK channel, where the bot is.

Written down by itself, never from a listener; whoever watches is told by events and snapshots as Discord makes them.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from typing import Any

from tests.gateway_listener.harness import AFK, DESK, NOON, SOFA
from tests.gateway_listener.truth import FOREVER, Span, TrueStay

# In different shards as soon as there are two.
GUILDS = (1 << 30, (2 << 30) + (1 << 22))
PEOPLE = (11, 12, 13)
BOT = 99
UNKNOWN = 104
"""A channel that no snapshot names."""
STAGE = 105
NAMED = {DESK: 2, SOFA: 2, AFK: 2, STAGE: 13}
"""The kinds of rooms, and their type on the wire."""

Event = tuple[int, str, dict[str, Any]]


def room(guild: int, kind: int) -> int:
    """A channel of the guild."""
    return kind if guild == GUILDS[0] else kind + 1000


class People:
    """The truth; `tell(guild, kind, data)` is called with every event, and nothing impossible happens."""

    def __init__(self, tell: Callable[[int, str, dict[str, Any]], None]) -> None:
        self.now = NOON
        self.seats: dict[int, tuple[int, int, int]] = {}
        """Person to guild, channel, and since when."""
        self.stays: list[TrueStay] = []
        self.flags: dict[int, int] = defaultdict(int)
        self.flag_changes: dict[int, list[tuple[int, int]]] = defaultdict(list)
        self.afk = dict.fromkeys(GUILDS, AFK)
        self.afk_since = dict.fromkeys(GUILDS, 0)
        self.afk_times: dict[int, list[Span]] = defaultdict(list)
        """By channel: when it was the AFK channel, until the last change."""
        self.joined = set(GUILDS)
        self.down: set[int] = set()
        """Guilds that Discord has lost for now."""
        self._left_behind: dict[int, dict[int, int]] = {}
        self._tell = tell

    # --- people ---

    def move(self, user: int, guild: int, kind: int | None, *, member: bool = True) -> None:
        """The person joins, switches or leaves."""
        seat = self.seats.get(user)
        channel = None if kind is None else room(guild, kind)
        if seat is not None and (seat[0] != guild or channel is None):
            self._stand_up(user)
            self._tell_state(seat[0], user, None, member)
        if channel is None or guild not in self.joined or (seat is not None and seat[1] == channel):
            return
        self._stand_up(user)
        self.seats[user] = (guild, channel, self.now)
        self._tell_state(guild, user, channel, member)

    def _stand_up(self, user: int) -> None:
        seat = self.seats.pop(user, None)
        if seat is not None and user != BOT:
            self.stays.append(TrueStay(user, *seat, self.now))

    def vanish(self, user: int) -> None:
        """The person leaves, and nobody is ever told."""
        self._stand_up(user)

    def set_flags(self, user: int, flags: int, *, member: bool = True) -> None:
        """The person mutes, deafens, shows video, streams; nothing about where they are changes."""
        self.flags[user] = flags
        self.flag_changes[user].append((self.now, flags))
        if user in self.seats:
            self._tell_state(self.seats[user][0], user, self.seats[user][1], member)

    def _state(self, user: int, channel: int | None) -> dict[str, Any]:
        flags = self.flags[user]
        return {
            "user_id": str(user),
            "channel_id": None if channel is None else str(channel),
            "self_mute": bool(flags & 1),
            "self_deaf": bool(flags & 2),
            "self_video": bool(flags & 4),
            "self_stream": bool(flags & 8),
        }

    def _tell_state(self, guild: int, user: int, channel: int | None, member: bool) -> None:
        state = self._state(user, channel) | {"guild_id": str(guild)}
        if member:
            state["member"] = {"user": {"id": str(user), "bot": user == BOT}}
        self._tell(guild, "VOICE_STATE_UPDATE", state)

    def all_stays(self) -> list[TrueStay]:
        """Those that are over, and those that last."""
        return [*self.stays, *(TrueStay(user, *seat, FOREVER) for user, seat in self.seats.items() if user != BOT)]

    # --- guilds ---

    def snapshot(self, guild: int) -> dict[str, Any]:
        """The data of a GUILD_CREATE."""
        there = [(user, seat[1]) for user, seat in self.seats.items() if seat[0] == guild]
        return {
            **self._settings(guild),
            "channels": [
                {"id": str(room(guild, kind)), "name": "room", "type": type_} for kind, type_ in NAMED.items()
            ],
            "voice_states": [self._state(user, channel) for user, channel in there],
            "members": [{"user": {"id": str(user), "bot": user == BOT}} for user, _ in there],
        }

    def _settings(self, guild: int) -> dict[str, Any]:
        return {"id": str(guild), "name": "Study room", "afk_channel_id": str(room(guild, self.afk[guild]))}

    def set_afk(self, guild: int, kind: int) -> None:
        """Another channel is the AFK channel from now on."""
        if guild in self.joined:
            self.afk_times[room(guild, self.afk[guild])].append((self.afk_since[guild], self.now))
            self.afk[guild], self.afk_since[guild] = kind, self.now
            self._tell(guild, "GUILD_UPDATE", self._settings(guild))

    def afk_until_now(self) -> dict[int, list[Span]]:
        """By channel: when it was the AFK channel."""
        times = {channel: list(spans) for channel, spans in self.afk_times.items()}
        for guild, kind in self.afk.items():
            times.setdefault(room(guild, kind), []).append((self.afk_since[guild], FOREVER))
        return times

    def empty(self, guild: int, kind: int) -> None:
        """The channel is deleted with everyone in it, and another one is made under its id."""
        channel = room(guild, kind)
        there = [user for user, seat in self.seats.items() if seat[1] == channel]
        self._tell(guild, "CHANNEL_DELETE", {"id": str(channel), "guild_id": str(guild), "type": 2})
        for user in there:
            self._stand_up(user)
            self._tell_state(guild, user, None, True)
        made = {"id": str(channel), "guild_id": str(guild), "type": NAMED[kind], "name": "room"}
        self._tell(guild, "CHANNEL_CREATE", made)

    def outage(self, guild: int) -> bool:
        """Discord loses the guild; False if that is impossible."""
        if guild not in self.joined - self.down:
            return False
        self._tell(guild, "GUILD_DELETE", {"id": str(guild), "unavailable": True})
        self.down.add(guild)
        return True

    def remove_bot(self, guild: int) -> bool:
        """The bot is thrown out: what happens in the guild is no affair of ours, until it is invited again."""
        if guild not in self.joined:
            return False
        self._tell(guild, "GUILD_DELETE", {"id": str(guild)})
        self._left_behind[guild] = {user: seat[1] for user, seat in self.seats.items() if seat[0] == guild}
        for user in self._left_behind[guild]:
            self._stand_up(user)
        self.joined.discard(guild)
        self.down.discard(guild)
        return True

    def add_bot(self, guild: int) -> bool:
        """The bot is invited again, and finds there whoever has not gone elsewhere."""
        if guild in self.joined:
            return False
        self.joined.add(guild)
        for user, channel in self._left_behind.pop(guild, {}).items():
            self.seats.setdefault(user, (guild, channel, self.now))
        return True
