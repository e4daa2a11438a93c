"""The image and the compose file of a project, judged without a container engine; what can run of it, runs."""

import os
import re
import shutil
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.baked import BakedProject
from tests.cli import SLUG
from tests.conftest import Bake

pytestmark = pytest.mark.skipif(os.name != "posix", reason="a compose file is used on a server, with a POSIX shell")

MAILER = "smtps://mailer:kW3-vB8_tR5@smtp.service.example:465"
SECRETS = {
    *("database_password", "database_url", "owner_url", "postgres_password"),
    *("redis_url", "secret_key", "service_password", "smtp_url", "valkey_auth"),
}


@pytest.fixture(scope="module")
def project(bake: Bake) -> BakedProject:
    """The default project."""
    return bake()


@pytest.fixture(scope="module")
def services(project: BakedProject) -> dict[str, Any]:
    """The services of the compose file, each with what it takes over."""
    found: dict[str, Any] = yaml.safe_load(project.text("compose.yaml"))["services"]
    return found


def tool(name: str) -> str:
    """A program that is installed beside this Python."""
    return str(Path(sys.executable).with_name(name))


@pytest.fixture
def secrets(project: BakedProject, tmp_path: Path) -> Path:
    """The folder of the secrets, made on a server."""
    shutil.copytree(project.path / "deploy" / "compose", tmp_path / "compose")
    make_secrets(tmp_path)
    return tmp_path / "compose" / "secrets"


def make_secrets(folder: Path, given: str = MAILER, code: int = 0) -> str:
    """Run the script as the page says: what it said."""
    done = subprocess.run(
        [folder / "compose" / "make-secrets.sh"], input=given, capture_output=True, text=True, check=False, umask=0o022
    )
    assert done.returncode == code, done.stderr
    return done.stdout + done.stderr


