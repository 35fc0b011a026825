"""Verified `/opt_in` per second, and how long each takes, beside a route that only verifies in the same gunicorn."""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from nacl.signing import SigningKey

from bench.figures import Figure, Row, at_least, percentile
from bench.load import Load, post, send_all
from bench.programs import Fleet, gunicorn
from db_client.settings import StoreSettings
from db_client.snowflake import earliest
from db_client.statements import Statement
from db_client.store import Store
from tests.services import start_embedded

KEY = SigningKey(bytes(range(32)))
CONNECTIONS = 8
GUILD = 1_180_000_000_000_000_001


def figures(folder: Path, *, scale: float, rounds: int) -> Iterator[Row]:
    """Rate, median and 99th percentile, from loads sent to ours and to the floor in turn."""
    count = max(50, int(1000 * scale))
    people = itertools.count(1_000_000_000_000_000_000)
    pairs: list[tuple[Load, Load]] = []
    with start_embedded(folder / "service") as service, Fleet(folder) as fleet:
        variables = {
            "DISCORD_PUBLIC_KEY": KEY.verify_key.encode().hex(),
            "SQLITE_SERVICE_URL": service.url,
            "QUEUE_FILE": str(folder / "queue.db"),
        }
        ours = gunicorn(fleet, "ours", "interactions_api.app:create_app", variables)
        floor = gunicorn(fleet, "floor", "bench.verify_only:create_app", variables)
        for url in (ours, floor):
            _send(url, people, CONNECTIONS * 4)  # warm: threads, connections, migrations
        for _ in range(rounds):
            pairs.append((_send(ours, people, count), _send(floor, people, count)))
        fleet["ours"].stop()  # it delivers what still waits
        _check(service.url, folder, CONNECTIONS * 4 + rounds * count)
    yield Figure("verified /opt_in", "/s", [(a.rate, b.rate) for a, b in pairs], at_least(0.5))
    for name, share in (("p50", 0.5), ("p99", 0.99)):
        in_ms = [(1e3 * percentile(a.latencies, share), 1e3 * percentile(b.latencies, share)) for a, b in pairs]
        yield Figure(f"one /opt_in of {CONNECTIONS} at a time, {name}", "ms", in_ms)


def _send(url: str, people: Iterator[int], count: int) -> Load:
    """Sends that many signed /opt_in, each of another person, and holds every answer to be 200."""
    load = send_all(url, [_opt_in(url, next(people)) for _ in range(count)], CONNECTIONS)
    if set(load.statuses) != {200}:
        raise RuntimeError(f"answers other than 200: {load.statuses}, the last: {load.last_body[:300]!r}")
    return load


def _check(service_url: str, folder: Path, expected: int) -> None:
    """Raises unless every /opt_in that was answered is stored: a fast endpoint that loses them would be no figure."""
    store = Store(StoreSettings(service_url=service_url, queue_file=folder / "reader.db"))
    ((row,),) = store.query(Statement("SELECT count(*) AS n FROM opt_in_users", {}), within=10)
    store.stop(within=0)
    if row["n"] != expected:
        raise RuntimeError(f"{expected} /opt_in were answered, {row['n']} are stored")


def _opt_in(url: str, user: int) -> bytes:
    """A signed request as Discord sends it."""
    body = json.dumps(interaction(user, at=time.time_ns() // 1_000_000)).encode()
    timestamp = str(int(time.time()))
    signature = KEY.sign(timestamp.encode() + body).signature.hex()
    return post(url, body, {"X-Signature-Ed25519": signature, "X-Signature-Timestamp": timestamp})


def interaction(user: int, *, at: int) -> dict[str, Any]:
    """/opt_in of one person in a guild; `at` in ms since 1970 UTC.

    https://discord.com/developers/docs/interactions/receiving-and-responding#interaction-object
    """
    return {
        "id": str(earliest(at) + user % 2**22),
        "application_id": "1180000000000000009",
        "type": 2,
        "token": "a" * 200,
        "version": 1,
        "channel_id": str(GUILD + 1),
        "channel": {"id": str(GUILD + 1), "type": 0, "guild_id": str(GUILD), "name": "general", "permissions": "0"},
        "guild_id": str(GUILD),
        "guild": {"id": str(GUILD), "locale": "en-US", "features": []},
        "guild_locale": "en-US",
        "locale": "en-US",
        "app_permissions": "2248473465835073",
        "context": 0,
        "authorizing_integration_owners": {"0": str(GUILD)},
        "entitlements": [],
        "attachment_size_limit": 10_485_760,
        "member": {
            "user": {
                "id": str(user),
                "username": f"person{user % 1_000_000}",
                "global_name": "A Person",
                "discriminator": "0",
                "avatar": None,
                "public_flags": 0,
            },
            "nick": None,
            "avatar": None,
            "roles": [str(GUILD + 2), str(GUILD + 3)],
            "joined_at": "2024-01-01T00:00:00.000000+00:00",
            "permissions": "2248473465835073",
            "flags": 0,
            "pending": False,
            "deaf": False,
            "mute": False,
        },
        "data": {"id": "1180000000000000010", "name": "opt_in", "type": 1},
    }
