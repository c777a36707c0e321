"""docker/kubernetes: every object against Kubernetes' own schemas, the rights of each pod, and the queries against a real queue.

No cluster runs here. What a pod without capabilities reaches is measured in tests/hostile/test_container.py.
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml
from sqlalchemy import text
from traitlets.config import Config

from autograder.records import Ledger
from autograder.service import people
from autograder.service.roles import CUSTOM_SCOPES, MONITOR, ROLES, group
from tests.postgres_server import server
from tests.test_docker import COMPOSE

FOLDER = Path(__file__).parents[1] / "docker" / "kubernetes"
BASE, MONITORING = FOLDER / "base", FOLDER / "monitoring"
VALUES: dict[str, Any] = yaml.safe_load((FOLDER / "values.yaml").read_text("utf-8"))
VERSIONS = ("1.33", "1.36")


def objects(*folders: Path) -> list[dict[str, Any]]:
    """Return every object that the kustomizations name."""
    found: list[dict[str, Any]] = []
    for folder in folders:
        for name in yaml.safe_load((folder / "kustomization.yaml").read_text("utf-8"))["resources"]:
            if (path := folder / name).is_file():
                found += yaml.safe_load_all(path.read_text("utf-8"))
    return found


OBJECTS = objects(BASE)
PODS = {o["metadata"]["name"]: o["spec"]["template"] for o in OBJECTS if o["kind"] in ("Deployment", "DaemonSet")}
PODS |= {o["metadata"]["name"]: o["spec"]["jobTemplate"]["spec"]["template"] for o in OBJECTS if o["kind"] == "CronJob"}
OURS, BACKUP = ("bootcamp-service", "bootcamp-worker"), "bootcamp-backup"


@pytest.mark.parametrize("version", VERSIONS)
def test_every_object_is_one_that_kubernetes_knows(version: str) -> None:
    """Strictly: a key that the schema does not know is refused, and so is this test's own wrong one."""
    more = [yaml.safe_load((FOLDER / name).read_text()) for name in ("gvisor/runtimeclass.yaml", "monitoring/network.yaml")]
    for found in [*OBJECTS, *more]:
        kubernetes_validate.validate(found, version, strict=True)
    wrong = {**OBJECTS[0], "metadata": {"name": "bootcamp", "lables": {}}}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(wrong, version, strict=True)


@pytest.mark.parametrize("folder", [BASE, FOLDER / "keda", MONITORING], ids=lambda p: p.name)
def test_a_kustomization_names_what_is_there(folder: Path) -> None:
    """Each resource and file exists, and no file of objects is forgotten."""
    found = yaml.safe_load((folder / "kustomization.yaml").read_text("utf-8"))
    assert all((folder / name).exists() for name in found["resources"])
    assert {p.name for p in folder.glob("*.yaml")} - {"kustomization.yaml"} == {
        r for r in found["resources"] if r.endswith(".yaml")
    }
    for generator in found.get("configMapGenerator", []):
        assert all((folder / name).is_file() for name in generator["files"])


def test_the_graders_profile_is_the_one_that_is_tested() -> None:
    """kustomize reads nothing above its folder, so there are two copies."""
    assert (BASE / "seccomp-box.json").read_bytes() == (FOLDER.parent / "compose" / "seccomp-box.json").read_bytes()


@pytest.mark.parametrize("name", [*OURS, BACKUP])
def test_a_pod_has_what_it_needs_and_no_more(name: str) -> None:
    """A plain user, no capability, no token of the cluster, limits, probes; secrets as files."""
    spec = PODS[name]["spec"]
    (container,) = spec["containers"]
    assert spec["automountServiceAccountToken"] is False
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["securityContext"]["runAsUser"] == 1000
    assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    assert container["securityContext"]["allowPrivilegeEscalation"] is False
    assert container["resources"]["limits"]["memory"]
    assert name == BACKUP or {"startupProbe", "livenessProbe"} <= set(container)
    assert not {"hostNetwork", "hostPID", "hostIPC"} & set(spec)
    assert all(next(iter(set(v) - {"name"})) in ("persistentVolumeClaim", "secret") for v in spec["volumes"])


