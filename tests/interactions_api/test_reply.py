"""Responses keep Discord's limits, and names in them are shown and do nothing."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interactions_api import reply

BIDI = "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"


@given(st.text(min_size=1, max_size=5000))
def test_a_message_fits_is_ephemeral_and_mentions_nobody(text):
    """2000 characters however one counts them; the flag 64; nobody to parse."""
    data = reply.message(text)["data"]
    assert len(data["content"].encode("utf-16-le", "surrogatepass")) // 2 <= 2000
    assert data["flags"] == 64
    assert data["allowed_mentions"] == {"parse": []}


def test_a_long_text_ends_with_an_ellipsis_and_no_half_character():
    """Emoji take two units: none is cut in the middle."""
    assert reply.clipped("😀" * 10, 6) == "😀😀…"
    assert reply.clipped("short", 5) == "short"


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("ada", "ada"),
        ("a_da_", r"a\_da\_"),
        ("**bold**", r"\*\*bold\*\*"),
        ("@everyone", r"\@everyone"),
        ("<@53908232506183680>", r"\<\@53908232506183680\>"),
        ("`code`", r"\`code\`"),
        ("||spoiler||", r"\|\|spoiler\|\|"),
        ("# heading", r"\# heading"),
        ("https://example.org", r"https\:\/\/example\.org"),
        (":skull:", r"\:skull\:"),
        ("a\\", "a\\\\"),
        ("two\nlines\tand a tab", "two lines and a tab"),
        ("\u202eevil", "evil"),
        ("Robert'); DROP TABLE opt_in_users;--", r"Robert\'\)\; DROP TABLE opt\_in\_users\;\-\-"),
        ("שלום", "שלום"),
        ("👩\u200d🚀", "👩\u200d🚀"),
    ],
)
def test_names_are_shown_and_do_nothing(name, shown):
    """Markdown, mentions, links, emoji codes and line breaks end here; letters and emoji stay."""
    assert reply.harmless(name) == f"\u2068{shown}\u2069"


@given(st.text() | st.text(alphabet="*_~`|>#@<:/.\\[]()" + BIDI + "\n\ta"))
def test_no_name_leaves_punctuation_or_direction_free(name):
    """Whatever the name: every punctuation mark has its backslash, and the isolate opens and closes once."""
    shown = reply.harmless(name)
    assert shown[0] == "\u2068"
    assert shown[-1] == "\u2069"
    inner = shown[1:-1]
    assert not re.search(r"[!-/:-@\[-`{-~]", re.sub(r"\\[!-/:-@\[-`{-~]", "", inner))
    assert not set(inner) & set(BIDI + "\n\r\t\u2028\u2029")
    assert len(inner) <= 2 * reply.NAME_LIMIT


def test_no_more_suggestions_than_discord_takes():
    """25 choices, names of 100 characters."""
    response = reply.choices([("n" * 200, str(i)) for i in range(40)])
    assert len(response["data"]["choices"]) == 25
    assert all(len(choice["name"]) == 100 for choice in response["data"]["choices"])


def test_moments_are_discord_timestamps_in_seconds():
    """Discord shows them in each reader's time zone."""
    assert reply.moment(1_700_000_000_999) == "<t:1700000000:f>"
