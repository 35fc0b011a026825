"""Who may ask: HTTP Basic credentials, compared in constant time. No I/O."""

from __future__ import annotations

import base64
import binascii
import hmac


def allowed_credentials(username: str, password: str) -> tuple[bytes, ...]:
    """The bytes that open the door: UTF-8, and Latin-1 where it can spell them, for clients differ."""
    if not username:
        return ()
    pair = f"{username}:{password}"
    encodings = [pair.encode()]
    if all(ord(character) < 256 for character in pair):
        encodings.append(pair.encode("latin-1"))
    return tuple(encodings)


def authorized(header: str | None, allowed: tuple[bytes, ...]) -> bool:
    """True if an Authorization header holds one of the allowed credentials; compared in constant time."""
    scheme, _, encoded = (header or "").partition(" ")
    if scheme.lower() != "basic":
        return False
    try:
        given = base64.b64decode(encoded.strip(), validate=True)
    except (binascii.Error, ValueError):
        return False
    matches = [hmac.compare_digest(given, pair) for pair in allowed]  # all are compared, whichever matches
    return any(matches)