def test_graders_alone_have_the_three_settings_of_tier_b() -> None:
    """A user namespace of the pod's, the box's profile, an unmasked /proc."""
    for name in OURS:
        spec = PODS[name]["spec"]
        wide = spec.get("hostUsers") is False, spec["securityContext"]["seccompProfile"]["type"] == "Localhost"
        proc = spec["containers"][0]["securityContext"].get("procMount") == "Unmasked"
        assert {*wide, proc} == {name == "bootcamp-worker"}, name
    profile = PODS["bootcamp-worker"]["spec"]["securityContext"]["seccompProfile"]["localhostProfile"]
    (node,) = (v["hostPath"]["path"] for v in PODS["bootcamp-seccomp"]["spec"]["volumes"] if "hostPath" in v)
    copied = PODS["bootcamp-seccomp"]["spec"]["initContainers"][0]["command"][-1].split()[-1]
    assert f"/var/lib/kubelet/seccomp/{profile}" == f"{node}/{Path(copied).name}"


def test_selectors_find_their_pods() -> None:
    """A policy or a budget that selects nothing protects nothing."""
    labels = [set(template["metadata"]["labels"].items()) for template in PODS.values()]
    for found in OBJECTS:
        spec = found.get("spec", {})
        selector = spec.get("podSelector") or spec.get("selector") or {}
        wanted = set((selector.get("matchLabels") or (selector if found["kind"] == "Service" else {})).items())
        if wanted:
            assert any(wanted <= have for have in labels), found["metadata"]["name"]


def test_every_pod_that_serves_has_a_policy_and_a_budget() -> None:
    """Nothing speaks to a grader; only Hub, proxy and people's servers speak to the exchange."""
    policies = {o["metadata"]["name"]: o["spec"] for o in OBJECTS if o["kind"] == "NetworkPolicy"}
    budgets = {o["metadata"]["name"] for o in OBJECTS if o["kind"] == "PodDisruptionBudget"}
    assert set(policies) - {BACKUP} == budgets == set(OURS)
    assert all(set(p["policyTypes"]) == {"Ingress", "Egress"} for p in policies.values())
    (rule,) = policies["bootcamp-service"]["ingress"]
    assert {peer["podSelector"]["matchLabels"]["component"] for peer in rule["from"]} == {"proxy", "hub", "singleuser-server"}
    for name in ("bootcamp-worker", BACKUP):
        assert policies[name]["ingress"] == []
        assert {p["port"] for rule in policies[name]["egress"] for p in rule["ports"]} == {5432, 53}


def test_the_exchange_is_told_the_same_as_in_the_composed_stack() -> None:
    """Which runs: a variable that one has and the other lacks would be found out in a cluster only."""
    names = {e["name"] for e in PODS["bootcamp-service"]["spec"]["containers"][0]["env"]}
    composed = set(COMPOSE["services"]["service"]["environment"])
    assert {n.removesuffix("_FILE") for n in names} == {n.removesuffix("_FILE") for n in composed} - {"PGPASSWORD"}


def test_the_hub_gives_the_same_rights_as_everywhere(tmp_path: Path) -> None:
    """values.yaml repeats the scopes, and its Python is executed here on a configuration."""
    service = VALUES["hub"]["services"]["bootcamp"]
    ours = people.service(service["url"])
    assert set(service["oauth_client_allowed_scopes"]) == set(ours["oauth_client_allowed_scopes"]) == set(CUSTOM_SCOPES)
    assert service["oauth_no_confirm"] is True
    pytest.importorskip("oauthenticator", reason="the sign-in of the images; ends with: pip install oauthenticator")
    (tmp_path / "people.toml").write_text('students = "everyone"\ninstructors = ["ines"]\n')
    code = VALUES["hub"]["extraConfig"]["people"]
    path = VALUES["hub"]["extraFiles"]["people"]["mountPath"]
    assert path in code
    c = Config()
    c.JupyterHub.load_roles = [{"name": "chart"}]
    exec(code.replace(path, str(tmp_path / "people.toml")), {"c": c})
    assert {r["name"] for r in c.JupyterHub.load_roles} == {"chart", MONITOR, *(group(role) for role in ROLES)}
    assert MONITOR in VALUES["hub"]["services"]
    assert set(c.JupyterHub.custom_scopes) == set(CUSTOM_SCOPES)
    assert c.Authenticator.allow_all is False
    assert c.JupyterHub.authenticator_class.__name__ == "ListedGitHubOAuthenticator"


