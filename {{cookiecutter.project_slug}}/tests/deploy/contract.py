"""What a proxy of `deploy/` does in front of three replicas; the same for each of them."""

import json
import secrets
import socket
import ssl
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import product
from typing import Any

import pytest

from app.http.middleware.security_headers import security_headers
from tests.security.raw.test_http import MALFORMED
from tests.security.raw.test_upgrade import FRAMINGS, METHODS, UPGRADES, upgrading
from tests.support.http.raw import JSON, SIGNIN, status_of
from tests.support.processes.server import HOST, ServerProcess, read_answer, request
from tests.support.servers.proxies import NAME, Proxy

# Linux answers on all of 127.0.0.0/8, so a client can have another address than the proxy.
CLIENT = "127.0.0.9" if sys.platform == "linux" else HOST
FORGED = (
    "X-Forwarded-For: 203.0.113.9",
    "X-Forwarded-Proto: http",
    "X-Forwarded-Host: evil.example",
    "Forwarded: for=203.0.113.9;proto=http",
    "X-Real-IP: 203.0.113.9",
    "X-Request-ID: forged-by-the-client",
)
# Where nobody else asks; the access log names routes, and no path that leads nowhere.
HIDDEN = "/api/v1/roles"
TOO_LARGE = b"x" * 200_000
# What `deploy/` lets through: more than the largest bound of a route.
MOST = 160 * 1024

StartProxy = Callable[[list[int]], AbstractContextManager[Proxy]]


