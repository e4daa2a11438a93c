"""What a browser does to sign in with a provider."""

import json
from typing import Any
from urllib.parse import urlsplit

import httpx2

from tests.features.identity.providers.issuer import Issuer
from tests.support.pages.browser import Browser, with_browser
from tests.support.records.trail import stored
from tests.support.service import Person, Service

IDENTITIES = "/account/identities"


async def begin(browser: Browser, path: str = "/login/with/good", **fields: str) -> str:
    """Press the button, and return where the browser is sent."""
    answer = await browser.post(path, **fields)
    assert answer.status_code == 200, answer.text
    return answer.headers["Refresh"].removeprefix("0; url=")


async def at_provider(url: str) -> str:
    """Sign in at the provider, and return the path of this service that it sends the browser to."""
    async with httpx2.AsyncClient(timeout=30) as client:
        answer = await client.get(url)
    assert answer.status_code == 302, answer.text
    target = urlsplit(answer.headers["Location"])
    return f"{target.path}?{target.query}"


async def sign_in(browser: Browser, path: str = "/login/with/good", **fields: str) -> httpx2.Response:
    """Go there and come back."""
    return await browser.get(await at_provider(await begin(browser, path, **fields)))


async def link(browser: Browser, name: str = "good") -> httpx2.Response:
    """Link who signs in at the provider with the account of the browser."""
    return await sign_in(browser, f"{IDENTITIES}/link/{name}")


async def linked(service: Service, good: Issuer) -> tuple[Person, Browser]:
    """Somebody whom the provider signs in, and the browser that they have linked it with."""
    person, browser = await with_browser(service)
    answer = await link(browser)
    assert answer.headers["Location"] == f"{IDENTITIES}?done=identity-linked", answer.text
    good.asked.clear()
    return person, browser


async def identity_ids(browser: Browser) -> list[str]:
    """The ids of what is linked, as the forms of the page have them."""
    text = (await browser.get(IDENTITIES)).text
    return [part.partition("/unlink")[0] for part in text.split(f"{IDENTITIES}/")[1:] if "/unlink" in part]


async def last_event(service: Service) -> tuple[str, str, dict[str, Any]]:
    """What the trail has last: the event, whom it names, and its other fields."""
    row = (await stored(service))[-1]
    return row["action"], str(row["actor_id"] or row["target_id"]), json.loads(row["details"])
