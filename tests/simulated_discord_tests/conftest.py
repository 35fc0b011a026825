from __future__ import annotations

import warnings
from collections.abc import AsyncIterator

import pytest

from tests.simulated_discord import SimulatedDiscord

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)  # discord.py's voice part imports audioop
    import discord as _  # noqa: F401


@pytest.fixture
async def discord() -> AsyncIterator[SimulatedDiscord]:
    async with SimulatedDiscord(seed=7) as running:
        yield running
