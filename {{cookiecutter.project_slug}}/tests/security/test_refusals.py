"""Every refusal is asked which event it leaves; what leaves none is listed with the reason."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from itertools import count
from uuid import uuid4

import httpx2
import pytest
import time_machine

from app.access.guard import route_policies
from app.access.policies import ClientOrUser, Public, Recent
from app.access.roles import Role
from app.core.clock import utc_now
from app.features.accounts.permissions import UserPermission
from app.features.oauth.permissions import ClientPermission
from tests.conftest import PUBLIC_URL, StartService
from tests.support.access import permissions_of
from tests.support.api.oauth import Registered, issue_to, register
from tests.support.records.trail import stored
from tests.support.service import Person, Service, Tokens, tokens_of

pytestmark = [pytest.mark.anyio, pytest.mark.asvs("16.3.1", "16.3.2")]

FORBIDDEN = 403
PASSWORD = "five wet stones roll"
# What a browser says of a form of this service, with a token or without.
OWN_PAGE = {"Sec-Fetch-Site": "same-origin", "Origin": PUBLIC_URL}
BY = {"current_password": "wrong password of mine"}
NARROW = " ".join({*permissions_of([Role.MEMBER]), ClientPermission.CLIENTS_WRITE, UserPermission.USERS_WRITE})
_addresses = count(1)


@asynccontextmanager
async def from_another_address(service: Service) -> AsyncIterator[httpx2.AsyncClient]:
    """A client of its own address: equal refusals of one address are counted, and not each a row."""
    number = next(_addresses)
    transport = httpx2.ASGITransport(
        app=service.app, client=(f"10.9.{number // 250}.{number % 250 + 1}", 1), raise_app_exceptions=False
    )
    async with httpx2.AsyncClient(transport=transport, base_url=PUBLIC_URL) as client:
        yield client


async def events_of(service: Service, answer: httpx2.Response) -> set[str]:
    """What is on record of the request, but for what succeeded."""
    mine = [row for row in await stored(service) if row["request_id"] == answer.headers["x-request-id"]]
    return {row["action"] for row in mine if row["outcome"] != "success"}


async def test_every_route_tells_of_whom_it_refuses(service: Service) -> None:
    """Nobody, a member without the permission, and an administrator who signed in too long ago, at each route."""
    _, member = await service.signed_in()
    _, admin = await service.signed_in(Role.ADMIN)
    recent, api = [], service.app.openapi()["paths"]
    for method, template, policy in route_policies(service.app):
        path = "/".join(str(uuid4()) if part.startswith("{") else part for part in template.split("/"))
        if isinstance(policy, Public):
            continue
        assert await _refused(service, method, path, {}, 401) == {"unauthenticated"}, path
        # Pages take cookies alone, and have tests of their own; a client of an endpoint has other credentials.
        if isinstance(policy, ClientOrUser) or template not in api:
            continue
        if isinstance(policy, Recent):
            recent.append((method, path))
        if await _asked(service, method, path, member) == FORBIDDEN:
            assert await _refused(service, method, path, member.bearer, FORBIDDEN) == {"access_denied"}, path
    with time_machine.travel(utc_now() + timedelta(minutes=16), tick=False):
        renewed = tokens_of(await service.refresh(admin.refresh))
        for method, path in recent:
            assert await _refused(service, method, path, renewed.bearer, 401) == {"access_denied"}, path


async def _asked(service: Service, method: str, path: str, tokens: Tokens) -> int:
    async with from_another_address(service) as client:
        return (await client.request(method, path, headers=OWN_PAGE | tokens.bearer)).status_code


async def _refused(service: Service, method: str, path: str, headers: dict[str, str], status: int) -> set[str]:
    data = {"token": "x"} if path.startswith("/oauth/") else None
    async with from_another_address(service) as client:
        answer = await client.request(method, path, headers=OWN_PAGE | headers, data=data)
    assert answer.status_code == status, (method, path, answer.status_code)
    return await events_of(service, answer)


class Case:
    """Somebody who is refused beyond the policy of a route: what they have, and whom they ask."""

    def __init__(self, service: Service, client: httpx2.AsyncClient) -> None:
        self.service, self.client = service, client

    async def arrive(self) -> None:
        """Sign in: an administrator, once with a narrow scope, a member, and two clients."""
        service = self.service
        self.person: Person = await service.person(Role.ADMIN, password=PASSWORD)
        self.admin = await service.sign_in(self.person)
        self.narrow = tokens_of(await service.refresh((await service.sign_in(self.person)).refresh, scope=NARROW))
        self.member = await service.person()
        self.app: Registered = await register(service)
        self.public: Registered = await register(service, confidential=False)
        self.issued = await issue_to(service, self.app, self.member)

    async def api(self, method: str, path: str, tokens: Tokens | None = None, body: object = None) -> httpx2.Response:
        """Ask the API."""
        return await self.client.request(method, f"/api/v1{path}", json=body, headers=tokens.bearer if tokens else None)

    async def token(self, client: Registered | None, **form: str) -> httpx2.Response:
        """Ask for tokens."""
        return await self.client.post("/oauth/token", data=form | (client.form if client else {}))


Refusal = Callable[[Case], Awaitable[httpx2.Response]]
UNKNOWN = {"token": "unknown"}
NEW_CLIENT = {"name": "App", "redirect_uris": ["https://app.example/"]}
REFUSALS: dict[str, tuple[Refusal, str | None]] = {
    "wrong password": (
        lambda case: case.api("POST", "/signin", body={"email": case.member.email, "password": "wrong"}),
        "signin_failed",
    ),
    "wrong current password": (
        lambda case: case.api("POST", "/users/me/password", case.admin, BY | {"new_password": "nine blue kites land"}),
        "password_changed",
    ),
    "wrong password for another address": (
        lambda case: case.api("POST", "/users/me/email", case.admin, BY | {"new_email": "new@people.example"}),
        "email_change_requested",
    ),
    "wrong password for the end of the account": (
        lambda case: case.api("DELETE", "/users/me", case.admin, BY),
        "account_deleted",
    ),
    "unknown token to confirm": (
        lambda case: case.api("POST", "/accounts/verify", body=UNKNOWN),
        "account_token_refused",
    ),
    "unknown token to reset": (
        lambda case: case.api("POST", "/accounts/password/reset", body=UNKNOWN | {"new_password": PASSWORD}),
        "account_token_refused",
    ),
    "unknown token of another address": (
        lambda case: case.api("POST", "/accounts/email/confirm", body=UNKNOWN),
        "account_token_refused",
    ),
    "unknown refresh token": (
        lambda case: case.token(None, grant_type="refresh_token", refresh_token="rt_" + "A" * 43),
        "token_refused",
    ),
    "refresh token of another client": (
        lambda case: case.token(case.public, grant_type="refresh_token", refresh_token=case.issued.refresh),
        "token_refused",
    ),
    "more scope than granted": (
        lambda case: case.token(
            case.app, grant_type="refresh_token", refresh_token=case.issued.refresh, scope="users:read"
        ),
        "token_refused",
    ),
    "grant of another client": (
        lambda case: case.token(case.app, grant_type="client_credentials"),
        "token_refused",
    ),
    "wrong secret of a client": (
        lambda case: case.client.post("/oauth/token", data=case.app.form | {"client_secret": "x", "grant_type": "y"}),
        "client_authentication_failed",
    ),
    "introspection by a public client": (
        lambda case: case.client.post("/oauth/introspect", data=case.public.form | {"token": "x"}),
        "client_authentication_failed",
    ),
    "roles beyond one's own rights": (
        lambda case: case.api("PATCH", f"/users/{case.person.id}", case.narrow, {"disabled": True}),
        "access_denied",
    ),
    "invitation beyond one's own rights": (
        lambda case: case.api(
            "POST", "/invitations", case.narrow, {"email": "guest@people.example", "roles": ["admin"]}
        ),
        "access_denied",
    ),
    "client beyond one's own rights": (
        lambda case: case.api("POST", "/clients", case.narrow, NEW_CLIENT | {"scope": "audit:read"}),
        "access_denied",
    ),
    "another host": (
        lambda case: case.client.get("/livez/x", headers={"Host": "other.example"}),
        "host_refused",
    ),
    # None: what is refused is a mistake, and nobody's rights, secrets or tokens were tried.
    "the last administrator": (
        lambda case: case.api("PUT", f"/users/{case.person.id}/roles", case.admin, {"roles": ["member"]}),
        None,
    ),
    "what is not there": (lambda case: case.api("DELETE", f"/users/{uuid4()}", case.admin), None),
    "what breaks a rule": (lambda case: case.api("PATCH", "/users/me", case.admin, {"display_name": 1}), None),
    "a secret for a public client": (
        lambda case: case.api("POST", f"/clients/{case.public.client.id}/secret", case.admin),
        None,
    ),
    "an address that is taken": (
        lambda case: case.api("POST", "/invitations", case.admin, {"email": case.member.email}),
        None,
    ),
}


@pytest.mark.parametrize("name", REFUSALS)
async def test_a_refusal_beyond_the_policy_is_on_record(service: Service, name: str) -> None:
    """One event, by its name, that says it was refused; or none, for the reason above."""
    refuse, event = REFUSALS[name]
    async with from_another_address(service) as client:
        case = Case(service, client)
        await case.arrive()
        answer = await refuse(case)
    assert answer.status_code >= 400, answer.text
    assert await events_of(service, answer) == ({event} if event else set())


async def test_closed_registration_leaves_no_row(start: StartService) -> None:
    """It is nobody's, and changes nothing; the address that asks is counted by the general limit."""
    async with start(registration="closed") as service:
        body = {"email": "new@people.example", "password": PASSWORD}
        answer = await service.client.post("/api/v1/accounts", json=body)
        assert answer.status_code == 403
        assert await events_of(service, answer) == set()


