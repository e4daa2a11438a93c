"""`client_credentials`: a client that acts for itself, with the roles of its account and the scope it was given."""

from datetime import timedelta
from typing import Any

import pytest
import time_machine
from sqlalchemy import select

from app.access.roles import Role
from app.core.clock import utc_now
from app.core.database.database import Database
from app.features.sessions.models import Session
from app.features.signin.service import SignInService
from tests.support.access import permissions_of
from tests.support.api.oauth import Registered, ask_token, error_of, issue_to, machine_token, register, register_machine
from tests.support.service import Service

pytestmark = pytest.mark.anyio

GRANT = {"grant_type": "client_credentials"}
EVERYTHING = " ".join(sorted(permissions_of([Role.ADMIN])))


async def test_gives_an_access_token_and_no_refresh_token(service: Service) -> None:
    """RFC 6749 section 4.4.3; the bearer is the account of the client."""
    machine = await register_machine(service, Role.AUDITOR, scope="audit:read account:read", name="Night job")
    answer = await ask_token(service, machine.basic, **GRANT)
    body = answer.json()
    assert set(body) == {"access_token", "token_type", "expires_in", "scope"}
    assert (body["token_type"], body["expires_in"], body["scope"]) == ("Bearer", 600, "account:read audit:read")
    assert answer.headers["Cache-Control"] == "no-store"
    bearer = {"Authorization": f"Bearer {body['access_token']}"}
    me = (await service.client.get("/api/v1/users/me", headers=bearer)).json()
    assert me["email"] == f"{machine.client_id}@clients.invalid"
    assert (me["display_name"], me["roles"]) == ("Night job", ["auditor"])
    assert (await service.client.get("/api/v1/audit", headers=bearer)).status_code == 200


@pytest.mark.asvs("10.3.2", "10.4.11")
async def test_the_scope_narrows_the_roles_and_the_roles_narrow_the_scope(service: Service) -> None:
    """A token does what both allow: 403 with `insufficient_scope` for what one of them does not."""
    machine = await register_machine(service, Role.AUDITOR, scope="users:read users:write account:read")
    beyond = await ask_token(service, machine.basic, **GRANT, scope="audit:read")
    assert error_of(beyond) == (400, "invalid_scope")
    # In the scope of the client, and not in the roles of its account.
    assert error_of(await ask_token(service, machine.basic, **GRANT, scope="users:write")) == (400, "invalid_scope")
    for nothing in (" ", "nonsense", "users:read nonsense", "USERS:READ"):
        assert error_of(await ask_token(service, machine.basic, **GRANT, scope=nothing)) == (400, "invalid_scope")
    wide = await ask_token(service, machine.basic, **GRANT)
    assert wide.json()["scope"] == "account:read users:read"
    narrow = await machine_token(service, machine, scope="account:read")
    refused = await service.client.get("/api/v1/users", headers=narrow.bearer)
    assert refused.status_code == 403
    assert refused.headers["WWW-Authenticate"] == 'Bearer error="insufficient_scope", scope="users:read"'


@pytest.mark.asvs("10.4.4")
async def test_only_clients_with_the_grant_get_one(service: Service) -> None:
    """Neither a client of the code flow, nor a public one, nor the service's own sign-in."""
    with_code, public = await register(service), await register(service, confidential=False)
    assert error_of(await ask_token(service, with_code.basic, **GRANT)) == (400, "unauthorized_client")
    assert error_of(await ask_token(service, None, **GRANT, **public.form)) == (400, "unauthorized_client")
    assert error_of(await ask_token(service, None, **GRANT)) == (401, "invalid_client")
    assert error_of(await ask_token(service, None, **GRANT, client_id="first-party")) == (401, "invalid_client")
    machine = await register_machine(service)
    refused = await ask_token(service, machine.basic, grant_type="refresh_token", refresh_token="rt_x")
    assert error_of(refused) == (400, "unauthorized_client")
    unknown = await ask_token(service, machine.basic, grant_type="implicit")
    assert error_of(unknown) == (400, "unsupported_grant_type")


async def admin_call(service: Service, method: str, machine: Registered, path: str = "", json: Any = None) -> int:
    """What an administrator does to the account of a client."""
    _, admin = await service.signed_in(Role.ADMIN)
    target = f"/api/v1/users/{machine.client.user_id}{path}"
    answer = await service.client.request(method, target, headers=admin.bearer, json=json)
    return answer.status_code


@pytest.mark.asvs("7.4.2", "7.4.3")
async def test_disabling_or_deleting_the_account_ends_tokens_and_gives_none(service: Service) -> None:
    """At the next request, as for everybody."""
    for method, body in (("PATCH", {"disabled": True}), ("DELETE", None)):
        machine = await register_machine(service)
        tokens = await machine_token(service, machine)
        assert (await service.whoami(tokens)).status_code == 200
        assert await admin_call(service, method, machine, json=body) in {200, 204}
        assert (await service.whoami(tokens)).status_code == 401
        assert error_of(await ask_token(service, machine.basic, **GRANT)) == (400, "unauthorized_client")


async def test_other_roles_count_at_the_next_request(service: Service) -> None:
    """The old token is dead, a new one does what the new roles allow."""
    machine = await register_machine(service, Role.AUDITOR, scope="users:read account:read")
    tokens = await machine_token(service, machine)
    assert await admin_call(service, "PUT", machine, "/roles", json={"roles": ["member"]}) == 200
    assert (await service.whoami(tokens)).status_code == 401
    assert (await ask_token(service, machine.basic, **GRANT)).json()["scope"] == "account:read"


async def test_its_sessions_are_listed_and_end_with_their_tokens(service: Service) -> None:
    """The token is a row of its own, which names the client, and is over when the token is."""
    machine = await register_machine(service)
    first, second = [await machine_token(service, machine) for _ in range(2)]
    items = (await service.client.get("/api/v1/sessions", headers=second.bearer)).json()["items"]
    assert [item["client_id"] for item in items] == [machine.client_id] * 2
    # To end what others may use takes a person; a client gives back its own token (RFC 7009).
    assert (await service.client.delete("/api/v1/sessions", headers=second.bearer)).status_code == 403
    revoked = await service.client.post("/oauth/revoke", data={"token": first.access}, headers=machine.basic)
    assert revoked.status_code == 200
    assert [(await service.whoami(tokens)).status_code for tokens in (first, second)] == [401, 200]
    with time_machine.travel(utc_now() + timedelta(minutes=10, seconds=1), tick=False):
        fresh = await machine_token(service, machine)
        items = (await service.client.get("/api/v1/sessions", headers=fresh.bearer)).json()["items"]
        assert len(items) == 1
        assert (await service.whoami(second)).status_code == 401
    async with service[Database].read() as db:
        assert (await db.scalars(select(Session.methods))).all() == ["client_secret"] * 3


async def test_the_token_names_the_client(service: Service) -> None:
    """RFC 9068 section 2.2, in the claims and in what introspection says."""
    machine = await register_machine(service)
    claims = service[SignInService]
    found = await claims.look_at((await machine_token(service, machine)).access)
    assert found is not None
    assert (found.client_id, found.user_id) == (machine.client_id, machine.client.user_id)
    _, own = await service.signed_in()
    of_the_user = await claims.look_at(own.access)
    assert of_the_user is not None
    assert of_the_user.client_id == "first-party"
    person = await service.person()
    app = await register(service)
    of_the_app = await claims.look_at((await issue_to(service, app, person)).access)
    assert of_the_app is not None
    assert of_the_app.client_id == app.client_id