@pytest.mark.same_on_every_database
class ProxyContract:
    """Tests that each proxy passes; the fixtures `proxy` and `start_proxy` are in the module of each."""

    @pytest.mark.asvs("4.1.3", "15.3.4")
    @pytest.mark.parametrize("headers", [(), FORGED], ids=["plain", "forged"])
    def test_the_address_is_the_clients(
        self, proxy: Proxy, replicas: list[ServerProcess], headers: tuple[str, ...]
    ) -> None:
        """The service logs the client's own address, whatever the client claims, and chooses no id that it sends."""
        answer = ask(proxy, request("GET", "/nowhere", *headers, host=NAME))
        assert status_of(answer) == 404, answer  # and not 403: it came with TLS
        (line,) = logged(replicas, json.loads(answer.partition(b"\r\n\r\n")[2])["request_id"])
        assert line["client"] == CLIENT
        assert "forged" not in line["request_id"]

    @pytest.mark.asvs("5.2.1", "4.2.1")
    @pytest.mark.parametrize("framing", FRAMINGS)
    def test_uploads_are_bounded(self, proxy: Proxy, replicas: list[ServerProcess], framing: str) -> None:
        """What is larger than the route takes is refused, by the service or by the proxy, with the headers of both."""
        for size in (100_000, len(TOO_LARGE)):
            body = TOO_LARGE[:size]
            length = f"Content-Length: {size}" if framing == "length" else "Transfer-Encoding: chunked"
            framed = body if framing == "length" else b"%x\r\n%b\r\n0\r\n\r\n" % (size, body)
            answer = ask(proxy, request("POST", SIGNIN, JSON, length, host=NAME), framed)
            assert status_of(answer) == 413, answer
            fields = {*headers_of(answer)}
            assert {"strict-transport-security", "content-security-policy", "x-content-type-options"} <= fields

    @pytest.mark.asvs("5.2.1")
    def test_the_proxy_bounds_uploads_by_itself(self, start_proxy: StartProxy) -> None:
        """A service that would read everything gets no more than any route takes, and the client is told 413."""
        with greedy_server() as (port, sizes), start_proxy([port]) as proxy:
            length = f"Content-Length: {len(TOO_LARGE)}"
            answer = ask(proxy, request("POST", "/", JSON, length, host=NAME), TOO_LARGE)
        assert status_of(answer) == 413
        assert b"strict-transport-security" in answer.lower()
        assert max(sizes, default=0) <= MOST

    @pytest.mark.asvs("12.1.1")
    def test_tls_is_new(self, proxy: Proxy) -> None:
        """1.2 and 1.3 are spoken, and 1.1 is not."""
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            assert greeted(proxy, version) == version.name.replace("_", ".")
        with pytest.deprecated_call():
            assert "ALERT" in greeted(proxy, ssl.TLSVersion.TLSv1_1)

    @pytest.mark.asvs("12.1.2")
    @pytest.mark.parametrize("ciphers", ["AES128-GCM-SHA256", "kRSA", "ECDHE+AES+SHA1", "aNULL"])
    def test_ciphers_are_strong(self, proxy: Proxy, ciphers: str) -> None:
        """In TLS 1.2, none without forward secrecy, with CBC, or without a certificate."""
        assert greeted(proxy, ssl.TLSVersion.TLSv1_2, "ECDHE+AESGCM") == "TLSv1.2"
        assert "ALERT" in greeted(proxy, ssl.TLSVersion.TLSv1_2, ciphers)

    @pytest.mark.asvs("3.4.1", "3.4.4", "13.4.6")
    @pytest.mark.parametrize("target", ["/livez", "/nowhere", "/livez?a=1&a=2"])
    def test_security_headers_are_there_once(self, proxy: Proxy, target: str) -> None:
        """The proxy adds none a second time, and says neither its version nor the service's."""
        names = headers_of(ask(proxy, request("GET", target, host=NAME)))
        for header, _ in security_headers(hsts_include_subdomains=True):
            assert names.count(header.decode()) == 1, header
        assert names.count("x-request-id") == 1
        assert "via" not in names

    @pytest.mark.asvs("4.1.2", "12.2.1")
    def test_plain_http_is_redirected_for_pages_alone(self, proxy: Proxy) -> None:
        """A page is redirected to the public name, whatever `Host` says; a call that may carry a token is refused."""
        answers = {
            (method, path): plain(proxy, request(method, path, host="evil.example"))
            for method, path in (("GET", "/a?b=c"), ("POST", "/a"), ("GET", "/api/v1/info"), ("POST", "/oauth/token"))
        }
        assert [status_of(answer) for answer in answers.values()] == [308, 403, 403, 403]
        assert f"location: https://{NAME}/a?b=c\r\n".encode() in answers["GET", "/a?b=c"].replace(b"Loc", b"loc")

    @pytest.mark.asvs("4.1.3")
    def test_another_host_does_not_reach_the_service(self, proxy: Proxy, replicas: list[ServerProcess]) -> None:
        """A request for another name, over a connection for this one, is answered 421 by the proxy."""
        assert status_of(ask(proxy, request("GET", HIDDEN, host="evil.example"))) == 421
        assert logged(replicas, HIDDEN, seconds=0) == []

    @pytest.mark.asvs("4.2.1")
    def test_malformed_requests_do_not_smuggle(self, proxy: Proxy, replicas: list[ServerProcess]) -> None:
        """Whatever proxy and service could read in two ways: no hidden request runs, and others get their answers."""
        sent = [message.replace(HOST.encode(), NAME.encode()) for message in MALFORMED.values()]
        in_between(proxy, [message.replace(b"GET /smuggled", b"GET " + HIDDEN.encode()) for message in sent])
        assert logged(replicas, HIDDEN, seconds=0) == []

    @pytest.mark.asvs("4.2.1", "4.4.1")
    def test_bodies_of_upgrades_are_no_requests(self, proxy: Proxy, replicas: list[ServerProcess]) -> None:
        """A request to upgrade, with a request as its body, is one request to the service or none."""
        hidden = request("GET", HIDDEN, host=NAME)
        sent = [
            upgrading(method, kind, framing, hidden, target="/first").replace(HOST.encode(), NAME.encode())
            for method, kind, framing in product(METHODS, UPGRADES, FRAMINGS)
        ]
        in_between(proxy, sent)
        assert logged(replicas, HIDDEN, seconds=0) == []

    def test_what_is_hidden_would_be_found(self, proxy: Proxy, replicas: list[ServerProcess]) -> None:
        """The control of the others: the request that they hide, sent openly, is in the log of a replica."""
        path = HIDDEN.replace("roles", "users")
        assert status_of(ask(proxy, request("GET", path, host=NAME))) == 401
        assert logged(replicas, path)


