"""A restored backup is brought to today's consent by one command; people erased elsewhere leave this file too."""

from __future__ import annotations

import subprocess
import sys
import urllib.request
from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from db_client import reapply_consent
from db_client.records import ChannelRecording, ConsentDecision, GuildSetting, VoiceSession
from db_client.remembering import Slots, as_remembered, slots
from db_client.statements import Statement
from tests.db_client.made import NOON, decision, store
from tests.gateway_listener.tables import Service
from tests.services import start_embedded
from tests.waiting import eventually

IN, OUT, ERASED, RETURNED, LATE = 41, 42, 43, 44, 45


@pytest.fixture
def service(tmp_path):
    with start_embedded(tmp_path / "service") as running:
        yield running


def stay(person: int) -> VoiceSession:
    return VoiceSession(f"s{person}", 1, 2, person, NOON + 5000, "joined", 0, 2, NOON + 6000, "left", 0)


def rows(made, sql: str, *columns: str) -> list[tuple]:
    (found,) = made.query(Statement(sql, {}), within=20)
    return [tuple(row[column] for column in columns) for row in found]


def standing(made) -> dict[int, tuple]:
    found = rows(made, "SELECT user_id, opted_in, username FROM opt_in_users", "user_id", "opted_in", "username")
    return {person: (opted_in, name) for person, opted_in, name in found}


def everything(made) -> tuple:
    sessions = rows(made, "SELECT user_id, ended_at FROM voice_sessions ORDER BY user_id", "user_id", "ended_at")
    return standing(made), sessions


def decided(made) -> dict[str, list[dict]]:
    """Every row of every table in which decisions are, but for the order in which they arrived."""
    tables = [name for (name,) in rows(made, "SELECT name FROM sqlite_schema WHERE type = 'table'", "name")]
    found = {}
    for table in ("opt_in_users", "visible_on", "guild_settings", "unrecorded_channels", "voice_sessions"):
        if table in tables:
            (all_rows,) = made.query(Statement(f"SELECT * FROM {table}", {}), within=20)
            found[table] = sorted(all_rows, key=str)
    return found


def restored(service, tmp_path, backup: bytes) -> None:
    """The service stands as in the backup."""
    service.stop()
    for file in (tmp_path / "service").glob("bigbrother.db*"):
        file.unlink()
    (tmp_path / "service" / "bigbrother.db").write_bytes(backup)
    service.restart()


def test_a_restored_backup_is_brought_to_todays_consent(service, tmp_path, capsys):
    """Whoever opted out, was erased, or came after the backup stands as decided when the command has run, twice too."""
    with store(tmp_path, service.url) as made:
        made.start()
        for number, person in enumerate((IN, OUT, ERASED, RETURNED)):
            made.keep([decision(number, user=person, username=f"name{person}"), stay(person)])
        eventually(made.idle, what="delivery")
        backup = urllib.request.urlopen(f"{service.url}/db/backup", timeout=20).read()
        made.keep([decision(10, "out", user=OUT), decision(11, "erase", user=ERASED)])
        made.keep([decision(12, "erase", user=RETURNED), decision(13, user=RETURNED, username="again")])
        made.keep([decision(14, user=LATE, username="late")])
        eventually(made.idle, what="delivery")
        today = everything(made)
        assert set(today[0]) == {IN, OUT, RETURNED, LATE}
    restored(service, tmp_path, backup)
    variables = {"SQLITE_SERVICE_URL": service.url, "QUEUE_FILE": str(tmp_path / "queue.db")}
    with store(tmp_path, service.url) as made:
        assert ERASED in everything(made)[0]
        for _ in range(2):
            assert reapply_consent.main(variables) == 0
            assert everything(made) == today
    assert "decisions stand again" in capsys.readouterr().out


GUILD, CHANNEL, OTHER_CHANNEL, THIRD_CHANNEL, FOURTH_CHANNEL = 7, 70, 71, 72, 73


