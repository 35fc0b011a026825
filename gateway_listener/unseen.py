"""What the service is told of the guilds that are not seen while their shard is. Pure.

The shard's mark holds for all the others. Only a guild in which something is open is told of, and only what is new.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from db_client.records import GuildSight

_PERHAPS = -1
"""Since no moment: whether the service was told is not known."""


class UnseenGuilds:
    """Of which guilds the service has, as far as is known, that they are not seen, and since when."""

    def __init__(self) -> None:
        self._told: dict[int, int | None] = {}
        self._revision = 0

    def recall(self, guild_ids: Iterable[int]) -> None:
        """An earlier run may have told of these, or not."""
        self._told.update(dict.fromkeys(guild_ids, _PERHAPS))

    def compare(self, stored: Collection[GuildSight]) -> None:
        """That is what the service has, whoever told it; what is told next has a newer revision."""
        self._told = {sight.guild_id: sight.unseen_since for sight in stored}
        self._revision = max([self._revision, *(sight.revision for sight in stored)])

    def news(self, unseen: Mapping[int, int | None], at: int) -> list[GuildSight]:
        """What the service is to be told at that moment (ms since 1970 UTC), if it is these guilds, and since when."""
        told, self._told = self._told, dict(unseen)
        news: list[GuildSight] = []
        for guild_id in {**told, **unseen}:
            seen, since = guild_id not in unseen, unseen.get(guild_id)
            if seen or guild_id not in told or told[guild_id] != since:
                news.append(self._sight(guild_id, seen, since, at))
        return news

    def seen_again(self, guild_id: int, at: int) -> list[GuildSight]:
        """What the service is to be told at that moment of a guild that is seen."""
        if guild_id not in self._told:
            return []
        del self._told[guild_id]
        return [self._sight(guild_id, True, None, at)]

    def _sight(self, guild_id: int, seen: bool, since: int | None, at: int) -> GuildSight:
        self._revision = max(self._revision + 1, at)
        return GuildSight(guild_id, self._revision, seen, since)
