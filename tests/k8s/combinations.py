"""Every way in which k8s/ is meant to be put together."""

from __future__ import annotations

import os
from pathlib import Path

import yaml

K8S = Path(__file__).parents[2] / "k8s"
COMPONENTS = ("three-nodes", "password", "backup")
OVERLAYS = {path.parent.name: path.parent for path in sorted(K8S.glob("overlays/*/kustomization.yaml"))}
# What stands together: each overlay, and the base with each component, with all and with none.
COMBINATIONS: dict[str, tuple[str, ...]] = {
    "base": (),
    **{name: (name,) for name in COMPONENTS},
    "everything": COMPONENTS,
}


def kustomization(name: str, scratch: Path) -> Path:
    """The folder to build: an overlay of ours, or one made here of the base and some components."""
    if name in OVERLAYS:
        return OVERLAYS[name]
    relative = Path(os.path.relpath(K8S, scratch))
    plan = {
        "resources": [str(relative / "base")],
        "components": [str(relative / "components" / component) for component in COMBINATIONS[name]],
    }
    (scratch / "kustomization.yaml").write_text(yaml.safe_dump(plan))
    return scratch