def setting(number: int, name, value: str | None) -> GuildSetting:
    return GuildSetting(decision(number).interaction_id, GUILD, name, value)


def recording(number: int, channel_id: int, *, recorded: bool) -> ChannelRecording:
    return ChannelRecording(decision(number).interaction_id, GUILD, channel_id, recorded)


def test_what_managers_and_members_decided_after_the_backup_stands_again(service, tmp_path):
    """Settings, channels that are not recorded, who may see whom: as decided today, whether the backup knew it or not.

    Done twice, and from two queue files in whichever order, it changes nothing.
    """
    queues = [tmp_path / "first", tmp_path / "second"]
    only_me = decision(20, user=OUT, username="name", visibility="only_me")
    with store(queues[0], service.url) as first, store(queues[1], service.url) as second:
        first.start()
        second.start()
        first.keep([decision(1, user=OUT, username="name", visibility="server"), stay(OUT)])
        first.keep([setting(2, "retention_days", "400"), setting(3, "time_zone", "Europe/Berlin")])
        first.keep([recording(4, OTHER_CHANNEL, recorded=False), recording(5, THIRD_CHANNEL, recorded=False)])
        eventually(first.idle, what="delivery")
        backup = urllib.request.urlopen(f"{service.url}/db/backup", timeout=20).read()
        second.keep([setting(21, "retention_days", "30"), setting(22, "leaderboard", "off"), only_me])
        first.keep([setting(23, "retention_days", "90"), recording(24, CHANNEL, recorded=False)])
        second.keep([setting(25, "time_zone", None), recording(26, OTHER_CHANNEL, recorded=True)])
        first.keep([recording(27, FOURTH_CHANNEL, recorded=False), recording(28, FOURTH_CHANNEL, recorded=True)])
        eventually(lambda: first.idle() and second.idle(), what="delivery")
        today = decided(first)
    assert {row["setting"]: row["value"] for row in today["guild_settings"]} == {
        "retention_days": "90",
        "leaderboard": "off",
        "time_zone": None,
    }
    assert {row["channel_id"]: row["to_at"] is None for row in today["unrecorded_channels"]} == {
        CHANNEL: True,
        OTHER_CHANNEL: False,
        THIRD_CHANNEL: True,
        FOURTH_CHANNEL: False,
    }
    for order in (queues, queues[::-1], queues):
        restored(service, tmp_path, backup)
        for _ in range(2):
            for folder in order:
                variables = {"SQLITE_SERVICE_URL": service.url, "QUEUE_FILE": str(folder / "queue.db")}
                assert reapply_consent.main(variables) == 0
            with store(queues[0], service.url) as made:
                assert decided(made) == today


def test_each_thing_that_was_decided_has_a_slot_of_its_own():
    """The newest of each kind, of each place of visibility, of each setting and of each channel is remembered."""
    assert slots(setting(1, "time_zone", "UTC")) == Slots("guild:7", ("time_zone",))
    assert slots(recording(1, CHANNEL, recorded=True)) == Slots("guild:7", ("recorded:70",))
    assert slots(decision(1, "out", user=5)) == Slots("person:5", ("out",))
    seen = decision(1, user=5, visibility="server")
    assert slots(seen) == Slots("person:5", ("in", "hidden:0"))
    assert slots(stay(5)) is None
    assert slots(decision(1, "maybe")) is None
    assert as_remembered(seen) == seen.to_json()


CHOICES = st.lists(
    st.tuples(
        st.sampled_from([None, "only_me", "server", "everywhere"]),
        st.sampled_from([1, 2]),
        st.booleans(),
        st.booleans(),
    ),
    max_size=12,
)


