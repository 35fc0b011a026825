"""Names that must agree: of Services, ports, Secrets, variables, volumes and pages."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml

from db_client.settings import StoreSettings
from db_client.store import Store
from gateway_listener.health import Condition
from gateway_listener.health import pages as listener_pages
from gateway_listener.settings import Settings as ListenerSettings
from interactions_api.app import create_app
from interactions_api.settings import Settings as EndpointSettings
from program.environment import Environment
from tests.k8s.combinations import K8S
from tests.k8s.kustomization import Resource, containers, documents, pods

# What an operator would have put into the templates.
FILLED_IN = {
    "DISCORD_PUBLIC_KEY": "3b6a27bcceb6a42d62a3a8d02a6f0d73653215771de243a63ac048a18b59da29",
    "DISCORD_BOT_TOKEN": "MTE4MDAwMDAwMDAwMDAwMDAwMQ.GabcdE.abcdefghijklmnopqrstuvwxyz0123456789AB",
    "PRIVACY_POLICY_URL": "https://example.org/privacy",
    "OPERATOR_CONTACT": "privacy@example.org",
    "url": "http://bigbrotherbot:secret@sqlite-service:8080",
}
OPTIONAL = {"url", "backup-url", "PRIVACY_POLICY_URL", "OPERATOR_CONTACT"}
READ_BY_GUNICORN = {"PORT"}


def named(resources: list[Resource], kind: str, name: str) -> Resource:
    """The one resource of that kind and name."""
    (found,) = [r for r in resources if (r["kind"], r["metadata"]["name"]) == (kind, name)]
    return found


def container(resources: list[Resource], name: str) -> Resource:
    """The one container of that name."""
    (found,) = [candidate for candidate in containers(resources) if candidate["name"] == name]
    return found


def selected(resources: list[Resource], selector: Mapping[str, str]) -> list[Resource]:
    """The pod templates that carry all these labels."""
    return [template for _, template in pods(resources) if selector.items() <= template["metadata"]["labels"].items()]


def environment(of: Resource, *, pod_index: int = 0, optional: bool = True) -> dict[str, str]:
    """The container's variables as Kubernetes would resolve them, with filled-in Secrets."""
    variables = {}
    for entry in of["env"]:
        source = entry.get("valueFrom", {})
        if "value" in entry:
            variables[entry["name"]] = entry["value"]
        elif "fieldRef" in source:
            assert source["fieldRef"]["fieldPath"] == "metadata.labels['apps.kubernetes.io/pod-index']"
            variables[entry["name"]] = str(pod_index)
        elif optional or not source["secretKeyRef"].get("optional"):
            variables[entry["name"]] = FILLED_IN[source["secretKeyRef"]["key"]]
    return variables


class Asked(Mapping[str, str]):
    """An environment that remembers which variables it was asked for."""

    def __init__(self, variables: Mapping[str, str]) -> None:
        self._variables = variables
        self.names: set[str] = set()

    def __getitem__(self, name: str) -> str:
        self.names.add(name)
        return self._variables[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._variables)

    def __len__(self) -> int:
        return len(self._variables)


def test_services_find_their_pods(resources: list[Resource]) -> None:
    """Every Service selects the pods of exactly one workload, and the ports it sends to have those names there."""
    for service in (resource for resource in resources if resource["kind"] == "Service"):
        (template,) = selected(resources, service["spec"]["selector"])
        ports = [port["name"] for c in template["spec"]["containers"] for port in c["ports"]]
        assert {port["targetPort"] for port in service["spec"]["ports"]} <= set(ports)


def test_selectors_stay_within_their_own_pods(resources: list[Resource]) -> None:
    """Workloads, disruption budgets and spreads select the pods of one workload."""
    for workload, template in pods(resources):
        if workload["kind"] == "StatefulSet":
            assert selected(resources, workload["spec"]["selector"]["matchLabels"]) == [template]
            named(resources, "Service", workload["spec"]["serviceName"])
        for spread in template["spec"].get("topologySpreadConstraints", []):
            assert selected(resources, spread["labelSelector"]["matchLabels"]) == [template]
    for budget in (resource for resource in resources if resource["kind"] == "PodDisruptionBudget"):
        assert len(selected(resources, budget["spec"]["selector"]["matchLabels"])) == 1


