"""Every table and column of the service, with what it is for, whose it is and how long it stays: the end of
`docs/privacy.md`. A test holds these words to the schema as the migrations make it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

BEGIN = "<!-- From here to the end: made, and kept true, by tests/interactions_api/test_documents.py -->"


class Table(NamedTuple):
    """What a table is for, about whom it is, how long a row stays, and what each column is for."""

    purpose: str
    whose: str
    kept: str
    columns: Mapping[str, str]


ERASED = "until that person erases it"
SESSIONS = f"{ERASED}, the server's retention is over, or the bot left the server for good"
SERVER = "until the bot left the server for good"

TABLES: dict[str, Table] = {
    "opt_in_users": Table(
        "Who opted in, and what they are called to those who may see them",
        "one person's",
        ERASED,
        {
            "user_id": "whose it is",
            "username": "the user name as of the last opt-in: for the file of `/my_data`",
            "display_name": "the display name as of the last opt-in: on boards and in reports",
            "avatar_url": "the address of the picture as of the last opt-in: for the file of `/my_data`",
            "opted_in": "whether the newest decision is to be recorded",
            "since": "since when that holds",
            "version": "the number of the newest decision, so that a late one does not count",
        },
    ),
    "consent_log": Table(
        "Each decision, so that it is kept also when something arrives late or twice",
        "one person's",
        "until that person erases it; the erasure itself stays, so that nothing late comes back",
        {
            "seq": "the order of arrival, by which the programs hear of it",
            "interaction_id": "the number of the decision; Discord's, and its moment is in it",
            "user_id": "who decided",
            "decision": "in, out or erase",
            "at": "when",
        },
    ),
    "visible_on": Table(
        "To which servers a person shows their time, and from when on",
        "one person's",
        ERASED,
        {
            "user_id": "who chose",
            "guild_id": "about which server; 0 is every one",
            "version": "the number of the decision, so that a late one does not count",
            "shown_from": "from when on times are shown; nothing: they are hidden",
        },
    ),
    "voice_sessions": Table(
        "Each stay in a voice or stage channel: what `/voice_time` and `/sessions` show",
        "one person's",
        SESSIONS,
        {
            "session_id": "the stay's own number, made by the program that saw it, so that written twice it is once",
            "guild_id": "on which server",
            "channel_id": "in which channel",
            "user_id": "whose stay",
            "started_at": "when it began",
            "ended_at": "when it ended; nothing while it lasts",
            "started_by": "what began it: coming, switching, opting in, being found there",
            "ended_by": "what ended it: leaving, switching, opting out, not being found any more",
            "started_within_ms": "how sure the begin is",
            "ended_within_ms": "how sure the end is",
            "afk": "whether the channel is the server's AFK channel, whose time is not counted",
            "muted_ms": "how long the microphone was muted",
            "deafened_ms": "how long the sound was off",
            "video_ms": "how long the camera was on",
            "stream_ms": "how long something was streamed",
            "flags": "which of these four holds now, while the stay lasts",
            "flags_at": "since when",
            "revision": "how often it was written, so that an older state does not replace a newer one",
        },
    ),
    "voice_totals": Table(
        "Sums of ended stays by sixteen weeks, so that reports of a long time are quick",
        "one person's",
        "as long as the stays of which they are the sums",
        {
            "guild_id": "on which server",
            "block": "in which sixteen weeks",
            "channel_id": "in which channel",
            "user_id": "whose",
            "sessions": "how many stays began",
            "counted_ms": "how much time outside the AFK channel",
            "afk_ms": "how much time in the AFK channel",
        },
    ),
    "channels": Table(
        "The names of channels in which a stay is stored",
        "a server's; people name channels after themselves, so a name goes with the last stay in its channel",
        "until the last stay in that channel is gone",
        {
            "channel_id": "which channel",
            "guild_id": "on which server",
            "name": "what it is called: in the reports of those who were there",
            "kind": "voice or stage",
            "deleted_at": "when it was deleted at Discord",
            "revision": "when that was seen, so that an older state does not replace a newer one",
        },
    ),
    "guilds": Table(
        "The servers of which something is stored, and whether the bot is there",
        "a server's",
        SERVER,
        {
            "guild_id": "which server",
            "name": "what it is called: in the file of `/my_data`; empty if nothing was ever recorded there",
            "time_zone": "the time zone that its managers chose",
            "afk_channel_id": "which is its AFK channel",
            "left_at": "when it was noticed that the bot is not there; nothing while it is",
            "absence_confirmed_at": "when Discord said so once more, before anything is removed",
            "presence_revision": "when either was noticed, so that an older state does not replace a newer one",
            "revision": "when the name was seen, for the same reason",
        },
    ),
    "guild_settings": Table(
        "What the managers of a server decided in `/settings`; not who of them",
        "a server's",
        SERVER,
        {
            "guild_id": "which server",
            "setting": "time zone, leaderboard or retention",
            "value": "what was decided; nothing is the default",
            "version": "the number of the decision, so that a late one does not count",
        },
    ),
    "unrecorded_channels": Table(
        "In which channels nobody is recorded, by decision of a server's managers; not of whom",
        "a server's",
        SERVER,
        {
            "channel_id": "which channel",
            "guild_id": "on which server",
            "from_at": "since when",
            "to_at": "until when; nothing while it lasts",
            "version": "the number of the decision, so that a late one does not count",
            "name": "what it is called, for managers once it is deleted; goes when the channel is recorded again",
        },
    ),
    "listener_watermarks": Table(
        "When Discord was last heard: a stay during which nobody listened ends there",
        "the installation's",
        "for ever; each is overwritten by the next",
        {
            "shard_id": "which part of the servers",
            "shard_count": "of how many parts",
            "observed_at": "when",
        },
    ),
    "unseen_guilds": Table(
        "Which servers with a stay under way are not heard of while others are: the stay ends there",
        "a server's",
        "until the server is heard of again",
        {
            "guild_id": "which server",
            "unseen_since": "when it was last heard of; nothing: never",
            "revision": "when that was noticed, so that an older state does not replace a newer one",
        },
    ),
    "installation": Table(
        "Whose data these are, so that no other application's program removes any of them",
        "the installation's",
        "for ever",
        {"name": "`application_id`", "value": "the application's number at Discord"},
    ),
    "leases": Table(
        "Which of several programs removes what is due, so that it is one at a time",
        "the installation's",
        "for ever; overwritten by the next",
        {
            "name": "what is done",
            "holder": "which program, by a number made at its start",
            "until_at": "until when",
        },
    ),
    "blocks": Table(
        "The numbers of the blocks of sixteen weeks until the year 2276",
        "nobody's",
        "for ever; never changed",
        {"block": "a number"},
    ),
    "schema_migrations": Table(
        "Which versions of these tables were made",
        "the installation's",
        "for ever",
        {"version": "which one", "name": "what it is called", "applied_at": "when"},
    ),
}


def tables(schema: Mapping[str, Sequence[str]]) -> str:
    """The section on all tables, in the schema's order of columns; KeyError for a column or table without words."""
    lines = [BEGIN, "", "## Every table and column", ""]
    lines += ["What the SQLite service stores. Numbers of people, servers and channels are Discord's own.", ""]
    for name in TABLES:
        table = TABLES[name]
        lines += [f"### `{name}`", "", f"{table.purpose}. Whose: {table.whose}. Kept: {table.kept}.", ""]
        lines += ["| column | what for |", "|-|-|", *(f"| `{c}` | {table.columns[c]} |" for c in schema[name]), ""]
    return "\n".join(lines)
