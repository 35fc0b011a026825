"""Settings of the interactions endpoint and of `register`."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field

from nacl.bindings import crypto_core_ed25519_is_valid_point

from db_client.settings import StoreSettings
from interactions_api.words import Operator
from program import exits
from program.environment import Environment, SettingsError
from program.logs import LogSettings

PUBLIC_KEY_HINT = (
    "Copy it from https://discord.com/developers/applications > your application > General Information > Public Key."
)
APPLICATION_ID_HINT = (
    "Copy it from https://discord.com/developers/applications > your application > General Information >"
    " Application ID."
)
TOKEN_HINT = "Make one at https://discord.com/developers/applications > your application > Bot > Reset Token."  # noqa: S105

URL_HINT = "it takes an http or https URL."
LONGEST_SAID = 150
PAGE_HINT = f"it takes an http or https URL of at most {LONGEST_SAID} characters."
CONTACT_HINT = f"it takes one line of at most {LONGEST_SAID} characters, such as an address for mail."

_KEY = re.compile(r"[0-9a-fA-F]{64}")


@dataclass(frozen=True)
class Settings:
    """DISCORD_PUBLIC_KEY (several, with commas, while a key is rotated), INTERACTION_MAX_AGE_S, DISCORD_API_URL,
    PRIVACY_POLICY_URL, OPERATOR_CONTACT, and the store's.
    """

    public_keys: tuple[str, ...]
    max_age_s: int = 300
    api_url: str = "https://discord.com/api/v10"
    operator: Operator = field(default_factory=Operator)
    store: StoreSettings = field(default_factory=StoreSettings)
    logs: LogSettings = field(default_factory=LogSettings)

    @classmethod
    def read(cls, variables: Mapping[str, str]) -> Settings:
        """Reads the environment; raises SettingsError with all that is missing or malformed."""
        environment = Environment(variables)
        environment.text("DISCORD_PUBLIC_KEY", hint=PUBLIC_KEY_HINT)
        settings = cls(
            public_keys=environment.parsed(
                "DISCORD_PUBLIC_KEY",
                public_keys,
                (),
                hint=f"it takes the 64 hexadecimal digits of an Ed25519 public key. {PUBLIC_KEY_HINT}",
            ),
            max_age_s=environment.integer("INTERACTION_MAX_AGE_S", cls.max_age_s, least=1),
            api_url=environment.parsed("DISCORD_API_URL", base_url, cls.api_url, hint=URL_HINT),
            operator=Operator(
                environment.parsed("PRIVACY_POLICY_URL", page_url, None, hint=PAGE_HINT),
                environment.parsed("OPERATOR_CONTACT", contact, None, hint=CONTACT_HINT),
            ),
            store=StoreSettings.read(environment),
            logs=LogSettings.read(environment),
        )
        environment.check()
        return settings


def settings_or_exit(variables: Mapping[str, str]) -> Settings:
    """The endpoint's settings; what is wrong with them is printed, one problem a line, and ends the program, or the
    gunicorn worker and gunicorn with it."""
    try:
        return Settings.read(variables)
    except SettingsError as error:
        sys.stderr.write("".join(f"{problem}\n" for problem in error.problems))
        sys.stderr.flush()
        sys.exit(exits.GUNICORN_CANNOT_LOAD)


@dataclass(frozen=True)
class RegisterSettings:
    """DISCORD_BOT_TOKEN, DISCORD_APPLICATION_ID and DISCORD_API_URL."""

    bot_token: str
    application_id: int
    api_url: str = "https://discord.com/api/v10"

    @classmethod
    def read(cls, variables: Mapping[str, str]) -> RegisterSettings:
        """Reads the environment; raises SettingsError with all that is missing or malformed."""
        environment = Environment(variables)
        token = environment.text("DISCORD_BOT_TOKEN", hint=TOKEN_HINT)
        environment.text("DISCORD_APPLICATION_ID", hint=APPLICATION_ID_HINT)
        settings = cls(
            bot_token=token,
            application_id=environment.parsed(
                "DISCORD_APPLICATION_ID",
                snowflake,
                0,
                hint=f"it takes a number of 17 to 20 digits. {APPLICATION_ID_HINT}",
            ),
            api_url=environment.parsed("DISCORD_API_URL", base_url, cls.api_url, hint=URL_HINT),
        )
        environment.check()
        return settings


def public_keys(text: str) -> tuple[str, ...]:
    """The keys of a list with commas, in lower case; raises ValueError unless each is an Ed25519 public key.

    64 hexadecimal digits are not yet a key: half of all such numbers are no point of the curve, and every request
    would be refused without a word.
    """
    keys = tuple(part.strip().lower() for part in text.split(",") if part.strip())
    if not keys or not all(
        _KEY.fullmatch(key) and crypto_core_ed25519_is_valid_point(bytes.fromhex(key)) for key in keys
    ):
        raise ValueError("not a public key")
    return keys


def snowflake(text: str) -> int:
    """A snowflake as people copy it; raises ValueError for anything else."""
    if not re.fullmatch(r"[0-9]{17,20}", text):
        raise ValueError("not a snowflake")
    return int(text)


def page_url(text: str) -> str:
    """An http or https URL that fits a reply; raises ValueError for anything else."""
    if len(text) > LONGEST_SAID or not re.fullmatch(r"https?://[^/\s<>]+[^\s<>]*", text):
        raise ValueError("not a URL")
    return text


def contact(text: str) -> str:
    """A line that fits a reply; raises ValueError for anything else."""
    if len(text) > LONGEST_SAID or not text.isprintable():
        raise ValueError("not one short line")
    return text


def base_url(text: str) -> str:
    """An http or https URL without a slash at its end; raises ValueError for anything else."""
    if not re.fullmatch(r"https?://[^/\s?#]+[^\s?#]*", text):
        raise ValueError("not a URL")
    return text.rstrip("/")
