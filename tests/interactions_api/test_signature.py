"""Discord's signature: what is accepted, what is refused, and that nothing is printed or raised besides."""

from __future__ import annotations

import contextlib
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st
from nacl.signing import SigningKey

from interactions_api.signature import Signature, Unauthorized
from tests.interactions_api.discord import headers

NOW_S = 1_700_000_000
BODY = b'{"type":1}'


def signature_of(key: SigningKey, body: bytes = BODY, at_s: int = NOW_S) -> Signature:
    signed = headers(key, body, at_s=at_s)
    return Signature.from_headers(signed["X-Signature-Ed25519"], signed["X-Signature-Timestamp"])


def test_a_genuine_signature_is_accepted(key, public_key):
    """Discord's key on timestamp and body passes."""
    signature_of(key).verify(BODY, (public_key,))


def test_one_of_several_keys_is_enough(key, public_key):
    """While a key is rotated the old and the new one are both good."""
    other = SigningKey.generate().verify_key.encode().hex()
    signature_of(key).verify(BODY, (other, public_key))


@pytest.mark.parametrize("changed", [b'{"type":2}', b"", BODY + b" "])
def test_another_body_is_forged(key, public_key, changed):
    """The signature is of these bytes and no others."""
    with pytest.raises(Unauthorized, match="forged"):
        signature_of(key).verify(changed, (public_key,))


def test_another_timestamp_is_forged(key, public_key):
    """A timestamp made fresh does not fit the signature any more."""
    old = signature_of(key)
    with pytest.raises(Unauthorized, match="forged"):
        Signature(old.signature, str(NOW_S + 1)).verify(BODY, (public_key,))


@pytest.mark.parametrize(
    ("signature", "timestamp", "reason"),
    [
        (None, "1700000000", "unsigned"),
        ("0" * 128, None, "unsigned"),
        ("", "1700000000", "malformed_signature"),
        ("0" * 126, "1700000000", "malformed_signature"),
        ("0" * 130, "1700000000", "malformed_signature"),
        ("z" * 128, "1700000000", "malformed_signature"),
        ("0" * 127 + "\n", "1700000000", "malformed_signature"),
        ("00 " * 64, "1700000000", "malformed_signature"),
        ("\u0660" * 128, "1700000000", "malformed_signature"),
        ("0" * 128, "", "malformed_signature"),
        ("0" * 128, "abc", "malformed_signature"),
        ("0" * 128, "-1", "malformed_signature"),
        ("0" * 128, "1e9", "malformed_signature"),
        ("0" * 128, "1700000000.5", "malformed_signature"),
        ("0" * 128, "\u0661\u0667" + "\u0660" * 8, "malformed_signature"),
        ("0" * 128, "9" * 40, "malformed_signature"),
    ],
)
def test_headers_of_another_form_are_refused_before_the_body_is_read(signature, timestamp, reason):
    """128 hexadecimal digits and a number of seconds, and nothing that Python would take for them besides."""
    with pytest.raises(Unauthorized, match=reason):
        Signature.from_headers(signature, timestamp)


@pytest.mark.parametrize("age_s", [0, 1, 300, -300])
def test_a_timestamp_within_the_limit_is_fresh(key, age_s):
    """Clocks differ both ways."""
    signature_of(key, at_s=NOW_S - age_s).check_age(NOW_S * 1000 + 999, 300)


@pytest.mark.parametrize("age_s", [301, -301, NOW_S, NOW_S - 999_999_999_999])
def test_a_timestamp_beyond_the_limit_is_stale(key, age_s):
    """A request once seen cannot be sent again for ever, nor one be signed for later."""
    with pytest.raises(Unauthorized, match="stale"):
        signature_of(key, at_s=NOW_S - age_s).check_age(NOW_S * 1000, 300)


@given(signature=st.binary(min_size=64, max_size=64), body=st.binary(), key=st.binary(min_size=32, max_size=32))
def test_no_bytes_whatsoever_raise_or_print(signature, body, key):
    """Any signature, body and key end in Unauthorized, with nothing on standard output."""
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed), pytest.raises(Unauthorized):
        Signature(signature.hex(), "1700000000").verify(body, (key.hex(),))
    assert printed.getvalue() == ""