async def test_a_new_client_is_on_record_with_all_that_it_may_do(service: Service) -> None:
    """Scope, kind, grants, roles and addresses, which are cut before they push out the rest."""
    _, admin = await service.signed_in(Role.ADMIN)
    await register(service)  # a grant that a pure API does not have is there after it
    long = [f"https://app.example/{number}/{'x' * 450}" for number in range(10)]
    body = NEW_CLIENT | {"scope": "account:read users:read", "first_party": True, "redirect_uris": long}
    answer = await service.client.post("/api/v1/clients", json=body, headers=admin.bearer)
    assert answer.status_code == 201, answer.text
    details = next(
        row["details"] for row in await stored(service) if row["action"] == "client_created" and row["actor_id"]
    )
    for told in (
        '"first_party":true',
        '"scope":"account:read users:read"',
        '"confidential":true',
        *(u[:300] for u in long),
    ):
        assert told in details


async def test_no_address_or_grant_of_a_new_client_hides_another_in_the_trail(service: Service) -> None:
    """Names like those of secrets are no names before a value there; an address with a secret in it stays masked."""
    _, admin = await service.signed_in(Role.ADMIN)
    await register(service)  # a grant that a pure API does not have is there after it
    secret = "cs_" + "A" * 43
    uris = ["https://app.example/token", "https://evil.example/", f"https://app.example/{secret}"]
    for some in (uris[:2], uris):
        body = NEW_CLIENT | {"scope": "account:read", "redirect_uris": some}
        assert (await service.client.post("/api/v1/clients", json=body, headers=admin.bearer)).status_code == 201
        row = [row for row in await stored(service) if row["action"] == "client_created"][-1]
        told = json.loads(row["details"])
        assert told["grants"] == "authorization_code refresh_token"
        assert [told["redirect_uris"][str(number)] for number in (1, 2)] == uris[:2]
        assert secret not in row["details"]


