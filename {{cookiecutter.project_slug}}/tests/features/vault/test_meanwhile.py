"""A session or an account that ends while a request of the vault waits for a lock."""

from uuid import UUID

import pytest
from sqlalchemy import delete
from sqlalchemy.ext.asyncio import AsyncSession

from app.features.accounts.models import User
from app.features.sessions.events import ENDED_BY_USER
from app.features.sessions.service import SessionService
from tests.conftest import StartService
from tests.features.vault.steps import PATH, keep, kept
from tests.support.api.meanwhile import while_it_waits

pytestmark = pytest.mark.anyio


@pytest.mark.asvs("7.4.1", "15.4.2")
@pytest.mark.parametrize("method", ["POST", "PATCH", "DELETE"])
async def test_a_session_that_ends_while_its_write_waits_keeps_and_changes_nothing(
    start: StartService, method: str
) -> None:
    """The request was let in before the session ended: 401, and the vault is as it was."""
    async with start() as service, start() as other:
        person, tokens = await service.signed_in()
        owner = await service.sign_in(person)
        path = await kept(service, owner)
        before = (await service.client.get(PATH, headers=owner.bearer)).json()
        body = None if method == "DELETE" else {"name": "another", "secret_string": "another"}
        request = service.client.request(method, PATH if method == "POST" else path, json=body, headers=tokens.bearer)
        listed = (await service.client.get("/api/v1/sessions", headers=tokens.bearer)).json()["items"]
        (stolen,) = (UUID(session["id"]) for session in listed if session["current"])

        async def end(db: AsyncSession) -> None:
            await other[SessionService].end(db, ENDED_BY_USER, id=stolen)

        answer = await while_it_waits(service, other, person, request, end)
        assert answer.status_code == 401, answer.text
        assert (await service.client.get(PATH, headers=owner.bearer)).json() == before


@pytest.mark.asvs("15.4.2")
async def test_an_account_that_is_deleted_meanwhile_keeps_nothing(start: StartService) -> None:
    """401 where the request was let in before: no secret without an owner, and no crash."""
    async with start() as service, start() as other:
        person, tokens = await service.signed_in()

        async def end(db: AsyncSession) -> None:
            await db.execute(delete(User).where(User.id == person.id))

        assert (await while_it_waits(service, other, person, keep(service, tokens), end)).status_code == 401
