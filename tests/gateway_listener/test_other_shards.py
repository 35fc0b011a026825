"""A disk of before the bot was sharded anew, or of another listener: its notes on others' guilds touch nothing."""

from __future__ import annotations

import pytest

from tests.gateway_listener.harness import ADA, BOB, DESK, GUILD, SOFA, Harness

OTHER = GUILD + (1 << 22)
ITS_ROOM = 201


def two_guilds() -> Harness:
    """Ada in a guild of shard 0 of 2, Bob in one of shard 1, from now on."""
    world = Harness()
    world.connect({GUILD: {}, OTHER: {}})
    world.opt_in(ADA)
    world.opt_in(BOB)
    world.state(ADA, DESK)
    world.state(BOB, ITS_ROOM, guild=OTHER)
    return world


def test_what_another_shard_follows_is_left_to_it() -> None:
    """Its sessions stay open, its notes go, though READY does not name its guild; ours go on."""
    world = two_guilds()
    world.pass_ms(1000)
    world.record(SOFA, recorded=False)
    before = world.rows()
    shard = (GUILD >> 22) % 2
    world.restart(shard=(shard, 2))
    assert [key for key in world.notes if key.startswith("open:")] == [f"open:{world.rows(ADA)[0]['session_id']}"]
    assert any(key.startswith("recording:") for key in world.notes)
    world.connect({GUILD: {ADA: DESK}})
    world.pass_ms(1000)
    world.state(ADA, None)
    assert [row for row in world.rows() if row["user_id"] == BOB] == [row for row in before if row["user_id"] == BOB]
    assert world.times(ADA) == [(DESK, 0, 2000, "joined", "left")]


def two_rooms() -> Harness:
    """The same; both are seen for 60 s, as the service has been told."""
    world = two_guilds()
    world.pass_ms(60_000)
    world.ack()
    world.share()
    return world


FAR, NEAR = 300_000, 20_000


@pytest.mark.parametrize("gap", [FAR, NEAR])
def test_the_new_shard_of_a_guild_knows_up_to_when_the_former_saw_it(gap: int) -> None:
    """SHARD_COUNT is raised: shard 1 of 2 begins on an empty disk, and nobody ever wrote a mark of that number."""
    world = two_rooms()
    world.pass_ms(gap)
    shard = (OTHER >> 22) % 2
    new = Harness(service=world.service, shard=(shard, 2), prefix="new", new_disk=True)
    new.now = world.now
    new.read_baseline()
    new.connect({OTHER: {BOB: ITS_ROOM}})
    whole = (ITS_ROOM, 0, None, "joined", None)
    parts = [(ITS_ROOM, 0, 60_000, "joined", "roll_call"), (ITS_ROOM, 60_000 + gap, None, "roll_call", None)]
    assert new.times(BOB) == ([whole] if gap == NEAR else parts)
    assert new.times(ADA) == [(DESK, 0, None, "joined", None)]


@pytest.mark.parametrize("gap", [FAR, NEAR])
@pytest.mark.parametrize("stays", [True, False])
def test_guilds_that_come_to_a_shard_are_asked_for(gap: int, stays: bool) -> None:
    """SHARD_COUNT is lowered: of its own guilds the disk knows more than the service, of the others nothing."""
    world = two_rooms()
    ours, theirs = (GUILD >> 22) % 2, (OTHER >> 22) % 2
    world.restart(shard=(ours, 2))
    world.connect({GUILD: {ADA: DESK}})
    other = Harness(service=world.service, shard=(theirs, 2), prefix="other", new_disk=True)
    other.now = world.now
    other.read_baseline()
    other.connect({OTHER: {BOB: ITS_ROOM}})
    for one in (world, other):
        one.pass_ms(40_000)
        one.ack()
        one.share()
    world.delivering = False
    world.pass_ms(1000)
    world.state(ADA, SOFA)
    world.pass_ms(gap)
    for _ in range(2):  # killed before the service can be read
        world.restart(shard=(0, 1), service_up=False)
        world.connect({GUILD: {ADA: SOFA}, OTHER: {BOB: ITS_ROOM} if stays else {}})
    assert not [record for record in world.queue if record.person == BOB]
    world.read_baseline()
    world.delivering = True
    world.deliver()
    if gap == FAR:
        assert world.times(ADA)[1:] == [
            (SOFA, 101_000, 101_000, "switched", "roll_call"),
            (SOFA, 101_000 + gap, None, "roll_call", None),
        ]
    else:
        assert world.times(ADA)[1:] == [(SOFA, 101_000, None, "switched", None)]
    ended = (ITS_ROOM, 0, 100_000, "joined", "roll_call")
    if stays and gap == NEAR:
        assert world.times(BOB) == [(ITS_ROOM, 0, None, "joined", None)]
    elif stays:
        assert world.times(BOB) == [ended, (ITS_ROOM, 101_000 + gap, None, "roll_call", None)]
    else:
        assert world.times(BOB) == [ended]
    assert world.compare() == {}
    world.restart(service_up=False)
    assert world.tracker.recording


def test_a_guild_that_goes_back_to_a_shard_is_asked_for_again() -> None:
    """What the disk knew of it is from before another shard had it."""
    world = two_rooms()
    theirs = (OTHER >> 22) % 2
    world.restart(shard=(1 - theirs, 2))
    world.connect({GUILD: {ADA: DESK}})
    other = Harness(service=world.service, shard=(theirs, 2), prefix="other", new_disk=True)
    other.now = world.now
    other.read_baseline()
    other.connect({OTHER: {BOB: ITS_ROOM}})
    other.pass_ms(1000)
    other.state(BOB, None, guild=OTHER)
    other.pass_ms(1000)
    other.state(BOB, ITS_ROOM, guild=OTHER)
    other.share()
    world.pass_ms(5000)
    world.restart(shard=(0, 1))
    world.connect({GUILD: {ADA: DESK}, OTHER: {BOB: ITS_ROOM}})
    assert world.times(BOB) == [(ITS_ROOM, 0, 61_000, "joined", "left"), (ITS_ROOM, 62_000, None, "joined", None)]


def test_an_outage_and_a_name_of_another_shards_guild_are_forgotten() -> None:
    """Nobody would ever call the roll there."""
    world = Harness()
    world.connect({GUILD: {}})
    world.notes[f"unseen:{OTHER}"] = "5"
    world.notes[f"names:{OTHER}"] = "{}"
    world.restart(shard=((GUILD >> 22) % 2, 2))
    assert not [key for key in world.notes if key.endswith(str(OTHER))]
    assert world.tracker.figures()["guilds"] == 0