async def test_an_invited_account_that_gives_way_is_on_record(service: Service) -> None:
    """An account is made with the address of an invitation: the invited one is gone, and the trail says which."""
    _, admin = await service.signed_in(Role.ADMIN)
    body = {"email": "guest@people.example"}
    invited = (await service.client.post("/api/v1/invitations", json=body, headers=admin.bearer)).json()["id"]
    await service.person(email="guest@people.example")
    rows = [row for row in await stored(service) if row["action"] == "account_deleted"]
    assert [(row["target_id"], row["actor_id"]) for row in rows] == [(invited, None)]


async def test_a_new_name_is_on_record(service: Service) -> None:
    """By its user and by an administrator: who renamed whom, and not to what."""
    person, tokens = await service.signed_in()
    administrator, admin = await service.signed_in(Role.ADMIN)
    await service.client.patch("/api/v1/users/me", json={"display_name": "Ann"}, headers=tokens.bearer)
    path = f"/api/v1/users/{person.id}"
    await service.client.patch(path, json={"display_name": "Bob"}, headers=admin.bearer)
    rows = [row for row in await stored(service) if row["action"] == "account_renamed"]
    assert [(row["actor_id"], row["target_id"]) for row in rows] == [
        (person.id, str(person.id)),
        (administrator.id, str(person.id)),
    ]
    assert not [row for row in rows if "Ann" in row["details"] or "Bob" in row["details"]]
