"""Clients of the service itself: parts of its own pages, which need nobody to register them."""

from contextlib import suppress
from uuid import uuid4

from sqlalchemy import insert
from sqlalchemy.exc import IntegrityError

from app.core.clock import utc_now
from app.core.database.database import Database
from app.features.oauth.clients.registered import GrantType
from app.features.oauth.clients.service import ClientService
from app.features.oauth.models import OAuthClient


async def keep_own_client(  # noqa: PLR0913  # the parts of a row
    database: Database, clients: ClientService, client_id: str, *, name: str, redirect_uri: str, scope: frozenset[str]
) -> None:
    """Have a public, first-party client that may ask for every scope; every process sees to it when it starts.

    Making and replacing it is no security event: nobody did anything, and every installation has it. One with another
    address, or without a scope that has come since, gives way to a new one, and what it got ends.
    """
    there = await clients.find(client_id)
    if there is not None:
        if (there.redirect_uris, there.scope) == ((redirect_uri,), scope):
            return
        await clients.discard_own(there)
    row = {
        "id": uuid4(),
        "created_at": utc_now(),
        "client_id": client_id,
        "name": name,
        "first_party": True,
        "grants": GrantType.AUTHORIZATION_CODE.value,
        "redirect_uris": redirect_uri,
        "scope": " ".join(sorted(scope)),
    }
    with suppress(IntegrityError):  # another process was quicker
        async with database.transaction() as db:
            await db.execute(insert(OAuthClient), row)
