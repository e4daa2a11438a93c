"""What the routes of the identities take."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID, uuid4

from app.core.clock import utc_now
from app.core.database.database import Database
from app.features.identity.models import Identity
from tests.support.service import Service, Tokens

BODIES: Mapping[str, Mapping[str, Any]] = {}
LEFT_OUT: frozenset[str] = frozenset()


async def names(service: Service, tokens: Tokens) -> dict[str, str]:
    """Link an identity."""
    me = (await service.client.get("/api/v1/users/me", headers=tokens.bearer)).json()
    linked = Identity(id=uuid4(), user_id=UUID(me["id"]), issuer="https://id.example", subject=str(uuid4()))
    linked.created_at = utc_now()
    async with service[Database].transaction() as db:
        db.add(linked)
    return {"identity_id": str(linked.id)}
