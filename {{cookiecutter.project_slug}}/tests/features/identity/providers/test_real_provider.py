"""A provider that others wrote, over real HTTP: oidc-provider on Node, which `npm` installs into the tests' cache."""

import asyncio
import html
import json
import os
import re
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urljoin, urlsplit

import httpx2
import pytest
import uvicorn
from joserfc.jwk import RSAKey

from tests.conftest import PUBLIC_URL, StartService
from tests.features.identity.providers.issuer import CLIENT_ID, CLIENT_SECRET
from tests.features.identity.steps import begin, identity_ids
from tests.support.pages.browser import Browser, text_of, with_browser
from tests.support.processes.server import HOST, free_port
from tests.support.records.mail import until
from tests.support.service import Service

pytestmark = pytest.mark.anyio

PACKAGE = "oidc-provider@9.13.3"
SCRIPT = Path(__file__).with_name("oidc_provider.mjs")
REAL = "/login/with/real"


@pytest.fixture
def installed(npm: str, pytestconfig: pytest.Config) -> Path:
    """The folder that has the package; without scripts of any package, which it needs none of."""
    folder = pytestconfig.cache.mkdir(PACKAGE.replace("@", "-"))
    if not (folder / "node_modules" / ".package-lock.json").is_file():
        (folder / "package.json").write_text('{"private": true}', encoding="utf-8")
        quietly = ("--silent", "--no-audit", "--no-fund", "--ignore-scripts", "--no-package-lock")
        done = subprocess.run(
            [npm, "install", *quietly, PACKAGE], cwd=folder, capture_output=True, text=True, timeout=120, check=False
        )
        if done.returncode and not os.environ.get("CI"):
            pytest.skip(f"npm cannot install {PACKAGE} here: {done.stderr.strip()[-200:]}")
        assert done.returncode == 0, done.stdout + done.stderr
    return folder


class RealProvider:
    """What the provider is, and how it is started; it forgets everything with its process."""

    def __init__(self, node: str, folder: Path, logout_uri: str) -> None:
        self.port = free_port()
        self.issuer = f"http://{HOST}:{self.port}"
        self._command, self._logout_uri = [node, str(SCRIPT), str(folder)], logout_uri

    @contextmanager
    def running(self, key_id: str) -> Iterator[None]:
        """Run it with a key of its own."""
        key = RSAKey.generate_key(2048, {"kid": key_id, "use": "sig", "alg": "RS256"})
        client = {
            "client_id": CLIENT_ID,
            "client_secret": CLIENT_SECRET,
            "redirect_uris": [f"{PUBLIC_URL}/login/callback/real"],
            "backchannel_logout_uri": self._logout_uri,
            "backchannel_logout_session_required": True,
        }
        given = {
            "issuer": self.issuer,
            "port": self.port,
            "client": client,
            "jwks": {"keys": [key.as_dict(private=True)]},
        }
        with subprocess.Popen(
            self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        ) as process:
            assert process.stdin
            assert process.stdout
            assert process.stderr
            process.stdin.write(json.dumps(given) + "\n")
            process.stdin.flush()
            if "listening" not in process.stdout.readline():
                pytest.fail(process.stderr.read())
            try:
                yield
            finally:
                process.stdin.close()
                process.wait(10)


class AtProvider:
    """A browser at the provider, with a session of its own there."""

    def __init__(self, http: httpx2.AsyncClient) -> None:
        self._http = http

    async def answer(self, url: str, person: str) -> str:
        """Type a name if it asks for one, allow what it asks for, and return the path here that it leads to."""
        for _ in range(12):
            if url.startswith(PUBLIC_URL):
                target = urlsplit(url)
                return f"{target.path}?{target.query}"
            page = await self._http.get(url)
            if prompt := re.search(r'name="prompt" value="(\w+)"', page.text):
                typed = {"prompt": prompt[1]} | ({"login": person, "password": "any"} if prompt[1] == "login" else {})
                page = await self._http.post(url, data=typed)
            assert "Location" in page.headers, page.text
            url = urljoin(url, page.headers["Location"])
        raise AssertionError(url)

    async def sign_in(self, browser: Browser, person: str, path: str = REAL, **fields: str) -> httpx2.Response:
        """Go there and come back."""
        return await browser.get(await self.answer(await begin(browser, path, **fields), person))

    async def sign_out(self, issuer: str) -> None:
        """End the session at the provider."""
        page = await self._http.get(f"{issuer}/session/end")
        fields = dict(re.findall(r'name="(xsrf)" value="([^"]*)"', page.text))
        action = re.search(r'action="([^"]*)"', page.text)
        assert action, page.text
        answer = await self._http.post(html.unescape(action[1]), data=fields | {"logout": "yes"})
        assert answer.status_code in {302, 303}, answer.text


@asynccontextmanager
async def listening(service: Service, port: int) -> AsyncIterator[None]:
    """Let the provider reach the service, too."""
    server = uvicorn.Server(uvicorn.Config(service.app, HOST, port, log_level="critical", ws="none", lifespan="off"))
    task = asyncio.create_task(server.serve())
    await until(lambda: server.started)
    try:
        yield
    finally:
        server.should_exit = True
        await task


@pytest.mark.asvs("6.8.1", "7.6.1", "10.5.5")
async def test_with_a_provider_that_others_wrote(
    node: str, installed: Path, start: StartService, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A new account, a link, a second sign-in, the end of a session there, another key: as with the provider here."""
    port = free_port()
    provider = RealProvider(node, installed, f"http://{HOST}:{port}/oauth/backchannel-logout/real")
    settings: dict[str, Any] = {"ISSUER": provider.issuer, "CLIENT_ID": CLIENT_ID, "CLIENT_SECRET": CLIENT_SECRET}
    monkeypatch.setenv("IDENTITY_PROVIDERS", "real")
    for name, value in settings.items():
        monkeypatch.setenv(f"IDP_REAL_{name}", value)
    async with (
        start(allowed_hosts=("service.example", HOST)) as service,
        listening(service, port),
        httpx2.AsyncClient(timeout=30) as http,
        httpx2.AsyncClient(timeout=30) as elsewhere,
    ):
        with provider.running("one"):
            at, browser, again = AtProvider(http), Browser(service), Browser(service)
            assert (await at.sign_in(browser, "ada")).headers["Location"] == "/account"
            assert "ada@people.example" in (await browser.get("/account")).text
            # With its own session there, which is asked for nothing any more.
            assert (await at.sign_in(again, "nobody")).headers["Location"] == "/account"
            assert "ada@people.example" in (await again.get("/account")).text
            person, linking = await with_browser(service)
            other = AtProvider(elsewhere)
            answer = await other.sign_in(linking, "grace", "/account/identities/link/real")
            assert answer.headers["Location"] == "/account/identities?done=identity-linked", text_of(answer)
            assert len(await identity_ids(linking)) == 1
            signed_in = Browser(service)
            assert (await other.sign_in(signed_in, "grace")).headers["Location"] == "/account"
            assert person.email in (await signed_in.get("/account")).text
            await at.sign_out(provider.issuer)
            assert [(await each.get("/account")).status_code for each in (browser, again)] == [303, 303]
            assert [(await each.get("/account")).status_code for each in (signed_in, linking)] == [200, 200]
        with provider.running("two"):
            monkeypatch.setattr("app.features.identity.provider._KEYS_AGAIN_SECONDS", 0)
            assert (await at.sign_in(browser, "ada")).headers["Location"] == "/account"