def ask(proxy: Proxy, *parts: bytes) -> bytes:
    """Send bytes as they are, from another address than the proxy's, and read one answer."""
    with connect(proxy) as connection:
        with suppress(ConnectionError):  # the proxy answers before it has read all
            for part in parts:
                connection.sendall(part)
        return read_answer(connection)


def connect(proxy: Proxy) -> ssl.SSLSocket:
    """Open a connection with TLS from `CLIENT`."""
    plain = socket.create_connection((HOST, proxy.port), timeout=10, source_address=(CLIENT, 0))
    return proxy.context.wrap_socket(plain, server_hostname=NAME)


def greeted(proxy: Proxy, version: ssl.TLSVersion, ciphers: str = "ALL") -> str:
    """The version of TLS that is spoken with a client which knows this one, with these ciphers; or why none is."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(cadata=ssl.DER_cert_to_PEM_cert(proxy.context.get_ca_certs(binary_form=True)[0]))
    context.set_ciphers(f"{ciphers}:@SECLEVEL=0")
    context.minimum_version = context.maximum_version = version
    try:
        with (
            socket.create_connection((HOST, proxy.port), timeout=10) as connection,
            context.wrap_socket(connection, server_hostname=NAME) as secured,
        ):
            return str(secured.version())
    except ssl.SSLError as error:
        return str(error.reason)


def plain(proxy: Proxy, sent: bytes) -> bytes:
    """Send a request to the port without TLS, and read the answer."""
    with socket.create_connection((HOST, proxy.http_port), timeout=10) as connection:
        connection.sendall(sent)
        return read_answer(connection)


def in_between(proxy: Proxy, hostile: list[bytes]) -> None:
    """Send each message on a connection of its own, and ask for something after it: every answer is the asker's."""

    def attack(message: bytes) -> list[bytes]:
        with connect(proxy) as connection, suppress(OSError):
            connection.sendall(message)
            connection.settimeout(0.1)
            while connection.recv(65536):
                pass
        paths = [f"/{secrets.token_hex(8)}" for _ in range(2)]
        asked = {path: ask(proxy, request("GET", path, host=NAME)) for path in paths}
        return [message for path, answer in asked.items() if f'"instance":"{path}"'.encode() not in answer]

    with ThreadPoolExecutor(16) as pool:
        assert [message for found in pool.map(attack, hostile) for message in found] == []


@contextmanager
def greedy_server() -> Iterator[tuple[int, list[int]]]:
    """Start a server that reads whatever comes; yield its port, and a list that gets the size of each body."""
    sizes: list[int] = []

    class Greedy(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()

        def do_POST(self) -> None:
            sizes.append(len(self.rfile.read(int(self.headers["Content-Length"]))))

        def log_message(self, *_: object) -> None: ...

    with ThreadingHTTPServer((HOST, 0), Greedy) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server.server_port, sizes
        finally:
            server.shutdown()
            thread.join()


def headers_of(answer: bytes) -> list[str]:
    """Return the names of the header fields, each as often as it is there."""
    head = answer.partition(b"\r\n\r\n")[0].decode("latin-1").lower()
    return [line.partition(":")[0] for line in head.split("\r\n")[1:]]


def logged(replicas: list[ServerProcess], text: str, seconds: float = 5) -> list[dict[str, Any]]:
    """Return the log lines of all replicas that hold a text; wait until there is one."""
    give_up = time.monotonic() + seconds
    while True:
        lines = [json.loads(line) for server in replicas for line in server.output().splitlines() if text in line]
        if lines or time.monotonic() > give_up:
            return lines
        time.sleep(0.02)
