"""`make demo`: render the default project under build/demo, install it, and serve it with an administrator.

Every run starts afresh, and Ctrl-C ends it. What goes wrong is said in words, and the exit code is 1.
"""

import argparse
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NoReturn

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "build" / "demo"
SLUG = "my-secure-api"
MARK = ".made-by-make-demo"
HOST = "127.0.0.1"
EMAIL = "admin@example.com"
PASSWORD_BYTES = 18
READY_SECONDS = 60
STOP_SECONDS = 15

WHAT_TO_TRY = """
The service runs on {url}; its code is in {project}.

  Open     {pages}/login for the pages, with the address and the password below
           {url}/docs for the API, to read and to try
  Sign in  curl -s {url}/api/v1/signin -H 'Content-Type: application/json' \\
             -d '{{"email": "{email}", "password": "{password}"}}'
  Ask      curl -s {url}/api/v1/users/me -H 'Authorization: Bearer ACCESS_TOKEN'

The password was made for this demo, and is shown this once. Ctrl-C stops the service.
"""

# What the service reads from the environment. The demo has its own, whatever the shell has for another project.
SETTINGS = [
    "ACCESS_TOKEN_MINUTES",
    "ADMIN_EMAIL",
    "ALLOWED_HOSTS",
    "APP_NAME",
    "CORS_ORIGINS",
    "DATABASE_URL",
    "ENVIRONMENT",
    "ITEMS_PER_USER",
    "LOG_FORMAT",
    "LOG_LEVEL",
    "MAIL_FROM",
    "OAUTH_PASSWORD_GRANT",
    "PUBLIC_URL",
    "RATE_LIMIT_DEFAULT",
    "RATE_LIMIT_SIGNIN",
    "REDIS_URL",
    "REGISTRATION",
    "REQUIRE_SECOND_FACTOR_FOR",
    "SECRET_KEY",
    "SECRET_KEY_FALLBACKS",
    "SESSIONS_PER_USER",
    "SESSION_IDLE_DAYS",
    "SESSION_MAX_DAYS",
    "SMTP_URL",
    "TRUSTED_PROXIES",
]


class DemoError(Exception):
    """The demo cannot go on; the message says why, and what helps."""


def find_uv(environment: Mapping[str, str]) -> str:
    """The uv that runs this script, or the one on PATH."""
    uv = environment.get("UV") or shutil.which("uv", path=environment.get("PATH", ""))
    if not uv or not shutil.which(uv):
        raise DemoError("uv was not found. `make demo` fetches it; or install it: python -m pip install uv")
    return uv


def require_free_port(port: int) -> None:
    """Refuse a port that something else listens on."""
    with socket.socket() as probe:
        if os.name == "posix":  # a port that was closed a moment ago is free; elsewhere the option means sharing
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except (OSError, OverflowError) as error:
            message = f"Port {port} of {HOST} cannot be used ({error}). Stop what uses it, or: make demo PORT=8001"
            raise DemoError(message) from None


def make_room(folder: Path) -> None:
    """Remove what an earlier run left, finished or not; refuse a folder that no earlier run made."""
    if folder.exists():
        if not (folder / MARK).is_file():
            raise DemoError(f"{folder} was not made by make demo. Move it away, and run make demo again.")
        print(f"Removing what an earlier run left in {folder} …", flush=True)
        shutil.rmtree(folder)
    folder.mkdir(parents=True)
    (folder / MARK).touch()


def run(
    what: str,
    command: Sequence[str],
    *,
    cwd: Path,
    environment: Mapping[str, str] | None = None,
    stdin: str | None = None,
) -> None:
    """Run one step to its end, quietly; what it printed is shown where it fails."""
    print(f"{what} …", flush=True)
    try:
        done = subprocess.run(
            command,
            cwd=cwd,
            env=environment,
            input=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            errors="replace",
            check=False,
        )
    except OSError as error:
        raise DemoError(f"{what} failed: {error}") from None
    if done.returncode:
        raise DemoError(f"{what} failed. {command[0]} said:\n{done.stdout.strip()}")


