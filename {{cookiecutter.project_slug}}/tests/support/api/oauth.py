"""OAuth clients as a test sees them: registered, with their secret, and what they ask the endpoints."""

from base64 import b64encode
from dataclasses import dataclass
from typing import Any, NoReturn
from urllib.parse import quote_plus

import httpx2
import pytest
from pydantic import SecretStr

from app.access.roles import Role
from app.core.database.database import Database
from app.features.oauth.clients.registered import GrantType, RegisteredClient
from app.features.oauth.clients.schemas import ClientCreate
from app.features.oauth.clients.service import ClientService
from app.features.oauth.grants import GrantTable
from app.features.sessions.devices import Client
from app.features.sessions.service import SessionOptions
from app.features.signin.service import SignInService
from tests.support.service import Person, Service, Tokens

CALLBACK = "https://app.example/callback"
SCOPE = "account:read account:write"


@dataclass(frozen=True)
class Registered:
    """A client, and its secret where it has one."""

    client: RegisteredClient
    secret: str | None

    @property
    def client_id(self) -> str:
        """What it calls itself."""
        return self.client.client_id

    @property
    def basic(self) -> dict[str, str]:
        """The header that shows who it is."""
        return basic(self.client_id, self.secret or "")

    @property
    def form(self) -> dict[str, str]:
        """The parameters that show who it is: its name alone for a public client."""
        named = {"client_id": self.client_id}
        return named if self.secret is None else named | {"client_secret": self.secret}


def basic(client_id: str, secret: str) -> dict[str, str]:
    """HTTP Basic, as RFC 6749 section 2.3.1 wants it."""
    text = f"{quote_plus(client_id)}:{quote_plus(secret)}"
    return {"Authorization": f"Basic {b64encode(text.encode()).decode()}"}


async def _no_code(*_: object) -> NoReturn:
    pytest.fail("no test exchanges a code where there is none")


async def register(service: Service, **fields: Any) -> Registered:
    """Register a client: a confidential one with a code flow, unless told otherwise."""
    new = ClientCreate.model_validate({"name": "App", "scope": SCOPE, "redirect_uris": [CALLBACK]} | fields)
    if GrantType.AUTHORIZATION_CODE in new.grants:
        # A pure API has no code flow. What tokens of users are worth in the hands of a client is the same there.
        service[GrantTable].setdefault(GrantType.AUTHORIZATION_CODE, _no_code)
    client, secret = await service[ClientService].add(None, new)
    return Registered(client, secret.get_secret_value() if isinstance(secret, SecretStr) else None)


async def register_machine(service: Service, *roles: Role, **fields: Any) -> Registered:
    """Register a client that acts for itself."""
    given: dict[str, Any] = {"grants": ["client_credentials"], "redirect_uris": [], "roles": roles or [Role.MEMBER]}
    return await register(service, **given | {"roles": list(given["roles"])} | fields)


async def issue_to(
    service: Service, registered: Registered, person: Person, scope: str = SCOPE, *, refreshable: bool = True
) -> Tokens:
    """Give the client tokens of somebody, as a grant does that needs a browser."""
    signin = service[SignInService]
    lifetime = None if refreshable else signin.shortest_session
    options = SessionOptions(scope, "pwd", registered.client_id, lifetime=lifetime)
    async with service[Database].transaction() as db:
        pair = await signin.open(db, person.id, options, Client("127.0.0.1", "test"), "test")
    return Tokens(pair.access_token, pair.refresh_token or "")


async def ask_token(service: Service, headers: dict[str, str] | None = None, /, **form: str) -> httpx2.Response:
    """Ask the token endpoint."""
    return await service.client.post("/oauth/token", data=form, headers=headers)


async def machine_token(service: Service, machine: Registered, **form: str) -> Tokens:
    """A token that the client gets for itself."""
    answer = await ask_token(service, machine.basic, grant_type="client_credentials", **form)
    assert answer.status_code == 200, answer.text
    return Tokens(answer.json()["access_token"], "")


async def introspect(service: Service, token: str, headers: dict[str, str]) -> dict[str, Any]:
    """What the service says of a token."""
    answer = await service.client.post("/oauth/introspect", data={"token": token}, headers=headers)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def error_of(answer: httpx2.Response) -> tuple[int, str]:
    """Status and error code of a refusal, which says nothing else."""
    body = answer.json()
    assert set(body) == {"error", "error_description"}, body
    return answer.status_code, body["error"]
