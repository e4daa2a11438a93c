"""My account, registration and recovery, and administration. Mailed tokens are never in a URL (ASVS 14.2.1)."""

from typing import Annotated, Any
from uuid import UUID

from fastapi import Depends, Request, Response
from fastapi.responses import StreamingResponse

from app.access.guard import GuardedRouter, require
from app.access.policies import (
    STEP_UP_MINUTES,
    Allow,
    Authenticated,
    CurrentPrincipal,
    OwnSession,
    Principal,
    Public,
    Recent,
    policy,
)
from app.access.roles import Role, RoleTable
from app.core.clock import utc_now
from app.core.database.personal_data import DataExport
from app.core.errors import Forbidden
from app.core.events import emit_event
from app.core.pagination import DEFAULT_LIMIT, CursorText, Limit, PageParams, SearchText
from app.core.schemas import Page
from app.core.services import provided
from app.core.settings.model import Settings
from app.features.accounts.administration import AccountAdministration
from app.features.accounts.events import AccountEvent
from app.features.accounts.mailed.recovery import MailboxService
from app.features.accounts.own_account import OwnAccountService
from app.features.accounts.permissions import UserPermission
from app.features.accounts.schemas import (
    AccountCreate,
    AccountDeletion,
    AccountRead,
    AccountSort,
    AccountState,
    AccountUpdate,
    Confirmation,
    EmailChange,
    ForgottenPassword,
    Invitation,
    MailedToken,
    OwnProfileUpdate,
    PasswordChange,
    PasswordReset,
    RoleAssignment,
    RoleRead,
)
from app.features.accounts.service import AccountService
from app.features.sessions.devices import RequestClient
from app.features.sessions.permissions import AccountPermission

router = GuardedRouter(tags=["accounts"])

_BAD_TOKEN: dict[int | str, dict[str, Any]] = {400: {"description": "The token is unknown, used, replaced or expired"}}


Accounts = Annotated[AccountService, provided(AccountService)]
OwnAccount = Annotated[OwnAccountService, provided(OwnAccountService)]
Administration = Annotated[AccountAdministration, provided(AccountAdministration)]
Mailboxes = Annotated[MailboxService, provided(MailboxService)]
Exports = Annotated[DataExport, provided(DataExport)]
Roles = Annotated[RoleTable, provided(RoleTable)]
CurrentSettings = Annotated[Settings, provided(Settings)]


async def require_open(settings: CurrentSettings) -> None:
    """Raise `Forbidden` if `REGISTRATION` is closed, before the body is parsed."""
    if settings.registration == "closed":
        raise Forbidden("Nobody can register here. An administrator invites.")


@router.get("/users/me")
@policy(Allow(AccountPermission.ACCOUNT_READ))
async def read_me(request: Request, roles: Roles) -> AccountRead:
    """Show my account."""
    return AccountRead.of(request.state.account, roles)


@router.patch("/users/me")
@policy(Allow(AccountPermission.ACCOUNT_WRITE))
async def change_me(body: OwnProfileUpdate, own: OwnAccount, roles: Roles, principal: CurrentPrincipal) -> AccountRead:
    """Change what I am called, or which alerts I get by mail.

    `muted_alerts` needs a recent sign-in with the service itself, not with an application that acts for me.
    """
    if "muted_alerts" in body.model_fields_set:
        require(OwnSession(STEP_UP_MINUTES, AccountPermission.ACCOUNT_WRITE), principal)
    return AccountRead.of(await own.change_profile(principal, body), roles)


@router.delete("/users/me", status_code=204, responses={409: {"description": "This is the last administrator"}})
@policy(Recent(STEP_UP_MINUTES, AccountPermission.ACCOUNT_WRITE))
async def delete_me(deletion: AccountDeletion, own: OwnAccount, principal: CurrentPrincipal) -> None:
    """Delete my account with all that belongs to it. The body holds my password."""
    await own.delete(principal, deletion.current_password)


def exported(export: DataExport, principal: Principal) -> StreamingResponse:
    """Answer with the document of all that is kept about the principal. An event records it before it starts."""
    emit_event(AccountEvent.DATA_EXPORTED, outcome="success", user_id=principal.user_id)
    headers = {"Content-Disposition": f'attachment; filename="my-data-{utc_now():%Y-%m-%d}.json"'}
    return StreamingResponse(export.write(principal.user_id), media_type="application/json", headers=headers)


@router.get(
    "/users/me/export", response_class=StreamingResponse, responses={200: {"content": {"application/json": {}}}}
)
@policy(OwnSession(STEP_UP_MINUTES, AccountPermission.ACCOUNT_READ))
async def export_my_data(export: Exports, principal: CurrentPrincipal) -> StreamingResponse:
    """Copy all that is kept about me, as one JSON document. It holds no password, token or other credential."""
    return exported(export, principal)


