"""A client that was written elsewhere, in another language: oauth4webapi on Node, which holds servers to the RFCs."""

import json
import re
import subprocess
from html import unescape
from pathlib import Path
from typing import Any

import httpx2
import pytest

from app.access.roles import Role
from tests.support.pages.browser import FORM
from tests.support.pages.site import Site
from tests.support.service import Person

pytestmark = pytest.mark.anyio

CODE_FLOW = Path(__file__).parents[3] / "support" / "pages" / "node" / "code_flow.js"
CALLBACK = "http://127.0.0.1:9/callback"


@pytest.mark.asvs("10.4.2", "10.4.5", "10.4.6")
@pytest.mark.parametrize("confidential", [True, False])
async def test_from_discovery_to_revocation(node: str, site: Site, confidential: bool) -> None:  # noqa: FBT001
    """Metadata, the request with PKCE, state and issuer of the answer, tokens, refresh, introspection, revocation."""
    registered = await register(site, confidential=confidential)
    person = await site.person()
    got = run(node, site, person, {"issuer": site.url, "redirect_uri": CALLBACK, **registered})
    assert got["email"] == person.email
    assert got["scope"] == "account:read"
    assert got["introspected"] == ([True, False] if confidential else [None, None])
    assert got["again"] == "invalid_grant"


def run(node: str, site: Site, person: Person, given: dict[str, str | None]) -> dict[str, Any]:
    """What the client got when the person allowed it."""
    with subprocess.Popen(
        [node, str(CODE_FLOW)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as client:
        address = tell(client, given)["address"]
        return tell(client, {"location": allow(site, person, address)})


def tell(client: "subprocess.Popen[str]", what: object) -> dict[str, Any]:
    """Tell the client something, and hear what it says to that."""
    assert client.stdin
    assert client.stdout
    assert client.stderr
    client.stdin.write(json.dumps(what) + "\n")
    client.stdin.flush()
    line = client.stdout.readline()
    assert line, client.stderr.read()
    said: dict[str, Any] = json.loads(line)
    return said


async def register(site: Site, *, confidential: bool) -> dict[str, str | None]:
    """Register the client, as an administrator."""
    admin = await site.person(Role.ADMIN)
    new = {"name": "Node", "scope": "account:read", "redirect_uris": [CALLBACK], "confidential": confidential}
    with httpx2.Client(base_url=site.url, timeout=30) as http:
        tokens = http.post("/api/v1/signin", json={"email": admin.email, "password": admin.password}).json()
        bearer = {"Authorization": f"Bearer {tokens['access_token']}"}
        made = http.post("/api/v1/clients", json=new, headers=bearer).json()
    return {"client_id": made["client_id"], "client_secret": made["client_secret"]}


def allow(site: Site, person: Person, address: str) -> str:
    """Follow the client's address with a browser, sign in, and allow it: where the browser is sent in the end."""
    with httpx2.Client(base_url=site.url, headers={"Accept": "text/html"}, timeout=30) as browser:
        login = browser.get(address).headers["Location"]
        hidden = re.search(r'name="next" value="([^"]*)"', browser.get(login).text)
        assert hidden
        path = unescape(hidden[1])
        form = {"email": person.email, "password": person.password, "next": path}
        signed_in = browser.post("/login", data=form, headers=FORM)
        # A browser takes the cookie on loopback without TLS; this one has to be told.
        cookie = {"Cookie": signed_in.headers["Set-Cookie"].split(";")[0]}
        question = re.search(r'name="request" value="([^"]*)"', browser.get(path, headers=cookie).text)
        assert question
        decision = {"request": unescape(question[1]), "decision": "allow"}
        answer = browser.post("/oauth/authorize", data=decision, headers=FORM | cookie)
        return str(answer.headers["Location"])
