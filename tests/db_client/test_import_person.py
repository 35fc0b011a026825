"""`python -m db_client.import_person`: one person's export into a service, or one sentence and nothing written."""

from __future__ import annotations

import copy
import io
import json
import os
import re
import struct
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from db_client import import_person
from db_client.export import FILES, TABLES, Person, zip_of
from db_client.person_file import NotAnExport, person_of, records_of
from db_client.person_rules import totals_of
from db_client.records import ConsentDecision
from db_client.settings import StoreSettings
from db_client.statements import Statement
from db_client.store import Store
from tests.reports.exports import (
    DEN,
    DESK,
    GAMES,
    GOOD,
    ME,
    NOW,
    STAGE,
    STUDY,
    T,
    ada,
    content_of,
    in_a_new_service,
    meaning,
    sealed,
    snowflake,
    stay,
    zipped,
)
from tests.services import RunningService, start_embedded

FORMAT_1 = json.loads((Path(__file__).parent / "person_1.json").read_bytes())
DAY = 86_400_000
Change = Callable[[dict[str, Any]], object]


def changed(change: Change) -> bytes:
    """The good file after a change by somebody who also makes the checksum right."""
    whole = content_of(GOOD)
    change(whole)
    return zipped(sealed(whole))


def first(table: str, **values: object) -> Change:
    return lambda whole: whole[table][0].update(values)


def last(table: str, **values: object) -> Change:
    return lambda whole: whole[table][-1].update(values)


def set_to(**values: object) -> Change:
    return lambda whole: whole.update(values)


def without(*path: str | int) -> Change:
    def remove(whole: Any) -> None:
        for step in path[:-1]:
            whole = whole[step]
        del whole[path[-1]]

    return remove


def twice(table: str) -> Change:
    return lambda whole: whole[table].append(dict(whole[table][-1]))


def only_out(*decisions: tuple[str, int], **values: object) -> Change:
    """Decisions (what, when) of somebody of whom nothing else is stored."""
    rows = [{"interaction_id": str(snowflake(at)), "decision": decision, "at": at} for decision, at in decisions]
    return set_to(**{table: [] for table in TABLES} | {"decisions": rows, **values})


def summed(*changes: Change, **values: object) -> Change:
    """Several changes, with the sums of what the sessions are then."""

    def change(whole: dict[str, Any]) -> None:
        for one in changes:
            one(whole)
        whole.update(values)
        ids = ("guild_id", "channel_id")
        rows = [{**row, **{name: int(row[name]) for name in ids}} for row in whole["sessions"]]
        whole["totals"] = [
            {"guild_id": str(guild), "block": block, "channel_id": str(channel), "user_id": str(ME)}
            | dict(zip(("sessions", "counted_ms", "afk_ms"), sums, strict=True))
            for (guild, block, channel), sums in totals_of(rows).items()
        ]

    return change


