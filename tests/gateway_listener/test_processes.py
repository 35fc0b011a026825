"""Real processes: two listeners on one shard, one that cannot recover, and one that is killed over and over."""

from __future__ import annotations

import itertools
import json
import signal
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from db_client.queue_file import QueueFile
from db_client.records import ConsentDecision
from db_client.settings import StoreSettings
from db_client.snowflake import earliest
from db_client.statements import Statement
from db_client.store import Fate, Store
from gateway_listener.notes import IDENTIFIES
from tests.gateway_listener.processes import IMPATIENT, figure, gauge, listener, logged, page, pages, variables_of
from tests.services import RunningService
from tests.simulated_discord.control import Control, start_process
from tests.simulated_discord.server import wall_clock
from tests.waiting import eventually


@pytest.fixture
def discord() -> Iterator[Control]:
    with start_process(seed=12, heartbeat_interval=300) as control:
        yield control


@pytest.fixture
def variables(discord: Control, service: RunningService, tmp_path: Path) -> dict[str, str]:
    return variables_of(discord, service, tmp_path, RECONCILE_EVERY="1")


@pytest.fixture
def store(service: RunningService, tmp_path: Path) -> Iterator[Store]:
    store = Store(StoreSettings(service.url, tmp_path / "endpoint.db"))
    store.start()
    yield store
    store.stop(within=1)


def test_two_listeners_on_one_shard(discord: Control, store: Store, variables: dict[str, str], tmp_path: Path) -> None:
    """By mistake: nobody is doubled at any time, the second agrees with the first after one comparison, and when the
    first is killed the second ends the session that both had."""
    guild = discord.add_guild("Study room")
    desk, sofa = discord.add_channel(guild, "Desk"), discord.add_channel(guild, "Sofa")
    people = [discord.add_user() for _ in range(3)]
    now = earliest(wall_clock())
    decisions = [ConsentDecision(now + place, user, "in", "u", "U") for place, user in enumerate(people)]
    assert store.deliver(store.keep(decisions), within=10) is Fate.STORED

    def rows() -> list[dict[str, Any]]:
        """The sessions, of which no two of a person overlap."""
        found = store.query(Statement("SELECT * FROM voice_sessions ORDER BY user_id, started_at", {}), within=5)[0]
        for earlier, later in itertools.pairwise(found):
            if earlier["user_id"] == later["user_id"]:
                assert earlier["ended_at"] is not None, found
                assert earlier["ended_at"] <= later["started_at"], found
        return found

    second_disk = {**variables, "QUEUE_FILE": str(tmp_path / "second.db")}
    with listener(tmp_path, variables) as first, listener(tmp_path, second_disk, log="second.log"):
        addresses = [pages(tmp_path), pages(tmp_path, "second.log")]
        eventually(lambda: discord.state()["connections"] == 2)
        eventually(lambda: all(page(address, "readyz")[0] == 200 for address in addresses), what="both are ready")

        def drift() -> int:
            return sum(figure(a, "drift", kind) for a in addresses for kind in ("unknown", "missing", "ghost"))

        def compared_again() -> None:
            """Until each has compared once more, from beginning to end."""
            until = [figure(address, "frames", "comparisons") + 2 for address in addresses]
            eventually(
                lambda: (
                    rows()
                    and all(figure(a, "frames", "comparisons") >= n for a, n in zip(addresses, until, strict=True))
                ),
                within=60,
                what="both compare again",
            )

        for user in people:
            discord.join(user, desk)
        eventually(
            lambda: all(gauge(address, "open_sessions") == len(people) for address in addresses),
            what="both have read who came",
        )
        discord.switch(people[1], sofa)
        discord.leave(people[2])
        eventually(lambda: len(rows()) == 4 and sum(row["ended_at"] is None for row in rows()) == 2)
        compared_again()
        healed = drift()
        assert healed >= 2, "one of the two had other sessions than the service"
        compared_again()
        assert drift() == healed, "after one comparison they agree"
        first.send_signal(signal.SIGKILL)
        assert first.wait(30) == -signal.SIGKILL
        for user in people[:2]:
            discord.leave(user)
        eventually(lambda: all(row["ended_at"] is not None for row in rows()), what="the second ends them")
        stays = sorted((stay["user_id"], stay["channel_id"]) for stay in discord.stays())
        assert sorted((row["user_id"], row["channel_id"]) for row in rows()) == stays


@pytest.mark.parametrize("since", ["the first start", "it was connected"])
def test_the_process_ends_when_the_gateway_is_out_of_reach_for_too_long(
    discord: Control, variables: dict[str, str], tmp_path: Path, since: str
) -> None:
    """Exit status 1 and a sentence: whoever looks after it starts it again, and once Discord is back all is well."""
    with listener(tmp_path, variables, program=IMPATIENT) as process:
        if since == "it was connected":
            eventually(lambda: discord.state()["connected_shards"] == [0], what="it is connected")
        discord.set_faults(refuse=True)
        discord.abort()
        assert process.wait(60) == 1
    assert "out of reach for" in logged(tmp_path).splitlines()[-1]
    discord.clear_faults()
    with listener(tmp_path, variables, program=IMPATIENT, log="again.log"):
        address = pages(tmp_path, "again.log")
        eventually(lambda: page(address, "readyz")[0] == 200, what="the gateway is ready")
        assert page(address, "livez")[0] == 200


def test_identifies_are_counted_over_kills(service: RunningService, tmp_path: Path) -> None:
    """When few of a day's are left the next process waits, says why, is alive, and sends none."""
    with start_process(seed=12, heartbeat_interval=300, session_starts=10) as discord:
        variables = variables_of(discord, service, tmp_path)

        def counted() -> int:
            with closing(QueueFile(tmp_path / "queue.db", 2**20)) as disk:
                return len(json.loads(disk.notes(IDENTIFIES).get(IDENTIFIES, "[]")))

        with listener(tmp_path, variables, program=IMPATIENT) as process:
            eventually(lambda: discord.state()["connected_shards"] == [0], what="it is connected")
            eventually(lambda: counted() == 1, what="it is counted on the disk")
            process.kill()
            process.wait()
        with listener(tmp_path, variables, program=IMPATIENT, log="again.log"):
            address = pages(tmp_path, "again.log")
            eventually(lambda: "limit of IDENTIFYs lasts" in logged(tmp_path, "again.log"), what="it says why")
            assert page(address, "livez")[0] == 200
            assert page(address, "readyz")[0] == 503
            assert discord.state()["identifies"] == 1
