"""Settings: a wrong public key is found at start, not by Discord."""

from __future__ import annotations

import pytest

from interactions_api.settings import RegisterSettings, Settings
from interactions_api.words import Operator
from program.environment import SettingsError


def problems_of(read, variables: dict[str, str]) -> str:
    with pytest.raises(SettingsError) as raised:
        read(variables)
    return "\n".join(raised.value.problems)


def test_the_public_key_is_all_that_must_be_set(public_key):
    """Everything else has a default."""
    settings = Settings.read({"DISCORD_PUBLIC_KEY": public_key.upper()})
    assert settings.public_keys == (public_key,)
    assert settings.max_age_s == 300
    assert settings.api_url == "https://discord.com/api/v10"


def test_where_discord_is_can_be_chosen(public_key):
    """A proxy, or a simulated Discord; anything else than a URL is refused."""
    variables = {"DISCORD_PUBLIC_KEY": public_key}
    assert Settings.read({**variables, "DISCORD_API_URL": "http://127.0.0.1:1/x/"}).api_url == "http://127.0.0.1:1/x"
    assert "DISCORD_API_URL is malformed" in problems_of(Settings.read, {**variables, "DISCORD_API_URL": "ftp://x"})


def test_the_operator_may_be_named(public_key):
    """A page and a line that fit a reply; anything else is told at the start, by name and without its value."""
    variables = {"DISCORD_PUBLIC_KEY": public_key}
    assert Settings.read(variables).operator == Operator(None, None)
    said = {"PRIVACY_POLICY_URL": "https://bot.example.org/privacy?x=1#y", "OPERATOR_CONTACT": "Ops <ops@example.org>"}
    assert Settings.read({**variables, **said}).operator == Operator(*said.values())
    for name, values in {
        "PRIVACY_POLICY_URL": [
            "example.org",
            "ftp://example.org",
            "https://a b",
            "https://x>y",
            "https://x/" + "y" * 200,
        ],
        "OPERATOR_CONTACT": ["two\nlines", "\u202eback", "x" * 151],
    }.items():
        for value in values:
            found = problems_of(Settings.read, {**variables, name: value})
            assert f"{name} is malformed" in found
            assert value not in found


def test_keys_can_be_rotated(public_key):
    """Old and new key, separated by a comma."""
    other = "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c"
    assert Settings.read({"DISCORD_PUBLIC_KEY": f"{public_key}, {other}"}).public_keys == (public_key, other)


@pytest.mark.parametrize(
    "value",
    [
        "secret-bot-token",
        "0" * 64,
        "02" + "0" * 62,
        "ab" * 31,
        "zz" * 32,
        ",",
        "01" + "00" * 31,
    ],
)
def test_what_is_no_public_key_is_refused_and_not_repeated(value):
    """Right in form is not enough: a number that is no point of the curve would refuse every request."""
    found = problems_of(Settings.read, {"DISCORD_PUBLIC_KEY": value})
    assert "DISCORD_PUBLIC_KEY is malformed" in found
    assert "General Information > Public Key" in found
    assert value == "," or value not in found


def test_all_problems_are_told_at_once():
    """One start, one list."""
    found = problems_of(
        Settings.read, {"INTERACTION_MAX_AGE_S": "soon", "LOG_LEVEL": "loud", "SQLITE_SERVICE_URL": "ftp://x"}
    )
    for name in ("DISCORD_PUBLIC_KEY is not set", "INTERACTION_MAX_AGE_S", "LOG_LEVEL", "SQLITE_SERVICE_URL"):
        assert name in found


def test_register_says_where_token_and_application_come_from():
    """Both are copied from the portal."""
    found = problems_of(RegisterSettings.read, {})
    assert "Bot > Reset Token" in found
    assert "General Information > Application ID" in found


@pytest.mark.parametrize("url", ["discord.com", "ftp://discord.com", "http://", "https://discord.com/api?x=1"])
def test_the_api_url_must_be_one(url):
    """A typing mistake is told by its name."""
    variables = {"DISCORD_BOT_TOKEN": "t", "DISCORD_APPLICATION_ID": "53908232506183680", "DISCORD_API_URL": url}
    assert "DISCORD_API_URL" in problems_of(RegisterSettings.read, variables)