# Each makes a good export into one that nobody sent.
CHANGES: dict[str, Change] = {
    "no format": without("format"),
    "a format to come": set_to(format="bigbrotherbot person 3"),
    "a format that is a list": set_to(format=["bigbrotherbot person 2"]),
    "an unknown field": set_to(hello=1),
    "a missing table": without("totals"),
    "a table that is an object": set_to(sessions={}),
    "a table that is null": set_to(guilds=None),
    "a table of numbers": set_to(decisions=[1]),
    "a table of tables": set_to(channels=[[]]),
    "made before Discord": set_to(made_at=1),
    "made at no number": set_to(made_at=True),
    "an id that is a number": set_to(user_id=ME),
    "an id that is null": set_to(user_id=None),
    "an id with a sign": set_to(user_id=f"+{ME}"),
    "an id with a space": set_to(user_id=f" {ME}"),
    "an id with other digits": set_to(user_id="\u0661\u0662\u0663"),
    "an id with a nought in front": first("sessions", channel_id=f"0{DESK}"),
    "an id of more than 63 bits": first("sessions", guild_id=str(2**63)),
    "an id of a million digits": first("sessions", guild_id="1" * 1_000_000),
    "an id of tomorrow's tomorrow": first("visible_on", guild_id=str(snowflake(2 * NOW))),
    "another person's id": set_to(user_id=str(ME + 1)),
    "another person's session": first("sessions", user_id=str(ME + 1)),
    "another person's profile": first("profile", user_id=str(ME + 1)),
    "another person's choice": first("visible_on", user_id=str(ME + 1)),
    "another person's sums": first("totals", user_id=str(ME + 1)),
    "two profiles": twice("profile"),
    "no profile": set_to(profile=[]),
    "a profile without a name": first("profile", username=""),
    "a name longer than Discord allows": first("profile", display_name="x" * 33),
    "a name with a NUL": first("profile", display_name="A\0da"),
    "half a character in a name": first("profile", display_name="\ud83d"),
    "a name that is a number": first("profile", username=7),
    "a picture from elsewhere": first("profile", avatar_url="https://example.com/x.png"),
    "in, by the profile alone": first("profile", opted_in=0),
    "in, and true": first("profile", opted_in=True),
    "in since another moment": first("profile", since=T),
    "a version that is no decision": first("profile", version=str(snowflake(T + 9 * DAY))),
    "a column too many": first("profile", visibility="server"),
    "a column too few": without("profile", 0, "since"),
    "a decision twice": twice("decisions"),
    "decisions out of order": lambda whole: whole["decisions"].reverse(),
    "a decision that nobody can make": first("decisions", decision="maybe"),
    "a decision in capitals": first("decisions", decision="IN"),
    "a decision that is null": first("decisions", decision=None),
    "a decision at another moment": first("decisions", at=T + 1),
    "a decision whose id was rounded": first("decisions", interaction_id=str(snowflake(T) + 2**22)),
    "an erasure of what is there": last("decisions", decision="erase"),
    "no decisions": set_to(decisions=[]),
    "opt-outs out of order": only_out(("out", T + 5), ("out", T)),
    "an erasure behind an opt-out": only_out(("out", T), ("erase", T + 5)),
    "a person without a number": only_out(("out", T), user_id="0"),
    "a choice without a decision": first("visible_on", version=str(snowflake(T + 9 * DAY))),
    "a choice at another moment": last("visible_on", shown_from=T + 5),
    "a choice at a moment that is text": first("visible_on", shown_from="0"),
    "a choice twice": twice("visible_on"),
    "a choice for every server and none": set_to(visible_on=[content_of(GOOD)["visible_on"][0]]),
    "a choice that was overruled": lambda whole: whole["visible_on"].append(
        {**whole["visible_on"][0], "version": whole["decisions"][0]["interaction_id"]}
    ),
    "a channel by two names": twice("channels"),
    "a server by two names": twice("guilds"),
    "a channel of another server": first("channels", guild_id=str(GAMES)),
    "a channel on two servers": summed(
        lambda whole: whole["sessions"][1].update(guild_id=str(GAMES), channel_id=str(DESK)), channels=[]
    ),
    "a channel nobody was in": first("channels", channel_id=str(DESK + 77)),
    "a channel of text": first("channels", kind=0),
    "a channel of a kind that is true": first("channels", kind=True),
    "a channel's name longer than Discord allows": first("channels", name="x" * 101),
    "a channel's name that is null": first("channels", name=None),
    "a server nobody was on": first("guilds", guild_id=str(STUDY + 77)),
    "a server's name with a NUL": first("guilds", name="\0"),
    "a session twice": twice("sessions"),
    "a session's id of another form": first("sessions", session_id="1"),
    "a session's id in capitals": first("sessions", session_id="0F3A9C417BE2D8650A1B2C3D1"),
    "a session's id with SQL": first("sessions", session_id="'; DROP TABLE voice_sessions; --"),
    "a session's id that is a number": first("sessions", session_id=1),
    "a session before its consent": first("sessions", started_at=T - 1),
    "a session beyond its consent": first("sessions", ended_at=T + 2 * DAY),
    "a session between two consents": first("sessions", started_at=T + DAY + 5, ended_at=T + DAY + 6),
    "a session that ends before it starts": first("sessions", ended_at=T + 999),
    "a session that ends before 2015": first("sessions", ended_at=0),
    "a session of next year": first("sessions", started_at=NOW + 400 * DAY, ended_at=NOW + 401 * DAY),
    "a session of more than 64 bits": first("sessions", ended_at=2**64),
    "a session that starts at text": first("sessions", started_at=str(T)),
    "a session that starts at null": first("sessions", started_at=None),
    "a session that is half ended": first("sessions", ended_by=None),
    "a session that begins by an unknown word": first("sessions", started_by="magic"),
    "a session that ends by an unknown word": first("sessions", ended_by="joined"),
    "a session in two places at once": summed(first("sessions", ended_at=T + 3_601_001)),
    "a state longer than its session": first("sessions", muted_ms=3_600_001),
    "a state shorter than nothing": first("sessions", stream_ms=-1),
    "a state that is text": first("sessions", video_ms="0"),
    "an end less sure than possible": first("sessions", ended_within_ms=-4),
    "flags that do not exist": last("sessions", flags=16),
    "flags below nought": last("sessions", flags=-1),
    "flags at no moment": last("sessions", flags_at=0),
    "afk, and true": first("sessions", afk=True),
    "afk twice over": first("sessions", afk=2),
    "a revision that would be rounded": first("sessions", revision=2**53),
    "a revision of more than 64 bits": first("sessions", revision=2**70),
    "a column of format 1": first("sessions", alone_ms=0),
    "sums of other sessions": first("totals", counted_ms=1),
    "sums of nothing": set_to(totals=[]),
    "sums in another time": first("totals", block=0),
    "a session that was taken out": lambda whole: whole["sessions"].pop(0),
    "a server under a rounded id": first("guilds", guild_id=str(int(float(STUDY)))),
}  # fmt: skip