def test_the_default_address_is_the_service(base: list[Resource]) -> None:
    """Without SQLITE_SERVICE_URL the programs ask the Service of this base."""
    address = urlsplit(StoreSettings().service_url)
    service = named(base, "Service", str(address.hostname))
    assert address.port in [port["port"] for port in service["spec"]["ports"]]


def test_the_network_policy_lets_our_programs_in(resources: list[Resource]) -> None:
    """Every pod of ours may speak to the SQLite service; the nodes may speak Raft among themselves."""
    policy = named(resources, "NetworkPolicy", "sqlite-service")["spec"]
    (service,) = selected(resources, policy["podSelector"]["matchLabels"])
    everyone, nodes = policy["ingress"]
    assert len(selected(resources, everyone["from"][0]["podSelector"]["matchLabels"])) == len(list(pods(resources)))
    assert selected(resources, nodes["from"][0]["podSelector"]["matchLabels"]) == [service]
    assert [rule["ports"][0]["port"] for rule in (everyone, nodes)] == ["http", "raft"]


def test_secrets_have_the_keys_that_pods_ask_for(resources: list[Resource]) -> None:
    """Every key a container reads is in a template; only those of the password and the operator may be missing."""
    templates = {
        secret["metadata"]["name"]: secret["stringData"]
        for file in K8S.rglob("*.example.yaml")
        for secret in documents(file)
    }
    for c in containers(resources):
        for entry in c.get("env", []):
            reference = entry.get("valueFrom", {}).get("secretKeyRef")
            if reference:
                assert reference["key"] in templates[reference["name"]]
                assert reference.get("optional", False) is (reference["key"] in OPTIONAL)


def test_a_secret_asks_for_no_value_in_vain(everything: list[Resource]) -> None:
    """Whatever an operator is asked to fill in, some pod reads."""
    text = str(everything)
    keys = [key for file in K8S.rglob("*.example.yaml") for s in documents(file) for key in s["stringData"]]
    assert [key for key in keys if f"'key': '{key}'" not in text] == []


def test_only_the_listener_has_the_token(resources: list[Resource]) -> None:
    """The pod that faces the world cannot give away what it does not have."""
    holders = [c["name"] for c in containers(resources) if "DISCORD_BOT_TOKEN" in str(c)]
    assert holders == ["listener"]


SETTINGS: dict[str, Any] = {"interactions": EndpointSettings, "listener": ListenerSettings}


@pytest.mark.parametrize("optional", [True, False], ids=["with password", "without password"])
@pytest.mark.parametrize("name", ["interactions", "listener"])
def test_settings_take_what_the_pod_gives(base: list[Resource], name: str, optional: bool) -> None:
    """A pod's variables are complete, well-formed, and all known to the program."""
    variables = Asked(environment(container(base, name), optional=optional))
    SETTINGS[name].read(variables)
    assert set(variables) <= variables.names | READ_BY_GUNICORN


@pytest.mark.parametrize("name", ["interactions", "listener"])
def test_the_queue_file_is_on_the_pods_own_volume(base: list[Resource], name: str) -> None:
    """QUEUE_FILE lies where the claim is mounted, which is large enough for the queue file's bound."""
    of = container(base, name)
    store = StoreSettings.read(Environment(environment(of)))
    (mount,) = [mount for mount in of["volumeMounts"] if mount["name"] == "queue"]
    assert PurePosixPath(store.queue_file).parent == PurePosixPath(mount["mountPath"])
    (claim,) = named(base, "StatefulSet", name)["spec"]["volumeClaimTemplates"]
    assert claim["spec"]["resources"]["requests"]["storage"] == "1Gi"
    assert store.queue_max_bytes <= 2**30 // 2


def test_each_shard_has_its_pod(resources: list[Resource]) -> None:
    """As many pods as shards, and the pod's number is the shard's."""
    listener = named(resources, "StatefulSet", "listener")["spec"]
    variables = environment(container(resources, "listener"), pod_index=listener["replicas"] - 1)
    assert int(variables["SHARD_COUNT"]) == listener["replicas"]
    assert int(variables["SHARD_ID"]) == listener["replicas"] - 1


