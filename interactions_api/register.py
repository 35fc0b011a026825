"""`python -m interactions_api.register [--dry-run] [--guild ID]`: makes Discord's commands equal to the code's.

Exit status (`program.exits`): 0 they are equal now (or it was a dry run), 1 Discord cannot be reached now, 2 a setting
or an option is wrong, 3 Discord refused.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TextIO

import requests

from interactions_api.commands import definitions
from interactions_api.definition_differences import differences, entry_points, for_guild
from interactions_api.definition_limits import problems
from interactions_api.discord_errors import explained
from interactions_api.settings import APPLICATION_ID_HINT, TOKEN_HINT, RegisterSettings, snowflake
from interactions_api.words import Catalogues
from program import exits
from program.environment import SettingsError
from program.identity import USER_AGENT

ATTEMPTS = 5
LONGEST_WAIT_S = 60.0
TIMEOUT_S = (5.0, 15.0)

Definition = dict[str, Any]


class NotPublished(Exception):
    """Discord did not take the commands; the lines say why and what to do, `status` what the program ends with."""

    def __init__(self, *lines: str, status: int = exits.AGAIN) -> None:
        self.lines = lines
        self.status = status
        super().__init__(*lines)


class CommandsApi:
    """The application's global commands, or those of one guild, at Discord.

    https://discord.com/developers/docs/interactions/application-commands#bulk-overwrite-global-application-commands
    """

    def __init__(
        self, settings: RegisterSettings, guild_id: int | None, sleep: Callable[[float], None] = time.sleep
    ) -> None:
        scope = "" if guild_id is None else f"/guilds/{guild_id}"
        self._url = f"{settings.api_url}/applications/{settings.application_id}{scope}/commands"
        self._sleep = sleep
        self._session = requests.Session()
        self._session.headers.update({"Authorization": f"Bot {settings.bot_token}", "User-Agent": USER_AGENT})

    def published(self) -> list[Definition]:
        """What Discord has now, in all languages."""
        answer: list[Definition] = self._ask("GET", [], params={"with_localizations": "true"})
        return answer

    def publish(self, commands: Sequence[Definition]) -> None:
        """Replaces all of it."""
        self._ask("PUT", commands, json=list(commands))

    def _ask(self, method: str, commands: Sequence[Definition], **options: Any) -> Any:
        for attempt in range(1, ATTEMPTS + 1):
            try:
                response = self._session.request(method, self._url, timeout=TIMEOUT_S, **options)
            except requests.RequestException as problem:
                raise NotPublished(
                    f"Discord cannot be reached at {self._url} ({type(problem).__name__}).",
                    "Nothing was changed unless the connection broke after sending: run this again.",
                ) from None
            if response.status_code == 200:
                return _json_of(response)
            later = response.status_code == 429 or response.status_code >= 500
            if attempt == ATTEMPTS or not later:
                status = exits.AGAIN if later else exits.DISCORD_REFUSES
                raise NotPublished(*_reasons(response, commands), status=status)
            self._sleep(_pause(response, attempt))
        raise AssertionError("unreachable")


def _pause(response: requests.Response, attempt: int) -> float:
    """Seconds: as long as Discord says in a 429; else 1, 2, 4 ...

    https://discord.com/developers/docs/topics/rate-limits#exceeding-a-rate-limit
    """
    if response.status_code != 429:
        return float(2 ** (attempt - 1))
    body = _json_of(response)
    wanted = body.get("retry_after") if isinstance(body, dict) else None
    try:
        seconds = float(wanted if wanted is not None else response.headers.get("Retry-After", "1"))
    except (TypeError, ValueError):
        seconds = 1.0
    if seconds > LONGEST_WAIT_S:
        raise NotPublished(f"Discord asks to wait {seconds:.0f} seconds before the next try. Run this again then.")
    return max(0.0, seconds)


def _reasons(response: requests.Response, commands: Sequence[Definition]) -> list[str]:
    hint = {
        401: f"Discord does not accept DISCORD_BOT_TOKEN. {TOKEN_HINT}",
        403: "Discord forbids it: the application is not in that guild with the scope applications.commands,"
        " or DISCORD_APPLICATION_ID and DISCORD_BOT_TOKEN are of two applications.",
        404: f"Discord knows no such application or guild: check DISCORD_APPLICATION_ID. {APPLICATION_ID_HINT}",
    }.get(response.status_code)
    first = hint or f"Discord answered {response.status_code}; nothing was changed."
    return [first, *(f"  {line}" for line in explained(_json_of(response), commands))]


def _json_of(response: requests.Response) -> Any:
    try:
        return response.json()
    except ValueError:
        return None


def main(
    arguments: Sequence[str],
    variables: Mapping[str, str],
    out: TextIO,
    err: TextIO,
    sleep: Callable[[float], None] = time.sleep,
) -> int:
    """Runs the command line and gives its exit status."""
    options = _options().parse_args(arguments)
    ours = definitions(Catalogues.load())
    if options.guild is not None:
        ours = for_guild(ours)
    if wrong := problems(ours):
        err.write("".join(f"{line}\n" for line in wrong))
        return exits.SETTINGS
    if options.dry_run:
        out.write(json.dumps(ours, indent=2, ensure_ascii=False) + "\n")
        if not variables.get("DISCORD_BOT_TOKEN", "").strip():
            return 0
    try:
        api = CommandsApi(RegisterSettings.read(variables), options.guild, sleep)
        if options.dry_run:
            _show_differences(api, ours, err)
        else:
            _make_equal(api, ours, out)
    except SettingsError as error:
        err.write("".join(f"{problem}\n" for problem in error.problems))
        return exits.SETTINGS
    except NotPublished as problem:
        err.write("".join(f"{line}\n" for line in problem.lines))
        return problem.status
    return exits.ASKED


def _make_equal(api: CommandsApi, ours: list[Definition], out: TextIO) -> None:
    theirs = api.published()
    kept = entry_points(theirs)
    changes = differences([*ours, *kept], theirs)
    if not changes:
        out.write(f"Discord has these {len(ours)} commands already: nothing to do.\n")
        return
    out.write("".join(f"{line}\n" for line in changes))
    api.publish([*ours, *kept])
    out.write(f"Discord has {len(ours)} commands now.\n")


def _show_differences(api: CommandsApi, ours: list[Definition], err: TextIO) -> None:
    """On stderr: stdout holds the definitions, as JSON for whoever reads them."""
    theirs = api.published()
    changes = differences([*ours, *entry_points(theirs)], theirs)
    err.write("".join(f"{line}\n" for line in changes or ["Discord has these commands already."]))


def _options() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m interactions_api.register", description="Makes Discord's commands equal to the code's."
    )
    parser.add_argument(
        "--dry-run",
        action="store_true",
        help="print the definitions and, where DISCORD_BOT_TOKEN is set, what would change; change nothing",
    )
    parser.add_argument("--guild", type=snowflake, metavar="ID", help="publish for this guild only, at once")
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], os.environ, sys.stdout, sys.stderr))
