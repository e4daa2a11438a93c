"""`/oauth/authorize`: what its parameters ask for is done, or told to the client, through the pages of a user."""

import html
import re
from urllib.parse import unquote, urlencode, urlsplit

import pytest
import time_machine

from app.core.clock import utc_now
from tests.features.pages.entry.test_authorize import CALLBACK, address, answered, client_of, decide, exchange
from tests.support.pages.browser import Browser, text_of, with_browser
from tests.support.service import Service

pytestmark = pytest.mark.anyio


async def allow(browser: Browser, asked: str) -> dict[str, str]:
    """What the client is told when its user allows it."""
    return answered(await decide(browser, await browser.get(asked), "allow"))


@pytest.mark.parametrize("length", [1024, 1025, 3000])
async def test_a_long_state_comes_back(service: Service, length: int) -> None:
    """Through the sign-in and the decision, as it was sent (RFC 6749 section 4.1.2)."""
    client, browser, person = await client_of(service), Browser(service), await service.person()
    asked, state = address(client, state="x" * length), "x" * length
    to_sign_in = await browser.get(asked)
    page = await browser.get(to_sign_in.headers["Location"])
    typed = re.search(r'name="next" value="([^"]*)"', page.text)
    assert typed
    back = await browser.sign_in(person, next=html.unescape(typed[1]))
    assert back.headers["Location"] == asked
    told = await allow(browser, asked)
    assert (told["state"], "code" in told) == (state, True)
    assert answered(await browser.get(address(client, state=state, scope="x")))["state"] == state


async def test_a_request_that_is_too_long_is_told_to_the_client(service: Service) -> None:
    """With its state; a longer one does not go through the pages, so who is not signed in reads it on one."""
    client, browser, state = await client_of(service), Browser(service), "x" * 4000
    page = await browser.get(address(client, state=state))
    assert (page.status_code, "Location" in page.headers) == (400, False)
    assert "longer than 4000" in text_of(page)
    await browser.sign_in(await service.person())
    told = answered(await browser.get(address(client, state=state)))
    assert (told["error"], told["state"]) == ("invalid_request", state)
    assert "longer than 4000" in told["error_description"]


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"response_type": "token"}, "unsupported_response_type"),
        ({"response_type": None}, "invalid_request"),
        ({"scope": "x"}, "invalid_scope"),
        ({"code_challenge": None}, "invalid_request"),
        ({"state": "\u00e9"}, "invalid_request"),
        ({"request": "x"}, "request_not_supported"),
        ({"resource": "https://other.example"}, "invalid_target"),
        ({"prompt": "none", "scope": "x"}, "invalid_scope"),
        ({"prompt": "none", "max_age": "x"}, "invalid_request"),
        ({"prompt": "select_account"}, "account_selection_required"),
    ],
)
async def test_nobody_is_sent_to_a_client_with_an_error_before_signing_in(
    service: Service, changes: dict[str, str | None], error: str
) -> None:
    """A link to this service that leads elsewhere at once is bait (RFC 9700 section 4.11.2): the error waits."""
    client, browser = await client_of(service), Browser(service)
    asked = address(client, **changes)
    to_sign_in = await browser.get(asked)
    assert to_sign_in.headers["Location"].startswith("/login?next=/oauth/authorize%3F")
    back = await browser.sign_in(await service.person(), next=asked)
    assert back.headers["Location"] == asked
    assert answered(await browser.get(asked))["error"] == error


async def test_a_repeated_parameter_is_told_to_the_client(service: Service) -> None:
    """RFC 6749 sections 3.1 and 4.1.2.1; its name and address are trusted once alone. Other paths stay strict."""
    client, (_, browser) = await client_of(service), await with_browser(service)
    for extra in ("scope=account%3Aread", "nonce=1&nonce=2", "max_age=1&max%5fage=1", "response_type=", "x&x"):
        told = answered(await browser.get(f"{address(client)}&{extra}"))
        assert (told["error"], told["state"]) == ("invalid_request", "the client's own")
        assert told["error_description"] == "A parameter is there more than once."
    told = answered(await browser.get(f"{address(client)}&state=other"))
    assert (told["error"], "state" in told) == ("invalid_request", False)
    for extra in (f"client_id={client['client_id']}", f"redirect_uri={CALLBACK}", "redirect_uri=https://evil.example/"):
        refused = await browser.get(f"{address(client)}&{extra}")
        assert (refused.status_code, "Location" in refused.headers) == (400, False)
    assert (await browser.get("/login?next=/&next=/")).status_code == 400


