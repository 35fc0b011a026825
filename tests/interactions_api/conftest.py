"""A real key, the real application on a real store, a real service behind it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient
from nacl.signing import SigningKey
from werkzeug.test import TestResponse

from db_client.settings import StoreSettings
from db_client.store import Store
from interactions_api.app import create_app
from interactions_api.settings import Settings
from tests.interactions_api import discord
from tests.interactions_api.study_room import StudyRoom, study_room
from tests.services import RunningService, start_embedded


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StudyRoom]:
    """All programs running, for the journeys of one module; each uses people or servers of its own."""
    with study_room(tmp_path_factory.mktemp("room")) as made:
        yield made


@pytest.fixture(scope="session")
def key() -> SigningKey:
    return SigningKey(bytes(range(1, 33)))


@pytest.fixture(scope="session")
def public_key(key: SigningKey) -> str:
    return key.verify_key.encode().hex()


@pytest.fixture(scope="session")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    """One embedded service for all tests; each uses a person of its own."""
    with start_embedded(tmp_path_factory.mktemp("service")) as running:
        yield running


class Endpoint:
    """The application in this process, its store, and Discord's way of speaking to it."""

    def __init__(self, key: SigningKey, service_url: str, queue_file: Path, **settings: Any) -> None:
        self.key = key
        self.store = Store(StoreSettings(service_url, queue_file))
        keys = (key.verify_key.encode().hex(),)
        self.app = create_app(Settings(keys, **settings), self.store)
        self.client: FlaskClient = self.app.test_client()

    def send_raw(self, content: bytes, **signing: Any) -> TestResponse:
        """The bytes, signed."""
        return self.client.post("/interactions", data=content, headers=discord.headers(self.key, content, **signing))

    def send(self, interaction: Any, **signing: Any) -> TestResponse:
        """The interaction, signed."""
        return self.send_raw(discord.body(interaction), **signing)

    def says(self, interaction: Any) -> str:
        """The content of the reply, which must be an ephemeral message that mentions nobody."""
        answer = self.send(interaction)
        assert answer.status_code == 200, answer.get_data(as_text=True)
        reply = answer.get_json()
        assert reply["type"] == 4
        assert reply["data"]["flags"] == 64
        assert reply["data"]["allowed_mentions"] == {"parse": []}
        content: str = reply["data"]["content"]
        assert 1 <= len(content) <= 2000
        return content


@pytest.fixture
def make_endpoint(key: SigningKey, tmp_path: Path) -> Iterator[Callable[..., Endpoint]]:
    """Makes endpoints for a service URL; their stores are stopped at the end of the test."""
    made: list[Endpoint] = []

    def make(service_url: str, queue_file: Path | None = None, **settings: Any) -> Endpoint:
        made.append(Endpoint(key, service_url, queue_file or tmp_path / "queue.db", **settings))
        return made[-1]

    yield make
    for endpoint in made:
        endpoint.store.stop(within=2.0)


@pytest.fixture
def endpoint(make_endpoint: Callable[..., Endpoint], service: RunningService) -> Endpoint:
    """The application on the embedded service."""
    return make_endpoint(service.url)
