"""Signed requests as Discord sends them to an interactions endpoint, and forged ones as it sends them for a test.

https://discord.com/developers/docs/interactions/overview#setting-up-an-endpoint
"""

from __future__ import annotations

from nacl.signing import SigningKey

from tests.simulated_discord.model import Impossible

USER_AGENT = "Discord-Interactions/1.0 (+https://discord.com)"
FORGERIES = ("wrong_key", "flipped_bit", "no_signature", "no_timestamp", "short_signature", "not_hex")
_FOREIGN_KEY = SigningKey(bytes(range(32)))


def signed_headers(key: SigningKey, body: bytes, timestamp: str, forge: str | None = None) -> dict[str, str]:
    """The headers for a body; `timestamp` is Unix seconds as text, `forge` one of FORGERIES."""
    if forge is not None and forge not in FORGERIES:
        raise Impossible(f"no such forgery: {forge}; there are {', '.join(FORGERIES)}")
    signer = _FOREIGN_KEY if forge == "wrong_key" else key
    signature = signer.sign(timestamp.encode() + body).signature
    if forge == "flipped_bit":
        signature = bytes([signature[0] ^ 1]) + signature[1:]
    headers = {
        "Content-Type": "application/json",
        "User-Agent": USER_AGENT,
        "X-Signature-Ed25519": signature.hex(),
        "X-Signature-Timestamp": timestamp,
    }
    if forge == "no_signature":
        del headers["X-Signature-Ed25519"]
    elif forge == "no_timestamp":
        del headers["X-Signature-Timestamp"]
    elif forge == "short_signature":
        headers["X-Signature-Ed25519"] = signature.hex()[:-2]
    elif forge == "not_hex":
        headers["X-Signature-Ed25519"] = "z" * 128
    return headers
