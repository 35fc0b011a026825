"""A simulated Discord for tests, the demo and the benchmarks: see README.md."""

from tests.simulated_discord.model import Impossible, NotConnected
from tests.simulated_discord.outcome import BadReply, Outcome
from tests.simulated_discord.server import SimulatedDiscord

__all__ = ["BadReply", "Impossible", "NotConnected", "Outcome", "SimulatedDiscord"]
