"""My applications: the OAuth clients that I have allowed to act for me, and taking that back (ASVS 10.7.3)."""

from uuid import UUID

from fastapi import APIRouter
from starlette.responses import Response

from app.access.policies import STEP_UP_MINUTES, Allow, OwnSession, policy
from app.access.principal import CurrentPrincipal
from app.features.accounts.routes import Roles
from app.features.pages.kit.notices import PagesNotice
from app.features.pages.kit.page import CurrentPage
from app.features.pages.kit.route import PageRoute
from app.features.pages.kit.services import Authorization
from app.features.sessions.permissions import AccountPermission

router = APIRouter(prefix="/account/applications", route_class=PageRoute)

_PATH = "/account/applications"


@router.get("")
@policy(Allow(AccountPermission.ACCOUNT_READ))
async def applications_page(
    page: CurrentPage, authorization: Authorization, roles: Roles, principal: CurrentPrincipal
) -> Response:
    """List what I have allowed, newest first."""
    consents = await authorization.consents(principal.user_id)
    applications = [(consent, roles.describe(consent.scope)) for consent in consents]
    return page.show("account_applications.html", applications=applications)


@router.post("/{consent_id}/revoke")
@policy(OwnSession(STEP_UP_MINUTES, AccountPermission.ACCOUNT_WRITE))
async def revoke(
    consent_id: UUID, page: CurrentPage, authorization: Authorization, principal: CurrentPrincipal
) -> Response:
    """Take back what I have allowed an application: it is signed out at once."""
    await authorization.revoke_consent(principal, consent_id)
    return page.go(_PATH, PagesNotice.APPLICATION_REVOKED)
