"""A disk of before the bot was sharded anew, or of another listener: its notes on others' guilds touch nothing."""

from __future__ import annotations

from tests.gateway_listener.harness import ADA, BOB, DESK, GUILD, SOFA, Harness

OTHER = GUILD + (1 << 22)
ITS_ROOM = 201


def test_what_another_shard_follows_is_left_to_it() -> None:
    """Its sessions stay open, its notes go, though READY does not name its guild; ours go on."""
    world = Harness()
    world.connect({GUILD: {}, OTHER: {}})
    world.opt_in(ADA)
    world.opt_in(BOB)
    world.state(ADA, DESK)
    world.state(BOB, ITS_ROOM, guild=OTHER)
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


def test_an_outage_and_a_name_of_another_shards_guild_are_forgotten() -> None:
    """Nobody would ever call the roll there."""
    world = Harness()
    world.connect({GUILD: {}})
    world.notes[f"unseen:{OTHER}"] = "5"
    world.notes[f"names:{OTHER}"] = "{}"
    world.restart(shard=((GUILD >> 22) % 2, 2))
    assert not [key for key in world.notes if key.endswith(str(OTHER))]
    assert world.tracker.figures()["guilds"] == 0
