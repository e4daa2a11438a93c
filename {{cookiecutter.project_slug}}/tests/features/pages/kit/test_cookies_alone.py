"""Pages take cookies alone: a token opens none, and uses up nothing of its owner's."""

import pytest

from app.access.guard import route_policies
from app.access.policies import Public
from app.access.roles import Role
from app.features.pages.kit.page import PageRoute
from tests.conftest import StartService
from tests.support.api.oauth import issue_to, register
from tests.support.pages.browser import FORM, Browser, with_browser
from tests.support.service import Service

pytestmark = [pytest.mark.anyio, pytest.mark.asvs("6.3.1", "7.2.1")]

NOBODY = "00000000-0000-0000-0000-000000000000"


def guarded_pages(service: Service) -> list[tuple[str, str]]:
    """Every page for somebody who is signed in, with its method."""
    pages = {route.path for route in service.app.routes if isinstance(route, PageRoute)}
    return [
        (method, path)
        for method, path, policy in route_policies(service.app)
        if path in pages and not isinstance(policy, Public)
    ]


async def test_no_page_takes_a_token(service: Service) -> None:
    """An administrator's, with every right: it is led to the sign-in as whoever has nothing."""
    _, admin = await service.signed_in(Role.ADMIN)
    pages = guarded_pages(service)
    assert {("GET", "/account"), ("POST", "/confirm"), ("GET", "/admin")} <= set(pages)
    for method, path in pages:
        filled = "/".join(NOBODY if part.startswith("{") else part for part in path.split("/"))
        answer = await service.client.request(method, filled, headers=FORM | admin.bearer)
        assert (answer.status_code, answer.headers["Location"].split("?")[0]) == (303, "/login"), path


async def test_with_a_cookie_a_header_for_somebody_else_does_not_matter(service: Service) -> None:
    """A proxy with a password of its own before the service: the page is for whom the cookie stands for."""
    person, browser = await with_browser(service)
    for value in ("Basic dGVzdDp0ZXN0", "Bearer x", f"Bearer {(await service.signed_in())[1].access}"):
        answer = await browser.get("/account", headers={"Authorization": value})
        assert answer.status_code == 200
        assert person.email in answer.text


async def test_a_token_does_not_keep_the_owner_from_confirming(start: StartService) -> None:
    """Wrong passwords of a client with any scope: it learns nothing, and the owner confirms at once."""
    async with start(rate_limit_signin="3/hour") as service:
        person, client = await service.person(), await register(service)
        token = await issue_to(service, client, person, "account:read")
        for _ in range(4):
            answer = await service.client.post("/confirm", data={"password": "wrong"}, headers=FORM | token.bearer)
            assert (answer.status_code, answer.headers["Location"].split("?")[0]) == (303, "/login")
        browser = Browser(service)
        await browser.sign_in(person)
        assert (await browser.post("/confirm", password=person.password)).status_code == 303
