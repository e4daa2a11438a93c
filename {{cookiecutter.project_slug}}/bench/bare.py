"""A bare FastAPI route that answers with the JSON of a signed-in `GET /api/v1/users/me`, and does nothing for it."""

from datetime import UTC, datetime
from uuid import UUID

from fastapi import FastAPI

from app.access.roles import Role
from app.features.accounts.schemas import AccountRead
from app.features.installed import FEATURES

app = FastAPI(openapi_url=None)

_ANSWER = AccountRead(
    id=UUID(int=0),
    email="somebody@service.example",
    email_verified=True,
    display_name=None,
    roles=[Role.ADMIN],
    permissions=sorted(permission for feature in FEATURES for permission in feature.grants),
    disabled=False,
    created_at=datetime(2026, 1, 1, tzinfo=UTC),
    muted_alerts=[],
)


@app.get("/api/v1/users/me")
async def me() -> AccountRead:
    """Give everybody the same answer."""
    return _ANSWER
