"""When a stay began or ended, and how far that may be off: the one rule, for whatever shows it. Pure.

Discord gives voice states no time. What is read while the guild is seen as it happens has just happened. Else all that
is known is the last moment before which nothing can have been missed, `Unseen.since`:

| what is read | it is since |
|-|-|
| between HELLO and RESUMED (replayed) | the watermark |
| late (a stall, a sleep, a connection that stood still) | the last moment at which all was well |
| in a guild without a roll call since READY, an outage, or something lost | when that guild was last seen |
| in a guild that was never seen, by an earlier run neither | `NEVER` |

A person's `proof` is the last moment at which they are known to have been where they were: their last voice state, a
roll call, an answer to a question; for a beginning, that they were elsewhere. What was told of them cannot be older.
What is found out (a snapshot without them, a voice state in another guild, an answer) means that something else was
missed, and nobody knows when: then only the proof counts.

| what | seen live | unseen since S |
|-|-|-|
| they came | now | now; S to now |
| they are found there | now; proof to now | now; the earlier of S and proof, to now |
| they went (or the channel, or the bot) | now | the later of S and proof; from there to now |
| they are found gone | proof; proof to now | the later of S and proof; proof to now |

So time that nobody saw is not counted. Where a number was left out (`missed_since`), what is missing may be older than
S: what is read of somebody then is taken for found out, and a beginning reaches back to the last number before it. One
moment of doubt is left out on purpose: while all is live, what is never sent, and never missed, did not happen. So what
a decision cuts meanwhile is exact; once they are found gone it is in doubt as well, back to the proof.
"""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple

NEVER = 0
"""Before anybody looked: nothing is known since when."""


class Live:
    """Everything arrives as it happens."""

    __slots__ = ()


class Unseen(NamedTuple):
    """Nothing before `since` can have been missed; but something was, after `missed_since`, if that is not None.

    `by_earlier_run`: that run saw only whom it knew to be in.
    """

    since: int = NEVER
    by_earlier_run: bool = False
    missed_since: int | None = None

    @property
    def surely(self) -> int:
        """The last moment before which nothing can have been missed, for whoever is told no more than that."""
        return self.since if self.missed_since is None else min(self.since, self.missed_since)


LIVE = Live()


class What(Enum):
    """What is read of a person."""

    CAME = "came"
    FOUND = "found there"
    WENT = "went"
    GONE = "found gone"


# What is told as it happens; the rest is found out.
_TOLD = (What.CAME, What.WENT)


class Edge(NamedTuple):
    """A beginning or an end: it counts from or to `at`, and truly was between `earliest` and `latest`."""

    at: int
    earliest: int
    latest: int


def edge(what: What, view: Live | Unseen, proof: int, now: int) -> Edge:
    """The edge of a stay by the table above; all times are milliseconds since 1970 UTC, none of them after `now`."""
    if view is LIVE and what in _TOLD:
        return Edge(now, now, now)
    since = view.since if isinstance(view, Unseen) else now
    if isinstance(view, Unseen) and view.missed_since is not None:
        if what in (What.WENT, What.GONE):
            what = What.GONE
        else:
            what, proof = What.FOUND, min(proof, view.missed_since)
    if what is What.CAME:
        return Edge(now, since, now)
    if what is What.FOUND:
        return Edge(now, min(since, proof), now)
    last = last_known(view, proof, now)
    if what is What.WENT:
        return Edge(last, last, now)
    return Edge(last if isinstance(view, Unseen) else proof, proof, now)


def last_known(view: Live | Unseen, proof: int, now: int) -> int:
    """The last moment at which the person was known to be there."""
    return max(view.since, proof) if isinstance(view, Unseen) else now
