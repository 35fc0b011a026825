"""Which presses are good: ours, by the person the button was made for, in time."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interactions_api.buttons import Buttons, Pressed, base36
from interactions_api.reply import Button

KEY, OTHER = "3b" * 32, "a1" * 32
ADA, BEN = 53908232506183680, 81384788765712384
NOW = 1_790_000_000_000
CONFIRM = Button("Erase", "erase_me", "confirm", valid_s=300)


def test_a_button_is_good_for_its_person_until_its_time_is_over():
    """To the second."""
    buttons = Buttons([KEY])
    made = buttons.custom_id(CONFIRM, ADA, NOW)
    for at in (NOW, NOW + 300_999):
        assert buttons.pressed(made, ADA, at) == Pressed("erase_me", "confirm")
    assert buttons.pressed(made, ADA, NOW + 301_000) == "expired"
    assert buttons.pressed(made, BEN, NOW) == "foreign"


def test_whatever_is_changed_in_a_custom_id_it_is_refused():
    """Each character, and one more or less; the seal covers action, argument, person and time."""
    buttons = Buttons([KEY])
    made = buttons.custom_id(CONFIRM, ADA, NOW)
    for place, character in enumerate(made):
        changed = made[:place] + ("a" if character != "a" else "b") + made[place + 1 :]
        assert buttons.pressed(changed, ADA, NOW) == "forged", changed
    for changed in (made[:-1], made + "a", "", "x" * 100, made.upper()):
        assert buttons.pressed(changed, ADA, NOW) == "forged"


def test_every_pod_takes_every_pods_buttons_also_while_the_key_is_rotated():
    """Nothing but the application's public key is shared; another application's buttons are not ours."""
    made = Buttons([KEY]).custom_id(CONFIRM, ADA, NOW)
    assert Buttons([OTHER, KEY]).pressed(made, ADA, NOW) == Pressed("erase_me", "confirm")
    assert Buttons([OTHER]).pressed(made, ADA, NOW) == "forged"


@given(st.integers(0, 2**63 - 1), st.integers(0, 2**42))
def test_no_custom_id_is_too_long(user_id, now):
    """Discord takes 100 characters; the longest argument is a page of a shared board of one channel."""
    longest = Button("x", "leaderboard", f"last_30_days.{base36(2**63 - 1)}.1.{10**6}")
    made = Buttons([KEY]).custom_id(longest, user_id, now)
    assert len(made) <= 100
    assert Buttons([KEY]).pressed(made, user_id, now) == Pressed("leaderboard", longest.argument)


@pytest.mark.parametrize("argument", ["a:b", "ü", "a" * 41, "a b"])
def test_an_argument_that_does_not_fit_is_a_mistake_of_ours(argument):
    """Found when the button is made, not when it is pressed."""
    with pytest.raises(ValueError, match="does not fit"):
        Buttons([KEY]).custom_id(Button("x", "erase_me", argument), ADA, NOW)


@given(st.text(max_size=120))
def test_any_text_as_custom_id_is_refused(text):
    """Nothing else is raised."""
    assert Buttons([KEY]).pressed(text, ADA, NOW) == "forged"


@given(st.integers(0, 2**64))
def test_base36_is_what_int_reads(number):
    """There and back."""
    assert int(base36(number), 36) == number
