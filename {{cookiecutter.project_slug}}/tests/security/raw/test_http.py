"""Bytes that no HTTP client sends, against the real server: what is malformed, smuggled or of another protocol."""

import json
import re
import time

import pytest

from app.http.middleware.security_headers import security_headers
from tests.support.http.raw import GET, HOST_LINE, JSON, POST, SIGNIN, raw, status_of
from tests.support.processes.server import HOST, ServerProcess, is_closed_within, read_answer, request

pytestmark = pytest.mark.same_on_every_database

SMUGGLED = b"GET /smuggled HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
MALFORMED = {
    "length and chunked": raw(
        POST, HOST_LINE, JSON, "Content-Length: 4", "Transfer-Encoding: chunked", body=b"0\r\n\r\n"
    ),
    "chunked and length": raw(
        POST, HOST_LINE, JSON, "Transfer-Encoding: chunked", "Content-Length: 4", body=b"0\r\n\r\n"
    ),
    "two lengths": raw(POST, HOST_LINE, JSON, "Content-Length: 0", "Content-Length: 44", body=SMUGGLED),
    "the same length twice": raw(POST, HOST_LINE, JSON, "Content-Length: 2", "Content-Length: 2", body=b"{}"),
    "length list": raw(POST, HOST_LINE, JSON, "Content-Length: 0, 44", body=SMUGGLED),
    "signed length": raw(POST, HOST_LINE, JSON, "Content-Length: +2", body=b"{}"),
    "negative length": raw(POST, HOST_LINE, JSON, "Content-Length: -1"),
    "endless length": raw(POST, HOST_LINE, JSON, "Content-Length: " + "9" * 40),
    "space before colon": raw(POST, HOST_LINE, JSON, "Content-Length : 2", body=b"{}"),
    "te identity": raw(POST, HOST_LINE, JSON, "Transfer-Encoding: identity", body=b"{}"),
    "te xchunked": raw(POST, HOST_LINE, JSON, "Transfer-Encoding: xchunked", body=b"0\r\n\r\n"),
    "te chunked, identity": raw(POST, HOST_LINE, JSON, "Transfer-Encoding: chunked, identity", body=b"0\r\n\r\n"),
    "te twice": raw(
        POST, HOST_LINE, JSON, "Transfer-Encoding: chunked", "Transfer-Encoding: identity", body=b"0\r\n\r\n"
    ),
    "te chunked twice": raw(
        POST, HOST_LINE, JSON, "Transfer-Encoding: chunked", "Transfer-Encoding: chunked", body=b"0\r\n\r\n"
    ),
    "te gzip, chunked": raw(POST, HOST_LINE, JSON, "Transfer-Encoding: gzip, chunked", body=b"2\r\n{}\r\n0\r\n\r\n"),
    "te gzip and chunked": raw(
        POST, HOST_LINE, JSON, "Transfer-Encoding: gzip", "Transfer-Encoding: chunked", body=b"2\r\n{}\r\n0\r\n\r\n"
    ),
    "te chunked, chunked": raw(POST, HOST_LINE, JSON, "Transfer-Encoding: chunked, chunked", body=b"0\r\n\r\n"),
    "te empty": raw(POST, HOST_LINE, JSON, "Transfer-Encoding:", body=SMUGGLED),
    "te of a GET": raw(GET, HOST_LINE, "Transfer-Encoding: gzip, chunked", body=b"0\r\n\r\n"),
    "te in 1.0": raw(
        f"POST {SIGNIN} HTTP/1.0", HOST_LINE, JSON, "Transfer-Encoding: chunked", body=b"2\r\n{}\r\n0\r\n\r\n"
    ),
    "te in 1.0, kept alive": raw(
        "GET /livez HTTP/1.0", HOST_LINE, "Connection: keep-alive", "Transfer-Encoding: chunked", body=b"0\r\n\r\n"
    ),
    "te with length and tab": raw(
        POST, HOST_LINE, JSON, "Transfer-Encoding:\tchunked", "Content-Length: 4", body=b"0\r\n\r\n"
    ),
    "bad chunk size": raw(POST, HOST_LINE, JSON, "Transfer-Encoding: chunked", body=b"zz\r\n{}\r\n0\r\n\r\n"),
    "signed chunk size": raw(POST, HOST_LINE, JSON, "Transfer-Encoding: chunked", body=b"+2\r\n{}\r\n0\r\n\r\n"),
    "chunk too long": raw(POST, HOST_LINE, JSON, "Transfer-Encoding: chunked", body=b"1\r\n{}\r\n0\r\n\r\n"),
    "folded header": raw(GET, HOST_LINE, "X-Folded: a\r\n b"),
    "folded host": raw(GET, "Host:\r\n 127.0.0.1"),
    "bare line feeds": raw(GET, HOST_LINE, end="\n"),
    "bare line feed in a header": raw(GET, HOST_LINE, "X-A: a\nX-B: b"),
    "bare carriage return": raw(GET, HOST_LINE, "X-A: a\rX-B: b"),
    "nul in a header": raw(GET, HOST_LINE, "X-A: a\0b"),
    "header without colon": raw(GET, HOST_LINE, "X-A"),
    "header without name": raw(GET, HOST_LINE, ": a"),
    "header name with space": raw(GET, HOST_LINE, "X A: a"),
    "line before the headers": raw(GET, " Host: evil.example", HOST_LINE),
    "no host": raw(GET),
    "two hosts": raw(GET, HOST_LINE, "Host: evil.example"),
    "the same host twice": raw(GET, HOST_LINE, HOST_LINE),
    "foreign host": raw("GET /nowhere HTTP/1.1", "Host: evil.example"),
    "host with user": raw("GET /nowhere HTTP/1.1", f"Host: {HOST}@evil.example"),
    "no host in 1.0": raw("GET /livez HTTP/1.0"),
    "absolute target": raw("GET http://evil.example/livez HTTP/1.1", HOST_LINE),
    "tunnel to a path": raw("CONNECT /livez HTTP/1.1", HOST_LINE),
    "tunnel with a body": raw("CONNECT /livez HTTP/1.1", HOST_LINE, "Content-Length: 44", body=SMUGGLED),
    "authority target": raw("CONNECT evil.example:443 HTTP/1.1", HOST_LINE),
    "asterisk target": raw("OPTIONS * HTTP/1.1", HOST_LINE),
    "fragment": raw("GET /livez#fragment HTTP/1.1", HOST_LINE),
    "empty fragment": raw("GET /livez# HTTP/1.1", HOST_LINE),
    "fragment after a query": raw("GET /livez?a=b#fragment HTTP/1.1", HOST_LINE),
    "version 0.9": raw("GET /livez"),
    "version 0.9 by name": raw("GET /livez HTTP/0.9", HOST_LINE),
    "version 2.0": raw("GET /livez HTTP/2.0", HOST_LINE),
    "version 1.2": raw("GET /livez HTTP/1.2", HOST_LINE),
    "version 3.0": raw("GET /livez HTTP/3.0", HOST_LINE),
    "h2 preface": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "tls hello": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\0" * 64,
    "unknown method": raw("FOO /livez HTTP/1.1", HOST_LINE),
    "lower-case method": raw("get /livez HTTP/1.1", HOST_LINE),
    "raw bytes in the path": raw("GET /caf\xe9 HTTP/1.1", HOST_LINE),
    "encoded line break": raw("GET /%0d%0aSet-Cookie:a=b HTTP/1.1", HOST_LINE),
    "encoded nul": raw("GET /livez%00 HTTP/1.1", HOST_LINE),
    "space in the target": raw("GET /livez x HTTP/1.1", HOST_LINE),
}


