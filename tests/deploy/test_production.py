"""What the README says for production, typed as it stands there: in an empty folder, with an empty home.

Every command ends with exactly the packages that `uv.lock` names for running, and the wheel needs no source beside it.
"""

import json
import os
import re
import secrets
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from tests.cli import SLUG, bake_into

UV = Path(sys.executable).parent / "uv"
SECRET_KEY = secrets.token_urlsafe(64)
PATIENCE = 60

pytestmark = [
    pytest.mark.rendered,
    pytest.mark.skipif(os.name != "posix", reason="the README's lines for production are for a POSIX shell"),
]


@pytest.fixture(scope="module")
def released(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The default project, released."""
    return release(tmp_path_factory.mktemp("released"), {})


def release(folder: Path, answers: dict[str, str]) -> Path:
    """A project as its developer has committed it: with `uv.lock`, without what git ignores."""
    project = bake_into(folder, answers).project
    run(f"{UV} lock --quiet", project, project.parent)
    (project / ".env").unlink()
    return project


def environment(home: Path) -> dict[str, str]:
    """A server's: settings, uv and the system's programs, and nothing of whoever runs this test."""
    home.mkdir(exist_ok=True)
    cache = subprocess.run([UV, "cache", "dir"], capture_output=True, check=True, text=True).stdout.strip()
    passed_on = ("LANG", "SSL_CERT_FILE", "TMPDIR", "UV_INDEX_URL", "UV_DEFAULT_INDEX", "HTTPS_PROXY", "NO_PROXY")
    return {
        **{name: os.environ[name] for name in passed_on if name in os.environ},
        "HOME": str(home),
        "PATH": os.pathsep.join([str(UV.parent), "/usr/local/bin", "/usr/bin", "/bin"]),
        "UV_CACHE_DIR": cache,
        "UV_PYTHON": sys.executable,
        "SECRET_KEY": SECRET_KEY,
        "DATABASE_URL": "sqlite:///var/app.db",
        "PUBLIC_URL": "https://127.0.0.1",
        "SMTP_URL": "smtps://mailer:kW3-vB8_tR5@smtp.service.example:465",
        "MAIL_FROM": "service@service.example",
        "ADMIN_EMAIL": "ada@service.example",
    }


def run(line: str, folder: Path, home: Path) -> str:
    """Type one line there; what it said, when it has succeeded."""
    done = subprocess.run(
        ["/bin/sh", "-c", line],
        cwd=folder,
        env=environment(home),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{line}\n{done.stdout[-4000:]}"
    return done.stdout


def section(text: str, title: str) -> list[str]:
    """The lines to type in a section of a README."""
    body = text.split(f"\n## {title}\n")[1].split("\n## ", maxsplit=1)[0]
    return [
        line for block in re.findall(r"^```\n(.*?)^```$", body, re.DOTALL | re.MULTILINE) for line in block.splitlines()
    ]


def installed(venv: Path) -> dict[str, str]:
    """What is installed there, and in which version; without the project."""
    (site,) = venv.glob("lib/python*/site-packages")
    found = {normalized(each.name): each.version for each in distributions(path=[str(site)])}
    return {name: version for name, version in found.items() if name != SLUG}


def normalized(name: str) -> str:
    """One name for one distribution."""
    return re.sub(r"[-_.]+", "-", name).lower()


def required(text: str) -> dict[str, str]:
    """What a list of requirements asks for on this machine."""
    lines = (line.split(" --hash")[0].rstrip(" \\") for line in text.splitlines() if line[:1].isalnum())
    asked = (each for each in map(Requirement, lines) if each.marker is None or each.marker.evaluate())
    return {normalized(each.name): str(each.specifier).removeprefix("==") for each in asked}


def locked_for_any_machine(path: Path) -> set[tuple[str, str]]:
    """Name and version of each package of a list of requirements."""
    return set(re.findall(r"^([\w.-]+)==([^ ;]+)", path.read_text(encoding="utf-8"), re.MULTILINE))


def listed(path: Path) -> set[tuple[str, str]]:
    """Name and version of each component of a software bill of materials."""
    components = json.loads(path.read_text(encoding="utf-8"))["components"]
    assert all(each["purl"].startswith("pkg:pypi/") for each in components)
    return {(each["name"], each["version"]) for each in components}


def free_port() -> int:
    """A port that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def serving(line: str, folder: Path, home: Path) -> Iterator[None]:
    """Serve with that line until the block ends."""
    port = free_port()
    command = ["/bin/sh", "-c", f"exec {line} --port {port}"]
    server = subprocess.Popen(command, cwd=folder, env=environment(home))
    try:
        deadline = time.monotonic() + PATIENCE
        while not is_ready(port):
            assert server.poll() is None, "it ended before it was ready"
            assert time.monotonic() < deadline
            time.sleep(0.1)
        yield
    finally:
        server.terminate()
        assert server.wait(PATIENCE) == 0


def is_ready(port: int) -> bool:
    """Whether it answers that it can serve."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=5) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def test_the_lines_for_production_install_and_run_what_is_locked(released: Path, tmp_path: Path) -> None:
    """After each of them the environment holds the locked packages that running takes, and no other."""
    folder, home = tmp_path / "server", tmp_path / "home"
    shutil.copytree(released, folder)
    locked = required(run(f"{UV} export --quiet --locked --no-dev --no-emit-project --no-hashes", folder, home))
    assert "pytest" not in locked
    lines = section((folder / "README.md").read_text(encoding="utf-8"), "In production")
    assert [line.split()[-1] for line in lines[-2:]] == ["migrate", "serve"]
    for line in lines[:-1]:
        run(line, folder, home)
        assert installed(folder / ".venv") == locked, line
    with serving(lines[-1], folder, home):
        pass
    assert installed(folder / ".venv") == locked
    assert (folder / "uv.lock").read_bytes() == (released / "uv.lock").read_bytes()


def test_a_lock_that_does_not_fit_is_refused(released: Path, tmp_path: Path) -> None:
    """A dependency that was added without locking it is not installed in production by the way."""
    folder = tmp_path / "server"
    shutil.copytree(released, folder)
    project = (folder / "pyproject.toml").read_text(encoding="utf-8")
    (folder / "pyproject.toml").write_text(project.replace("[\n    ", '[\n    "iniconfig",\n    ', 1), encoding="utf-8")
    line = section((folder / "README.md").read_text(encoding="utf-8"), "In production")[0]
    with pytest.raises(AssertionError, match=r"uv\.lock"):
        run(line, folder, tmp_path / "home")


def test_the_audit_finds_what_the_index_does_not_have(released: Path, tmp_path: Path) -> None:
    """An address elsewhere in the lock, which uv believes, is named before anything is installed."""
    folder, home = tmp_path / "server", tmp_path / "home"
    shutil.copytree(released, folder)
    run("make audit-lock", folder, home)
    lock = (folder / "uv.lock").read_text(encoding="utf-8")
    foreign = re.sub(r'url = "https://[^/]+/(\S+\.whl)"', r'url = "https://files.example/\1"', lock, count=1)
    (folder / "uv.lock").write_text(foreign, encoding="utf-8")
    run("uv lock --check", folder, home)
    with pytest.raises(AssertionError, match=r"https://files\.example/.*\n.*which its index does not"):
        run("make audit", folder, home)
    assert not (folder / ".venv").exists()


def test_the_audit_is_about_what_runs(tmp_path: Path) -> None:
    """The list for pip-audit is what production installs with every extra; without one, their settings are refused."""
    folder, home = release(tmp_path, {"telemetry": "yes"}), tmp_path / "home"
    run(section((folder / "README.md").read_text(encoding="utf-8"), "In production")[0], folder, home)
    by_default = installed(folder / ".venv")
    needing = {
        "telemetry": "OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:4318",
        "sentry": "SENTRY_DSN=https://k@s.test/1",
    }
    for extra, setting in needing.items():
        with pytest.raises(AssertionError, match=f"not installed: uv sync --extra {extra}"):
            run(f"{setting} .venv/bin/manage check", folder, home)
    run(f"{UV} sync --quiet --locked --no-dev --extra sentry --extra telemetry", folder, home)
    run(f"{' '.join(needing.values())} .venv/bin/manage check", folder, home)
    extras = installed(folder / ".venv")
    assert extras.keys() - by_default.keys() >= {
        "opentelemetry-sdk",
        "opentelemetry-exporter-otlp-proto-http",
        "sentry-sdk",
    }
    makefile = (folder / "Makefile").read_text(encoding="utf-8")
    (line,) = (line.strip() for line in makefile.splitlines() if "export" in line and ".audit-requirements.txt" in line)
    run(line.replace("$(UV)", str(UV)), folder, home)
    assert required((folder / ".audit-requirements.txt").read_text(encoding="utf-8")) == extras


def test_the_wheel_migrates_and_serves_by_itself(released: Path, tmp_path: Path) -> None:
    """What `make dist` makes, in an empty folder with no source beside it; the SBOM names what is installed."""
    source, folder, home = tmp_path / "source", tmp_path / "empty", tmp_path / "home"
    shutil.copytree(released, source)
    folder.mkdir()
    run("make dist", source, home)
    (source / "dist").rename(tmp_path / "dist")
    shutil.rmtree(source)
    assert listed(tmp_path / "dist" / "sbom.cdx.json") == locked_for_any_machine(tmp_path / "dist" / "locked.txt")
    run(f"{UV} venv --quiet", folder, home)
    # Named, for UV_PYTHON is where it would install otherwise.
    install = f"{UV} pip install --quiet --python .venv/bin/python"
    run(f"{install} --require-hashes --requirement ../dist/locked.txt", folder, home)
    run(f"{install} --no-deps ../dist/*.whl", folder, home)
    run(".venv/bin/manage migrate", folder, home)
    assert "/api/v1/accounts" in run(".venv/bin/manage routes", folder, home)
    with serving(".venv/bin/manage serve", folder, home):
        pass