def shown_from(choices: Iterable[ConsentDecision]) -> dict[int, int | None]:
    """From when on the person is shown on each server, as `visible_on` has it; None: not."""
    rows_of: dict[int, list[tuple[int, int | None]]] = {0: [], 1: [], 2: []}
    for choice in choices:
        if choice.visibility is not None:
            begin = 0 if choice.show_past else choice.at
            rows_of[choice.guild_id].append((choice.interaction_id, None if choice.visibility == "only_me" else begin))
            rows_of[0].append((choice.interaction_id, begin if choice.visibility == "everywhere" else None))
    valid: dict[int, list[int]] = {}
    for place, found in rows_of.items():
        hidden = max((version for version, begin in found if begin is None), default=0)
        valid[place] = [begin for version, begin in found if begin is not None and version > hidden]
    return {guild: min([*valid[0], *valid.get(guild, [])], default=None) for guild in (1, 2, 3)}


@given(CHOICES)
def test_after_a_restore_nobody_is_shown_who_was_hidden_nor_more_of_the_past(choices):
    """Whatever was chosen before the backup and after it; and whoever was shown is shown."""
    made = [
        (
            ConsentDecision(decision(number).interaction_id, 42, "in", visibility=seen, guild_id=guild, show_past=past),
            in_backup,
        )
        for number, (seen, guild, past, in_backup) in enumerate(choices)
    ]
    remembered: dict[str, ConsentDecision] = {}
    for choice, _ in made:
        for name in slots(choice).names:
            remembered[name] = choice
    known = {choice.interaction_id: choice for choice, in_backup in made if in_backup} | {
        choice.interaction_id: choice for choice in remembered.values()
    }
    today, after = shown_from(choice for choice, _ in made), shown_from(known.values())
    for guild, begin in today.items():
        assert (after[guild] is None) is (begin is None)
        assert begin is None or after[guild] >= begin


def test_a_channels_name_is_not_remembered():
    """It is stored with the setting and goes with it."""
    assert "secretname" not in as_remembered(ChannelRecording(9, GUILD, CHANNEL, False, name="secretname"))
    assert (
        as_remembered(ChannelRecording(9, GUILD, CHANNEL, False))
        == ChannelRecording(9, GUILD, CHANNEL, False).to_json()
    )


def test_a_decision_that_stands_in_several_slots_is_sent_once(tmp_path):
    """Oldest first; an older one of the same slot is no more remembered, whatever the order in which they came."""
    with store(tmp_path) as made:
        made.keep([setting(5, "time_zone", "UTC"), setting(3, "time_zone", None), setting(4, "leaderboard", "off")])
        made.keep([decision(2, user=42, visibility="server"), recording(6, CHANNEL, recorded=False)])
        made.keep([recording(1, CHANNEL, recorded=False)])
        assert made.remembered_decisions() == [
            decision(2, user=42, visibility="server"),
            setting(4, "leaderboard", "off"),
            setting(5, "time_zone", "UTC"),
            recording(6, CHANNEL, recorded=False),
        ]


def test_an_erasure_leaves_what_managers_decided(tmp_path):
    """A server with the id of the person's, which Discord does not give, is not them."""
    with store(tmp_path) as made:
        made.keep([GuildSetting(decision(1).interaction_id, 42, "time_zone", "UTC"), decision(2, user=42)])
        made.keep([decision(3, "erase", user=42)])
        assert [record.kind for record in made.remembered_decisions()] == ["guild_setting", "consent"]
        assert made._queue.persons(remembered=True) == []


