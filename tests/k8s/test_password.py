"""The password component's flags and file, tried on a real rqlited."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import requests

from tests.k8s.combinations import K8S, kustomization
from tests.k8s.kustomization import build, containers, documents
from tests.services import NO_RQLITED, rqlited_binary, start_rqlited

(TEMPLATE,) = documents(K8S / "components" / "password" / "password.example.yaml")


def test_both_sides_of_the_password_agree() -> None:
    """The URLs in the template hold users of its config.json, with their passwords and no more rights than needed."""
    secret = TEMPLATE["stringData"]
    users = {user["username"]: user for user in json.loads(secret["config.json"])}
    for key, rights in (("url", ["execute", "query"]), ("backup-url", ["backup", "load"])):
        address = urlsplit(secret[key])
        assert users[address.username]["password"] == address.password
        assert users[address.username]["perms"] == rights
    assert users["*"] == {"username": "*", "perms": ["ready"]}


@pytest.fixture
def node(tmp_path: Path) -> Iterator[str]:
    """An rqlited started with the flags of the component and the template's file; its address."""
    if rqlited_binary() is None:
        pytest.skip(NO_RQLITED)
    config = tmp_path / "config.json"
    config.write_text(TEMPLATE["stringData"]["config.json"])
    (rqlite,) = [c for c in containers(build(kustomization("password", tmp_path))) if c["name"] == "rqlite"]
    flags = [flag.replace("/etc/rqlite/config.json", str(config)) for flag in rqlite["args"]]
    with start_rqlited(tmp_path, *flags) as service:
        yield service.url


def test_rqlited_takes_the_flags_and_asks_for_the_password(node: str) -> None:
    """Probes need none; a write needs the programs' user; a backup needs the other one; foreign keys are on."""
    secret = TEMPLATE["stringData"]
    programs, backup = (
        (address.username, address.password) for address in (urlsplit(secret["url"]), urlsplit(secret["backup-url"]))
    )
    body = '["CREATE TABLE t (id INTEGER PRIMARY KEY)"]'
    assert requests.post(f"{node}/db/execute", body, timeout=5).status_code == 401
    assert requests.post(f"{node}/db/execute", body, auth=backup, timeout=5).status_code == 401
    assert requests.post(f"{node}/db/execute", body, auth=programs, timeout=5).json() == {"results": [{}]}
    asked = requests.post(f"{node}/db/query", '["PRAGMA foreign_keys"]', auth=programs, timeout=5).json()
    assert asked["results"][0]["values"] == [[1]]
    assert requests.get(f"{node}/db/backup", auth=programs, timeout=5).status_code == 401
    assert requests.get(f"{node}/db/backup?fmt=delete", auth=backup, timeout=5).content.startswith(b"SQLite format 3")
