"""The built manifests, for every way in which they are meant to be put together."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.k8s.combinations import COMBINATIONS, K8S, OVERLAYS, kustomization
from tests.k8s.kustomization import Resource, build


@pytest.fixture(params=[*OVERLAYS, *COMBINATIONS])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """One kustomization after the other."""
    return kustomization(request.param, tmp_path)


@pytest.fixture
def resources(folder: Path) -> list[Resource]:
    """What applying that kustomization would create."""
    return build(folder)


@pytest.fixture
def everything(tmp_path: Path) -> list[Resource]:
    """The base with all components."""
    return build(kustomization("everything", tmp_path))


@pytest.fixture
def base() -> list[Resource]:
    """The base alone."""
    return build(K8S / "base")