def test_reapplying_says_what_is_wrong(tmp_path, capsys):
    """Without a queue file, or with a malformed setting, nothing is made and the exit status is 2."""
    assert reapply_consent.main({"QUEUE_FILE": str(tmp_path / "none.db")}) == 2
    assert reapply_consent.main({"SQLITE_SERVICE_URL": "ftp://x"}) == 2
    assert "There is no queue file at" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_an_erasure_that_was_decided_elsewhere_is_learnt_from_the_service(service, tmp_path):
    """What waits, lies dead or is remembered of a person goes when another queue file's erasure is known."""
    here, there = tmp_path / "here", tmp_path / "there"
    with store(here, service.url) as made, store(there, service.url) as other:
        made.keep([decision(1, user=42, username="secretname")])
        made._queue.settle([], [(made._queue.waiting(1)[0], "refused")], NOON, {})
        made.keep([decision(2, user=42, username="secretname"), decision(3, user=43, username="othername")])
        other.start()
        other.keep([decision(9, "erase", user=42)])
        eventually(other.idle, what="delivery")
        assert made._follower.erase() == 2
        assert made.statistics().waiting == 1
        left = b"".join(path.read_bytes() for path in here.glob("queue.db*"))
    assert b"secretname" not in left
    assert b"othername" in left


def test_only_what_is_needed_is_remembered(tmp_path):
    """The newest decision of each kind of each person; after an erasure nothing older, after `forget` only erasures."""
    with store(tmp_path) as made:
        made.keep([decision(1, user=1, username="a"), decision(2, user=1, username="b"), decision(3, "out", user=1)])
        made.keep([decision(4, user=2, username="secretname")])
        made.keep([decision(5, "erase", user=2)])
        assert b"secretname" not in b"".join(path.read_bytes() for path in tmp_path.glob("queue.db*"))
        made.keep([decision(3, user=2)])
        assert [(r.user_id, r.decision, r.username) for r in made.remembered_decisions()] == [
            (1, "in", "b"),
            (1, "out", ""),
            (2, "erase", ""),
        ]
        made.forget(1)
        made.forget(2)
        assert [(r.user_id, r.decision) for r in made.remembered_decisions()] == [(2, "erase")]


def test_files_that_were_set_aside_are_deleted_after_a_week(tmp_path):
    """They hold people's data that no erasure reaches."""
    with store(tmp_path) as made:
        made.keep([decision(1)])
        for name in ("queue.db.damaged-1", "queue.db.damaged-1-wal"):
            (tmp_path / name).write_bytes(b"x")
        set_aside = int((tmp_path / "queue.db.damaged-1").stat().st_mtime * 1000)
        made._queue.remove_damaged(set_aside + 6 * 86_400_000)
        assert (tmp_path / "queue.db.damaged-1").exists()
        made._queue.remove_damaged(set_aside + 8 * 86_400_000)
        assert not list(tmp_path.glob("*damaged*"))
        assert (tmp_path / "queue.db").exists()


def test_the_command_line(service, tmp_path):
    """`python -m db_client.reapply_consent` sends what its queue file remembers."""
    with store(tmp_path, service.url) as made:
        made.keep([decision(1)])
    program = [sys.executable, "-m", "db_client.reapply_consent"]
    variables = {"SQLITE_SERVICE_URL": service.url, "QUEUE_FILE": str(tmp_path / "queue.db")}
    done = subprocess.run(program, env={**variables}, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "1 decisions stand again.\n"), done.stderr


@pytest.mark.parametrize("erased", [False, True])
def test_a_choice_of_an_earlier_version_is_for_the_servers_of_when_it_arrived(erased):
    """Sent again after a restore it shows nothing on servers that came later, of which nobody was asked; and an erased
    person's, which comes late, shows nothing at all.
    """
    service = Service()
    choice = ConsentDecision(decision(1).interaction_id, 42, "in", "name", "Name", None, "server")
    if erased:
        service.write(VoiceSession("s0", 1, 2, 42, NOON + 7000, "joined", 0, 2, NOON + 8000, "left", 0))
        service.write(decision(2, "erase", user=42))
        service.write(decision(3, user=42))
    else:
        service.write(decision(0, user=42))
        service.write(stay(42))
    service.write(choice)
    service.write(stay(42)._replace(session_id="later", guild_id=9))
    service.write(choice)
    shown = service.rows("SELECT guild_id, shown_from FROM visible_on")
    assert shown == ([] if erased else [{"guild_id": 1, "shown_from": 0}])
