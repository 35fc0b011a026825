"""Fixtures with real parts."""

from __future__ import annotations

import warnings
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)  # discord.py's voice part imports audioop
    import discord  # noqa: F401

from tests.gateway_listener.running import Scene, scene
from tests.services import RunningService, start_embedded


@pytest.fixture
def service(tmp_path: Path) -> Iterator[RunningService]:
    """The embedded service as a process of its own."""
    folder = tmp_path / "service"
    folder.mkdir()
    with start_embedded(folder) as running:
        yield running


@pytest.fixture
async def stage(tmp_path: Path, service: RunningService) -> AsyncIterator[Scene]:
    """A simulated Discord, and Ada and Bob who are in."""
    async with scene(tmp_path, service) as made:
        await made.decide(made.ada, "in")
        await made.decide(made.bob, "in")
        yield made
