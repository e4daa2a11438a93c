"""`/oauth/revoke` for clients: their own tokens, and nobody else's (RFC 7009)."""

import pytest

from tests.support.api.oauth import Registered, error_of, issue_to, machine_token, register, register_machine
from tests.support.records.trail import stored
from tests.support.service import Service

pytestmark = pytest.mark.anyio


async def revoke(service: Service, token: str, client: Registered | None) -> int:
    """Ask for a revocation."""
    form = {"token": token} | (client.form if client else {})
    return (await service.client.post("/oauth/revoke", data=form)).status_code


@pytest.mark.asvs("10.4.9")
@pytest.mark.parametrize("kind", ["access", "refresh"])
@pytest.mark.parametrize("confidential", [True, False], ids=["confidential", "public"])
async def test_a_client_revokes_its_own_tokens(service: Service, kind: str, *, confidential: bool) -> None:
    """Either token ends the session, other sessions of the client go on, and the row says which client it was."""
    client, person = await register(service, confidential=confidential), await service.person()
    tokens, other = [await issue_to(service, client, person) for _ in range(2)]
    assert await revoke(service, getattr(tokens, kind), client) == 200
    assert [(await service.whoami(each)).status_code for each in (tokens, other)] == [401, 200]
    row = next(row for row in await stored(service) if row["action"] == "token_revoked")
    assert (row["actor_id"], row["target_type"]) == (None, "session")
    assert client.client_id in row["details"]


async def test_nothing_else_is_revoked_and_nothing_is_told(service: Service) -> None:
    """200 for another client's token, a user's own, and what is no token; each lives on."""
    client, other, person = await register(service), await register(service), await service.person()
    theirs, own = await issue_to(service, other, person), await service.sign_in(person)
    machine = await register_machine(service)
    itself = await machine_token(service, machine)
    for token in (theirs.refresh, theirs.access, own.refresh, own.access, itself.access, "rt_" + "A" * 43, "x"):
        assert await revoke(service, token, client) == 200
    for tokens in (theirs, own, itself):
        assert (await service.whoami(tokens)).status_code == 200
    assert await revoke(service, itself.access, machine) == 200
    assert (await service.whoami(itself)).status_code == 401


async def test_a_user_revokes_what_a_client_has(service: Service) -> None:
    """With their own access token, and not with somebody else's."""
    client, person = await register(service), await service.person()
    tokens, own = await issue_to(service, client, person), await service.sign_in(person)
    _, stranger = await service.signed_in()
    for bearer, status in ((stranger.bearer, 200), (own.bearer, 401)):
        answer = await service.client.post("/oauth/revoke", data={"token": tokens.refresh}, headers=bearer)
        assert answer.status_code == 200
        assert (await service.whoami(tokens)).status_code == status


async def test_the_parameter_is_required(service: Service) -> None:
    """RFC 7009 section 2.1."""
    client = await register(service)
    answer = await service.client.post("/oauth/revoke", data=client.form)
    assert error_of(answer) == (400, "invalid_request")