@pytest.mark.asvs("4.2.1")
@pytest.mark.parametrize("sent", MALFORMED.values(), ids=MALFORMED.keys())
def test_malformed_is_refused(server: ServerProcess, sent: bytes) -> None:
    """Whatever two servers could read in two ways is a 400, and nothing that hides in it is answered as well."""
    with server.connection() as connection:
        connection.sendall(sent)
        answer = read_answer(connection)
        assert status_of(answer) == 400, answer
        connection.settimeout(0.2)
        try:
            more = connection.recv(65536)
        except (TimeoutError, ConnectionError):
            more = b""
    assert b"HTTP/1.1 200" not in answer + more
    assert b"HTTP/1.1 404" not in answer + more


def test_space_around_a_value_is_no_part_of_it(server: ServerProcess) -> None:
    """RFC 9110 section 5.5; the body is read, and is no sign-in."""
    spaced = [HOST_LINE + " ", "Content-Type: \t application/json \t", "Content-Length: 2 "]
    answer = server.send(raw(POST, *spaced, body=b"{}"))
    assert status_of(answer) == 422, answer
    answer = server.send(raw("GET /api/v1/users/me HTTP/1.1", HOST_LINE, "Authorization: Bearer   x "))
    assert b'error="invalid_token"' in answer


@pytest.mark.asvs("4.2.1", "3.4.1", "3.4.4", "16.5.1")
@pytest.mark.parametrize("name", ["length and chunked", "folded header", "foreign host", "header without colon"])
def test_a_refusal_is_an_answer_like_any_other(server: ServerProcess, name: str) -> None:
    """What the parser refuses has the headers, the request id and the shape of every other error."""
    head, _, body = server.send(MALFORMED[name]).partition(b"\r\n\r\n")
    fields = dict(line.split(b": ", 1) for line in head.lower().split(b"\r\n")[1:])
    assert {header for header, _ in security_headers(hsts_include_subdomains=True)} <= set(fields)
    assert fields[b"content-type"] == b"application/problem+json"
    assert re.fullmatch(rb"[0-9a-f]{32}", fields[b"x-request-id"])
    assert json.loads(body)["request_id"] == fields[b"x-request-id"].decode()


