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


async def other_search(service: Service, _: Person, tokens: Tokens) -> httpx2.Response:
    """Go on in a list with another search."""
    await service.person()
    first = await service.client.get("/api/v1/users", params={"limit": "1"}, headers=tokens.bearer)
    query = {"cursor": first.json()["next_cursor"], "q": "a"}
    return await service.client.get("/api/v1/users", params=query, headers=tokens.bearer)


CASES: dict[str, Case] = {
    "the grant `refresh_token` needs `authorization_code`": client(WEB, grants=[REFRESH], redirect_uris=[]),
    "the grant `authorization_code` needs `redirect_uris`": client(WEB, redirect_uris=[]),
    "`redirect_uris` need the grant `authorization_code`": client(JOB, redirect_uris=WEB["redirect_uris"]),
    "the grant `client_credentials` needs `roles`": client(JOB, roles=[]),
    "`roles` need the grant `client_credentials`": client(WEB, roles=["auditor"]),
    "the grant `client_credentials` needs a client that is `confidential`": client(JOB, confidential=False),
    "`new_password` is not made of the address and the name of the account": own_address,
    "`cursor` needs the `q`, `state` and `sort` that it was given for": other_search,
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
    """422, and the same call is good where the fields go together."""
    person, tokens = await service.signed_in(Role.ADMIN)
    answer = await CASES[rule](service, person, tokens)
    assert answer.status_code == 422, answer.text
    for good in (WEB, JOB):
        answer = await service.client.post("/api/v1/clients", json=good, headers=tokens.bearer)
        assert answer.status_code == 201, answer.text
