"""A request that was let in, and then waits for a transaction in which the rights of its actor end."""

import asyncio
from collections.abc import Awaitable, Callable

import httpx2
from fastapi import Request
from sqlalchemy.ext.asyncio import AsyncSession

from app.access.guard import Authentication, Authenticator
from app.access.policies import Principal
from app.core.database.database import Database
from app.core.services import services_of
from app.features.accounts.administration import lock_administrators
from app.features.signin.tokens import BearerAuthenticator
from tests.support.service import Person, Service


async def while_it_waits(  # noqa: PLR0913, PLR0917  # who waits, for whom, and what happens
    service: Service,
    other: Service,
    actor: Person,
    request: Awaitable[httpx2.Response],
    end: Callable[[AsyncSession], Awaitable[object]],
    authenticator: Authenticator | None = None,
) -> httpx2.Response:
    """The answer to a request with a bearer token, or other credentials, that waits for what `other` does in `end`."""
    admitted = asyncio.Event()
    bearer = authenticator or BearerAuthenticator(services_of(service.app))

    class TellsWhenAdmitted:
        def takes(self, _: Request) -> bool:
            return True

        async def __call__(self, request: Request) -> Principal:
            principal = await bearer(request)
            admitted.set()
            return principal

    service[Authentication].prefer(TellsWhenAdmitted())
    async with other[Database].transaction() as db:
        await lock_administrators(db, actor.id)
        answer = asyncio.ensure_future(request)
        await asyncio.wait_for(admitted.wait(), 10)
        await asyncio.wait({answer}, timeout=0.3)
        assert not answer.done()
        await end(db)
    return await answer
