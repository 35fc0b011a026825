"""Builds the part of kustomize that k8s/ uses, so that the tests need no program and no network.

Everything it does not know it refuses, instead of building something else than `kubectl apply -k` would; where there is
a kubectl, `test_builds.py` compares the two.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

Resource = dict[str, Any]

_KNOWN = {
    "apiVersion",
    "kind",
    "namespace",
    "resources",
    "components",
    "images",
    "patches",
    "configMapGenerator",
}
# By which field the API server tells the items of a list apart; lists not named here are replaced whole.
_MERGE_KEYS = {
    "containers": "name",
    "env": "name",
    "ports": "containerPort",
    "volumeMounts": "mountPath",
    "volumes": "name",
    "topologySpreadConstraints": "topologyKey",
}
_WITHOUT_NAMESPACE = {"Namespace"}


def build(folder: Path) -> list[Resource]:
    """The resources of a kustomization (or component), its patches applied."""
    return _build(folder, [])


def _build(folder: Path, resources: list[Resource]) -> list[Resource]:
    plan = yaml.safe_load((folder / "kustomization.yaml").read_text())
    if unknown := set(plan) - _KNOWN:
        raise NotImplementedError(f"{folder}: this loader does not know {sorted(unknown)}")
    for name in plan.get("resources", []):
        resources += build(folder / name) if (folder / name).is_dir() else documents(folder / name)
    for name in plan.get("components", []):
        resources = _build(folder / name, resources)
    resources += [_config_map(folder, generator) for generator in plan.get("configMapGenerator", [])]
    for patch in plan.get("patches", []):
        _patch(resources, yaml.safe_load((folder / patch["path"]).read_text()), patch.get("target"))
    for image in plan.get("images", []):
        _set_image(resources, image)
    if "namespace" in plan:
        for resource in resources:
            if resource["kind"] not in _WITHOUT_NAMESPACE:
                resource["metadata"]["namespace"] = plan["namespace"]
    return resources


def documents(file: Path) -> list[Resource]:
    """The YAML documents of one file."""
    return [document for document in yaml.safe_load_all(file.read_text()) if document]


def _config_map(folder: Path, generator: dict[str, Any]) -> Resource:
    options = generator["options"]
    if not options["disableNameSuffixHash"] or set(generator) != {"name", "files", "options"}:
        raise NotImplementedError(f"{folder}: this loader makes config maps of files, without a hash in the name")
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": generator["name"], "labels": options["labels"]},
        "data": {name: (folder / name).read_text() for name in generator["files"]},
    }


def _patch(resources: list[Resource], patch: Any, target: dict[str, str] | None) -> None:
    wanted = target or {"kind": patch["kind"], "name": patch["metadata"]["name"]}
    found = [r for r in resources if (r["kind"], r["metadata"]["name"]) == (wanted["kind"], wanted["name"])]
    if not found:
        raise LookupError(f"a patch is for {wanted}, which is not there")
    for resource in found:
        if isinstance(patch, list):
            for operation in patch:
                _json_patch(resource, operation)
        else:
            _merge(resource, patch)


def _json_patch(resource: Resource, operation: dict[str, Any]) -> None:
    *parents, last = operation["path"].lstrip("/").split("/")
    if operation["op"] != "add" or last != "-":
        raise NotImplementedError(f"this loader only appends to lists: {operation}")
    place: Any = resource
    for part in parents:
        place = place[int(part)] if isinstance(place, list) else place[part]
    place.append(operation["value"])


def _merge(into: Resource, patch: Resource) -> None:
    """A strategic merge: objects by field, known lists by their items' key, everything else replaced."""
    for field, value in patch.items():
        if isinstance(value, dict) and isinstance(into.get(field), dict):
            _merge(into[field], value)
        elif isinstance(value, list) and field in _MERGE_KEYS and field in into:
            _merge_list(into[field], value, _MERGE_KEYS[field])
        else:
            into[field] = copy.deepcopy(value)


def _merge_list(into: list[Resource], patch: list[Resource], key: str) -> None:
    for item in patch:
        twin = next((existing for existing in into if existing[key] == item[key]), None)
        if twin is None:
            into.append(copy.deepcopy(item))
        else:
            _merge(twin, item)


def _set_image(resources: list[Resource], image: dict[str, str]) -> None:
    for container in containers(resources):
        if container["image"].split(":")[0] == image["name"]:
            container["image"] = f"{image['newName']}:{image['newTag']}"


def pods(resources: list[Resource]) -> Iterator[tuple[Resource, Resource]]:
    """Each workload with its pod template."""
    for resource in resources:
        if resource["kind"] in ("StatefulSet", "Deployment"):
            yield resource, resource["spec"]["template"]
        elif resource["kind"] == "CronJob":
            yield resource, resource["spec"]["jobTemplate"]["spec"]["template"]


def containers(resources: list[Resource]) -> Iterator[Resource]:
    """Each container of each workload."""
    for _, template in pods(resources):
        yield from template["spec"]["containers"]
