"""The kustomizations build, into valid resources, and as kubectl builds them."""

from __future__ import annotations

import json
import shutil
import subprocess
from functools import partial
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from tests.k8s.combinations import K8S
from tests.k8s.kustomization import Resource, documents

OLDEST = "1.28"  # the first to label a StatefulSet's pods with their number
_KEYED = ("env", "volumes", "volumeMounts")
TEMPLATES = sorted(K8S.rglob("*.example.yaml"))


@pytest.mark.parametrize("version", [OLDEST, kubernetes_validate.latest_version()])
def test_every_resource_is_valid(resources: list[Resource], version: str) -> None:
    """Each resource keeps to the published schema, unknown fields refused, of the oldest and the newest Kubernetes."""
    assert resources
    for resource in resources:
        kubernetes_validate.validate(resource, version, strict=True)


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda path: path.name)
def test_every_template_is_valid(template: Path) -> None:
    """A Secret template is valid as it stands, so that only values have to be replaced."""
    for resource in documents(template):
        kubernetes_validate.validate(resource, OLDEST, strict=True)


def test_the_schemas_refuse_a_misspelt_field(base: list[Resource]) -> None:
    """The validation above is a real one."""
    base[0]["spec"]["slector"] = {}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(base[0], OLDEST, strict=True)


def test_no_resource_stands_twice(resources: list[Resource]) -> None:
    """Kind and name are unique."""
    names = [_identity(resource) for resource in resources]
    assert len(names) == len(set(names))


def test_no_template_is_applied_blindly(resources: list[Resource]) -> None:
    """Secrets are made by the operator: no kustomization holds one, least of all with example values."""
    assert [resource for resource in resources if resource["kind"] == "Secret"] == []


@pytest.mark.skipif(shutil.which("kubectl") is None, reason="there is no kubectl to compare with")
def test_kubectl_builds_the_same(folder: Path, resources: list[Resource]) -> None:
    """What the tests look at is what `kubectl apply -k` would send."""
    built = subprocess.run(["kubectl", "kustomize", folder], capture_output=True, text=True, check=True).stdout
    theirs = {_identity(resource): _ordered(resource) for resource in yaml.safe_load_all(built)}
    assert {_identity(resource): _ordered(resource) for resource in resources} == theirs


def _identity(resource: Resource) -> tuple[str, str]:
    return resource["kind"], resource["metadata"]["name"]


def _ordered(value: Any, field: str = "") -> Any:
    """The value with keyed lists in one order; the API server does not mind their order either."""
    if isinstance(value, dict):
        return {key: _ordered(item, key) for key, item in value.items()}
    if not isinstance(value, list):
        return value
    items = [_ordered(item) for item in value]
    return sorted(items, key=partial(json.dumps, sort_keys=True)) if field in _KEYED else items
