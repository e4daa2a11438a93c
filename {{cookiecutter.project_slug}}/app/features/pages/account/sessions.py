"""My sessions: where I am signed in, and ending that (ASVS 7.5.2)."""

from uuid import UUID

from fastapi import APIRouter
from starlette.responses import Response

from app.access.policies import STEP_UP_MINUTES, Allow, OwnSession, policy
from app.access.principal import CurrentPrincipal
from app.core.pagination import CursorText, PageParams
from app.features.pages.kit.notices import PagesNotice
from app.features.pages.kit.page import CurrentPage
from app.features.pages.kit.route import PageRoute
from app.features.pages.kit.urls import next_part
from app.features.sessions.permissions import AccountPermission
from app.features.sessions.routes import Sessions

router = APIRouter(prefix="/account/sessions", route_class=PageRoute)

_PATH = "/account/sessions"


@router.get("")
@policy(Allow(AccountPermission.ACCOUNT_READ))
async def sessions_page(
    page: CurrentPage, sessions: Sessions, principal: CurrentPrincipal, cursor: CursorText = None
) -> Response:
    """List my sessions that are alive, newest first."""
    rows, next_cursor = await sessions.list_alive(principal.user_id, PageParams(cursor=cursor))
    next_path = next_part(_PATH, next_cursor)
    return page.show("account_sessions.html", sessions=rows, next_path=next_path, current=principal.session_id)


@router.post("/end-others")
@policy(OwnSession(STEP_UP_MINUTES, AccountPermission.ACCOUNT_WRITE))
async def end_others(page: CurrentPage, sessions: Sessions, principal: CurrentPrincipal) -> Response:
    """End every session of mine but this one."""
    await sessions.end_others(principal)
    return page.go(_PATH, PagesNotice.SESSIONS_ENDED)


@router.post("/{session_id}/end")
@policy(OwnSession(STEP_UP_MINUTES, AccountPermission.ACCOUNT_WRITE))
async def end_session(session_id: UUID, page: CurrentPage, sessions: Sessions, principal: CurrentPrincipal) -> Response:
    """End one session of mine."""
    await sessions.end_own(principal, session_id)
    return page.go(_PATH, PagesNotice.SESSION_ENDED)