def text_of(whole: object) -> bytes:
    return json.dumps(whole).encode()


def encrypted() -> bytes:
    """Marked as encrypted in both headers, as any program that encrypts does."""
    content = bytearray(GOOD)
    for signature, flags in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        content[content.index(signature) + flags] |= 1
    return bytes(content)


def declaring(size: int) -> bytes:
    """A zip whose first entry says that it is that long."""
    content = bytearray(GOOD)
    for signature, offset in ((b"PK\x03\x04", 22), (b"PK\x01\x02", 24)):
        struct.pack_into("<I", content, content.index(signature) + offset, size)
    return bytes(content)


def bomb() -> bytes:
    """A gigabyte of spaces in a megabyte."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        with archive.open("person.json", "w") as entry:
            for _ in range(1024):
                entry.write(b" " * 2**20)
        for name in FILES[1:]:
            archive.writestr(name, b"")
    return content.getvalue()


def named_twice() -> bytes:
    with pytest.warns(UserWarning, match="Duplicate"):
        return zipped(content_of(GOOD), (*FILES, "person.json"))


def old(change: Change) -> bytes:
    whole = copy.deepcopy(FORMAT_1)
    change(whole)
    return zipped(whole)


def kept(digits: str, of: Callable[[int], int]) -> int:
    return of(int(digits)) if int(digits) >= 2**53 else int(digits)


def rounded(of: Callable[[int], int]) -> bytes:
    """A file of format 1 as written again by a program that keeps of a number what `of` does."""
    return zipped(json.loads(text_of(FORMAT_1), parse_int=lambda digits: kept(digits, of)))


GOOD_TEXT = text_of(content_of(GOOD))
FILES_OF_OTHERS: dict[str, Callable[[], bytes]] = {
    "nothing": lambda: b"",
    "text": lambda: b"not a zip",
    "the JSON itself": lambda: GOOD_TEXT,
    "an empty zip": lambda: zipped({}, ()),
    "no person.json": lambda: zipped({}, FILES[1:]),
    "a zip of something else": lambda: zipped({}, ("a.txt",)),
    "one file more": lambda: zipped(content_of(GOOD), (*FILES, "../../etc/passwd")),
    "person.json in a folder": lambda: zipped(content_of(GOOD), ("x/person.json", *FILES[1:])),
    "person.json twice": named_twice,
    "cut at its end": lambda: GOOD[:-30],
    "cut in the middle": lambda: GOOD[: len(GOOD) // 2],
    "cut at its beginning": lambda: GOOD[100:],
    "another byte within": lambda: GOOD[:200] + bytes([GOOD[200] ^ 1]) + GOOD[201:],
    "encrypted": encrypted,
    "packed by bzip2": lambda: zipped(content_of(GOOD), compression=zipfile.ZIP_BZIP2),
    "packed by LZMA": lambda: zipped(content_of(GOOD), compression=zipfile.ZIP_LZMA),
    "a size that is not so": lambda: declaring(10),
    "a size of gigabytes": lambda: declaring(2**32 - 2),
    "a bomb": bomb,
    "nested a million deep": lambda: zipped(b"[" * 1_000_000),
    "nested objects": lambda: zipped(b'{"a":' * 200_000),
    "empty JSON": lambda: zipped(b""),
    "half of the JSON": lambda: zipped(GOOD_TEXT[:-200]),
    "JSON and more": lambda: zipped(GOOD_TEXT + b"{}"),
    "a list": lambda: zipped([content_of(GOOD)]),
    "a text": lambda: zipped("person"),
    "null": lambda: zipped(None),
    "UTF-16": lambda: zipped(GOOD_TEXT.decode().encode("utf-16")),
    "Latin-1": lambda: zipped(GOOD_TEXT.replace(b"Desk", b"D\xe9sk")),
    "NaN": lambda: zipped(GOOD_TEXT.replace(b'"muted_ms": 10', b'"muted_ms": NaN')),
    "Infinity": lambda: zipped(GOOD_TEXT.replace(b'"muted_ms": 10', b'"muted_ms": Infinity')),
    "a fraction": lambda: zipped(GOOD_TEXT.replace(b'"muted_ms": 10', b'"muted_ms": 10.5')),
    "an exponent": lambda: zipped(GOOD_TEXT.replace(b'"muted_ms": 10', b'"muted_ms": 1e1')),
    "a number of 5,000 digits": lambda: zipped(GOOD_TEXT.replace(b'"muted_ms": 10', b'"muted_ms": 1' + b"0" * 5000)),
    "a name twice": lambda: zipped(GOOD_TEXT.replace(b'"muted_ms": 10', b'"muted_ms": 10, "muted_ms": 10')),
    "changed, with the checksum of before": lambda: zipped(content_of(GOOD) | {"made_at": T}),
    "no checksum": lambda: zipped({k: v for k, v in content_of(GOOD).items() if k != "sha256"}),
    "a checksum that is a list": lambda: zipped(content_of(GOOD) | {"sha256": []}),
    "format 1 in 53 bits": lambda: rounded(lambda value: int(float(value))),
    "format 1 by node or jq": lambda: rounded(lambda value: int(Decimal(repr(float(value))))),
    "format 1 in 15 digits": lambda: rounded(lambda value: int(str(value)[:15].ljust(len(str(value)), "0"))),
    "format 1 of another session": lambda: old(first("sessions", started_at=T)),
    "format 1 under another id": lambda: old(set_to(user_id=ME + 1)),
    "format 1 without time alone": lambda: old(without("sessions", 0, "alone_ms")),
    "format 1 with flags of format 3": lambda: old(first("sessions", flags=32)),
    "format 1 with flags that are a list": lambda: old(first("sessions", flags=[])),
    "format 1 seen by nobody knows whom": lambda: old(first("profile", visibility="friends")),
    "format 1 seen by a list": lambda: old(first("profile", visibility=[])),
    "format 1 with an id that is a list": lambda: old(first("sessions", guild_id=[1])),
    "format 1 with ids of text": lambda: old(set_to(user_id=str(ME))),
    "format 1 with a checksum": lambda: old(set_to(sha256="")),
}  # fmt: skip
BAD = {
    **{name: lambda change=change: changed(change) for name, change in CHANGES.items()},
    **FILES_OF_OTHERS,
}


SENTENCES = {
    "a session that ends before it starts": "row 1 of its sessions ends before it starts",
    "a state that is text": "video_ms in row 1 of its sessions is not a duration in milliseconds",
    "changed, with the checksum of before": "it was changed after it was made",
    "encrypted": "it is encrypted",
    "packed by LZMA": "than by deflate",
    "a bomb": "larger than",
    **{name: "were rounded" for name in FILES_OF_OTHERS if re.search(r"^format 1 (in|by) ", name)},
}


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    with start_embedded(tmp_path_factory.mktemp("service")) as running:
        yield running


class Importing:
    """The command line with a queue file of its own."""

    def __init__(self, folder: Path, url: str, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder, self._capsys = folder, capsys
        self.queue = folder / "queue" / "queue.db"
        self._variables = {"SQLITE_SERVICE_URL": url, "QUEUE_FILE": str(self.queue)}

    def of(self, file: bytes) -> tuple[int, str, str]:
        (self.folder / "my_data.zip").write_bytes(file)
        return self(str(self.folder / "my_data.zip"))

    def __call__(self, *arguments: str) -> tuple[int, str, str]:
        """The exit status, what was printed, and what was printed as wrong."""
        status = import_person.main(arguments, self._variables)
        return status, *self._capsys.readouterr()

    def asked(self, sql: str) -> list[dict[str, Any]]:
        store = Store(StoreSettings(self._variables["SQLITE_SERVICE_URL"], self.folder / "reader.db"))
        [rows] = store.query(Statement(sql, {}), within=20)
        store.stop(within=1)
        return rows

    def refuses(self, *arguments: str, file: bytes | None = None) -> str:
        """The sentence, after which nothing is written or kept anywhere."""
        before = self.asked("SELECT count(*) AS tables FROM sqlite_master")
        status, out, err = self(*arguments) if file is None else self.of(file)
        assert (status, out) == (2, "")
        assert err.startswith("Nothing was imported: ")
        assert err.endswith(".\n")
        assert err.count("\n") == 1
        assert not self.queue.parent.exists()
        assert self.asked("SELECT count(*) AS tables FROM sqlite_master") == before
        return err


@pytest.fixture
def importing(tmp_path: Path, service: RunningService, capsys: pytest.CaptureFixture[str]) -> Importing:
    return Importing(tmp_path, service.url, capsys)


@pytest.mark.parametrize("name", BAD)
def test_a_bad_file_is_refused_in_one_sentence(name, importing):
    """Before anything is written, and without a word of what is in it."""
    sentence = importing.refuses(file=BAD[name]())
    assert len(sentence) < 200
    assert SENTENCES.get(name, "") in sentence
    for secret in (str(ME), str(ME + 1), "ada", "Ada", "Desk", "Study"):
        assert secret not in sentence


@pytest.mark.parametrize(
    "file", [GOOD, zipped(content_of(GOOD)), zipped(FORMAT_1), zipped(content_of(GOOD), compression=0)]
)
def test_what_was_sent_is_no_bad_file(file):
    """The tables above refuse for what they name."""
    assert person_of(file, NOW).user_id == ME


def test_what_cannot_be_read_is_said_in_one_sentence(importing, tmp_path):
    """A folder, no file, the standard input, a device, a name that no file can have."""
    os.mkfifo(tmp_path / "pipe")
    for name in (str(tmp_path), str(tmp_path / "none"), "-", "/dev/zero", str(tmp_path / "pipe"), "a\0b", "x" * 5000):
        sentence = importing.refuses(name)
        assert ("standard input" in sentence) == (name == "-")
    (tmp_path / "large.zip").touch()
    os.truncate(tmp_path / "large.zip", import_person.LARGEST_FILE + 1)
    assert "larger" in importing.refuses(str(tmp_path / "large.zip"))
    for arguments in ((), ("a", "b"), ("--help",)):
        status, out, err = importing(*arguments)
        assert (status, out, err.count("\n")) == (2, "", 1)
        assert err.startswith("usage: ")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read every file")
def test_a_file_that_may_not_be_read_is_said_in_one_sentence(importing, tmp_path):
    """By whose rights the command runs."""
    (tmp_path / "secret.zip").write_bytes(GOOD)
    (tmp_path / "secret.zip").chmod(0)
    assert "Permission denied" in importing.refuses(str(tmp_path / "secret.zip"))


@pytest.fixture
def own(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Iterator[Importing]:
    """With a service of its own."""
    with start_embedded(tmp_path / "service") as running:
        yield Importing(tmp_path, running.url, capsys)


def test_whose_data_were_imported_is_said(own):
    """By id, with how much of it, and how many of the sessions stand; twice is once."""
    for _ in range(2):
        status, out, err = own.of(GOOD)
        assert (status, err) == (0, "")
        assert f"Imported 4 decisions and 3 sessions of the user {ME}; the service now holds 3 sessions" in out
    [row] = own.asked("SELECT count(*) AS sessions, sum(user_id <> 175928847299117063) AS others FROM voice_sessions")
    assert row == {"sessions": 3, "others": 0}


def test_a_person_whom_the_service_knows_otherwise_is_left_alone(own):
    """Neither somebody by other decisions, nor what has the ids of the file and is another's."""
    other = ME + 2
    kept = [
        ConsentDecision(snowflake(T + 5), ME, "in", "ada", "Ada"),
        ConsentDecision(snowflake(T + 6), other, "in", "bo", "Bo"),
        stay(9, STUDY, DESK, T + 10, T + 20)._replace(user_id=other),
    ]
    store = Store(StoreSettings(own._variables["SQLITE_SERVICE_URL"], own.folder / "kept.db"))
    store.start()
    store.deliver(store.keep(kept), within=30)
    store.stop(within=1)
    everything = "SELECT user_id, started_at, revision FROM voice_sessions UNION SELECT user_id, at, 0 FROM consent_log"
    before = own.asked(everything)
    mine = replace(ada(), decisions=[], profile=[], visible_on=[], sessions=[], totals=[], guilds=[], channels=[])
    bo = Person(other + 1, [], [{"interaction_id": snowflake(T + 6), "decision": "out", "at": T + 6}], *((),) * 5)
    in_9 = replace(ada(), user_id=other + 1)
    in_9 = json.loads(json.dumps(content_of(zip_of(in_9, NOW))).replace(str(ME), str(other + 1)))
    in_9["sessions"][0]["session_id"] = kept[2].session_id + "-7"
    for file in (GOOD, zip_of(mine, NOW), zip_of(bo, NOW), zipped(sealed(in_9))):
        status, out, err = own.of(file)
        assert (status, out, err.count("\n")) == (1, "", 1)
        assert err.startswith("Nothing was imported: the service ")
        assert own.asked(everything) == before