@router.post("/users/me/password", status_code=204)
@policy(Recent(STEP_UP_MINUTES, AccountPermission.ACCOUNT_WRITE))
async def change_my_password(
    response: Response, change: PasswordChange, own: OwnAccount, principal: CurrentPrincipal, client: RequestClient
) -> None:
    """Change my password; every other session of mine ends, and so does a copy of the session cookie."""
    (await own.change_password(principal, change.current_password, change.new_password, ip=client.ip))(response)


async def _searched(limit: Limit = DEFAULT_LIMIT, cursor: CursorText = None, q: SearchText = None) -> PageParams:
    return PageParams(limit, cursor, q)


@router.get("/users")
@policy(Allow(UserPermission.USERS_READ))
async def list_users(
    administration: Administration,
    roles: Roles,
    params: Annotated[PageParams, Depends(_searched)],
    state: AccountState | None = None,
    sort: AccountSort = "-created_at",
) -> Page[AccountRead]:
    """List all accounts, or those in a state, or whose address or name holds `q`, in an order (`-`: descending)."""
    users, next_cursor = await administration.list_accounts(params, state, sort)
    return Page(items=[AccountRead.of(user, roles) for user in users], next_cursor=next_cursor)


@router.get("/users/{user_id}")
@policy(Allow(UserPermission.USERS_READ))
async def read_user(user_id: UUID, accounts: Accounts, roles: Roles) -> AccountRead:
    """Show one account."""
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
    """List the roles and what each allows."""
    items = [RoleRead(name=role, permissions=sorted(roles.permissions_of([role]))) for role in Role]
    return Page(items=items, next_cursor=None)


@router.post(
    "/accounts",
    status_code=202,
    dependencies=[Depends(require_open)],
    responses={403: {"description": "Registration is closed"}},
)
@policy(Public())
async def register(body: AccountCreate, mailboxes: Mailboxes, client: RequestClient) -> None:
    """Register an account. The answer is the same for every address; the rest comes by mail."""
    await mailboxes.register(body.email, body.password, body.display_name, ip=client.ip)


@router.post(
    "/accounts/verify",
    status_code=204,
    responses=_BAD_TOKEN | {403: {"description": "The password is not the one that was registered"}},
)
@policy(Public())
async def verify(body: Confirmation, mailboxes: Mailboxes) -> None:
    """Confirm my e-mail address, which opens my account. A password must be the one that I registered."""
    if body.password is None:
        await mailboxes.verify(body.token)
    else:
        await mailboxes.confirm(body.token, body.password)


@router.post("/accounts/password/forgot", status_code=202)
@policy(Public())
async def forgot_password(body: ForgottenPassword, mailboxes: Mailboxes, client: RequestClient) -> None:
    """Ask for a mail to set a new password. The answer is the same for every address."""
    await mailboxes.forgot(body.email, ip=client.ip)


@router.post("/accounts/password/reset", status_code=204, responses=_BAD_TOKEN)
@policy(Public())
async def reset_password(body: PasswordReset, mailboxes: Mailboxes, client: RequestClient) -> None:
    """Set my password with the token of a mail, after forgetting it or being invited; whatever acts for me ends."""
    await mailboxes.reset(body.token, body.new_password, client)


@router.post("/users/me/email", status_code=202)
@policy(Recent(STEP_UP_MINUTES, AccountPermission.ACCOUNT_WRITE))
async def change_my_email(
    body: EmailChange, own: OwnAccount, principal: CurrentPrincipal, client: RequestClient
) -> None:
    """Ask for another e-mail address; it counts when the token that is mailed there comes back."""
    await own.request_email_change(principal, body.new_email, body.current_password, ip=client.ip)


@router.post(
    "/accounts/email/confirm",
    status_code=204,
    responses=_BAD_TOKEN | {409: {"description": "The address went to another account meanwhile"}},
)
@policy(Public())
async def confirm_email(body: MailedToken, own: OwnAccount) -> None:
    """Confirm the new e-mail address of my account."""
    await own.confirm_email_change(body.token)


@router.post("/invitations", status_code=202, responses={409: {"description": "The address has an account"}})
@policy(Recent(STEP_UP_MINUTES, UserPermission.USERS_WRITE))
async def invite(
    body: Invitation, administration: Administration, roles: Roles, principal: CurrentPrincipal, client: RequestClient
) -> AccountRead:
    """Invite a person, who chooses a password with the token that is mailed to them."""
    return AccountRead.of(await administration.invite(principal, body.email, body.roles, ip=client.ip), roles)
