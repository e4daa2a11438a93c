"""TLS of the two reference proxies, judged by sslyze; the service behind them is in the tests of the project."""

import os
import re
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

if sys.platform == "win32" or sys.version_info >= (3, 15):
    pytest.skip("sslyze has no package for it, or Caddy has none", allow_module_level=True)
from sslyze import (
    ScanCommand,
    Scanner,
    ServerNetworkConfiguration,
    ServerNetworkLocation,
    ServerScanRequest,
    ServerScanResult,
)

from tests.conftest import Bake
from tests.deploy.test_production import free_port

NAME = "localhost"
OLD = (
    *(ScanCommand.SSL_2_0_CIPHER_SUITES, ScanCommand.SSL_3_0_CIPHER_SUITES),
    *(ScanCommand.TLS_1_0_CIPHER_SUITES, ScanCommand.TLS_1_1_CIPHER_SUITES),
)
CURRENT = (ScanCommand.TLS_1_2_CIPHER_SUITES, ScanCommand.TLS_1_3_CIPHER_SUITES)
FLAWS = (
    *(ScanCommand.HEARTBLEED, ScanCommand.OPENSSL_CCS_INJECTION, ScanCommand.ROBOT, ScanCommand.TLS_COMPRESSION),
    *(ScanCommand.SESSION_RENEGOTIATION, ScanCommand.TLS_1_3_EARLY_DATA, ScanCommand.TLS_FALLBACK_SCSV),
)
# Every one has a key of its own for each connection, and encrypts and authenticates in one (RFC 9325 section 4.2).
STRONG = re.compile(r"TLS_(ECDHE_(RSA|ECDSA)_WITH_)?(AES_(128|256)_GCM_SHA(256|384)|CHACHA20_POLY1305_SHA256)")
NGINX = next((path for path in ("/usr/sbin/nginx", "/usr/bin/nginx") if Path(path).is_file()), None)


@contextmanager
def running(command: list[str], port: int, folder: Path, environment: dict[str, str]) -> Iterator[None]:
    """Run a proxy until the block ends, from when it shakes hands."""
    log = folder / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(command, cwd=folder, env=environment, stdout=output, stderr=output)
    try:
        deadline = time.monotonic() + 30
        while not shakes_hands(port):
            assert process.poll() is None, log.read_text(encoding="utf-8")
            assert time.monotonic() < deadline
            time.sleep(0.1)
        yield
    finally:
        process.terminate()
        process.wait(30)


def shakes_hands(port: int) -> bool:
    """Whether TLS is spoken there, for the name."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with (
        suppress(OSError),
        socket.create_connection(("127.0.0.1", port), timeout=1) as plain,
        context.wrap_socket(plain, server_hostname=NAME),
    ):
        return True
    return False


@pytest.fixture(scope="module")
def caddy(bake: Bake, tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """Caddy, as configured; the port."""
    folder, port = tmp_path_factory.mktemp("caddy"), free_port()
    file = bake().path / "deploy" / "caddy" / "Caddyfile"
    environment = {
        **dict.fromkeys(("HOME", "XDG_DATA_HOME", "XDG_CONFIG_HOME"), str(folder)),
        "PUBLIC_URL": f"https://{NAME}",
        "HTTP_PORT": str(free_port()),
        "HTTPS_PORT": str(port),
    }
    command = [str(Path(sys.executable).with_name("caddy")), "run", "--adapter", "caddyfile", "--config", str(file)]
    with running(command, port, folder, environment):
        yield port


@pytest.fixture(scope="module")
def nginx(bake: Bake, tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """nginx, as configured, with another port and a certificate."""
    folder, port = tmp_path_factory.mktemp("nginx"), free_port()
    assert NGINX, "nginx is needed"
    make = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=localhost"
    subprocess.run([*make.split(), "-keyout", "key.pem", "-out", "certificate.pem"], cwd=folder, check=True, stderr=-3)
    site = (bake().path / "deploy" / "nginx" / "site.conf").read_text(encoding="utf-8")
    for pattern, text in (
        (r"listen \[::\]:[^;]+;", ""),
        (r"listen 443\b", f"listen 127.0.0.1:{port}"),
        (r"listen 80\b", f"listen 127.0.0.1:{free_port()}"),
        (r"server_name [^;]+;", f"server_name {NAME};"),
        (r"ssl_certificate [^;]+;", f"ssl_certificate {folder}/certificate.pem;"),
        (r"ssl_certificate_key [^;]+;", f"ssl_certificate_key {folder}/key.pem;"),
    ):
        site = re.sub(pattern, text, site)
    (folder / "site.conf").write_text(site, encoding="utf-8")
    kinds = "".join(
        f"{kind}_temp_path {folder}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    main = f"daemon off; pid {folder}/pid; events {{}} http {{ {kinds} include {folder}/site.conf; }}"
    (folder / "nginx.conf").write_text(f"{'user root; ' * (os.geteuid() == 0)}{main}", encoding="utf-8")
    command = [NGINX, "-p", str(folder), "-e", "stderr", "-c", str(folder / "nginx.conf")]
    with running(command, port, folder, {"PATH": os.environ["PATH"]}):
        yield port


def scan(port: int) -> ServerScanResult:
    """What sslyze finds."""
    scanner = Scanner()
    location = ServerNetworkLocation(hostname=NAME, port=port, ip_address="127.0.0.1")
    configuration = ServerNetworkConfiguration(tls_server_name_indication=NAME)
    commands = {*OLD, *CURRENT, *FLAWS}
    scanner.queue_scans([ServerScanRequest(location, configuration, scan_commands=commands)])
    (result,) = scanner.get_results()
    return result


@pytest.mark.parametrize("proxy", ["caddy", "nginx"])
def test_tls_is_current_and_has_no_known_flaw(request: pytest.FixtureRequest, proxy: str) -> None:
    """TLS 1.2 and 1.3 alone, with forward secrecy and authenticated encryption alone, and none of the named flaws."""
    found = scan(request.getfixturevalue(proxy)).scan_result
    assert found
    for command in OLD:
        assert getattr(found, command.value).result.accepted_cipher_suites == [], command
    for command in CURRENT:
        accepted = [each.cipher_suite.name for each in getattr(found, command.value).result.accepted_cipher_suites]
        assert accepted
        assert [name for name in accepted if not STRONG.fullmatch(name)] == [], command
    assert not found.heartbleed.result.is_vulnerable_to_heartbleed
    assert not found.openssl_ccs_injection.result.is_vulnerable_to_ccs_injection
    assert not found.tls_compression.result.supports_compression
    assert not found.tls_1_3_early_data.result.supports_early_data
    assert not found.session_renegotiation.result.is_vulnerable_to_client_renegotiation_dos
    assert found.robot.result.robot_result.name.startswith("NOT_VULNERABLE")