# --- one change anywhere ----------------------------------------------------------------------------------------------

VALUES = st.one_of(
    st.sampled_from([None, True, False, 0, 1, -1, 2**53, 2**63, 2**64, "", "0", "in", "out", "server", [], {}]),
    st.sampled_from(["x" * 200, "left", "roll_call", "erase", *map(str, (ME, STUDY, GAMES, DESK, STAGE, DEN))]),
    st.integers(T - 10, T + 5 * DAY),
    st.text(max_size=5),
)  # fmt: skip


def paths(value: object, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, inner in items:
        yield (*path, name)
        yield from paths(inner, (*path, name))


@st.composite
def files_with_one_change(draw: st.DrawFn) -> bytes:
    """A good file of either format in which one value is another, is gone, stands twice, or was moved."""
    whole = draw(st.sampled_from([content_of(GOOD), copy.deepcopy(FORMAT_1)]))
    path = draw(st.sampled_from(sorted(paths(whole), key=str)))
    inner = whole
    for step in path[:-1]:
        inner = inner[step]
    value, where = inner[path[-1]], path[-1]
    change = draw(st.sampled_from(["set", "remove", "near", "twice", "swap", "rename"]))
    if change == "remove":
        del inner[where]
    elif change == "near" and isinstance(value, int) and not isinstance(value, bool):
        inner[where] = value + draw(st.sampled_from([-1, 1, 1000, -1000, DAY, 256]))
    elif change == "near" and isinstance(value, str) and value.isascii() and value.isdigit():
        inner[where] = str(int(value) + draw(st.sampled_from([-1, 1, 1000, 2**22, -(2**22)])))
    elif change == "twice" and isinstance(inner, list):
        inner.append(copy.deepcopy(value))
    elif change == "swap":
        other = draw(st.sampled_from(sorted(inner, key=str) if isinstance(inner, dict) else range(len(inner))))
        inner[where], inner[other] = inner[other], inner[where]
    elif change == "rename" and isinstance(inner, dict):
        inner[f"{where}s"] = inner.pop(where)
    else:
        inner[where] = draw(VALUES)
    right = "sha256" in whole and draw(st.booleans())
    return zipped(sealed(whole) if right else whole)


def read(file: bytes) -> Person | None:
    """The person; None if the file is refused, which is then done in a sentence."""
    try:
        return person_of(file, NOW)
    except NotAnExport as problem:
        sentence = str(problem)
    assert "\n" not in sentence
    assert len(sentence) < 160
    return None


@settings(deadline=None, max_examples=400)
@given(files_with_one_change())
def test_a_file_with_one_change_is_refused_or_means_what_it_says(file):
    """What is taken makes exactly what the file says in an empty service; all else is refused in a sentence."""
    person = read(file)
    if person is not None:
        assert meaning(in_a_new_service(person)) == meaning(person)
        assert {record.person for record in records_of(person)} <= {None, person.user_id}


@settings(deadline=None, max_examples=300)
@given(st.integers(0, len(GOOD) - 1), st.integers(1, 255), st.sampled_from(["change", "cut", "insert", "remove"]))
def test_a_file_with_one_byte_changed_is_refused_or_the_same(place, other, how):
    """Wherever it is, in the zip's own structure too."""
    file = bytearray(GOOD)
    match how:
        case "change":
            file[place] ^= other
        case "cut":
            del file[place:]
        case "insert":
            file.insert(place, other)
        case "remove":
            del file[place]
    assert read(bytes(file)) in (None, ada())


def test_format_1_is_still_read():
    """Time alone goes, ids stay, and what was chosen for all servers is chosen for each, from the beginning."""
    person = person_of(zipped(FORMAT_1), NOW)
    assert person.user_id == ME
    assert [row["flags"] for row in person.sessions] == [0, 0, 1]
    assert not any("alone_ms" in row for row in person.sessions)
    assert [row["guild_id"] for row in person.visible_on] == [STUDY, GAMES]
    assert {row["shown_from"] for row in person.visible_on} == {0}
    assert meaning(in_a_new_service(person)) == meaning(person)
    hidden = copy.deepcopy(FORMAT_1)
    hidden["profile"][0]["visibility"] = "only_me"
    assert person_of(zipped(hidden), NOW).visible_on == []
    assert set(TABLES) - set(FORMAT_1) == {"visible_on"}
