"""`app/features/accounts/passwords/confirmation.py`: who may try the current password, and how often."""

import httpx2
import pytest

from app.access.roles import Role
from tests.conftest import StartService
from tests.support.api.oauth import issue_to, register
from tests.support.service import Service, Tokens

pytestmark = [pytest.mark.anyio, pytest.mark.asvs("6.3.1", "7.5.1")]

ME = "/api/v1/users/me"
NEW = "seven other words in another row"
WRONG = "not the right password"
ROUTES = [
    ("POST", f"{ME}/password", {"new_password": NEW}),
    ("POST", f"{ME}/email", {"new_email": "new@people.example"}),
    ("DELETE", ME, {}),
]


async def confirm(
    service: Service, tokens: Tokens, password: str, route: tuple[str, str, dict[str, str]] = ROUTES[0]
) -> httpx2.Response:
    """Ask for something that takes the current password."""
    method, path, body = route
    body = body | {"current_password": password}
    return await service.client.request(method, path, json=body, headers=tokens.bearer)


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: " ".join(route[:2]))
async def test_a_stolen_session_is_limited_and_the_owner_is_not(
    start: StartService, route: tuple[str, str, dict[str, str]]
) -> None:
    """Its wrong passwords use up its own attempts, and neither those of other sessions nor those of the sign-in."""
    async with start(rate_limit_signin="3/hour") as service:
        person, stolen = await service.signed_in()
        own = await service.sign_in(person)
        statuses = [(await confirm(service, stolen, WRONG)).status_code for _ in range(4)]
        assert statuses == [403, 403, 403, 429]
        assert (await confirm(service, stolen, person.password, route)).status_code == 429
        assert (await confirm(service, own, WRONG, route)).status_code == 403
        assert (await confirm(service, own, person.password, route)).status_code in {202, 204}


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: " ".join(route[:2]))
async def test_an_application_tries_no_password(start: StartService, route: tuple[str, str, dict[str, str]]) -> None:
    """With every scope it gets one answer to the right and to a wrong one, and uses up nobody's attempts."""
    async with start(rate_limit_signin="7/hour") as service:
        client, person = await register(service), await service.person()
        token = await issue_to(service, client, person)
        answers = [await confirm(service, token, password, route) for password in [WRONG, person.password] * 3]
        assert {answer.status_code for answer in answers} == {403}
        assert len({answer.json()["detail"] for answer in answers}) == 1
        own = await service.sign_in(person)
        assert (await confirm(service, own, person.password, route)).status_code in {202, 204}


@pytest.mark.parametrize("route", ROUTES[::2], ids=lambda route: " ".join(route[:2]))
async def test_a_request_without_a_password_is_no_attempt(
    start: StartService, route: tuple[str, str, dict[str, str]]
) -> None:
    """A client that leaves it out is told so, however often, and then not kept from giving it."""
    async with start(rate_limit_signin="3/hour") as service:
        person, tokens = await service.signed_in()
        method, path, body = route
        for _ in range(5):
            answer = await service.client.request(method, path, json=body, headers=tokens.bearer)
            assert (answer.status_code, answer.json()["detail"]) == (422, "The current password is missing.")
        assert (await confirm(service, tokens, person.password, route)).status_code in {202, 204}


async def test_the_limit_is_an_event(start: StartService) -> None:
    """The trail says whose session had its share."""
    async with start(rate_limit_signin="2/hour") as service:
        person, stolen = await service.signed_in()
        for _ in range(3):
            await confirm(service, stolen, WRONG)
        _, admin = await service.signed_in(Role.ADMIN)
        answer = await service.client.get("/api/v1/audit", params={"action": "signin_limited"}, headers=admin.bearer)
        (row,) = answer.json()["items"]
        assert row["outcome"] == "denied"
        assert str(person.id) in str(row)
