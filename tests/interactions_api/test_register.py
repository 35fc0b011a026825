"""`python -m interactions_api.register` against the simulated Discord, over HTTP."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from collections.abc import Iterator

import pytest

from interactions_api.commands import COMMANDS
from interactions_api.register import USER_AGENT, CommandsApi, NotPublished, main
from interactions_api.settings import RegisterSettings
from program import exits
from tests.interactions_api.running import REPOSITORY
from tests.simulated_discord.control import Control, in_thread


@pytest.fixture(scope="module")
def simulated() -> Iterator[Control]:
    with in_thread(seed=1) as discord:
        yield discord


@pytest.fixture(autouse=True)
def _well(simulated):
    yield
    simulated.clear_faults()


class Ran:
    """One run of the command line: exit status, both outputs, and how long it paused."""

    def __init__(self, *arguments: str, **variables: str) -> None:
        out, err = io.StringIO(), io.StringIO()
        self.pauses: list[float] = []
        self.status = main(arguments, variables, out, err, self.pauses.append)
        self.out, self.err = out.getvalue(), err.getvalue()


def test_commands_are_published_and_the_difference_is_printed(simulated):
    """New commands first; the second run finds nothing to do."""
    first = Ran(**simulated.environment())
    assert (first.status, first.err) == (0, "")
    assert first.out.splitlines() == [
        *sorted(f"+ /{c.NAME}" for c in COMMANDS),
        f"Discord has {len(COMMANDS)} commands now.",
    ]
    again = Ran(**simulated.environment())
    assert (again.status, again.out) == (0, f"Discord has these {len(COMMANDS)} commands already: nothing to do.\n")


def test_a_guilds_own_commands_are_published(simulated):
    """For trying things out: they are there at once."""
    guild = simulated.add_guild("Workshop")
    ran = Ran("--guild", str(guild), **simulated.environment())
    assert (ran.status, ran.err) == (0, "")
    assert "+ /opt_in" in ran.out


def test_a_dry_run_with_a_token_says_what_would_change_and_changes_nothing(simulated):
    """The definitions stay alone on stdout, for programs; the differences go to stderr."""
    Ran(**simulated.environment())
    ran = Ran("--dry-run", **simulated.environment())
    assert (ran.status, ran.err) == (0, "Discord has these commands already.\n")
    guild = simulated.add_guild("Dry")
    for _ in range(2):
        ran = Ran("--dry-run", "--guild", str(guild), **simulated.environment())
        assert ran.err.splitlines() == sorted(f"+ /{command.NAME}" for command in COMMANDS)
        assert len(json.loads(ran.out)) == len(COMMANDS)


def test_a_dry_run_prints_the_definitions_and_needs_no_settings():
    """Nothing is asked and nothing changed."""
    ran = Ran("--dry-run")
    assert ran.status == 0
    assert [definition["name"] for definition in json.loads(ran.out)] == [command.NAME for command in COMMANDS]


def test_rate_limits_are_respected(simulated):
    """As long as Discord says; then it goes on."""
    simulated.set_faults(rate_limit=2)
    ran = Ran(**simulated.environment())
    assert ran.status == 0
    assert len(ran.pauses) == 2
    assert all(pause > 0 for pause in ran.pauses)


def test_a_failing_discord_is_tried_again_and_then_told(simulated):
    """Five times, with growing pauses."""
    simulated.set_faults(api_status=503)
    ran = Ran(**simulated.environment())
    assert ran.status == exits.AGAIN
    assert ran.pauses == [1.0, 2.0, 4.0, 8.0]
    assert "Discord answered 503" in ran.err


def test_a_wrong_token_is_told_with_where_to_get_the_right_one(simulated):
    """And not printed."""
    ran = Ran(**{**simulated.environment(), "DISCORD_BOT_TOKEN": "wrong.token"})
    assert ran.status == exits.DISCORD_REFUSES
    assert "DISCORD_BOT_TOKEN" in ran.err
    assert "Bot > Reset Token" in ran.err
    assert "wrong.token" not in ran.err


def test_a_wrong_application_is_told(simulated):
    """With the variable's name."""
    ran = Ran(**{**simulated.environment(), "DISCORD_APPLICATION_ID": "53908232506183680"})
    assert ran.status == exits.DISCORD_REFUSES
    assert "DISCORD_APPLICATION_ID" in ran.err


def test_an_unreachable_discord_is_one_sentence(simulated):
    """No traceback."""
    ran = Ran(**{**simulated.environment(), "DISCORD_API_URL": "http://127.0.0.1:9/api/v10"})
    assert ran.status == exits.AGAIN
    assert "cannot be reached at http://127.0.0.1:9/api/v10" in ran.err


def test_missing_settings_are_all_told():
    """Exit status 2."""
    ran = Ran()
    assert ran.status == exits.SETTINGS
    assert len(ran.err.splitlines()) == 2


def test_discords_refusal_names_every_failing_field(simulated):
    """Its nested errors, in our words for the places."""
    api = CommandsApi(RegisterSettings.read(simulated.environment()), None)
    wrong = [{"name": "Upper", "description": ""}, {"name": "good", "description": "d" * 101}]
    with pytest.raises(NotPublished) as raised:
        api.publish(wrong)
    explained = "\n".join(raised.value.lines)
    for place in ("Upper.name", "Upper.description", "good.description"):
        assert place in explained


def test_the_user_agent_is_the_one_discord_asks_for():
    """`DiscordBot (url, version)`."""
    assert USER_AGENT.startswith("DiscordBot (https://")


def test_the_command_line_works_as_a_process(simulated):
    """`python -m interactions_api.register`."""
    run = subprocess.run(
        [sys.executable, "-m", "interactions_api.register"],
        cwd=REPOSITORY,
        env={**os.environ, **simulated.environment()},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (run.returncode, run.stderr) == (0, "")
