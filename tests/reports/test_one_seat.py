"""A session is stored exactly where it overlaps no stored session of the person in the guild."""

from hypothesis import given, settings
from hypothesis import strategies as st

from db_client.records import ConsentDecision, VoiceSession
from db_client.snowflake import earliest
from tests.reports.service_file import ServiceFile

T = 1_790_000_000_000
stays = st.lists(st.tuples(st.integers(0, 12), st.one_of(st.none(), st.integers(0, 5))), max_size=8)


@settings(deadline=None, max_examples=300)
@given(stays)
def test_only_what_overlaps_nothing_is_stored(stays):
    """In whatever order stays arrive, of no length or still open too; equal to comparing with every stored one."""
    file = ServiceFile()
    file.store(ConsentDecision(earliest(T - 9), 1, "in", "n", "N"))
    expected: list[tuple[int, int | None]] = []
    for n, (start, length) in enumerate(stays):
        end = None if length is None else start + length
        free = all(not (s < (100 if end is None else end) and (100 if e is None else e) > start) for s, e in expected)
        expected += [(start, end)] * free
        until = None if end is None else T + end
        file.store(VoiceSession(f"s{n}", 1, 1, 1, T + start, "joined", 0, 1, until, until and "left", until and 0))
    found = file.connection.execute("SELECT started_at - ?1, ended_at - ?1 FROM voice_sessions", (T,)).fetchall()
    assert sorted(found, key=str) == sorted(expected, key=str)
