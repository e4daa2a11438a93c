"""My secrets: keep, list, change, delete and reveal them."""

from typing import Annotated
from uuid import UUID

from app.access.guard import GuardedRouter
from app.access.policies import STEP_UP_MINUTES, Allow, CurrentPrincipal, Recent, policy
from app.core.pagination import QueryParams
from app.core.schemas import Page
from app.core.services import provided
from app.features.vault.permissions import VaultPermission
from app.features.vault.schemas import LARGEST_SECRET, RevealedSecret, SecretCreate, SecretRead, SecretUpdate
from app.features.vault.service import VaultService

router = GuardedRouter(prefix="/secrets", tags=["vault"])

Vault = Annotated[VaultService, provided(VaultService)]


@router.post(
    "", status_code=201, max_body_size=LARGEST_SECRET, responses={409: {"description": "Secret limit reached"}}
)
@policy(Allow(VaultPermission.SECRETS_WRITE))
async def create_secret(new: SecretCreate, vault: Vault, principal: CurrentPrincipal) -> SecretRead:
    """Keep a secret: a text of up to 10 000 characters, up to 16 KiB as base64, or both."""
    return await vault.create(principal, new)


@router.get("")
@policy(Allow(VaultPermission.SECRETS_READ))
async def list_secrets(vault: Vault, principal: CurrentPrincipal, params: QueryParams) -> Page[SecretRead]:
    """List my secrets, newest first, masked."""
    return await vault.list_own(principal.user_id, params)


@router.get("/{secret_id}")
@policy(Allow(VaultPermission.SECRETS_READ))
async def read_secret(secret_id: UUID, vault: Vault, principal: CurrentPrincipal) -> SecretRead:
    """Show one of my secrets, masked."""
    return await vault.get(principal.user_id, secret_id)


@router.patch("/{secret_id}", max_body_size=LARGEST_SECRET, responses={409: {"description": "No value would be left"}})
@policy(Allow(VaultPermission.SECRETS_WRITE))
async def change_secret(secret_id: UUID, change: SecretUpdate, vault: Vault, principal: CurrentPrincipal) -> SecretRead:
    """Change the name or a value; null clears a value."""
    return await vault.change(principal, secret_id, change)


@router.delete("/{secret_id}", status_code=204)
@policy(Allow(VaultPermission.SECRETS_WRITE))
async def delete_secret(secret_id: UUID, vault: Vault, principal: CurrentPrincipal) -> None:
    """Delete one of my secrets."""
    await vault.delete(principal, secret_id)


@router.post("/{secret_id}/reveal", responses={500: {"description": "The stored values can no longer be read"}})
@policy(Recent(STEP_UP_MINUTES, VaultPermission.SECRETS_REVEAL))
async def reveal_secret(secret_id: UUID, vault: Vault, principal: CurrentPrincipal) -> RevealedSecret:
    """Show the values of one of my secrets in clear, for 15 minutes after signing in."""
    return await vault.reveal(principal.user_id, secret_id)