def render(folder: Path) -> Path:
    """Render the default project, and leave the user's home alone."""
    config = folder / "cookiecutter.yaml"
    config.write_text(
        f"cookiecutters_dir: '{folder.as_posix()}'\nreplay_dir: '{folder.as_posix()}'\n", encoding="utf-8"
    )
    options = ["--no-input", "--config-file", str(config), "--output-dir", str(folder)]
    run("Rendering the default project", [sys.executable, "-m", "cookiecutter", *options, str(ROOT)], cwd=ROOT)
    return folder / SLUG


def project_environment(environment: Mapping[str, str], port: int) -> dict[str, str]:
    """The environment of the project's own commands: not in this template's `.venv`, at the port that was asked for."""
    dropped = {"VIRTUAL_ENV", "UV_PROJECT_ENVIRONMENT", *SETTINGS}
    kept = {name: value for name, value in environment.items() if name.upper() not in dropped}
    return {**kept, "PUBLIC_URL": f"http://{HOST}:{port}"}


def prepare(uv: str, project: Path, environment: Mapping[str, str], password: str) -> None:
    """Install the project, make its database, and an administrator in it."""
    run("Installing it", [uv, "sync", "--quiet"], cwd=project, environment=environment)
    manage = [uv, "run", "--no-sync", "manage"]
    run("Making its database", [*manage, "migrate"], cwd=project, environment=environment)
    create = [*manage, "create-admin", "--email", EMAIL, "--password-stdin"]
    run("Making an administrator", create, cwd=project, environment=environment, stdin=f"{password}\n")


def is_ready(url: str) -> bool:
    """Whether the service says that it can serve."""
    try:
        with urllib.request.urlopen(f"{url}/readyz", timeout=1) as answer:  # noqa: S310  # our own http address
            return bool(answer.status == 200)  # noqa: PLR2004
    except (urllib.error.URLError, OSError):
        return False


def wait_until_ready(server: "subprocess.Popen[bytes]", url: str) -> None:
    """Wait until the service can serve; refuse to wait for one that has ended, or for ever."""
    deadline = time.monotonic() + READY_SECONDS
    while not is_ready(url):
        if server.poll() is not None:
            raise DemoError(
                f"The service ended before it was ready (exit code {server.returncode}); it says why above."
            )
        if time.monotonic() > deadline:
            raise DemoError(f"The service was not ready after {READY_SECONDS} seconds; it may say why above.")
        time.sleep(0.1)


def serve(uv: str, project: Path, environment: Mapping[str, str], port: int, password: str) -> None:
    """Serve until Ctrl-C, and leave no process behind."""
    url = f"http://{HOST}:{port}"
    command = [uv, "run", "--no-sync", "manage", "serve", "--port", str(port)]
    server = subprocess.Popen(command, cwd=project, env=environment)
    try:
        wait_until_ready(server, url)
        pages = f"http://localhost:{port}"  # browsers have passkeys for a name alone
        print(WHAT_TO_TRY.format(url=url, pages=pages, project=project, email=EMAIL, password=password), flush=True)
        raise DemoError(f"The service ended by itself (exit code {server.wait()}).")
    finally:
        stop(server)


def stop(server: "subprocess.Popen[bytes]") -> None:
    """End the server: with the request to end, then, where it does not, at once. A second Ctrl-C changes nothing."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    if server.poll() is None:
        server.terminate()
        try:
            server.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()


def interrupt(_number: int, _frame: object) -> NoReturn:
    """Take a request to end for Ctrl-C."""
    raise KeyboardInterrupt


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the demo; 0 where Ctrl-C ended it, 1 where something was in the way."""
    parser = argparse.ArgumentParser(description="Render, install and serve the default project.")
    parser.add_argument("--port", type=int, default=8000)
    parser.add_argument("--folder", type=Path, default=FOLDER)
    options = parser.parse_args(arguments)
    signal.signal(signal.SIGTERM, interrupt)
    password = secrets.token_urlsafe(PASSWORD_BYTES)
    environment = project_environment(os.environ, options.port)
    try:
        uv = find_uv(os.environ)
        require_free_port(options.port)
        make_room(options.folder.absolute())
        project = render(options.folder.absolute())
        prepare(uv, project, environment, password)
        serve(uv, project, environment, options.port, password)
    except (DemoError, OSError) as error:
        print(f"make demo: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nThe demo has ended.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
