"""My second factors; and those of others, for administrators."""

from typing import Annotated
from uuid import UUID

from fastapi import Response

from app.access.guard import GuardedRouter
from app.access.policies import STEP_UP_MINUTES, Allow, CurrentPrincipal, OwnSession, policy
from app.core.schemas import Page
from app.core.services import provided
from app.features.accounts.permissions import UserPermission
from app.features.factors.kinds import RECOVERY
from app.features.factors.schemas import EnrolmentRead, FactorCreate, FactorRead
from app.features.factors.service import FactorService
from app.features.sessions.devices import RequestClient
from app.features.sessions.permissions import AccountPermission
from app.http.request.body_limit import KIB

router = GuardedRouter(prefix="/users", tags=["factors"])

READS_FACTORS = Allow(AccountPermission.ACCOUNT_READ, enrols=True)
CHANGES_FACTORS = OwnSession(STEP_UP_MINUTES, AccountPermission.ACCOUNT_WRITE, enrols=True)
CHANGES_PASSWORD = OwnSession(STEP_UP_MINUTES, AccountPermission.ACCOUNT_WRITE)
RESETS_FACTORS = OwnSession(STEP_UP_MINUTES, UserPermission.USERS_WRITE)

Factors = Annotated[FactorService, provided(FactorService)]


@router.get("/me/factors", response_model_exclude_none=True)
@policy(READS_FACTORS)
async def list_factors(factors: Factors, principal: CurrentPrincipal) -> Page[FactorRead]:
    """My second factors and recovery codes, the oldest first."""
    return Page(items=await factors.list_own(principal.user_id), next_cursor=None)


@router.post(
    "/me/factors",
    max_body_size=16 * KIB,
    response_model_exclude_none=True,
    responses={201: {"model": FactorRead}, 409: {"description": "It was added already, or there are too many"}},
)
@policy(CHANGES_FACTORS)
async def add_factor(
    body: FactorCreate, response: Response, factors: Factors, principal: CurrentPrincipal, client: RequestClient
) -> EnrolmentRead | FactorRead:
    """Begin to add a second factor, or prove it, which adds it and ends every other session of mine."""
    if body.kind == RECOVERY:
        added, set_cookie = await factors.remake_codes(principal, client)
    elif body.enrolment is None:
        return await factors.begin(principal, body.kind)
    else:
        added, set_cookie = await factors.add(principal, body, client)
    response.status_code = 201
    set_cookie(response)
    return added


@router.delete("/me/factors/{factor_id}", status_code=204, responses={409: {"description": "A role demands it"}})
@policy(CHANGES_FACTORS)
async def remove_factor(
    factor_id: UUID, response: Response, factors: Factors, principal: CurrentPrincipal, client: RequestClient
) -> None:
    """Remove one of my factors; every other session of mine ends."""
    (await factors.remove(principal, factor_id, client))(response)


@router.delete("/me/password", status_code=204, responses={409: {"description": "There is no passkey to sign in with"}})
@policy(CHANGES_PASSWORD)
async def drop_password(
    response: Response, factors: Factors, principal: CurrentPrincipal, client: RequestClient
) -> None:
    """Sign in with passkeys alone from now on; every other session of mine ends."""
    (await factors.drop_password(principal, client))(response)


@router.delete("/{user_id}/factors", status_code=204)
@policy(RESETS_FACTORS)
async def reset_factors(user_id: UUID, factors: Factors, principal: CurrentPrincipal) -> None:
    """Remove all second factors of another account, which has lost them; its sessions end."""
    await factors.reset(principal, user_id)