def test_the_ingress_opens_only_the_endpoint(everything: list[Resource], tmp_path: Path) -> None:
    """From outside only /interactions can be reached, over TLS, at a Service and port that exist."""
    (ingress,) = documents(K8S / "overlays" / "example" / "ingress.yaml")
    (rule,) = ingress["spec"]["rules"]
    (path,) = rule["http"]["paths"]
    assert (path["path"], path["pathType"]) == ("/interactions", "Exact")
    assert path["path"] in pages_of_the_endpoint(tmp_path)
    assert ingress["spec"]["tls"][0]["hosts"] == [rule["host"]]
    backend = path["backend"]["service"]
    service = named(everything, "Service", backend["name"])
    assert backend["port"]["name"] in [port["name"] for port in service["spec"]["ports"]]


def test_three_nodes_wait_for_each_other(everything: list[Resource]) -> None:
    """All expect the same number of nodes, look for them where they are listed ready or not, and start together."""
    nodes = named(everything, "StatefulSet", "sqlite-service")["spec"]
    flags = dict(flag.lstrip("-").partition("=")[::2] for flag in container(everything, "rqlite")["args"])
    assert int(flags["bootstrap-expect"]) == nodes["replicas"] == 3
    assert nodes["podManagementPolicy"] == "Parallel"
    found_by = named(everything, "Service", yaml.safe_load(flags["disco-config"])["name"])["spec"]
    assert found_by["clusterIP"] == "None"
    assert found_by["publishNotReadyAddresses"] is True
    assert nodes["serviceName"] == "sqlite-service-nodes"
    assert named(everything, "PodDisruptionBudget", "sqlite-service")["spec"]["minAvailable"] == 2


def test_foreign_keys_are_on(resources: list[Resource]) -> None:
    """rqlite leaves them off unless told."""
    assert "-fk" in container(resources, "rqlite")["args"]


def test_the_data_is_on_the_volume(resources: list[Resource]) -> None:
    """The claim is mounted where the image keeps its file."""
    mounts = {mount["name"]: mount["mountPath"] for mount in container(resources, "rqlite")["volumeMounts"]}
    assert mounts["file"] == "/rqlite/file"


def pages_of_the_endpoint(folder: Path) -> set[str]:
    """The paths that the endpoint answers."""
    settings = EndpointSettings(public_keys=(FILLED_IN["DISCORD_PUBLIC_KEY"],))
    store = Store(StoreSettings(queue_file=folder / "queue.db"))
    return {rule.rule for rule in create_app(settings, store).url_map.iter_rules()}


def pages_of_the_listener() -> set[str]:
    """The paths that the listener answers on its metrics port."""
    application = listener_pages(lambda: Condition(live={}, ready={}))
    return {resource.canonical for resource in application.router.resources()}


def test_probes_ask_pages_that_exist(base: list[Resource], tmp_path: Path) -> None:
    """/livez and /readyz of ours; rqlite's /readyz, which asks for no leader where a restart would not help."""
    for name, pages in (("interactions", pages_of_the_endpoint(tmp_path)), ("listener", pages_of_the_listener())):
        of = container(base, name)
        (port,) = of["ports"]
        for probe, path in (("startupProbe", "/livez"), ("livenessProbe", "/livez"), ("readinessProbe", "/readyz")):
            assert of[probe]["httpGet"] == {"path": path, "port": port["name"]}
            assert path in pages
    rqlite = container(base, "rqlite")
    assert rqlite["livenessProbe"]["httpGet"] == {"path": "/readyz?noleader", "port": "http"}
    assert rqlite["readinessProbe"]["httpGet"] == {"path": "/readyz", "port": "http"}


def test_the_ports_are_those_the_programs_listen_on(base: list[Resource]) -> None:
    """The container's port is the one its variables name."""
    for name, variable in (("interactions", "PORT"), ("listener", "METRICS_PORT")):
        of = container(base, name)
        assert environment(of)[variable] == str(of["ports"][0]["containerPort"])


def test_the_readme_names_every_folder() -> None:
    """Each overlay and component is explained in k8s/README.md."""
    text = (K8S / "README.md").read_text()
    folders: list[Path] = [*K8S.glob("overlays/*"), *K8S.glob("components/*")]
    assert [folder.name for folder in folders if f"{folder.parent.name}/{folder.name}" not in text] == []
