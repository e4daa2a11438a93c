"""Secrets and hostile text in every input of the real service: what its log and its answers make of them."""

import json
import time
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from tests.support.api.canaries import send_secrets
from tests.support.database.databases import Databases
from tests.support.processes.replicas import running_replicas, sign_in

HOSTILE = [
    "two\r\nlines: {}",
    "\x1b[31mred\x1b[0m",
    "\u2028\u2029\u0085 line ends",
    '", "level": "critical", "x": "',
    "%s%n{0.__class__}{{7*7}}${7*7}",
    "\u202eright to left",
    "\udc80 half a character",
    "nul \0 nul",
]


class Observed:
    """A server, and everything that it wrote."""

    def __init__(self, client: httpx2.Client, log: Path) -> None:
        self.client = client
        self._log = log
        self._seen = 0

    def log(self, requests: int) -> str:
        """What was written since this was last asked, with as many access lines, which come after the answers."""
        give_up = time.monotonic() + 5
        while True:
            content = self._log.read_bytes()[self._seen :]
            if content.count(b'"event":"request') >= requests or time.monotonic() > give_up:
                break
            time.sleep(0.01)
        self._seen += len(content)
        return content.decode()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, databases: Databases) -> Iterator[Observed]:
    """The service as it logs most."""
    folder = tmp_path_factory.mktemp("canaries")
    with databases.empty(folder) as url, running_replicas(folder, url, count=1, LOG_LEVEL="debug") as (client,):
        observed = Observed(client, folder / "replica-0" / "server.log")
        observed.log(requests=1)
        yield observed


@pytest.mark.asvs("14.2.4", "16.2.5")
def test_no_secret_is_in_the_log_or_in_an_answer(server: Observed) -> None:
    """Passwords, tokens, cookies, keys in a query, bodies that are refused: sent to the service, seen nowhere again."""
    secrets, answers = send_secrets(server.client)
    assert {answer.status_code for answer in answers} >= {400, 401, 403, 404, 415, 422, 200}
    log = server.log(len(answers) + 1)
    assert len(log.splitlines()) > len(answers)
    assert not [secret for secret in secrets if secret in log]
    for answer in answers:
        # A problem names the path that was asked for (RFC 9457 section 3.1.5).
        canaries = [secret for secret in secrets if secret.startswith("Canary")]
        hidden = [secret for secret in canaries if secret not in answer.request.url.path]
        assert not [secret for secret in hidden if secret in answer.text or secret in str(answer.headers)]


@pytest.mark.asvs("16.4.1", "1.3.10", "1.3.3")
@pytest.mark.parametrize("text", HOSTILE, ids=ascii)
def test_hostile_text_makes_no_line_of_its_own(server: Observed, text: str) -> None:
    """In a path, a query, a header, an address, a name: each line of the log stays one object without control codes."""
    client = server.client
    bearer = {"Authorization": f"Bearer {sign_in(client).json()['access_token']}"}
    encoded = httpx2.QueryParams({"q": text.encode("utf-8", "replace").decode()})
    value = text.encode("utf-8", "replace").replace(b"\r\n", b" ").replace(b"\0", b" ")
    answers = [
        client.get(f"/api/v1/{str(encoded)[2:]}"),
        client.get(f"/livez?{encoded}"),
        client.get("/livez", headers=[(name, value) for name in (b"User-Agent", b"X-Request-ID", b"Referer")]),
        client.post(
            "/api/v1/signin",
            content=json.dumps({"email": text, "password": text}).encode(),
            headers={"Content-Type": "application/json"},
        ),
        client.patch(
            "/api/v1/users/me",
            content=json.dumps({"display_name": text}).encode(),
            headers={**bearer, "Content-Type": "application/json"},
        ),
    ]
    assert max(answer.status_code for answer in answers) < 500
    log = server.log(len(answers) + 1)
    lines = [json.loads(line) for line in log.splitlines()]
    assert sum(line["event"] in {"request", "request_unreadable"} for line in lines) == len(answers) + 1
    assert all(character.isprintable() or character == "\n" for character in log)
