"""Accounts by mail: register, confirm, recover, invite. Tokens come in bodies alone, never in a URL (ASVS 14.2.1)."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request

from app.access.guard import GuardedRoute
from app.access.policies import STEP_UP_MINUTES, Public, Recent, policy
from app.access.principal import CurrentPrincipal
from app.access.roles import RoleTable
from app.core.errors import Forbidden
from app.core.services import provided, services_of
from app.core.settings.model import Settings
from app.core.settings.types import Registration
from app.features.accounts.mailed.email_change import EmailChangeService
from app.features.accounts.mailed.invitations import InvitationService
from app.features.accounts.mailed.recovery import RecoveryService
from app.features.accounts.mailed.registration import RegistrationService
from app.features.accounts.permissions import UserPermission
from app.features.accounts.schemas import (
    AccountCreate,
    AccountRead,
    Confirmation,
    EmailChange,
    ForgottenPassword,
    Invitation,
    MailedToken,
    PasswordReset,
)
from app.features.sessions.client import RequestClient
from app.features.sessions.permissions import AccountPermission

router = APIRouter(tags=["accounts"], route_class=GuardedRoute)

_BAD_TOKEN: dict[int | str, dict[str, Any]] = {400: {"description": "The token is unknown, used, replaced or expired"}}


async def _require_open(request: Request) -> None:
    """Raise `Forbidden` for everybody where `REGISTRATION` is closed, before the body is looked at."""
    if services_of(request.app)[Settings].registration is Registration.CLOSED:
        raise Forbidden("Nobody can register here. An administrator invites.")


Registrations = Annotated[RegistrationService, provided(RegistrationService)]
Recoveries = Annotated[RecoveryService, provided(RecoveryService)]
EmailChanges = Annotated[EmailChangeService, provided(EmailChangeService)]
Roles = Annotated[RoleTable, provided(RoleTable)]
Invitations = Annotated[InvitationService, provided(InvitationService)]


@router.post(
    "/accounts",
    status_code=202,
    dependencies=[Depends(_require_open)],
    responses={403: {"description": "Registration is closed"}},
)
@policy(Public())
async def register(body: AccountCreate, registrations: Registrations, client: RequestClient) -> None:
    """Register. Whatever the address, the rest comes by mail."""
    await registrations.register(body.email, body.password, body.display_name, ip=client.ip)


@router.post(
    "/accounts/verify",
    status_code=204,
    responses=_BAD_TOKEN | {403: {"description": "The password is not the one that was registered"}},
)
@policy(Public())
async def verify(body: Confirmation, registrations: Registrations) -> None:
    """Confirm my e-mail address, which opens my account. With a password, it has to be the one that I registered."""
    if body.password is None:
        await registrations.verify(body.token)
    else:
        await registrations.confirm(body.token, body.password)


@router.post("/accounts/password/forgot", status_code=202)
@policy(Public())
async def forgot_password(body: ForgottenPassword, recoveries: Recoveries, client: RequestClient) -> None:
    """Ask for a mail with which to set a new password. Whatever the address, the rest comes by mail."""
    await recoveries.forgot(body.email, ip=client.ip)


@router.post("/accounts/password/reset", status_code=204, responses=_BAD_TOKEN)
@policy(Public())
async def reset_password(body: PasswordReset, recoveries: Recoveries, client: RequestClient) -> None:
    """Set my password with the token of a mail, after forgetting it or being invited; every session of mine ends."""
    await recoveries.reset(body.token, body.new_password, client, keep_applications=body.keep_applications)


@router.post("/users/me/email", status_code=202)
@policy(Recent(STEP_UP_MINUTES, AccountPermission.ACCOUNT_WRITE))
async def change_my_email(
    body: EmailChange, changes: EmailChanges, principal: CurrentPrincipal, client: RequestClient
) -> None:
    """Ask for another e-mail address; it counts when the token that is mailed there comes back."""
    await changes.request(principal, body.new_email, body.current_password, ip=client.ip)


@router.post(
    "/accounts/email/confirm",
    status_code=204,
    responses=_BAD_TOKEN | {409: {"description": "The address went to another account meanwhile"}},
)
@policy(Public())
async def confirm_email(body: MailedToken, changes: EmailChanges) -> None:
    """Confirm the new e-mail address of my account."""
    await changes.confirm(body.token)


@router.post("/invitations", status_code=202, responses={409: {"description": "The address has an account"}})
@policy(Recent(STEP_UP_MINUTES, UserPermission.USERS_WRITE))
async def invite(
    body: Invitation, invitations: Invitations, roles: Roles, principal: CurrentPrincipal, client: RequestClient
) -> AccountRead:
    """Invite somebody, who chooses a password with the token that is mailed to them."""
    return AccountRead.of(await invitations.invite(principal, body.email, body.roles, ip=client.ip), roles)
