"""Who our application is: what its operator would copy from the developer portal."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass

from nacl.signing import SigningKey

from tests.simulated_discord.model import User
from tests.simulated_discord.snowflakes import Snowflakes


@dataclass(frozen=True)
class Identity:
    """The application, its bot and its keys; the same seed gives the same ones."""

    application_id: int
    bot: User
    owner: User
    bot_token: str
    signing_key: SigningKey

    @property
    def public_key(self) -> str:
        """The key that interactions are verified with, in hex."""
        return self.signing_key.verify_key.encode().hex()

    @classmethod
    def make(cls, seed: int, snowflakes: Snowflakes) -> Identity:
        """An application with its bot; on Discord both have one id."""
        application_id = snowflakes.old()
        secret = hashlib.sha256(f"simulated discord {seed}".encode()).digest()
        token = ".".join(
            base64.urlsafe_b64encode(part).decode().rstrip("=")
            for part in (str(application_id).encode(), secret[:4], secret[4:31])
        )
        return cls(
            application_id=application_id,
            bot=User(application_id, "BigBrotherBot", bot=True),
            owner=User(snowflakes.old(), "operator"),
            bot_token=token,
            signing_key=SigningKey(secret),
        )
