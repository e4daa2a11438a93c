"""My API keys, and the report of one that leaked."""

from datetime import timedelta
from typing import Annotated
from uuid import UUID

from app.access.guard import GuardedRouter
from app.access.policies import STEP_UP_MINUTES, Allow, CurrentPrincipal, OwnSession, Public, policy
from app.core.pagination import DEFAULT_LIMIT, CursorText, Limit, PageParams
from app.core.schemas import Page
from app.core.services import provided
from app.features.api_keys.schemas import ApiKeyCreate, ApiKeyCreated, ApiKeyRead, ApiKeyRotation, LeakedKey
from app.features.api_keys.service import ApiKeyService
from app.features.sessions.client import RequestClient
from app.features.sessions.permissions import AccountPermission

router = GuardedRouter(prefix="/api-keys", tags=["API keys"])

Keys = Annotated[ApiKeyService, provided(ApiKeyService)]
CHANGES = OwnSession(STEP_UP_MINUTES, AccountPermission.ACCOUNT_WRITE)


@router.get("")
@policy(Allow(AccountPermission.ACCOUNT_READ))
async def list_api_keys(
    keys: Keys, principal: CurrentPrincipal, limit: Limit = DEFAULT_LIMIT, cursor: CursorText = None
) -> Page[ApiKeyRead]:
    """List my API keys, newest first, masked."""
    rows, next_cursor = await keys.list_of(principal.user_id, PageParams(limit, cursor))
    return Page(items=[ApiKeyRead.of(row) for row in rows], next_cursor=next_cursor)


@router.post("", status_code=201, responses={409: {"description": "API key limit reached"}})
@policy(CHANGES)
async def create_api_key(
    new: ApiKeyCreate, keys: Keys, principal: CurrentPrincipal, origin: RequestClient
) -> ApiKeyCreated:
    """Make an API key, which only this answer shows; its scopes are among my permissions."""
    row, key = await keys.create(principal, new, origin)
    return ApiKeyCreated.of(row, key=key)


@router.delete("/{key_id}", status_code=204)
@policy(CHANGES)
async def revoke_api_key(key_id: UUID, keys: Keys, principal: CurrentPrincipal) -> None:
    """End one of my API keys."""
    await keys.revoke(principal, key_id)


@router.post("/{key_id}/rotate", responses={409: {"description": "It was replaced, or has expired"}})
@policy(CHANGES)
async def rotate_api_key(
    key_id: UUID, rotation: ApiKeyRotation, keys: Keys, principal: CurrentPrincipal, origin: RequestClient
) -> ApiKeyCreated:
    """Replace one of my API keys; the old one works for some more hours."""
    row, key = await keys.rotate(principal, key_id, timedelta(hours=rotation.overlap_hours), origin)
    return ApiKeyCreated.of(row, key=key)


@router.post("/leaked", status_code=202)
@policy(Public())
async def report_leaked_api_key(body: LeakedKey, keys: Keys, origin: RequestClient) -> None:
    """End a key that was found where it should not be. The answer does not say whether it was one."""
    await keys.report(body.key.get_secret_value(), origin)
