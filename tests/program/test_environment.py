"""Settings are read from a mapping, and everything wrong with them is said at once."""

import pytest

from program.environment import Environment, SettingsError


def test_every_problem_is_reported_at_once_by_name():
    """A person mends all settings in one go instead of one a start."""
    environment = Environment({"COUNT": "many", "MODE": "loud"})
    environment.text("TOKEN", hint="Get one at the portal.")
    environment.integer("COUNT", 1, least=1, most=9)
    environment.choice("MODE", "quiet", ("quiet", "silent"))
    with pytest.raises(SettingsError) as raised:
        environment.check()
    assert raised.value.problems == [
        "TOKEN is not set. Get one at the portal.",
        "COUNT is malformed: it takes a whole number from 1 to 9.",
        "MODE is malformed: it takes one of quiet, silent.",
    ]


def test_a_malformed_value_is_not_repeated():
    """A secret pasted into the wrong variable does not end up in a log."""
    environment = Environment({"COUNT": "super-secret"})
    environment.integer("COUNT", 1)
    assert "super-secret" not in "".join(environment.problems)


def test_an_empty_variable_counts_as_unset():
    """`NAME=` in a .env file means that nothing was chosen."""
    environment = Environment({"URL": "  ", "COUNT": ""})
    assert environment.text("URL", "http://default") == "http://default"
    assert environment.integer("COUNT", 7) == 7
    environment.check()


@pytest.mark.parametrize("text", ["0", "10", "-1", "1.5", "1e1", "two"])
def test_a_number_outside_its_bounds_is_refused(text):
    """The bounds are part of the message, so the person knows what is taken."""
    environment = Environment({"COUNT": text})
    assert environment.integer("COUNT", 5, least=1, most=9) == 5
    assert environment.problems == ["COUNT is malformed: it takes a whole number from 1 to 9."]


def test_words_are_taken_in_any_case():
    """LOG_LEVEL=INFO is what most people write."""
    environment = Environment({"MODE": "Quiet"})
    assert environment.choice("MODE", "silent", ("quiet", "silent")) == "quiet"
    environment.check()
