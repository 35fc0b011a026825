"""Whatever Discord's key signs, the endpoint answers it: never a 500."""

from __future__ import annotations

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.interactions_api.discord import command

# The delivering thread draws the jitter of its pauses while examples are made.
pytestmark = pytest.mark.filterwarnings("ignore:Do not use the `random` module")

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(), inner, max_size=5),
    max_leaves=15,
)
FIELDS = ("id", "type", "guild_id", "context", "locale", "member", "user", "data", "message", "token")
KINDS = st.sampled_from([1, 2, 3, 4, 5, 9])
NO_COMMAND = st.fixed_dictionaries({"type": KINDS}, optional=dict.fromkeys(FIELDS[2:], JSON))


@given(
    st.binary() | JSON.map(lambda value: json.dumps(value).encode()) | NO_COMMAND.map(lambda i: json.dumps(i).encode())
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_any_signed_bytes_are_answered(endpoint, content):
    """An answer, or 400."""
    assert endpoint.send_raw(content).status_code in (200, 400)


@given(
    name=st.sampled_from(["opt_in", "opt_out", "x"]),
    field=st.sampled_from(FIELDS),
    part=st.sampled_from(["member", "data", None]),
    value=JSON,
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_commands_with_anything_anywhere_are_answered(endpoint, name, field, part, value):
    """Near misses, one field at a time, through keeping and delivering."""
    interaction = command(name)
    if part is None:
        interaction[field] = value
    else:
        interaction[part][field if field != "data" else "options"] = value
    assert endpoint.send_raw(json.dumps(interaction).encode()).status_code in (200, 400)