def test_hadolint_finds_nothing(project: BakedProject) -> None:
    """No rule for Dockerfiles is broken, and none is switched off."""
    done = subprocess.run(
        [tool("hadolint"), "--no-color", "Dockerfile"], cwd=project.path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "hadolint ignore" not in project.text("Dockerfile")


def test_the_image_lets_in_nothing_but_what_it_needs(project: BakedProject) -> None:
    """The context is a list of what is let in; every image has a tag; no step runs as root after the last copy."""
    dockerfile = project.text("Dockerfile")
    first, *let_in = [line for line in project.text(".dockerignore").splitlines() if not line.startswith("#")]
    assert first == "*"
    assert {line for line in let_in if line.startswith("!")} == {
        *("!app", "!migrations", "!LICENSE", "!README.md", "!pyproject.toml", "!uv.lock")
    }
    assert all(":" in image for image in re.findall(r"(?m)^FROM (\S+)", dockerfile))
    last = dockerfile.split("\nFROM ")[-1]
    assert "RUN" not in last
    assert re.search(r"(?m)^USER 10001:10001$", last)
    # In the form of a list: no shell is needed.
    assert re.findall(r"(?m)^(?:CMD|ENTRYPOINT) (.)|^    CMD (.)", last) == [("", "["), ("[", ""), ("[", "")]


def test_the_compose_file_is_what_the_specification_says(project: BakedProject, tmp_path: Path) -> None:
    """Every key and value is one of the Compose specification, whose schema knows no other."""
    text = project.text("compose.yaml")
    for changed, code in ((text, 0), (text.replace("cap_drop", "cap_drp"), 1)):
        (tmp_path / "compose.yaml").write_text(changed, encoding="utf-8")
        command = [tool("check-jsonschema"), "--builtin-schema", "vendor.compose-spec", str(tmp_path / "compose.yaml")]
        assert subprocess.run(command, capture_output=True, check=False).returncode == code


def test_what_services_name_is_declared(project: BakedProject, services: dict[str, Any]) -> None:
    """Each network, secret and volume that a service has, and each service it waits for, is there."""
    declared = yaml.safe_load(project.text("compose.yaml"))
    assert {name for each in services.values() for name in each["networks"]} == set(declared["networks"])
    secrets = [secret for each in services.values() for secret in each.get("secrets", ())]
    assert {each if isinstance(each, str) else each["source"] for each in secrets} == set(declared["secrets"])
    mounts = [mount.split(":")[0] for each in services.values() for mount in each.get("volumes", ())]
    assert {mount for mount in mounts if not mount.startswith("./")} == set(declared["volumes"])
    assert [mount for mount in mounts if mount.startswith("./") and not (project.path / mount).is_file()] == []
    assert {name for each in services.values() for name in each.get("depends_on", ())} <= set(services)


def test_only_the_proxy_is_published_and_every_service_is_bounded(services: dict[str, Any]) -> None:
    """80 and 443 of Caddy; read-only, no capability, no new privilege, limits of memory, processor and processes."""
    assert {name: each["ports"] for name, each in services.items() if "ports" in each} == {
        "caddy": ["80:80", "443:443"]
    }
    for name, each in services.items():
        assert each["read_only"], name
        assert each["cap_drop"] == ["ALL"], name
        assert "no-new-privileges:true" in each["security_opt"], name
        assert set(each["deploy"]["resources"]["limits"]) == {"cpus", "memory", "pids"}, name
        assert each["logging"]["options"]["max-size"], name
        assert not {"privileged", "pid", "ipc", "network_mode", "devices"} & set(each), name
    assert {name for name, each in services.items() if "cap_add" in each} == {"caddy"}


def test_front_and_data_are_apart(project: BakedProject, services: dict[str, Any]) -> None:
    """The proxy cannot reach what the service stores; what stores reaches nothing else, and not the internet."""
    networks = yaml.safe_load(project.text("compose.yaml"))["networks"]
    used = {name: set(each["networks"]) for name, each in services.items()}
    assert used["caddy"] == {"edge", "front"}
    assert used["database"] == used["valkey"] == used["migrate"] == used["purge"] == {"data"}
    assert used["api-1"] == used["api-2"] == used["api-3"] == {"front", "data", "outbound"}
    assert {name for name, each in networks.items() if each.get("internal")} == {"front", "data"}


def test_the_migration_alone_connects_as_the_owner_of_the_schema(services: dict[str, Any]) -> None:
    """It finds that URL as `database_url`, and gives the role of the others its rights; no other service has it."""
    owner = {"source": "owner_url", "target": "database_url"}
    assert owner in services["migrate"]["secrets"]
    assert "database_url" not in services["migrate"]["secrets"]
    assert services["migrate"]["command"] == ["migrate", "--serving-role", "app_service"]
    for name in ("api-1", "api-2", "api-3", "purge"):
        assert "database_url" in services[name]["secrets"]
        assert owner not in services[name]["secrets"]


def test_the_service_believes_the_proxy_alone(services: dict[str, Any]) -> None:
    """One address is trusted, and it is the one that Caddy has; Caddy asks every replica."""
    replicas = [name for name in services if name.startswith("api-")]
    proxy = services["caddy"]["networks"]["front"]["ipv4_address"]
    assert {services[name]["environment"]["TRUSTED_PROXIES"] for name in replicas} == {proxy}
    assert services["caddy"]["environment"]["UPSTREAMS"].split() == [f"{name}:8000" for name in replicas]


def test_secrets_are_files_and_no_password_is_written_down(project: BakedProject, services: dict[str, Any]) -> None:
    """Each is a file that git ignores and that no variable repeats; nothing in the files of a project is a password."""
    declared = yaml.safe_load(project.text("compose.yaml"))["secrets"]
    assert {name: each["file"] for name, each in declared.items()} == {
        name: f"deploy/compose/secrets/{name}" for name in SECRETS
    }
    assert project.text("deploy/compose/.gitignore").split() == ["secrets/"]
    names = {key for each in services.values() for key in each.get("environment", ())}
    assert [name for name in names if re.search("PASSWORD|SECRET|KEY|TOKEN|_URL", name)] == ["POSTGRES_PASSWORD_FILE"]
    assert not re.search(
        "(?i)password|secret|_url=(?!https)", project.text("deploy/compose/settings.env").replace("nothing secret", "")
    )


def test_the_secrets_are_random_and_closed(secrets: Path) -> None:
    """Nine files in a folder of mode 0700; those that are drawn have 384 random bits, and the URLs repeat them."""
    values = {path.name: path.read_text(encoding="utf-8").strip() for path in secrets.iterdir()}
    assert set(values) == SECRETS
    assert stat.S_IMODE(secrets.stat().st_mode) == 0o700
    # Containers run as other users, and Compose keeps owner and mode.
    assert {stat.S_IMODE(path.stat().st_mode) for path in secrets.iterdir()} == {0o644}
    names = ("secret_key", "postgres_password", "database_password", "service_password")
    drawn = [*(values[name] for name in names), values["valkey_auth"][12:]]
    assert len(set(drawn)) == len(drawn)
    assert all(re.fullmatch("[A-Za-z0-9_-]{64}", value) for value in drawn)
    assert values["owner_url"] == f"postgresql://app:{values['database_password']}@database:5432/app"
    assert values["database_url"] == f"postgresql://app_service:{values['service_password']}@database:5432/app"
    assert values["redis_url"] == f"redis://:{values['valkey_auth'].removeprefix('requirepass ')}@valkey:6379/0"
    assert values["smtp_url"] == MAILER


def test_secrets_that_are_there_stay(secrets: Path) -> None:
    """A second run, on which nothing is given, changes none; one that is missing is made."""
    before = {path.name: path.read_bytes() for path in secrets.iterdir()}
    (secrets / "postgres_password").unlink()
    assert "secrets/secret_key is there, and stays." in make_secrets(secrets.parents[1], given="")
    after = {path.name: path.read_bytes() for path in secrets.iterdir()}
    assert {name for name in after if after[name] != before[name]} == {"postgres_password"}


@pytest.mark.parametrize("given", ["", "smtp.service.example\n", "http://smtp.service.example\n"])
def test_without_a_mail_server_no_secret_is_made(project: BakedProject, tmp_path: Path, given: str) -> None:
    """What is no URL of a mail server is refused with an example."""
    shutil.copytree(project.path / "deploy" / "compose", tmp_path / "compose")
    assert "smtps://user:password@smtp.example.com:465" in make_secrets(tmp_path, given, code=1)
    assert list((tmp_path / "compose" / "secrets").iterdir()) == []


def test_scripts_have_the_rights_that_they_are_called_with(project: BakedProject) -> None:
    """The page calls one by its path; the other one is read by PostgreSQL's image."""
    for name in ("make-secrets.sh", "create-database.sh"):
        assert project.text(f"deploy/compose/{name}").startswith("#!/bin/sh\n")
        assert (project.path / "deploy" / "compose" / name).stat().st_mode & stat.S_IXUSR
    assert SLUG in project.text("compose.yaml")
