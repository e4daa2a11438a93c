"""The services that pages call, as parameters of their handlers."""

from typing import Annotated

from fastapi import Depends, Request

from app.features.accounts.administration import AccountAdministration
from app.features.accounts.email_change import EmailChangeService
from app.features.accounts.invitations import InvitationService
from app.features.accounts.own_account import OwnAccountService
from app.features.accounts.service import AccountService
from app.features.audit.service import AuditTrail
from app.features.browser.service import BrowserSessions
from app.features.sessions.service import SessionService


async def _accounts(request: Request) -> AccountService:
    service: AccountService = request.app.state.accounts
    return service


async def _administration(request: Request) -> AccountAdministration:
    service: AccountAdministration = request.app.state.administration
    return service


async def _audit(request: Request) -> AuditTrail:
    service: AuditTrail = request.app.state.audit
    return service


async def _browsers(request: Request) -> BrowserSessions:
    service: BrowserSessions = request.app.state.browsers
    return service


async def _email_changes(request: Request) -> EmailChangeService:
    service: EmailChangeService = request.app.state.email_changes
    return service


async def _invitations(request: Request) -> InvitationService:
    service: InvitationService = request.app.state.invitations
    return service


async def _own_account(request: Request) -> OwnAccountService:
    service: OwnAccountService = request.app.state.own_account
    return service


async def _sessions(request: Request) -> SessionService:
    service: SessionService = request.app.state.sessions
    return service


Accounts = Annotated[AccountService, Depends(_accounts)]
Administration = Annotated[AccountAdministration, Depends(_administration)]
Audit = Annotated[AuditTrail, Depends(_audit)]
Browsers = Annotated[BrowserSessions, Depends(_browsers)]
EmailChanges = Annotated[EmailChangeService, Depends(_email_changes)]
Invitations = Annotated[InvitationService, Depends(_invitations)]
OwnAccount = Annotated[OwnAccountService, Depends(_own_account)]
Sessions = Annotated[SessionService, Depends(_sessions)]
