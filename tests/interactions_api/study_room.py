"""A server with a story in the store, and everything real between a person's command and the reply.

Discord is simulated, with its strict check of every reply; gunicorn, the service and an unreliable way to it are real.
"""

from __future__ import annotations

import io
import itertools
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from nacl.signing import SigningKey

from db_client.records import Channel, ConsentDecision, Guild, Record, Visibility, VoiceSession, Watermark
from db_client.settings import StoreSettings
from db_client.snowflake import earliest
from db_client.statements import Statement
from db_client.store import Fate, Store
from interactions_api.register import main
from tests.interactions_api.running import running
from tests.interactions_api.unreliable import Unreliable
from tests.services import RunningService, start_embedded
from tests.simulated_discord.control import Control, in_thread
from tests.waiting import eventually

MINUTE, HOUR, DAY = 60_000, 3_600_000, 86_400_000
PATIENCE_S = 20.0

_numbers = itertools.count(1)


class StudyRoom:
    """Commands as people, records as the listener would write them, and rows as they are stored."""

    def __init__(self, discord: Control, store: Store, proxy: Unreliable, port: int, now: int) -> None:
        self.discord = discord
        self.store = store
        self.proxy = proxy
        self.port = port
        self.now = now
        self._channels: dict[int, Channel] = {}
        self.guild = self.make_guild("Study room")

    def make_guild(self, name: str) -> int:
        guild: int = self.discord.add_guild(name)
        self.keep(Guild(guild, name, None, 1))
        return guild

    def channel(self, name: str, guild: int = 0, *, deleted_at: int | None = None) -> int:
        channel: int = self.discord.add_channel(guild or self.guild, name[:100])
        self._channels[channel] = Channel(channel, guild or self.guild, name, 2, 1, deleted_at)
        return channel

    def person(self, name: str, visibility: Visibility | None = "everywhere") -> int:
        """Someone who opted in a year ago, and chose that in the first server (with None: never)."""
        user: int = self.discord.add_user(display_name=name[:32])
        self.discord.add_member(self.guild, user)
        if visibility is not None:
            decided = earliest(self.now - 400 * DAY) + next(_numbers)
            self.keep(ConsentDecision(decided, user, "in", "user", name, None, visibility, self.guild))
        return user

    def session(self, user: int, channel: int, begin: int, end: int | None, **more: Any) -> None:
        """A stay that began and ended that many ms before now (0 or less ms ago: not yet), and the channel's name."""
        started, ended = self.now - begin, None if end is None else self.now - end
        known = {"started_by": "joined", "started_within_ms": 0, "flags_at": ended or started, "guild_id": self.guild}
        if ended is not None:
            known |= {"ended_by": "left", "ended_within_ms": 0}
        session = VoiceSession(
            session_id=f"{next(_numbers):x}",
            channel_id=channel,
            user_id=user,
            started_at=started,
            ended_at=ended,
            revision=1,
            **{**known, **more},
        )
        self.discord.add_member(session.guild_id, user)
        self.keep(session, self._channels[channel])

    def seen(self, ago: int) -> None:
        """The bot saw its servers until so many ms before now."""
        self.keep(Watermark(0, self.now - ago))

    def keep(self, *records: Record) -> None:
        assert self.store.deliver(self.store.keep(records), within=PATIENCE_S) is Fate.STORED

    def rows(self, sql: str, **parameters: Any) -> list[dict[str, Any]]:
        return self.store.query(Statement(sql, parameters), within=PATIENCE_S)[0]

    @contextmanager
    def fault(self, fault: str) -> Iterator[None]:
        """The service answers the endpoint with that fault; afterwards the endpoint has found it again."""
        self.proxy.faults[""] = fault
        try:
            yield
        finally:
            self.proxy.faults.clear()
            visitor = self.person("Visitor", None)
            eventually(lambda: self._well(visitor), within=30, what="the endpoint finds the service again")

    def _well(self, visitor: int) -> bool:
        """Decisions are stored and reports are answered: neither delivery nor patience remembers the fault."""
        stored = "You are opted in" in self.use("opt_in", visitor).content
        return stored and "does not answer" not in self.use("voice_time", visitor).content

    def use(self, command: str, user: int, **arguments: Any) -> Any:
        """The outcome of a command; options are given by name, what Discord adds in `_...`."""
        around = {key[1:]: arguments.pop(key) for key in list(arguments) if key.startswith("_")}
        return self.discord.command(command, user, **{"guild": self.guild, "options": arguments, **around})

    def press(self, custom_id: str, user: int, **more: Any) -> Any:
        return self.discord.component(custom_id, user, **{"guild": self.guild, **more})


@contextmanager
def study_room(
    folder: Path, now: int | None = None, start: Callable[[Path], RunningService] = start_embedded
) -> Iterator[StudyRoom]:
    """All programs running and the commands registered. With `now`, Discord's clock stands there.

    `start` starts the service.
    """
    standing = {} if now is None else {"clock": lambda: now}
    with (
        start(folder / "service") as service,
        Unreliable(service.url) as proxy,
        in_thread(seed=5, **standing) as discord,
    ):
        environment = discord.environment()
        assert main((), environment, io.StringIO(), io.StringIO()) == 0
        chosen = {name: environment[name] for name in ("DISCORD_PUBLIC_KEY", "DISCORD_API_URL")}
        if now is not None:
            chosen["INTERACTION_MAX_AGE_S"] = str(10**10)
        store = Store(StoreSettings(service.url, folder / "listener.db"))
        store.start()
        try:
            with running(folder, SigningKey.generate(), proxy.url, **chosen) as endpoint:
                discord.set_interactions_url(f"http://127.0.0.1:{endpoint.port}/interactions")
                room = StudyRoom(discord, store, proxy, endpoint.port, now or time.time_ns() // 1_000_000)
                room.seen(-DAY)  # for as long as it stands
                yield room
        finally:
            store.stop(within=PATIENCE_S)
