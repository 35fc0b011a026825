"""What is stored about a person comes out whole and can be read back."""

import csv
import io
import json
import zipfile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from db_client import report_statements as statements
from db_client.export import NotAnExport, Person, person_of, records_of, zip_of
from db_client.records import Channel, ConsentDecision, Guild, VoiceSession
from db_client.snowflake import earliest
from tests.reports.service_file import ServiceFile

T = 1_790_000_000_000
ME = 7


def exported(file: ServiceFile, user_id: int = ME) -> Person:
    """As the command collects it, a page of sessions at a time."""
    sessions: list[dict] = []
    after = (0, 0, "")
    while page := file.rows(statements.person_sessions(user_id, after=after, limit=2)):
        sessions += page
        after = (page[-1]["guild_id"], page[-1]["started_at"], page[-1]["session_id"])
    return Person(
        user_id,
        file.rows(statements.person_profile(user_id)),
        file.rows(statements.person_decisions(user_id)),
        sessions,
        file.rows(statements.person_totals(user_id)),
        file.rows(statements.person_guilds(user_id)),
        file.rows(statements.person_channels(user_id)),
    )


@st.composite
def stories(draw: st.DrawFn) -> list:
    """Decisions and stays of a person in two servers, as they could have come in."""
    at, records = T, []
    for n, kind in enumerate(draw(st.lists(st.sampled_from(["in", "out", "stay", "other"]), max_size=12))):
        at += draw(st.integers(1, 5)) * 1000
        if kind in ("in", "out"):
            seen_by = draw(st.sampled_from(["only_me", "server"]))
            records.append(ConsentDecision(earliest(at), ME, kind, "me", "Më =1", None, seen_by))
        else:
            guild = 1 + (kind == "other")
            end = draw(st.one_of(st.none(), st.integers(0, 9000).map(lambda length, start=at: start + length)))
            records.append(
                VoiceSession(f"s{n}", guild, guild * 10, ME, at, "joined", 5, 3, end, end and "left", end and 5,
                             draw(st.booleans()), 11, 12, 13, 14, 15, 17, at)
            )  # fmt: skip
    return records


@settings(deadline=None)
@given(stories())
def test_what_is_exported_makes_the_same_rows_in_an_empty_service(story):
    """Out, in, and out again is the same."""
    file, empty = ServiceFile(), ServiceFile()
    places = (Guild(1, "G", None, 5), Guild(2, "H", None, 5), Channel(10, 1, "=c", 2, None, 5))
    file.store(*story, *places, ConsentDecision(earliest(T), 8, "in", "x", "X"))
    person = exported(file)
    empty.store(*records_of(person_of(zip_of(person, T))))
    assert exported(empty) == person
    assert empty.rows(statements.person_profile(8)) == []


def one() -> Person:
    file = ServiceFile()
    file.store(
        ConsentDecision(earliest(T), ME, "in", "me", "Me"),
        Guild(1, "A guild", None, 1),
        Channel(10, 1, "=HYPERLINK(1)", 2, None, 1),
        VoiceSession("s", 1, 10, ME, T + 10, "joined", 0, 1, T + 1010, "left", 0),
    )
    return exported(file)


def test_the_csv_is_for_spreadsheets():
    """Names and readable moments stand before the stored columns, and no name is a formula."""
    with zipfile.ZipFile(io.BytesIO(zip_of(one(), T))) as archive:
        assert archive.namelist() == ["person.json", "sessions.csv", "decisions.csv"]
        [session] = csv.DictReader(io.StringIO(archive.read("sessions.csv").decode()))
        [decision] = csv.DictReader(io.StringIO(archive.read("decisions.csv").decode()))
    assert (session["server"], session["channel"]) == ("A guild", "'=HYPERLINK(1)")
    assert (session["started"], session["ended_at"]) == ("2026-09-21T14:13:20.010+00:00", str(T + 1010))
    assert decision["decided"] == "2026-09-21T14:13:20.000+00:00"


def test_the_same_export_is_the_same_file():
    """Nothing in it depends on when or where it is made, but for the moment given."""
    assert zip_of(one(), T) == zip_of(one(), T)


def zipped(**changes: object) -> bytes:
    whole = json.loads(zipfile.ZipFile(io.BytesIO(zip_of(one(), T))).read("person.json")) | changes
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr("person.json", json.dumps({k: v for k, v in whole.items() if v is not ...}, default=str))
    return content.getvalue()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"not a zip",
        zip_of(one(), T)[:-30],
        zipped(format="something else"),
        zipped(sessions="rows"),
        zipped(sessions=[{"session_id": "x"}]),
        zipped(decisions=[1]),
        zipped(user_id=8),
    ],
)
def test_what_is_no_export_is_refused(content):
    """Broken, cut, foreign or mixed-up files are told apart before anything is written."""
    with pytest.raises(NotAnExport):
        records_of(person_of(content))
