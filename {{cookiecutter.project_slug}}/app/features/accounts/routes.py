"""My account, and the administration of all of them."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Request

from app.access.guard import GuardedRoute, require
from app.access.policies import STEP_UP_MINUTES, Allow, Authenticated, OwnSession, Recent, policy
from app.access.principal import CurrentPrincipal
from app.access.roles import Role, RoleTable
from app.core.pagination import DEFAULT_LIMIT, CursorText, Limit, PageParams, SearchText
from app.core.schemas import Page
from app.core.services import provided
from app.features.accounts.administration import AccountAdministration
from app.features.accounts.own_account import OwnAccountService
from app.features.accounts.permissions import UserPermission
from app.features.accounts.schemas import (
    AccountDeletion,
    AccountRead,
    AccountUpdate,
    OwnProfileUpdate,
    PasswordChange,
    RoleAssignment,
    RoleRead,
)
from app.features.accounts.service import Account, AccountService, Profile
from app.features.sessions.client import RequestClient
from app.features.sessions.permissions import AccountPermission

router = APIRouter(tags=["accounts"], route_class=GuardedRoute)


async def _current_account(request: Request) -> Account:
    account: Account = request.state.account
    return account


Accounts = Annotated[AccountService, provided(AccountService)]
OwnAccount = Annotated[OwnAccountService, provided(OwnAccountService)]
Administration = Annotated[AccountAdministration, provided(AccountAdministration)]
Roles = Annotated[RoleTable, provided(RoleTable)]
CurrentAccount = Annotated[Account, Depends(_current_account)]


@router.get("/users/me")
@policy(Allow(AccountPermission.ACCOUNT_READ))
async def read_me(account: CurrentAccount, roles: Roles) -> AccountRead:
    """Who I am."""
    return AccountRead.of(account, roles)


@router.patch("/users/me")
@policy(Allow(AccountPermission.ACCOUNT_WRITE))
async def change_me(
    change: OwnProfileUpdate, accounts: Accounts, roles: Roles, principal: CurrentPrincipal
) -> AccountRead:
    """Change what I am called, or which alerts I get by mail.

    `muted_alerts` needs a recent sign-in with the service itself, not with an application that acts for me.
    """
    profile: Profile = {}
    if "muted_alerts" in change.model_fields_set:
        require(OwnSession(STEP_UP_MINUTES, AccountPermission.ACCOUNT_WRITE), principal)
        profile["muted_alerts"] = change.muted_alerts or []
    if "display_name" in change.model_fields_set:
        profile["display_name"] = change.display_name
    return AccountRead.of(await accounts.change_profile(principal, profile), roles)


@router.delete("/users/me", status_code=204, responses={409: {"description": "This is the last administrator"}})
@policy(Recent(STEP_UP_MINUTES, AccountPermission.ACCOUNT_WRITE))
async def delete_me(deletion: AccountDeletion, own: OwnAccount, principal: CurrentPrincipal) -> None:
    """Delete my account with all that belongs to it. The body holds my password."""
    await own.delete(principal, deletion.current_password)


@router.post("/users/me/password", status_code=204)
@policy(Recent(STEP_UP_MINUTES, AccountPermission.ACCOUNT_WRITE))
async def change_my_password(
    change: PasswordChange, own: OwnAccount, principal: CurrentPrincipal, client: RequestClient
) -> None:
    """Change my password; every other session of mine ends."""
    await own.change_password(principal, change.current_password, change.new_password, ip=client.ip)


@router.get("/users")
@policy(Allow(UserPermission.USERS_READ))
async def list_users(
    administration: Administration,
    roles: Roles,
    limit: Limit = DEFAULT_LIMIT,
    cursor: CursorText = None,
    q: SearchText = None,
) -> Page[AccountRead]:
    """All accounts, or those whose address or name holds `q`, newest first."""
    users, next_cursor = await administration.list_accounts(PageParams(limit, cursor, q))
    return Page(items=[AccountRead.of(user, roles) for user in users], next_cursor=next_cursor)


@router.get("/users/{user_id}")
@policy(Allow(UserPermission.USERS_READ))
async def read_user(user_id: UUID, accounts: Accounts, roles: Roles) -> AccountRead:
    """One account."""
    return AccountRead.of(await accounts.get(user_id), roles)


@router.patch("/users/{user_id}", responses={409: {"description": "This is the last administrator"}})
@policy(Recent(STEP_UP_MINUTES, UserPermission.USERS_WRITE))
async def change_user(
    user_id: UUID, change: AccountUpdate, administration: Administration, roles: Roles, principal: CurrentPrincipal
) -> AccountRead:
    """Rename, disable or enable an account; disabling ends its sessions and the tokens in its mail."""
    return AccountRead.of(await administration.change(principal, user_id, change), roles)


@router.delete("/users/{user_id}", status_code=204, responses={409: {"description": "This is the last administrator"}})
@policy(Recent(STEP_UP_MINUTES, UserPermission.USERS_WRITE))
async def delete_user(user_id: UUID, administration: Administration, principal: CurrentPrincipal) -> None:
    """Delete an account with all that belongs to it."""
    await administration.delete(principal, user_id)


@router.put("/users/{user_id}/roles", responses={409: {"description": "This is the last administrator"}})
@policy(Recent(STEP_UP_MINUTES, UserPermission.ROLES_ASSIGN))
async def assign_roles(
    user_id: UUID, assignment: RoleAssignment, administration: Administration, roles: Roles, principal: CurrentPrincipal
) -> AccountRead:
    """Set the roles of an account; its sessions and the tokens in its mail end."""
    return AccountRead.of(await administration.assign_roles(principal, user_id, assignment.roles), roles)


@router.get("/roles")
@policy(Authenticated())
async def list_roles(roles: Roles) -> Page[RoleRead]:
    """The roles and what each allows."""
    items = [RoleRead(name=role, permissions=sorted(roles.permissions_of([role]))) for role in Role]
    return Page(items=items, next_cursor=None)
