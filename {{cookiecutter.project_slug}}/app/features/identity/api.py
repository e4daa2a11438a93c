"""My linked sign-ins, in the API. Linking one takes a browser: `routes.py`."""

from typing import Annotated
from uuid import UUID

from app.access.guard import GuardedRouter
from app.access.policies import STEP_UP_MINUTES, Allow, CurrentPrincipal, OwnSession, policy
from app.core.schemas import Page, ResponseBody, Timestamp
from app.core.services import provided
from app.features.identity.service import IdentityService
from app.features.sessions.devices import RequestClient
from app.features.sessions.permissions import AccountPermission

READS = Allow(AccountPermission.ACCOUNT_READ)
CHANGES = OwnSession(STEP_UP_MINUTES, AccountPermission.ACCOUNT_WRITE)

Identities = Annotated[IdentityService, provided(IdentityService)]

router = GuardedRouter(prefix="/users/me/identities", tags=["identities"])


class IdentityRead(ResponseBody):
    """A sign-in with a provider that is linked with my account."""

    id: UUID
    issuer: str
    subject: str
    created_at: Timestamp
    last_used_at: Timestamp | None


@router.get("")
@policy(READS)
async def list_identities(identities: Identities, principal: CurrentPrincipal) -> Page[IdentityRead]:
    """My linked sign-ins, the oldest first."""
    own = await identities.list_own(principal.user_id)
    return Page(items=[IdentityRead.model_validate(row) for row in own], next_cursor=None)


@router.delete("/{identity_id}", status_code=204, responses={409: {"description": "It is the only way to sign in"}})
@policy(CHANGES)
async def unlink_identity(
    identity_id: UUID, identities: Identities, principal: CurrentPrincipal, client: RequestClient
) -> None:
    """Unlink one of my sign-ins; every other session of mine ends."""
    await identities.unlink(principal, identity_id, client)
