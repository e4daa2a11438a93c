"""Every write of the API is called: what it ends or takes needs a recent sign-in, and what it did is on record.

Which routes these are is found by looking at the tables before and after, not by their names.
"""

from dataclasses import dataclass
from typing import Any

import httpx2
import pytest
from sqlalchemy import text

from app.access.guard import route_policies
from app.access.policies import Recent
from app.access.roles import Role
from app.core.database.database import Base, Database
from tests.features.factors.passkeys.steps import add_passkey
from tests.features.factors.steps import challenged, enrol, sign_in_with_app
from tests.support.api.oauth import Registered, issue_to, register
from tests.support.api.samples import SAMPLES
from tests.support.records.trail import Row, stored
from tests.support.service import Person, Service, Tokens

pytestmark = [pytest.mark.anyio, pytest.mark.asvs("7.5.3", "16.2.1", "16.3.3")]

PASSWORD, NEW_PASSWORD = "five wet stones roll", "nine blue kites land"
CLIENT = {"name": "App", "scope": "account:read", "redirect_uris": ["https://app.example/"]}
READS = {"GET", "HEAD", "OPTIONS"}
# What takes rights: a row that goes or changes; of clients and consents, one that comes too.
WATCHED = {
    "sessions": "SELECT id, ended_at FROM sessions WHERE ended_at IS NULL",
    "user_roles": "SELECT user_id, role FROM user_roles",
    "users": "SELECT id, disabled_at FROM users",
    "consents": "SELECT id, scope FROM consents",
    "oauth_clients": "SELECT id, secret_hash, scope, first_party FROM oauth_clients",
}
# These end or take something without a recent sign-in, for another proof comes with the request.
PROVED = {
    "POST /api/v1/accounts/password/reset": "a mailed token, used once",
    "POST /oauth/revoke": "the token itself, whose session alone ends (RFC 7009)",
}
# What no event tells of, and why.
SILENT = {
    "POST /api/v1/signin/passkey": "it asks for a proof, and nobody has given any yet",
    "POST /oauth/introspect": "it only looks",
}


@dataclass(frozen=True)
class World:
    """Who and what a write is about: an administrator who calls, and somebody else's account, session and client."""

    service: Service
    actor: Person
    tokens: Tokens
    target: Person
    target_tokens: Tokens
    client: Registered
    names: dict[str, str]


async def world_of(service: Service) -> World:
    """A new one, in which every write has something to do."""
    actor, target = await service.person(Role.ADMIN, password=PASSWORD), await service.person()
    await service.person(Role.ADMIN)
    tokens, target_tokens = await service.sign_in(actor), await service.sign_in(target)
    enrolled = await enrol(service, actor, tokens)
    await add_passkey(service, actor, tokens)
    await sign_in_with_app(service, enrolled)
    client = await register(service)
    await issue_to(service, client, target)
    listed = (await service.client.get("/api/v1/sessions", headers=tokens.bearer)).json()["items"]
    other = next(item["id"] for item in listed if not item["current"])
    names = {"user_id": str(target.id), "client_id": str(client.client.id), "session_id": other}
    names |= {"challenge": await challenged(service, actor), "code": enrolled.app.fresh()}
    names["factor_id"] = enrolled.factor_id
    for samples in SAMPLES:
        names |= await samples.names(service, tokens)
    return World(service, actor, tokens, target, target_tokens, client, names)


def bodies(world: World) -> dict[str, dict[str, Any]]:
    """What makes each write succeed; those of a form go to `/oauth/`."""
    mail = f"{world.names['session_id']}@people.example"
    return {
        "POST /api/v1/accounts": {"email": mail, "password": NEW_PASSWORD},
        "POST /api/v1/accounts/password/forgot": {"email": world.target.email},
        "POST /api/v1/clients": CLIENT,
        "POST /api/v1/invitations": {"email": mail},
        "POST /api/v1/signin": {"email": world.target.email, "password": world.target.password},
        "POST /api/v1/signin/factor": {
            "kind": "totp",
            "code": world.names["code"],
            "challenge": world.names["challenge"],
        },
        "POST /api/v1/users/me/factors": {"kind": "recovery_codes"},
        "DELETE /api/v1/users/me": {"current_password": PASSWORD},
        "PATCH /api/v1/users/me": {"display_name": "Ann"},
        "POST /api/v1/users/me/email": {"new_email": mail, "current_password": PASSWORD},
        "POST /api/v1/users/me/password": {"current_password": PASSWORD, "new_password": NEW_PASSWORD},
        "PATCH /api/v1/users/{user_id}": {"disabled": True},
        "PUT /api/v1/users/{user_id}/roles": {"roles": ["auditor"]},
        "POST /oauth/introspect": {"token": world.tokens.access},
        "POST /oauth/revoke": {"token": world.tokens.access},
        "POST /oauth/token": {"grant_type": "refresh_token", "refresh_token": world.target_tokens.refresh},
    }