@pytest.mark.asvs("4.2.1")
def test_the_parser_closes_what_it_refuses(server: ServerProcess) -> None:
    """After bytes that cannot be read, nobody can know where the next request begins."""
    with server.connection() as connection:
        connection.sendall(MALFORMED["length and chunked"] + SMUGGLED)
        assert status_of(read_answer(connection)) == 400
        assert is_closed_within(connection, 1)


def test_http_1_0_is_served_and_closed(server: ServerProcess) -> None:
    """An old client that names a host gets its answer, and the connection ends with it."""
    with server.connection() as connection:
        connection.sendall(raw("GET /livez HTTP/1.0", HOST_LINE))
        assert status_of(read_answer(connection)) == 200
        assert is_closed_within(connection, 1)


def test_pipelined_requests_are_answered_in_order(server: ServerProcess) -> None:
    """Requests on one connection do not disturb each other, also after one that is refused by the application."""
    with server.connection() as connection:
        connection.sendall(request("GET", "/nowhere") + request("GET", "/livez?a=1&a=2") + request("GET", "/livez"))
        received = b""
        while received.count(b"HTTP/1.1 ") < 3 or not received.endswith(b"}"):
            received += connection.recv(65536)
    assert re.findall(rb"HTTP/1\.1 (\d+)", received) == [b"404", b"400", b"200"]


@pytest.mark.asvs("4.2.1")
@pytest.mark.parametrize("apart", [True, False])
def test_a_request_before_garbage_keeps_its_answer(server: ServerProcess, *, apart: bool) -> None:
    """What cannot be read comes after a whole request: that one is answered, then the rest is refused."""
    sent = request("POST", SIGNIN, JSON, "Content-Length: 2", body=b"{}")
    with server.connection() as connection:
        for piece in [sent, b"\x00garbage"] if apart else [sent + b"\x00garbage"]:
            connection.sendall(piece)
        received = b""
        while piece := connection.recv(65536):
            received += piece
    assert re.findall(rb"HTTP/1\.1 (\d+)", received) == [b"422", b"400"]


@pytest.mark.asvs("4.2.1")
def test_trailers_are_no_headers(server: ServerProcess) -> None:
    """What comes after the body is not added to the headers that were judged before it."""
    body = b"2\r\n{}\r\n0\r\nAuthorization: Bearer x\r\nAuthorization: Bearer y\r\nHost: evil.example\r\n\r\n"
    with server.connection() as connection:
        connection.sendall(raw(POST, HOST_LINE, JSON, "Transfer-Encoding: chunked", body=body))
        assert status_of(read_answer(connection)) == 422
        connection.sendall(request("GET", "/livez"))
        assert status_of(read_answer(connection)) == 200


@pytest.mark.asvs("13.4.4")
@pytest.mark.parametrize("path", ["/livez", "/nowhere"])
def test_trace_is_refused(server: ServerProcess, path: str) -> None:
    """TRACE would send credentials back to whoever made a browser ask."""
    answer = server.send(request("TRACE", path, "Cookie: canary=1"))
    assert status_of(answer) == 405
    assert b"canary" not in answer


@pytest.mark.asvs("4.4.1")
def test_no_websocket(server: ServerProcess) -> None:
    """There is no websocket: the request is answered as what it would be without the upgrade."""
    upgrade = ("Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: eA==")
    assert status_of(server.send(request("GET", "/nowhere", *upgrade))) == 404
    smuggled = request("GET", "/nowhere", *upgrade, "Content-Length: 44", body=SMUGGLED)
    assert b"HTTP/1.1 200" not in server.send(smuggled)


@pytest.mark.asvs("16.2.4", "16.4.1", "14.2.4")
def test_every_line_of_it_all_is_json(server: ServerProcess) -> None:
    """Hostile bytes leave one parsable line each, without the bytes, and no crash."""
    for path, escape, event in (("/%1b[31m", "\x1b[31m", "request_unreadable"), ("/", "", "request")):
        answer = server.send(request("GET", f"{path}canary-path?x=canary-query", f"User-Agent: {escape}canary-agent"))
        (name,) = re.findall(rb"x-request-id: (\w+)", answer.lower())
        give_up = time.monotonic() + 60  # the line may come after the answer
        while not (told := re.findall(f".*{name.decode()}.*\n", server.output())):
            assert time.monotonic() < give_up
            time.sleep(0.01)
        assert json.loads(told[0])["event"] == event
    lines = [json.loads(line) for line in server.output().splitlines()]
    assert "canary" not in server.output()
    assert [line for line in lines if line["level"] in {"error", "critical"}] == []
