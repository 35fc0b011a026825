"""Rules for every pod: what Kubernetes calls restricted, and what keeps our data."""

from __future__ import annotations

import re

from tests.k8s.combinations import K8S
from tests.k8s.kustomization import Resource, containers, documents, pods


def test_pods_are_restricted(resources: list[Resource]) -> None:
    """No root, no privileges to gain, a read-only image, the runtime's system call filter, no way to the API server."""
    for _, template in pods(resources):
        spec = template["spec"]
        context = spec["securityContext"]
        assert context["runAsNonRoot"] is True
        assert context["runAsUser"] > 0
        assert context["seccompProfile"] == {"type": "RuntimeDefault"}
        assert spec["automountServiceAccountToken"] is False
        for container in spec["containers"]:
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }


def test_no_pod_is_told_of_services_by_variables(resources: list[Resource]) -> None:
    """Kubernetes would set SQLITE_SERVICE_PORT=tcp://... in every pod."""
    for _, template in pods(resources):
        assert template["spec"]["enableServiceLinks"] is False


def test_volumes_belong_to_the_programs_group(resources: list[Resource]) -> None:
    """A fresh volume belongs to root: without fsGroup a program that is not root could not write to it."""
    for workload, template in pods(resources):
        context = template["spec"]["securityContext"]
        assert context["fsGroup"] == context["runAsGroup"], workload["metadata"]["name"]


def test_every_mount_has_its_volume(resources: list[Resource]) -> None:
    """Mounts, volumes and claims go by the same names, and /tmp can be written."""
    for workload, template in pods(resources):
        claims = [claim["metadata"]["name"] for claim in workload["spec"].get("volumeClaimTemplates", [])]
        volumes = [volume["name"] for volume in template["spec"].get("volumes", [])]
        for container in template["spec"]["containers"]:
            assert sorted(mount["name"] for mount in container["volumeMounts"]) == sorted(claims + volumes)
            if workload["kind"] == "StatefulSet":
                assert "/tmp" in [mount["mountPath"] for mount in container["volumeMounts"]]


def test_claims_and_config_maps_that_pods_name_exist(resources: list[Resource]) -> None:
    """What a volume refers to is made by the same kustomization (Secrets by the templates)."""
    made = {(resource["kind"], resource["metadata"]["name"]) for resource in resources}
    made |= {
        ("Secret", secret["metadata"]["name"]) for file in K8S.rglob("*.example.yaml") for secret in documents(file)
    }
    for _, template in pods(resources):
        for volume in template["spec"].get("volumes", []):
            if "persistentVolumeClaim" in volume:
                assert ("PersistentVolumeClaim", volume["persistentVolumeClaim"]["claimName"]) in made
            if "configMap" in volume:
                assert ("ConfigMap", volume["configMap"]["name"]) in made
            if "secret" in volume:
                assert ("Secret", volume["secret"]["secretName"]) in made


def test_volumes_outlive_their_pods(resources: list[Resource]) -> None:
    """Scaling down or deleting a StatefulSet keeps what its pods had on disk."""
    for workload, _ in pods(resources):
        if workload["kind"] == "StatefulSet":
            assert workload["spec"]["volumeClaimTemplates"]
            assert workload["spec"]["persistentVolumeClaimRetentionPolicy"] == {
                "whenDeleted": "Retain",
                "whenScaled": "Retain",
            }


def test_long_running_pods_are_probed_and_bounded(resources: list[Resource]) -> None:
    """Each has the three probes, memory bounds, requests, and time to end cleanly."""
    for workload, template in pods(resources):
        if workload["kind"] != "StatefulSet":
            continue
        assert template["spec"]["terminationGracePeriodSeconds"] >= 30
        for container in template["spec"]["containers"]:
            assert {"startupProbe", "livenessProbe", "readinessProbe"} <= set(container)
            assert "memory" in container["resources"]["limits"]
            assert {"cpu", "memory"} <= set(container["resources"]["requests"])


def test_images_are_pinned(resources: list[Resource]) -> None:
    """Foreign images have a version; ours is named by the overlay."""
    for container in containers(resources):
        name = container["image"]
        assert name == "bigbrotherbot" or re.fullmatch(r".+:\d+\.\d+\.\d+", name)


def test_our_pods_run_as_the_images_user(base: list[Resource]) -> None:
    """The user of the Dockerfile and of the manifests is one."""
    (user,) = re.findall(r"^USER (\d+):(\d+)$", (K8S.parent / "Dockerfile").read_text(), re.MULTILINE)
    for _, template in pods(base):
        context = template["spec"]["securityContext"]
        if template["spec"]["containers"][0]["image"] == "bigbrotherbot":
            assert (str(context["runAsUser"]), str(context["runAsGroup"])) == user