async def test_a_resource_is_this_service(service: Service) -> None:
    """RFC 8707: once, or several times; for another one there is no token, and the client is told why."""
    client, browser = await client_of(service), Browser(service)
    await browser.sign_in(await service.person())
    own = "resource=https://service.example"
    code = (await allow(browser, f"{address(client)}&{own}&{own}%2F"))["code"]
    assert (await exchange(service, client, code, resource="https://service.example")).status_code == 200
    for extra in ("resource=https://other.example", f"{own}&resource=https://other.example"):
        told = answered(await browser.get(f"{address(client)}&{extra}"))
        assert (told["error"], told["state"]) == ("invalid_target", "the client's own")
        assert told["error_description"] == "The one resource is https://service.example"


async def test_prompt_none_asks_nobody(service: Service) -> None:
    """OpenID Connect Core section 3.1.2.1: an error instead of a page, or the code where nothing is to be asked."""
    client, browser = await client_of(service), Browser(service)
    silent = address(client, prompt="none")
    assert answered(await browser.get(silent))["error"] == "login_required"
    await browser.sign_in(await service.person())
    assert answered(await browser.get(silent))["error"] == "consent_required"
    await allow(browser, address(client))
    assert "code" in answered(await browser.get(silent))
    with time_machine.travel(utc_now().timestamp() + 120, tick=False):
        told = answered(await browser.get(address(client, prompt="none", max_age="60")))
        assert (told["error"], told["error_description"]) == ("login_required", "The user has to sign in.")


async def test_prompt_login_asks_for_a_sign_in(service: Service) -> None:
    """However new the last one is; once, and then the request goes on with the rest of it."""
    client, browser, person = await client_of(service, first_party=True), Browser(service), await service.person()
    for page, prompt, rest in (
        ("/login", "login", ""),
        ("/confirm", "login", ""),
        ("/confirm", "consent login", "consent"),
    ):
        to_prove = await browser.get(address(client, prompt=prompt))
        path, _, following = to_prove.headers["Location"].partition("?next=")
        assert path == page
        following = unquote(following)
        assert following == address(client, prompt=rest)
        if page == "/login":
            await browser.sign_in(person, next=following)
        else:
            await browser.post("/confirm", password=person.password, next=following)
        answer = await browser.get(following)
        assert "code" in (answered(await decide(browser, answer, "allow")) if rest else answered(answer))
    skipped = urlsplit(address(client, prompt="login")).query
    told = answered(await browser.post("/oauth/authorize", request=skipped, decision="allow"))
    assert told["error"] == "login_required"


async def test_prompt_consent_asks_again(service: Service) -> None:
    """Also where the user has allowed it before, and for a client of the service's own."""
    client, own, browser = await client_of(service), await client_of(service, first_party=True), Browser(service)
    await browser.sign_in(await service.person())
    await allow(browser, address(client))
    for one in (client, own):
        assert "code" in answered(await browser.get(address(one)))
        assert "code" in await allow(browser, address(one, prompt="consent"))


async def test_a_client_keeps_the_window_that_it_opened(service: Service) -> None:
    """No answer on the way cuts the tie, redirects and mistakes included; without a trusted client, every page does."""
    client, browser, person = await client_of(service), Browser(service), await service.person()
    asked = address(client)
    answers = [await browser.get(asked), await browser.get("/login?" + urlencode({"next": asked}))]
    answers.append(await browser.post("/login", email=person.email, password="wrong", next=asked))
    answers.append(await browser.sign_in(person, next=asked))
    answers.append(await browser.get("/confirm?" + urlencode({"next": asked})))
    answers.append(await browser.post("/confirm", password="wrong", next=asked))
    answers.append(await browser.post("/confirm", password=person.password, next=asked))
    page = await browser.get(asked)
    answers += [
        page,
        await decide(browser, page, "deny"),
        await decide(browser, page, "allow"),
        await browser.get(asked),
    ]
    answers.append(await browser.get(address(client, scope="x")))
    assert [answer.headers["Cross-Origin-Opener-Policy"] for answer in answers] == ["unsafe-none"] * len(answers)
    for path in ("/", "/confirm", "/account", address(client, redirect_uri="https://evil.example/")):
        assert (await browser.get(path)).headers["Cross-Origin-Opener-Policy"] == "same-origin"
    assert (await browser.post("/login", email="x", password="y")).headers[
        "Cross-Origin-Opener-Policy"
    ] == "same-origin"
