"""The image of a project, built without a container engine, and run as it will be: read-only, as nobody."""

import os
import secrets
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.baked import ROOT
from tests.cli import SLUG, bake_into
from tests.deploy.dockerfile import Build, Image, python_base, uv_base
from tests.deploy.test_host import allowed_calls
from tests.deploy.test_production import environment, free_port, installed, is_ready, required, run

USER = 10001
PATIENCE = 60
PASSWORD = "seven green lamps sing"  # noqa: S105
SETTINGS = {
    "SECRET_KEY": secrets.token_urlsafe(64),
    "PUBLIC_URL": "https://api.service.example",
    "SMTP_URL": "smtps://mailer:kW3-vB8_tR5@smtp.service.example:465",
    "ADMIN_EMAIL": "ada@service.example",
    "TRUSTED_PROXIES": "127.0.0.1",
}

pytestmark = [
    pytest.mark.rendered,
    pytest.mark.skipif(sys.platform != "linux", reason="an image is Linux"),
]


@pytest.fixture(scope="module")
def place() -> Iterator[Path]:
    """A folder that everybody can look into, for the service is another user."""
    folder = Path(tempfile.mkdtemp(prefix="image-"))
    folder.chmod(0o755)
    yield folder
    subprocess.run(["chmod", "-R", "u+w", str(folder)], check=True)
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def project(place: Path) -> Path:
    """A project with its `uv.lock`."""
    rendered = bake_into(place / "baked", {"database": "sqlite"}).project
    run(f"{Path(sys.executable).parent / 'uv'} lock --quiet", rendered, place / "home")
    return rendered


@pytest.fixture(scope="module")
def image(place: Path, project: Path) -> Image:
    """The image; nothing of it can be written any more."""
    bases = {"ghcr.io/astral-sh/uv:": uv_base, "python:": python_base}
    built = Build(project, place / "image", bases, environment(place / "home")).run()
    subprocess.run(["chmod", "-R", "a-w,a+rX", str(built.root)], check=True)
    return built


@pytest.fixture
def data(place: Path) -> Iterator[Path]:
    """The one folder that the service may write to."""
    folder = place / "data"
    folder.mkdir()
    if os.geteuid() == 0:
        os.chown(folder, USER, USER)
    yield folder
    shutil.rmtree(folder)


def start(image: Image, data: Path, *command: str, calls: Path, stdin: str = "") -> subprocess.Popen[bytes]:
    """Start a container's command, or another one: as the image's user, in its folder, with its environment."""
    sandbox = [sys.executable, "-m", "tests.deploy.sandbox", image.user.partition(":")[0], str(calls)]
    kept = {name: os.environ[name] for name in ("LANG",) if name in os.environ}
    typed = data.with_name("stdin")
    typed.write_text(stdin, encoding="utf-8")
    with typed.open("rb") as terminal, output(data).open("wb") as said:
        return subprocess.Popen(
            [*sandbox, *image.entrypoint, *(command or image.command)],
            cwd=image.outside(image.folder),
            env={
                **kept,
                **SETTINGS,
                **image.environment,
                "PYTHONPATH": str(ROOT),
                "LD_LIBRARY_PATH": str(image.root / "usr/local/lib"),
                "DATABASE_URL": f"sqlite:///{data}/app.db",
            },
            stdin=terminal,
            stdout=said,
            stderr=said,
        )


def output(data: Path) -> Path:
    """What the last command has said."""
    return data.with_name("output")


def done(process: subprocess.Popen[bytes], data: Path) -> None:
    """Wait until a command has succeeded."""
    assert process.wait(PATIENCE) == 0, output(data).read_text(encoding="utf-8")


@contextmanager
def serving(image: Image, data: Path, calls: Path) -> Iterator[int]:
    """Migrate and serve; the port."""
    port = free_port()
    done(start(image, data, "migrate", calls=calls), data)
    create = ("create-admin", "--email", "ada@service.example", "--password-stdin")
    done(start(image, data, *create, calls=calls, stdin=PASSWORD), data)
    server = start(image, data, "serve", "--host", "127.0.0.1", "--port", str(port), calls=calls)
    try:
        deadline = time.monotonic() + PATIENCE
        while not is_ready(port):
            assert server.poll() is None, output(data).read_text(encoding="utf-8")
            assert time.monotonic() < deadline
            time.sleep(0.1)
        yield port
    finally:
        server.terminate()
        done(server, data)


def sign_in(port: int) -> int:
    """The status of a sign-in, as the proxy passes it on."""
    request = urllib.request.Request(  # its own server
        f"http://127.0.0.1:{port}/api/v1/signin",
        data=f'{{"email": "ada@service.example", "password": "{PASSWORD}"}}'.encode(),
        headers={
            "Content-Type": "application/json",
            "Host": "api.service.example",
            "X-Forwarded-For": "203.0.113.9",
            "X-Forwarded-Proto": "https",
        },
    )
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


def health(image: Image, port: int) -> int:
    """The exit code of the image's health check, asked at another port."""
    command = [word.replace("127.0.0.1:8000", f"127.0.0.1:{port}") for word in image.healthcheck]
    assert command != image.healthcheck
    return subprocess.run(command, env=image.environment, capture_output=True, check=False).returncode


def test_the_image_holds_what_is_locked_and_nothing_else(image: Image, project: Path, place: Path) -> None:
    """The packages that running takes, the service among them; no source beside them, no tests, no uv, no settings."""
    uv = Path(sys.executable).parent / "uv"
    locked = run(f"{uv} export --quiet --locked --no-dev --no-emit-project --no-hashes", project, place / "home")
    assert installed(Path(image.outside("/srv/.venv"))) == required(locked)
    assert [path.name for path in Path(image.outside("/srv")).iterdir()] == [".venv"]
    assert sorted(path.name for path in (image.root / "usr/local/bin").iterdir()) == ["python3"]
    assert image.user == f"{USER}:{USER}"


def test_it_serves_read_only_as_nobody_with_few_system_calls(image: Image, data: Path, project: Path) -> None:
    """As a user that can write to one folder, with the system calls that the systemd unit leaves, it signs users in."""
    before = sorted(image.root.rglob("*"))
    calls = data.with_name("calls")
    unit = (project / "deploy" / "systemd" / f"{SLUG}@.service").read_text(encoding="utf-8")
    calls.write_text("\n".join(allowed_calls(unit)), encoding="utf-8")
    with serving(image, data, calls) as port:
        assert sign_in(port) == 200
        assert health(image, port) == 0
    assert health(image, port) != 0
    assert sorted(image.root.rglob("*")) == before
    assert {path.stat().st_mode & 0o777 for path in data.iterdir()} == {0o600}


def test_the_port_of_the_image_is_the_one_that_it_listens_on(image: Image) -> None:
    """`EXPOSE`, the command and the health check name one port, on every address of the container."""
    assert image.command == ["serve", "--host", "0.0.0.0", "--port", "8000"]  # noqa: S104
    assert "127.0.0.1:8000/livez" in image.healthcheck[-1]
