"""The reverse proxies of `deploy/`, with TLS on a free port: Caddy is a Python package, nginx is the system's own."""

import os
import re
import socket
import ssl
import subprocess
import sysconfig
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from tests.support.processes.server import HOST, PROJECT, free_port
from tests.support.servers.certificates import Authority

NAME = "localhost"
CADDYFILE = PROJECT / "deploy" / "caddy" / "Caddyfile"
NGINX_SITE = PROJECT / "deploy" / "nginx" / "site.conf"

_START_SECONDS = 20
_STOP_SECONDS = 20


@dataclass(frozen=True)
class Proxy:
    """A proxy that runs: its ports, and the context of a client that trusts its certificate."""

    port: int
    http_port: int
    context: ssl.SSLContext

    @contextmanager
    def connection(self, timeout: float = 10) -> Iterator[ssl.SSLSocket]:
        """Open a connection with TLS to it."""
        with (
            socket.create_connection((HOST, self.port), timeout=timeout) as plain,
            self.context.wrap_socket(plain, server_hostname=NAME) as connection,
        ):
            yield connection


@contextmanager
def running_caddy(folder: Path, upstreams: Sequence[int]) -> Iterator[Proxy]:
    """Start Caddy with `deploy/caddy/Caddyfile` as it stands; the certificate is of an authority that it makes."""
    port, http_port = free_port(), free_port()
    environment = {
        "XDG_DATA_HOME": str(folder),
        "XDG_CONFIG_HOME": str(folder),
        "HOME": str(folder),
        "PUBLIC_URL": f"https://{NAME}",
        "UPSTREAMS": " ".join(f"{HOST}:{upstream}" for upstream in upstreams),
        "HTTP_PORT": str(http_port),
        "HTTPS_PORT": str(port),
    }
    program = Path(sysconfig.get_path("scripts")) / "caddy"
    command = [str(program), "run", "--adapter", "caddyfile", "--config", str(CADDYFILE)]
    root = folder / "caddy" / "pki" / "authorities" / "local" / "root.crt"
    with _running(command, folder, environment):
        _wait(lambda: root.is_file() and _greets(port, ssl.create_default_context(cafile=str(root))), folder)
        yield Proxy(port, http_port, ssl.create_default_context(cafile=str(root)))


@contextmanager
def running_nginx(program: str, folder: Path, upstreams: Sequence[int]) -> Iterator[Proxy]:
    """Start nginx with `deploy/nginx/site.conf`: with other ports, replicas, name, and a certificate for it."""
    port, http_port = free_port(), free_port()
    authority = Authority(folder / "certificates")
    authority.server(NAME)
    site = folder / "site.conf"
    site.write_text(_site(port, http_port, upstreams, folder / "certificates" / f"{NAME}.pem"), encoding="utf-8")
    main = folder / "nginx.conf"
    temporary = "".join(
        f"{name}_temp_path {folder}/{name};\n" for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    main.write_text(
        f"daemon off;\npid {folder}/nginx.pid;\nerror_log stderr warn;\nworker_processes 1;\n"
        f"events {{}}\nhttp {{\n{temporary}include {site};\n}}\n",
        encoding="utf-8",
    )
    # Root's workers would become somebody who cannot enter a test's folder.
    user = ["-g", "user root;"] if os.name == "posix" and os.geteuid() == 0 else []
    context = ssl.create_default_context(cafile=str(authority.file))
    with _running([program, "-p", str(folder), "-e", "stderr", "-c", str(main), *user], folder, {}):
        _wait(lambda: _greets(port, context), folder)
        yield Proxy(port, http_port, context)


def _site(port: int, http_port: int, upstreams: Sequence[int], certificate: Path) -> str:
    """Return the configuration for this machine; what else stands in the file stays as it is."""
    servers = " ".join(f"server {HOST}:{upstream} max_fails=0;" for upstream in upstreams)
    changes = (
        (r"listen \[::\]:[^;]+;", ""),
        (r"listen 443\b", f"listen {HOST}:{port}"),
        (r"listen 80\b", f"listen {HOST}:{http_port}"),
        (r"server_name [^;]+;", f"server_name {NAME};"),
        (r"308 https://[^$]+\$", f"308 https://{NAME}$"),
        (r"(ssl_certificate(?:_key)?) [^;]+;", rf"\1 {certificate};"),
        (r"(?:server [\w.:]+ max_fails[^;]+;\s*)+", f"{servers}\n"),
    )
    text = NGINX_SITE.read_text(encoding="utf-8")
    for pattern, replacement in changes:
        text, count = re.subn(pattern, replacement, text)
        assert count, f"{NGINX_SITE} has nothing like {pattern}"
    return text


@contextmanager
def _running(command: list[str], folder: Path, environment: dict[str, str]) -> Iterator[None]:
    with (folder / "proxy.log").open("wb") as log:
        process = subprocess.Popen(
            command, cwd=folder, env={"PATH": os.environ["PATH"], **environment}, stdout=log, stderr=log
        )
    try:
        yield
        assert process.poll() is None, (folder / "proxy.log").read_text(encoding="utf-8")
    finally:
        process.terminate()
        process.wait(_STOP_SECONDS)


def _wait(is_up: Callable[[], bool], folder: Path) -> None:
    give_up = time.monotonic() + _START_SECONDS
    while not is_up():
        if time.monotonic() > give_up:
            message = f"The proxy did not start:\n{(folder / 'proxy.log').read_text(encoding='utf-8')}"
            raise RuntimeError(message)
        time.sleep(0.05)


def _greets(port: int, context: ssl.SSLContext) -> bool:
    with (
        suppress(OSError),
        socket.create_connection((HOST, port), timeout=1) as plain,
        context.wrap_socket(plain, server_hostname=NAME),
    ):
        return True
    return False
