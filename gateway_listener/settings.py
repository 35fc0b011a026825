"""The listener's settings, from the environment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from db_client.settings import StoreSettings
from program.environment import Environment
from program.logs import LogSettings

WHERE_IT_IS = (
    "It is your bot's token: https://discord.com/developers/applications > your application > Bot > Reset Token."
)


@dataclass(frozen=True)
class Timing:
    """Seconds between one thing and the next; Discord's and the design's, so no variables set them."""

    answer_within: float = 30.0
    """READY or RESUMED is due so long after a connection is begun."""
    api_answers_within: float = 15.0
    """A question to Discord's API, and the login, is given up after so long."""
    resume_within: float = 60.0
    """After so long out of reach a session is given up, and a fresh one is begun at the address of the settings."""
    between_identifies: float = 5.0
    longest_pause: float = 60.0
    """Between two attempts to connect."""
    follow_every: float = 1.0
    """The consent log is read so often: a decision is followed within three seconds."""
    first_read_within: float = 3.0
    ask_every: float = 1.0
    """Discord is asked so often about a guild that it does not name; it bans who is refused 10,000 times in 10 min."""
    ask_presence_after: float = 3600.0
    """Without a sign of life for so long, somebody in voice is asked about."""
    share_every: float = 30.0
    last_delivery_within: float = 5.0
    late: float = 0.5
    """What is stored as certain can be late by about so much."""
    unseen_too_long: float = 600.0
    """With the gateway out of reach for so long, and nothing to wait for, this process cannot help itself: it ends."""


@dataclass(frozen=True)
class Settings:
    """What the listener is told: see README.md for each variable."""

    token: str = field(repr=False)
    api_url: str = ""
    """Empty: Discord's own."""
    gateway_url: str = ""
    shard_id: int = 0
    shard_count: int = 1
    metrics_host: str = "0.0.0.0"  # noqa: S104 (probes and scrapes come from other machines; nothing personal is shown)
    metrics_port: int = 9100
    gap_tolerance_ms: int = 120_000
    reconcile_every: int = 300
    store: StoreSettings = field(default_factory=StoreSettings)
    log: LogSettings = field(default_factory=LogSettings)
    timing: Timing = field(default_factory=Timing)

    @classmethod
    def read(cls, variables: Mapping[str, str]) -> Settings:
        """Reads every variable; raises SettingsError with all that is missing or malformed."""
        environment = Environment(variables)
        shard_count = environment.integer("SHARD_COUNT", 1, least=1, most=65_536)
        settings = cls(
            token=environment.text("DISCORD_BOT_TOKEN", hint=WHERE_IT_IS),
            api_url=_url(environment, "DISCORD_API_URL", ("http://", "https://")),
            gateway_url=_url(environment, "DISCORD_GATEWAY_URL", ("ws://", "wss://")),
            shard_id=environment.integer("SHARD_ID", 0, most=shard_count - 1),
            shard_count=shard_count,
            metrics_host=environment.text("METRICS_HOST", cls.metrics_host),
            metrics_port=environment.integer("METRICS_PORT", cls.metrics_port, most=65_535),
            gap_tolerance_ms=environment.integer("GAP_TOLERANCE", 120, most=86_400) * 1000,
            reconcile_every=environment.integer("RECONCILE_EVERY", cls.reconcile_every, least=1, most=86_400),
            store=StoreSettings.read(environment),
            log=LogSettings.read(environment),
        )
        environment.check()
        return settings


def _url(environment: Environment, name: str, schemes: tuple[str, ...]) -> str:
    def parse(text: str) -> str:
        if not text.startswith(schemes):
            raise ValueError(text)
        return text.rstrip("/")

    return environment.parsed(name, parse, "", hint=f"it takes a URL that begins with {' or '.join(schemes)}.")
