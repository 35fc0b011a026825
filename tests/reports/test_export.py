"""What is stored about a person comes out whole and can be read back."""

import io
import json
import re
import shutil
import subprocess
import zipfile
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from db_client.export import FILES, SNOWFLAKES, TABLES, checksum, zip_of
from db_client.person_file import person_of
from db_client.person_rules import COLUMNS, ENDED_BY, STARTED_BY, Broken, check
from db_client.records import DECISIONS, Channel, ConsentDecision, Guild
from tests.reports.exports import (
    DEN,
    DESK,
    GAMES,
    GOOD,
    ME,
    NOW,
    STUDY,
    T,
    ada,
    content_of,
    exported,
    in_a_new_service,
    snowflake,
    stay,
    zipped,
)
from tests.reports.service_file import ServiceFile
from tests.services import REPOSITORY


@st.composite
def stories(draw: st.DrawFn) -> list:
    """Decisions with and without choices, and stays of a person in two servers, as they could have come in."""
    at, records = T, []
    kinds = st.sampled_from(["in", "in", "out", "erase", "stay", "stay", "other"])
    for n, kind in enumerate(draw(st.lists(kinds, max_size=14)), 1):
        at += draw(st.integers(0, 5)) * 1000
        if kind in ("in", "out", "erase"):
            choice = (
                draw(st.sampled_from([None, "only_me", "server", "everywhere"])),
                draw(st.sampled_from([STUDY, GAMES])),
            )
            more = ("me", "Më =1", None, *choice, draw(st.booleans())) if kind == "in" else ()
            records.append(ConsentDecision(snowflake(at, n), ME, kind, *more))
        else:
            guild, channel = (STUDY, DESK) if kind == "stay" else (GAMES, DEN)
            end = draw(st.one_of(st.none(), st.integers(0, 9000).map(lambda length, start=at: start + length)))
            records.append(stay(n, guild, channel, at, end, afk=draw(st.booleans()), muted_ms=1, flags=5))
    return records


@settings(deadline=None)
@given(stories())
def test_what_is_exported_makes_the_same_rows_in_an_empty_service(story):
    """Out, in, and out again is the same: decisions, choices, sessions, sums and names."""
    file = ServiceFile()
    places = (Guild(STUDY, "G", None, 5), Guild(GAMES, "H", None, 5), Channel(DESK, STUDY, "=c", 2, 5))
    file.store(*story, *places, ConsentDecision(snowflake(T), 8, "in", "x", "X"))
    person = exported(file)
    assert in_a_new_service(person_of(zip_of(person, NOW), NOW)) == person


def test_the_rules_know_every_column():
    """A column that a table gets is one that an export has and an import knows; ids are text in all of them."""
    person = ada()
    for table in TABLES:
        assert {name for row in getattr(person, table) for name in row} == set(COLUMNS[table]), table
    assert {name for columns in COLUMNS.values() for name in columns if name.endswith("_id")} == SNOWFLAKES - {
        "version"
    } | {"session_id"}


def test_no_number_is_larger_than_programs_keep():
    """A program that keeps 53 bits of a number, and writes the file again in its own way, has changed nothing."""
    kept = json.loads(json.dumps(content_of(GOOD)), parse_int=lambda digits: int(float(digits)))
    assert kept == content_of(GOOD)
    assert {type(kept["user_id"]), *(type(row["guild_id"]) for row in kept["sessions"])} == {str}
    again = dict(sorted(kept.items(), reverse=True))
    assert person_of(zipped(b"\xef\xbb\xbf" + json.dumps(again, indent=7).encode()), NOW) == ada()


@pytest.mark.parametrize(
    "program", [("jq", "."), ("node", "-e", "console.log(JSON.stringify(JSON.parse(require('fs').readFileSync(0))))")]
)
def test_what_jq_and_node_write_again_is_the_same(program):
    """As people do who look into it with these."""
    if shutil.which(program[0]) is None:
        pytest.skip(f"there is no {program[0]} here")
    text = json.dumps(content_of(GOOD))
    again = subprocess.run(program, input=text.encode(), capture_output=True, check=True, timeout=60).stdout
    assert person_of(zipped(again), NOW) == ada()


def test_the_checksum_is_of_the_content():
    """Not of spaces, and not of the order of names; every value counts."""
    whole = content_of(GOOD)
    assert checksum(whole) == whole["sha256"] == checksum(dict(reversed(whole.items())))
    whole["sessions"][0]["channel_id"] = whole["sessions"][0]["channel_id"][:-1] + "0"
    assert checksum(whole) != whole["sha256"]


def test_the_same_export_is_the_same_file():
    """Nothing in it depends on when or where it is made, but for the moment given."""
    assert zip_of(ada(), NOW) == GOOD


def test_half_a_character_in_a_name_is_no_reason_for_no_file():
    """Whatever stands in the service comes out."""
    person = ada()
    person.channels[0]["name"] = "half \ud83d of one"
    assert content_of(zip_of(person, NOW))["channels"][0]["name"] == "half \ud83d of one"


@pytest.mark.parametrize("table", ["profile", "decisions", "visible_on", "sessions", "totals"])
def test_an_export_that_was_torn_is_known(table):
    """Something was written between two reads: whichever table was read before it, the parts do not fit."""
    file = ServiceFile()
    file.store(ConsentDecision(snowflake(T), ME, "in", "me", "Me"), stay(1, STUDY, DESK, T + 10, T + 20))
    early = exported(file)
    file.store(
        ConsentDecision(snowflake(T + 50), ME, "erase"),
        ConsentDecision(snowflake(T + 60), ME, "in", "me", "Me", None, "server", STUDY),
        stay(2, STUDY, DESK, T + 70, T + 90),
    )
    late = exported(file)
    check(early, NOW)
    check(late, NOW)
    torn = (
        replace(early, visible_on=late.visible_on)
        if table == "visible_on"
        else replace(late, **{table: getattr(early, table)})
    )
    with pytest.raises(Broken):
        check(torn, NOW)


def test_the_page_about_the_file_names_all_of_it():
    """Each table, each column and each word is in docs/my_data.md."""
    page = set(re.findall(r"`([^`]+)`", (REPOSITORY / "docs" / "my_data.md").read_text("utf-8")))
    whole = content_of(GOOD)
    assert {*whole, whole["format"], *STARTED_BY, *ENDED_BY, *DECISIONS, *FILES} <= page
    assert {column for columns in COLUMNS.values() for column in columns} <= page
    with zipfile.ZipFile(io.BytesIO(GOOD)) as archive:
        for name in FILES[1:]:
            heading = archive.read(name).decode("utf-8-sig").partition("\r\n")[0]
            assert set(heading.split(",")) <= page


def test_a_session_that_begins_when_its_person_opts_out_is_none():
    """No moment of it is covered by consent, whichever was stored first."""
    first, out = ConsentDecision(snowflake(T), ME, "in", "me", "Me"), ConsentDecision(snowflake(T + 9), ME, "out")
    for records in ((first, stay(1, STUDY, DESK, T + 9, None), out), (first, out, stay(1, STUDY, DESK, T + 9, None))):
        file = ServiceFile()
        file.store(*records)
        assert exported(file).sessions == []
