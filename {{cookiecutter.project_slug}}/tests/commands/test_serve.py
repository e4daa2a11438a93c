"""`manage serve`: what it makes of its options."""

import json
from pathlib import Path

import pytest

from tests.support.processes.server import ServerProcess, request


@pytest.mark.parametrize("options", [(), ("--workers", "2")], ids=str)
def test_the_default_public_url_has_the_port_of_the_server(
    tmp_path: Path, database_url: str, options: tuple[str, ...]
) -> None:
    """Without `PUBLIC_URL`, the issuer is where the server listens, in every process."""
    with ServerProcess(tmp_path, *options, DATABASE_URL=database_url, PUBLIC_URL="") as server:
        assert issuer_of(server) == server.url


def test_a_public_url_that_is_set_stays(tmp_path: Path, database_url: str) -> None:
    """A proxy may listen on another port."""
    with ServerProcess(tmp_path, DATABASE_URL=database_url, PUBLIC_URL="http://127.0.0.1:9") as server:
        assert issuer_of(server) == "http://127.0.0.1:9"


def issuer_of(server: ServerProcess) -> str:
    """The issuer that the metadata name (RFC 8414)."""
    answer = server.send(request("GET", "/.well-known/oauth-authorization-server"))
    issuer: str = json.loads(answer.partition(b"\r\n\r\n")[2])["issuer"]
    return issuer
