"""GitHub, the one provider without OpenID Connect."""

from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest
from authlib.integrations.httpx_client import AsyncOAuth2Client
from pydantic import SecretStr

from app.features.identity.github import GitHubClient
from app.features.identity.provider import Attempt
from app.features.identity.settings import GITHUB, Provider
from tests.features.identity.providers.github import GitHub
from tests.features.identity.providers.issuer import CLIENT_ID, CLIENT_SECRET, serving
from tests.features.identity.steps import at_provider, begin, last_event, link, sign_in
from tests.support.pages.browser import Browser, text_of, with_browser
from tests.support.service import Service

pytestmark = pytest.mark.anyio

HUB = "/login/with/hub"


@pytest.fixture(scope="module")
def github() -> Iterator[GitHub]:
    """The server."""
    with serving(GitHub()) as hub:
        assert isinstance(hub, GitHub)
        yield hub


@pytest.fixture(autouse=True)
def _only_github(github: GitHub, _named: None, monkeypatch: pytest.MonkeyPatch) -> None:
    github.reset()
    monkeypatch.setenv("IDENTITY_PROVIDERS", "hub")
    settings = {"ISSUER": github.url, "CLIENT_ID": CLIENT_ID, "CLIENT_SECRET": CLIENT_SECRET, "KIND": "github"}
    for name, value in settings.items():
        monkeypatch.setenv(f"IDP_HUB_{name}", value)


def address(email: str, *, primary: object = True, verified: object = True) -> dict[str, object]:
    """An address as GitHub's API lists it."""
    return {"email": email, "primary": primary, "verified": verified, "visibility": None}


@pytest.mark.asvs("6.8.1", "10.1.2", "10.5.2")
async def test_a_user_of_github_gets_an_account_and_comes_back(service: Service, github: GitHub) -> None:
    """By the id, whatever login and address are by then; the account has the primary address that is verified."""
    github.emails = [address("other@people.example", primary=False), address("octo@people.example")]
    browser = Browser(service)
    assert (await sign_in(browser, HUB)).headers["Location"] == "/account"
    assert "octo@people.example" in (await browser.get("/account")).text
    github.user["login"], github.emails = "renamed", []
    assert (await sign_in(again := Browser(service), HUB)).headers["Location"] == "/account"
    assert "octo@people.example" in (await again.get("/account")).text
    copy = (await browser.get("/api/v1/users/me/identities")).json()["items"]
    assert [(each["issuer"], each["subject"]) for each in copy] == [(github.url, str(github.user["id"]))]


UNVERIFIED = "has not verified an e-mail address"
EMAILS: list[tuple[object, str]] = [
    ([address("known@people.example")], "Sign in with your password, and link it"),
    ([address("known@people.example", verified=False), address("a@b.example", primary=False)], UNVERIFIED),
    ([address("a@b.example", primary=False)], UNVERIFIED),
    ([address("a@b.example", verified="true")], UNVERIFIED),
    ([address("a@b.example"), address("b@b.example")], UNVERIFIED),
    ([], UNVERIFIED),
    ({"message": "Resource not accessible by integration"}, UNVERIFIED),
]


@pytest.mark.asvs("6.8.1", "10.5.2")
async def test_an_address_of_github_opens_no_account(service: Service, github: GitHub) -> None:
    """Neither one that the user shows, nor one that is not primary and verified, nor one that has an account."""
    await service.person(email="known@people.example")
    for emails, words in EMAILS:
        github.emails = emails
        answer = await sign_in(Browser(service), HUB)
        assert answer.status_code == 403, emails
        assert words in text_of(answer), emails
    _, browser = await with_browser(service)
    assert (await link(browser, "hub")).headers["Location"] == "/account/identities?done=identity-linked"
    assert (await sign_in(Browser(service), HUB)).headers["Location"] == "/account"


@pytest.mark.asvs("10.2.1", "10.2.2")
async def test_a_code_is_for_its_browser_once(service: Service, github: GitHub) -> None:
    """PKCE, state, and `iss` if there is one; a code that GitHub does not know any more begins again."""
    github.emails = [address("octo@people.example")]
    browser = Browser(service)
    path = await at_provider(await begin(browser, HUB))
    await begin(other := Browser(service), HUB)
    assert (await other.get(path)).status_code == 400
    github._codes.clear()  # noqa: SLF001  # as after ten minutes
    answer = await browser.get(path)
    assert answer.status_code == 400
    assert "Begin again" in text_of(answer)
    for issuer, status in ((f"{github.url}/login/oauth", 303), (github.url, 303), (GITHUB, 400), ("", 303)):
        github.answer_issuer = issuer
        assert (await sign_in(Browser(service), HUB)).status_code == status, issuer


@pytest.mark.asvs("1.3.6", "10.5.2")
async def test_a_github_that_lies_signs_nobody_in(service: Service, github: GitHub) -> None:
    """No id, one that is no number, refused credentials, redirects; and it ends no session either."""
    users: tuple[Any, ...] = (
        {},
        {"id": None},
        {"id": True},
        {"id": "1"},
        {"id": 0},
        {"id": -1},
        {"id": 1.5},
        [],
        {"id": 10**300},
    )
    for user in users:
        github.user = user
        assert (await sign_in(Browser(service), HUB)).status_code == 502, user
    github.reset()
    github.emails = ["text"]
    assert (await sign_in(Browser(service), HUB)).status_code == 502
    for path, answer in (
        ("/login/oauth/access_token", (200, {}, b'{"error": "incorrect_client_credentials"}')),
        ("/login/oauth/access_token", (302, {"Location": "http://127.0.0.1:9/"}, b"{}")),
        ("/api/v3/user", (302, {"Location": "http://127.0.0.1:9/"}, b"")),
        ("/api/v3/user", (401, {}, b"{}")),
    ):
        github.reset()
        github.answers[path] = lambda answer=answer: answer  # type: ignore[misc]
        assert (await sign_in(Browser(service), HUB)).status_code == 502, path
    assert (await last_event(service))[0] == "signin_failed"
    logout = await service.client.post("/oauth/backchannel-logout/hub", data={"logout_token": github.logout_token()})
    assert logout.status_code == 400


async def test_github_com_needs_no_kind(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its addresses are those of the documentation; the identity is of `https://github.com`."""
    secret, rest = SecretStr(CLIENT_SECRET), {"private": False, "domains": (), "second_factor": (), "kind": "openid"}
    provider = Provider("github", GITHUB, CLIENT_ID, secret, "GitHub", **rest)  # type: ignore[arg-type]
    assert provider.is_github
    client, asked = GitHubClient(provider, "https://service.example/login/callback/github"), []
    url = urlsplit(await client.authorization_url(Attempt.new(), again=False))
    assert (url.netloc, url.path) == ("github.com", "/login/oauth/authorize")

    async def fetch(_: object, url: str, kind: type = dict, *, withhold_token: bool) -> Any:
        asked.append((url, withhold_token))
        return {"id": 1} if kind is dict else []

    monkeypatch.setattr("app.features.identity.github.fetch", fetch)
    assert await client._verify(AsyncOAuth2Client(), {}, "") == {"sub": "1"}  # noqa: SLF001  # nothing here reaches it
    assert asked == [("https://api.github.com/user", False), ("https://api.github.com/user/emails", False)]
