"""Requests as bytes, line by line as a test gives them."""

from tests.support.processes.server import HOST

HEAD_SECONDS = 1.5
JSON = "Content-Type: application/json"
SIGNIN = "/api/v1/signin"
MIB = 1024 * 1024


def status_of(answer: bytes) -> int:
    """The status of an answer; 0 where the connection was closed without one."""
    return int(answer.split(b" ", 2)[1]) if answer else 0


def raw(*lines: str, body: bytes = b"", end: str = "\r\n") -> bytes:
    """The bytes of a request, line by line as they are given."""
    return "".join(line + end for line in (*lines, "")).encode("latin-1") + body


POST = f"POST {SIGNIN} HTTP/1.1"
GET = "GET /livez HTTP/1.1"
HOST_LINE = f"Host: {HOST}"