def test_people_reach_the_exchange_and_nothing_else() -> None:
    """A notebook has no way to the database, to the cluster or to the world."""
    policy = VALUES["singleuser"]["networkPolicy"]
    rules = policy["egressAllowRules"]
    assert not any(rules[k] for k in ("cloudMetadataServer", "nonPrivateIPs", "privateIPs"))
    (rule,) = policy["egress"]
    assert rule["to"][0]["podSelector"]["matchLabels"].items() <= PODS["bootcamp-service"]["metadata"]["labels"].items()
    assert VALUES["singleuser"]["extraPodConfig"]["automountServiceAccountToken"] is False


def test_the_scaler_counts_what_waits_and_what_runs(tmp_path: Path) -> None:
    """KEDA's query, asked of a real queue: it grows with hand-ins and shrinks when one is graded away."""
    scaled = objects(FOLDER / "keda")
    (found,) = (o for o in scaled if o["kind"] == "ScaledObject")
    (login,) = (o for o in scaled if o["kind"] == "TriggerAuthentication")
    (trigger,) = found["spec"]["triggers"]
    assert found["spec"]["scaleTargetRef"]["name"] in PODS
    assert trigger["authenticationRef"]["name"] == login["metadata"]["name"]
    assert trigger["type"] == "postgresql"
    assert login["spec"]["secretTargetRef"][0]["parameter"] == "connection"
    at = datetime(2026, 11, 20, tzinfo=UTC)
    with Ledger.open(server().fresh()) as ledger, ledger.reading() as db:

        def waiting() -> int:
            db.rollback()
            return int(db.execute(text(trigger["metadata"]["query"])).scalar_one())

        for n in range(3):
            ledger.hand_in(ledger.enrol(f"s{n}", "2026", at), "f1", f"{n:064x}", at)
        assert waiting() == 3
        lease = ledger.queue.claim("one")
        assert waiting() == 3
        with ledger.writing() as other:
            ledger.queue.finish(other, lease)
        assert waiting() == 2


def test_monitors_ask_ports_that_there_are() -> None:
    """Selectors find our Service and pods, ports are named there, jobs get the names that the alerts know, the policy lets them."""
    found = {(o["kind"], o["metadata"]["name"]): o["spec"] for o in objects(MONITORING)}
    (service,) = (o for o in OBJECTS if o["kind"] == "Service")
    asked = found["ServiceMonitor", "bootcamp-service"]
    (endpoint,) = asked["endpoints"]
    assert asked["selector"]["matchLabels"].items() <= service["metadata"]["labels"].items()
    assert endpoint["port"] in {p["name"] for p in service["spec"]["ports"]}
    assert endpoint["authorization"]["credentials"]["key"] == f"hub.services.{MONITOR}.apiToken"
    assert service["metadata"]["labels"][asked["jobLabel"]] == "bootcamp-service"
    asked = found["PodMonitor", "bootcamp-worker"]
    (container,) = PODS["bootcamp-worker"]["spec"]["containers"]
    assert asked["selector"]["matchLabels"].items() <= PODS["bootcamp-worker"]["metadata"]["labels"].items()
    assert asked["podMetricsEndpoints"][0]["port"] in {p["name"] for p in container["ports"]}
    assert PODS["bootcamp-worker"]["metadata"]["labels"][asked["jobLabel"]] == "bootcamp-worker"
    (rule,) = found["NetworkPolicy", "bootcamp-monitoring"]["ingress"]
    ports = [p["containerPort"] for name in OURS for p in PODS[name]["spec"]["containers"][0]["ports"]]
    assert sorted(p["port"] for p in rule["ports"]) == sorted(ports)
    assert f"0.0.0.0:{container['ports'][0]['containerPort']}" in container["command"]
