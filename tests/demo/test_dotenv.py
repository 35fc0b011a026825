"""demo.dotenv: the .env file is read as people write it."""

from __future__ import annotations

import pytest

from demo.dotenv import Malformed, parse


@pytest.mark.parametrize(
    ("text", "variables"),
    [
        ("A=1\n\n# B=2\n  C = 3 \n", {"A": "1", "C": "3"}),
        ("export TOKEN='a b # c'", {"TOKEN": "a b # c"}),
        ('URL="http://u:p#w@h:1/"  # the service', {"URL": "http://u:p#w@h:1/"}),
        ("URL=http://u:p#w@h:1/ # the service", {"URL": "http://u:p#w@h:1/"}),
        ("EMPTY=\nCOMMENT= # nothing\nEQUALS=a=b", {"EMPTY": "", "COMMENT": "", "EQUALS": "a=b"}),
    ],
)
def test_names_and_values(text: str, variables: dict[str, str]) -> None:
    """Quotes hold spaces and hashes, comments end a value, nothing is expanded."""
    assert parse(text) == variables


def test_a_line_that_is_no_setting_is_named_by_number_only() -> None:
    """The text of the line may be a secret, so the error does not repeat it."""
    with pytest.raises(Malformed, match=r"line 2: expected NAME=value$"):
        parse("A=1\nsecret without a name")
