"""What stands in a button's custom_id, and which presses are good: ours, by the person it was made for, in time. Pure.

`action:argument:person:until:seal`, at most 100 characters; numbers to the base 36. DESIGN.md says what the seal can
prove and what it need not.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from collections.abc import Sequence
from typing import Literal, NamedTuple, TypeAlias

from interactions_api.reply import Button

CUSTOM_ID_LIMIT = 100

Refusal: TypeAlias = Literal["forged", "foreign", "expired"]

_FORM = re.compile(r"([a-z_]{1,32}):([\w.-]{0,40}):([0-9a-z]{1,13}):([0-9a-z]{1,13}):([\w-]{16})", re.ASCII)
_DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"


class Pressed(NamedTuple):
    """A good press: which command file it is for, and with what."""

    action: str
    argument: str


class Buttons:
    """Makes custom_ids and reads them back. Every pod of one application makes and takes the same ones."""

    def __init__(self, public_keys: Sequence[str]) -> None:
        self._keys = [hashlib.sha256(b"button " + bytes.fromhex(key)).digest() for key in public_keys]

    def custom_id(self, button: Button, user_id: int, now: int) -> str:
        """The custom_id of a button for that person, made at `now` (ms since 1970 UTC)."""
        until = now // 1000 + button.valid_s
        said = f"{button.action}:{button.argument}:{base36(user_id)}:{base36(until)}"
        custom_id = f"{said}:{_seal(self._keys[0], said)}"
        if not _FORM.fullmatch(custom_id) or len(custom_id) > CUSTOM_ID_LIMIT:
            raise ValueError("the button's action or argument does not fit a custom_id")
        return custom_id

    def pressed(self, custom_id: str, user_id: int, now: int) -> Pressed | Refusal:
        """What a press by that person at `now` (ms since 1970 UTC) means, or why it means nothing."""
        form = _FORM.fullmatch(custom_id)
        if form is None:
            return "forged"
        action, argument, person, until, seal = form.groups()
        said = custom_id.rpartition(":")[0]
        if not any(hmac.compare_digest(seal, _seal(key, said)) for key in self._keys):
            return "forged"
        if int(person, 36) != user_id:
            return "foreign"
        return Pressed(action, argument) if now // 1000 <= int(until, 36) else "expired"


def base36(number: int) -> str:
    """The number in digits and small letters, as `int(text, 36)` reads it."""
    text = ""
    while number:
        number, digit = divmod(number, 36)
        text = _DIGITS[digit] + text
    return text or "0"


def _seal(key: bytes, said: str) -> str:
    digest = hmac.new(key, said.encode(), hashlib.sha256).digest()[:12]
    return base64.urlsafe_b64encode(digest).decode()
