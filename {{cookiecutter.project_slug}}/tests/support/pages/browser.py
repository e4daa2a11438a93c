"""A browser as far as HTTP goes: it keeps cookies, asks for pages, and says where its forms come from."""

import html
import re
from collections.abc import Iterator
from contextlib import contextmanager

import httpx2

from app.access.roles import Role
from app.features.browser.cookie import NAME
from tests.support.service import Person, Service

FORM = {"Accept": "text/html", "Sec-Fetch-Site": "same-origin"}


class Browser:
    """Speaks to the service over ASGI, with cookies of its own; follows no redirect by itself."""

    def __init__(self, service: Service) -> None:
        self.client = httpx2.AsyncClient(
            transport=httpx2.ASGITransport(app=service.app, raise_app_exceptions=False),
            base_url=service.client.base_url,
            headers={"Accept": "text/html"},
        )

    @property
    def cookie(self) -> str | None:
        """The value of the session cookie."""
        return self.client.cookies.get(NAME)

    @cookie.setter
    def cookie(self, value: str) -> None:
        self.client.cookies.set(NAME, value, domain=self.client.base_url.host)

    async def get(self, path: str, **options: object) -> httpx2.Response:
        """Open a page."""
        return await self.client.get(path, **options)  # type: ignore[arg-type]

    async def post(self, path: str, **fields: str) -> httpx2.Response:
        """Send a form of this service's own page."""
        # As browsers do for a form without fields too.
        headers = FORM | {"Content-Type": "application/x-www-form-urlencoded"}
        return await self.client.post(path, data=fields, headers=headers)

    async def sign_in(self, person: Person, **fields: str) -> httpx2.Response:
        """Sign in with the form."""
        return await self.post("/login", email=person.email, password=person.password, **fields)


async def with_browser(service: Service, *roles: Role) -> tuple[Person, Browser]:
    """Somebody new, signed in with a browser of their own."""
    person, browser = await service.person(*roles), Browser(service)
    assert (await browser.sign_in(person)).status_code == 303
    return person, browser


def shows_again(answer: httpx2.Response, status: int, *secrets: str) -> None:
    """The form is there again, and none of the secrets is on it."""
    assert answer.status_code == status
    assert "<form" in answer.text
    assert [secret for secret in secrets if secret in answer.text] == []


def text_of(answer: httpx2.Response) -> str:
    """What the page says, without its markup."""
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", answer.text)).split())


@contextmanager
def without_cookie(browser: Browser) -> Iterator[None]:
    """Leave the cookie out for the block."""
    value = browser.cookie
    browser.client.cookies.clear()
    yield
    if value is not None:
        browser.cookie = value
