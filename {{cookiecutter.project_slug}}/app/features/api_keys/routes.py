"""My API keys, those of others for administrators, and the report of one that leaked."""

from typing import Annotated, Any
from uuid import UUID

from fastapi import Depends

from app.access.guard import GuardedRouter
from app.access.policies import STEP_UP_MINUTES, Allow, CurrentPrincipal, OwnSession, Public, policy
from app.core.pagination import QueryParams
from app.core.schemas import Page
from app.core.services import provided
from app.features.api_keys.permissions import ApiKeyPermission
from app.features.api_keys.schemas import ApiKeyCreate, ApiKeyCreated, ApiKeyRead, ApiKeyRotation, LeakedKey
from app.features.api_keys.service import ApiKeyService
from app.features.sessions.devices import RequestClient
from app.features.sessions.permissions import AccountPermission

router = GuardedRouter(prefix="/api-keys", tags=["API keys"])
others = GuardedRouter(prefix="/users/{owner_id}/api-keys", tags=["API keys"])

Keys = Annotated[ApiKeyService, provided(ApiKeyService)]
CHANGES = OwnSession(STEP_UP_MINUTES, AccountPermission.ACCOUNT_WRITE)
READS_ALL = Allow(ApiKeyPermission.KEYS_READ)
CHANGES_ALL = OwnSession(STEP_UP_MINUTES, ApiKeyPermission.KEYS_WRITE)
_CREATED: dict[int | str, dict[str, Any]] = {409: {"description": "API key limit reached"}}
_ROTATED: dict[int | str, dict[str, Any]] = {409: {"description": "It was replaced, or has expired"}}


async def _of_owner(owner_id: UUID, owner_key_id: UUID) -> tuple[UUID, UUID]:
    return owner_key_id, owner_id


KeyOfOwner = Annotated[tuple[UUID, UUID], Depends(_of_owner)]


@router.get("")
@policy(Allow(AccountPermission.ACCOUNT_READ))
async def list_api_keys(keys: Keys, principal: CurrentPrincipal, params: QueryParams) -> Page[ApiKeyRead]:
    """List my API keys, newest first, masked."""
    return await keys.list_keys(params, principal.user_id)


@router.get("/all")
@policy(READS_ALL)
async def list_all_api_keys(keys: Keys, params: QueryParams) -> Page[ApiKeyRead]:
    """List the API keys of all accounts, newest first, masked."""
    return await keys.list_keys(params)


@others.get("")
@policy(READS_ALL)
async def list_api_keys_of_account(owner_id: UUID, keys: Keys, params: QueryParams) -> Page[ApiKeyRead]:
    """List the API keys of an account, newest first, masked."""
    return await keys.list_keys(params, owner_id)


@router.post("", status_code=201, responses=_CREATED)
@policy(CHANGES)
async def create_api_key(
    new: ApiKeyCreate, keys: Keys, principal: CurrentPrincipal, origin: RequestClient
) -> ApiKeyCreated:
    """Make an API key, which only this answer shows; its scopes are among my permissions."""
    return await keys.create(principal, new, origin)


@others.post("", status_code=201, responses=_CREATED)
@policy(CHANGES_ALL)
async def create_api_key_of_service_account(
    owner_id: UUID, new: ApiKeyCreate, keys: Keys, principal: CurrentPrincipal, origin: RequestClient
) -> ApiKeyCreated:
    """Make an API key of a service account, which only this answer shows."""
    return await keys.create(principal, new, origin, owner_id)


@router.delete("/{key_id}", status_code=204)
@policy(CHANGES)
async def revoke_api_key(key_id: UUID, keys: Keys, principal: CurrentPrincipal) -> None:
    """End one of my API keys."""
    await keys.revoke(principal, key_id)


@others.delete("/{owner_key_id}", status_code=204)
@policy(CHANGES_ALL)
async def revoke_api_key_of_account(key: KeyOfOwner, keys: Keys, principal: CurrentPrincipal) -> None:
    """End an API key of any account; whoever made it gets a mail."""
    await keys.revoke(principal, *key)


@router.post("/{key_id}/rotate", responses=_ROTATED)
@policy(CHANGES)
async def rotate_api_key(
    key_id: UUID, rotation: ApiKeyRotation, keys: Keys, principal: CurrentPrincipal, origin: RequestClient
) -> ApiKeyCreated:
    """Replace one of my API keys; the old one works for some more hours."""
    return await keys.rotate(principal, rotation, origin, key_id)


@others.post("/{owner_key_id}/rotate", responses=_ROTATED)
@policy(CHANGES_ALL)
async def rotate_api_key_of_service_account(
    key: KeyOfOwner, rotation: ApiKeyRotation, keys: Keys, principal: CurrentPrincipal, origin: RequestClient
) -> ApiKeyCreated:
    """Replace an API key of a service account; the old one works for some more hours."""
    return await keys.rotate(principal, rotation, origin, *key)


@router.post("/leaked", status_code=202)
@policy(Public())
async def report_leaked_api_key(body: LeakedKey, keys: Keys, origin: RequestClient) -> None:
    """End a key that was found where it should not be. The answer does not say whether it was one."""
    await keys.report(body.key.get_secret_value(), origin)
