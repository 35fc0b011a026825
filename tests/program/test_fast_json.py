"""The fast reader and writer of JSON take what the standard library's take."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from program import fast_json

values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.text(st.characters())
    | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@given(values)
def test_what_is_written_is_read_back(value):
    """Any text, also half a surrogate pair, and numbers of any length."""
    assert json.loads(fast_json.write(value)) == value


@given(values)
def test_what_the_standard_library_writes_is_read(value):
    """Integers of up to 64 bits stay exact, which is all that Discord sends."""
    read = fast_json.read(json.dumps(value))
    if all(-(2**63) <= number < 2**64 for number in _integers(value)):
        assert read == value


def _integers(value):
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        for inner in value:
            yield from _integers(inner)
    elif isinstance(value, int):
        yield value


@pytest.mark.parametrize("text", ["", "{", "[1,]", "nul", "\x00"])
def test_what_is_no_json_is_refused(text):
    """With the error that the standard library has for it."""
    with pytest.raises(ValueError):  # noqa: PT011 (any ValueError is what callers expect)
        fast_json.read(text)


def test_halves_of_surrogate_pairs_are_read_and_written():
    """Discord has sent such names; nobody is lost over one."""
    assert fast_json.read('"\\ud800"') == "\ud800"
    assert fast_json.write("\ud800") == '"\\ud800"'
