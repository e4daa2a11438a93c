"""`docs/requests.md` lists the fields that hold only together; each pair that does not is refused."""

from collections.abc import Awaitable, Callable

import httpx2
import pytest

from app.access.roles import Role
from tests.support.documents import rows
from tests.support.service import Person, Service, Tokens

Case = Callable[[Service, Person, Tokens], Awaitable[httpx2.Response]]

CODE, ITSELF, REFRESH = "authorization_code", "client_credentials", "refresh_token"
WEB: dict[str, object] = {
    "name": "Web",
    "scope": "account:read",
    "grants": [CODE],
    "redirect_uris": ["https://app.example/back"],
}
JOB: dict[str, object] = {"name": "Job", "scope": "users:read", "grants": [ITSELF], "roles": ["auditor"]}


def client(good: dict[str, object], **fields: object) -> Case:
    """Register a client with other fields than a good one."""

    async def ask(service: Service, _: Person, tokens: Tokens) -> httpx2.Response:
        return await service.client.post("/api/v1/clients", json=good | fields, headers=tokens.bearer)

    return ask


async def own_address(service: Service, person: Person, tokens: Tokens) -> httpx2.Response:
    """Set a password that is the address."""
    body = {"current_password": person.password, "new_password": person.email}
    return await service.client.post("/api/v1/users/me/password", json=body, headers=tokens.bearer)


async def own_name(service: Service, _: Person, __: Tokens) -> httpx2.Response:
    """Register with the name as the password."""
    name = "Grace Brewster Hopper"
    body = {"email": "somebody@people.example", "display_name": name, "password": name.lower()}
    return await service.client.post("/api/v1/accounts", json=body)


def other_list(path: str, **changed: str) -> Case:
    """Go on in a list with each of these changed: all are refused, or the answer is that of the one that is not."""

    async def ask(service: Service, _: Person, tokens: Tokens) -> httpx2.Response:
        await service.person()
        first = await service.client.get(path, params={"limit": "1"}, headers=tokens.bearer)
        going_on = {"limit": "1", "cursor": first.json()["next_cursor"]}
        answer = await service.client.get(path, params=going_on, headers=tokens.bearer)
        assert answer.status_code == 200, answer.text
        for name, value in changed.items():
            answer = await service.client.get(path, params=going_on | {name: value}, headers=tokens.bearer)
            if answer.status_code != 422:
                break
        return answer

    return ask


CASES: dict[str, Case] = {
    "the grant `refresh_token` needs `authorization_code`": client(WEB, grants=[REFRESH], redirect_uris=[]),
    "the grant `authorization_code` needs `redirect_uris`": client(WEB, redirect_uris=[]),
    "`redirect_uris` need the grant `authorization_code`": client(JOB, redirect_uris=WEB["redirect_uris"]),
    "the grant `client_credentials` needs `roles`": client(JOB, roles=[]),
    "`roles` need the grant `client_credentials`": client(WEB, roles=["auditor"]),
    "the grant `client_credentials` needs a client that is `confidential`": client(JOB, confidential=False),
    "`new_password` is not made of the address and the name of the account": own_address,
    "`password` is not made of `email` and `display_name`": own_name,
    "`cursor` needs the `q`, `state` and `sort` that it was given for": other_list(
        "/api/v1/users", q="a", state="active", sort="email"
    ),
    "`cursor` needs the filters that it was given for": other_list("/api/v1/audit", action="signed_out"),
}


@pytest.mark.same_on_every_database
@pytest.mark.asvs("2.1.2")
def test_every_rule_is_tested() -> None:
    """The document has no other rule, and lacks none."""
    assert [rule for _, rule in rows("call", "what goes together")] == list(CASES)


@pytest.mark.anyio
@pytest.mark.asvs("2.2.3", "2.1.2")
@pytest.mark.parametrize("rule", CASES)
async def test_what_does_not_go_together_is_refused(service: Service, rule: str) -> None:
    """422, and the same call is good where the fields go together, and the service has the grant."""
    person, tokens = await service.signed_in(Role.ADMIN)
    answer = await CASES[rule](service, person, tokens)
    assert answer.status_code == 422, answer.text
    has = (await service.client.get("/.well-known/oauth-authorization-server")).json()["grant_types_supported"]
    for good in (WEB, JOB) if CODE in has else (JOB,):
        answer = await service.client.post("/api/v1/clients", json=good, headers=tokens.bearer)
        assert answer.status_code == 201, answer.text
