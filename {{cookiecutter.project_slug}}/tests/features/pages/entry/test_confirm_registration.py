"""Confirming a registration: a click does not open the account to a password that somebody else chose."""

import pytest

from tests.conftest import StartService
from tests.support.api.account_mail import PASSWORD, Post
from tests.support.pages.browser import Browser, text_of
from tests.support.records.mail import Mailbox
from tests.support.service import Service

pytestmark = pytest.mark.anyio

ADA, CHOSEN = "ada@people.example", "what the owner of the mailbox has chosen"


@pytest.fixture
def post(service: Service, mailbox: Mailbox) -> Post:
    """People who register and read their mail."""
    return Post(service, mailbox)


async def signs_in(post: Post, password: str) -> bool:
    """Whether the password opens the account."""
    return (await post.service.try_sign_in(ADA, password)).status_code == 200


@pytest.mark.asvs("6.4.1", "6.4.3")
@pytest.mark.parametrize("with_page", [False, True])
async def test_a_click_does_not_confirm_the_password_of_a_stranger(post: Post, *, with_page: bool) -> None:
    """Registered by somebody else, on the page or not: the owner clicks, and chooses a password by a second mail."""
    if with_page:
        await Browser(post.service).post("/register", email=ADA, password=PASSWORD)
    else:
        await post.register(ADA, display_name="Eve")
    owner = Browser(post.service)
    answer = await owner.post("/verify", token=await post.token(ADA))
    assert answer.status_code == 200
    assert "choose your password" in text_of(answer)
    assert not await signs_in(post, PASSWORD)
    token = await post.token(ADA, 2)
    assert token.startswith("pwr_")
    assert await post.reset(token, CHOSEN) == 204
    assert await signs_in(post, CHOSEN)
    assert not await signs_in(post, PASSWORD)


@pytest.mark.asvs("6.4.1")
async def test_whoever_registered_confirms_with_a_click_in_the_same_browser(post: Post) -> None:
    """And with the password in another one; a wrong password uses nothing up."""
    browser, phone = Browser(post.service), Browser(post.service)
    await browser.post("/register", email=ADA, password=PASSWORD)
    token = await post.token(ADA)
    assert 'name="password"' not in (await browser.get("/verify")).text
    assert 'name="password"' in (await phone.get("/verify")).text
    refused = await phone.post("/verify", token=token, password="not the password of it")
    assert (refused.status_code, 'id="password-help"' in refused.text) == (403, True)
    assert (await browser.post("/verify", token=token)).status_code == 200
    assert await signs_in(post, PASSWORD)


async def test_whoever_registered_confirms_with_the_password_elsewhere(post: Post) -> None:
    """It is kept, and no second mail comes."""
    await Browser(post.service).post("/register", email=ADA, password=PASSWORD)
    answer = await Browser(post.service).post("/verify", token=await post.token(ADA), password=PASSWORD)
    assert answer.status_code == 200
    assert await signs_in(post, PASSWORD)
    assert len(post.mailbox.messages(ADA)) == 1


@pytest.mark.asvs("6.4.1")
async def test_another_registration_of_the_browser_proves_nothing(post: Post) -> None:
    """The cookie is for one address and password, and shows nothing about another one."""
    await post.register(ADA)
    owner = Browser(post.service)
    await owner.post("/register", email="other@people.example", password=PASSWORD)
    await owner.post("/verify", token=await post.token(ADA))
    assert not await signs_in(post, PASSWORD)


@pytest.mark.asvs("3.3.1", "3.3.2", "3.3.4", "6.3.8")
async def test_the_cookie_of_a_registration(start: StartService) -> None:
    """For this host over TLS alone, out of reach of scripts, for an hour; alike for an address that is known."""
    async with start() as service:
        known, browser = await service.person(), Browser(service)
        cookies = []
        for email in (known.email, ADA):
            answer = await browser.post("/register", email=email, password=PASSWORD)
            cookies.append(answer.headers["Set-Cookie"])
        for cookie in cookies:
            name, _, rest = cookie.partition("=")
            assert (name, len(rest.split(";")[0])) == ("__Host-registered", 43)
            assert set(rest.split("; ")[1:]) == {"HttpOnly", "Max-Age=3600", "Path=/", "SameSite=lax", "Secure"}


async def test_a_client_of_the_api_can_show_the_password_too(post: Post) -> None:
    """A wrong one confirms nothing, the right one does."""
    await post.register(ADA)
    token = await post.token(ADA)
    wrong = await post("/accounts/verify", {"token": token, "password": "not the password of it"})
    assert wrong.status_code == 403
    assert (await post("/accounts/verify", {"token": token, "password": PASSWORD})).status_code == 204
    assert await signs_in(post, PASSWORD)