# They take a token that came by mail, and have tests of their own with their events.
MAILED = {
    "POST /api/v1/accounts/email/confirm",
    "POST /api/v1/accounts/password/reset",
    "POST /api/v1/accounts/verify",
}


def writes_of(service: Service) -> dict[str, Any]:
    """The policy of every route of the API that is not for reading, by method and path."""
    prefixes = ("/api/", "/oauth/token", "/oauth/revoke", "/oauth/introspect")
    return {
        f"{method} {path}": policy
        for method, path, policy in route_policies(service.app)
        if method not in READS and path.startswith(prefixes)
    }


async def write(world: World, name: str) -> httpx2.Response:
    """Call the route, so that it succeeds."""
    method, _, path = name.partition(" ")
    own = {name: dict(body) for samples in SAMPLES for name, body in samples.bodies.items()}
    body, path = (own | bodies(world)).get(name), path.format(**world.names)
    if body and name in own:
        body = {key: value.format(**world.names) if isinstance(value, str) else value for key, value in body.items()}
    form = path.startswith("/oauth/")
    headers = {} if name == "POST /oauth/token" else world.tokens.bearer
    sent = {"data": body} if form else {"json": body}
    answer: httpx2.Response = await world.service.client.request(method, path, headers=headers, **sent)  # type: ignore[arg-type]  # one of two
    assert answer.is_success, (name, answer.text, "its body stands in tests/features/NAME/samples.py")
    return answer


async def watched(service: Service) -> dict[str, dict[str, tuple[Any, ...]]]:
    """What is watched, by table and by its rows' identity."""
    found = {}
    async with service[Database].read() as db:
        for name, statement in WATCHED.items():
            if name not in Base.metadata.tables:  # an option that was left out
                continue
            key = slice(0, 2) if name == "user_roles" else slice(0, 1)
            found[name] = {str(tuple(row)[key]): tuple(row) for row in await db.execute(text(statement))}
    return found


async def events_of(service: Service, answer: httpx2.Response) -> list[Row]:
    """The rows that the request left."""
    return [row for row in await stored(service) if row["request_id"] == answer.headers["x-request-id"]]


def taken(before: dict[str, dict[str, tuple[Any, ...]]], after: dict[str, dict[str, tuple[Any, ...]]]) -> set[str]:
    """The tables of which the write ended, took or changed something, or in which it let somebody in."""
    lost = {name for name, rows in before.items() if any(after[name].get(key) != row for key, row in rows.items())}
    return lost | {
        name for name in ("oauth_clients", "consents") if after.get(name, {}).keys() - before.get(name, {}).keys()
    }


async def test_what_ends_sessions_or_takes_rights_needs_a_recent_sign_in(service: Service) -> None:
    """Each write that changed one of the watched tables has the policy, or another proof with each request."""
    found: dict[str, set[str]] = {}
    for name, policy in writes_of(service).items():
        if name in MAILED:
            continue
        world = await world_of(service)
        before = await watched(service)
        await write(world, name)
        found[name] = taken(before, await watched(service))
        if found[name] and name not in PROVED:
            assert isinstance(policy, Recent), (name, str(policy), found[name])
    assert found["PATCH /api/v1/users/{user_id}"] == {"sessions", "users"}
    assert found["DELETE /api/v1/clients/{client_id}"] == {"sessions", "oauth_clients"}
    assert found["DELETE /api/v1/users/me"] >= {"sessions", "user_roles", "users"}


async def test_every_write_is_on_record(service: Service) -> None:
    """One event at least with the request's id and its outcome; what leaves none is listed with the reason."""
    silent = set()
    for name in writes_of(service).keys() - MAILED:
        world = await world_of(service)
        rows = await events_of(service, await write(world, name))
        if not any(row["outcome"] == "success" for row in rows):
            silent.add(name)
    assert silent == SILENT.keys()
