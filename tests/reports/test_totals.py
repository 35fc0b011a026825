"""The totals equal the sum of the sessions at any moment, whatever changed them."""

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from db_client.report_windows import BLOCK_MS, LENGTH_CLASS
from tests.reports.service_file import SCHEMA, ServiceFile, Stay

EDGE = 180 * BLOCK_MS
# Around the edges of blocks, and lengths from nothing to several blocks.
moments = st.tuples(st.integers(0, 3), st.integers(-3, 3)).map(lambda at: EDGE + at[0] * BLOCK_MS + at[1] * 60_000)
lengths = st.one_of(st.none(), st.sampled_from([0, 1, 60_000, 3_600_000, BLOCK_MS, 3 * BLOCK_MS]))


class Changes(RuleBasedStateMachine):
    """Any inserts, updates and deletes of sessions, by plain SQL, in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.file = ServiceFile()

    @rule(user=st.integers(1, 2), channel=st.integers(1, 2), start=moments, length=lengths, afk=st.integers(0, 1))
    def begins(self, user, channel, start, length, afk):
        stay = Stay(user, channel, start, None if length is None else start + length, afk)
        taken = self.file.connection.execute(
            "SELECT 1 FROM voice_sessions WHERE session_id = ? OR (user_id = ? AND ended_at IS NULL AND ? IS NULL)",
            (stay.session_id, user, stay.ended_at),
        ).fetchall()
        if not taken:
            self.file.seat(stay)

    @rule(user=st.integers(1, 2), length=st.integers(0, 2 * BLOCK_MS), afk=st.integers(0, 1))
    def open_one_ends(self, user, length, afk):
        self.file.connection.execute(
            "UPDATE voice_sessions SET ended_at = started_at + ?, afk = ? WHERE user_id = ? AND ended_at IS NULL",
            (length, afk, user),
        )

    @rule(user=st.integers(1, 2))
    def the_last_one_goes_on_after_all(self, user):
        """As a newer revision of a session says that was taken for ended."""
        self.file.connection.execute(
            "UPDATE voice_sessions SET ended_at = NULL WHERE session_id = (SELECT session_id FROM voice_sessions"
            " WHERE user_id = ? ORDER BY started_at DESC LIMIT 1)"
            " AND NOT EXISTS (SELECT 1 FROM voice_sessions WHERE user_id = ? AND ended_at IS NULL)",
            (user, user),
        )

    @rule(user=st.integers(1, 2), at=moments)
    def all_are_cut(self, user, at):
        self.file.connection.execute(
            "UPDATE voice_sessions SET ended_at = max(started_at, ?) WHERE user_id = ? AND ended_at > ?", (at, user, at)
        )

    @rule(channel=st.integers(1, 2), by=st.integers(-60_000, 60_000))
    def starts_move(self, channel, by):
        self.file.connection.execute(
            "UPDATE voice_sessions SET started_at = min(started_at + ?, coalesce(ended_at, started_at + ?)),"
            " channel_id = 3 WHERE channel_id = ?",
            (by, by, channel),
        )

    @rule(user=st.integers(1, 2), before=moments)
    def older_ones_go(self, user, before):
        self.file.connection.execute("DELETE FROM voice_sessions WHERE user_id = ? AND started_at < ?", (user, before))

    @invariant()
    def the_totals_are_those_of_the_sessions(self):
        assert self.file.totals() == self.file.totals_of_sessions()


TestChanges = Changes.TestCase
TestChanges.settings = settings(max_examples=60, stateful_step_count=20, deadline=None)


def test_nothing_is_left_of_a_person_without_sessions():
    """When the last session goes, so do its totals."""
    file = ServiceFile()
    file.seat(Stay(1, 1, EDGE - 5, EDGE + 5), Stay(2, 1, EDGE, EDGE + BLOCK_MS, 1))
    assert {row[3] for row in file.totals()} == {1, 2}
    file.connection.execute("DELETE FROM voice_sessions WHERE user_id = 1")
    assert {row[3] for row in file.totals()} == {2}


@settings(deadline=None, max_examples=30)
@given(st.lists(st.tuples(moments, st.sampled_from([0, 1, 60_000, BLOCK_MS])), max_size=6, unique_by=lambda s: s[0]))
def test_sessions_from_before_the_totals_are_in_them(stays):
    """The migration sums up what was stored before there were totals."""
    file = ServiceFile()
    file.seat(*(Stay(1, 1, start, start + length) for start, length in stays))
    before = file.totals()
    text = (SCHEMA / "0002_report_totals.sql").read_text("utf-8")
    filling = next(part for part in text.split(";") if "INSERT INTO voice_totals" in part and "GROUP BY" in part)
    file.connection.execute("DELETE FROM voice_totals")
    file.connection.execute(filling)
    assert file.totals() == before


def test_statements_and_schema_say_the_same_numbers():
    """The length of a block and the classes of lengths stand in Python and in both indexes of the schema alike."""
    schema = (SCHEMA / "0002_report_totals.sql").read_text("utf-8")
    plain = "".join(schema.split())
    assert plain.count("".join(LENGTH_CLASS.replace("s.", "").split())) == 2
    assert f"/{BLOCK_MS}" in plain
