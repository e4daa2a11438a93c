"""Every refusal of a page is asked which event it leaves, as `tests/security/test_refusals.py` asks the API."""

from collections.abc import Awaitable, Callable
from uuid import uuid4

import httpx2
import pytest

from tests.features.authorization.steps import query
from tests.support.api.oauth import issue_to, register
from tests.support.pages.browser import FORM, Browser, with_browser
from tests.support.records.trail import stored
from tests.support.service import Person, Service

pytestmark = [pytest.mark.anyio, pytest.mark.asvs("16.3.1", "16.3.2")]

WRONG, NEW = "wrong password of mine", "nine blue kites land"
TOKEN = "A" * 43
FOREIGN = "https://evil.example/callback"


class Case:
    """A member with a browser who is refused."""

    def __init__(self, service: Service, person: Person, browser: Browser) -> None:
        self.service, self.person, self.browser = service, person, browser

    async def authorize(self, **change: str) -> httpx2.Response:
        """Come from a client, with something wrong."""
        given = query(await register(self.service), **change)
        return await self.browser.get("/oauth/authorize", params=given)

    async def decide(self) -> httpx2.Response:
        """Decide with the token of an application beside the cookie."""
        tokens = await issue_to(self.service, await register(self.service), self.person)
        form = {"request": "x", "decision": "allow"}
        return await self.browser.client.post("/oauth/authorize", data=form, headers=FORM | tokens.bearer)

    async def decide_for_nobody(self) -> httpx2.Response:
        """Decide about the request of a client that is not known."""
        return await self.browser.post("/oauth/authorize", request="client_id=unknown", decision="allow")


Refusal = Callable[[Case], Awaitable[httpx2.Response]]
REFUSALS: dict[str, tuple[Refusal, int, str]] = {
    "wrong password": (
        lambda case: case.browser.post("/login", email=case.person.email, password=WRONG),
        401,
        "signin_failed",
    ),
    "wrong password to confirm": (
        lambda case: case.browser.post("/confirm", password=WRONG),
        403,
        "password_confirmed",
    ),
    "wrong current password": (
        lambda case: case.browser.post("/account/password", current_password=WRONG, new_password=NEW),
        403,
        "password_changed",
    ),
    "unknown token to confirm": (
        lambda case: case.browser.post("/verify", token=f"vrf_{TOKEN}"),
        400,
        "account_token_refused",
    ),
    "unknown token to reset": (
        lambda case: case.browser.post("/reset", token=f"pwr_{TOKEN}", new_password=NEW),
        400,
        "account_token_refused",
    ),
    "unknown token of another address": (
        lambda case: case.browser.post("/account/email/confirm", token=f"eml_{TOKEN}"),
        400,
        "account_token_refused",
    ),
    "a page of an administrator": (lambda case: case.browser.get("/admin"), 403, "access_denied"),
    "a form of another origin": (
        lambda case: case.browser.client.post("/account/profile", headers={"Sec-Fetch-Site": "cross-site"}),
        403,
        "cross_origin_refused",
    ),
    "unknown client": (lambda case: case.authorize(client_id="unknown"), 400, "client_authentication_failed"),
    "foreign redirect address": (
        lambda case: case.authorize(redirect_uri=FOREIGN),
        400,
        "client_authentication_failed",
    ),
    "a decision about an unknown client": (Case.decide_for_nobody, 400, "client_authentication_failed"),
    "a token beside the cookie": (Case.decide, 403, "access_denied"),
}


@pytest.mark.parametrize("name", REFUSALS)
async def test_a_refusal_of_a_page_is_on_record(service: Service, name: str) -> None:
    """One event, by its name, that says it was refused."""
    refuse, status, event = REFUSALS[name]
    answer = await refuse(Case(service, *await with_browser(service)))
    assert answer.status_code == status, answer.text
    rows = [row for row in await stored(service) if row["request_id"] == answer.headers["x-request-id"]]
    assert [(row["action"], row["outcome"] == "success") for row in rows] == [(event, False)]


async def test_the_trail_names_the_client_whose_address_was_not_its_own(service: Service) -> None:
    """And neither the name that is no client's nor the address: a stranger wrote them."""
    _, browser = await with_browser(service)
    client = await register(service)
    for change in ({"redirect_uri": FOREIGN}, {"client_id": f"unknown-{uuid4()}"}):
        await browser.get("/oauth/authorize", params=query(client, **change))
    rows = [row for row in await stored(service) if row["action"] == "client_authentication_failed"]
    assert [(row["target_type"], row["target_id"]) for row in rows] == [("client", str(client.client.id)), (None, None)]
    assert not [row for row in rows if "evil.example" in str(row) or "unknown-" in str(row)]
