"""The sessions of somebody, for administrators: see them, end one or all (ASVS 7.4.5)."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter
from starlette.responses import Response

from app.access.policies import STEP_UP_MINUTES, Allow, Recent, policy
from app.access.principal import CurrentPrincipal
from app.core.pagination import CursorText, PageParams
from app.core.services import provided
from app.features.accounts.permissions import UserPermission
from app.features.pages.admin.ending import SessionAdministration
from app.features.pages.admin.user import User, path_of
from app.features.pages.kit.notices import PagesNotice
from app.features.pages.kit.page import CurrentPage
from app.features.pages.kit.route import PageRoute
from app.features.pages.kit.urls import next_part
from app.features.sessions.routes import Sessions

router = APIRouter(prefix="/admin/users/{user_id}/sessions", route_class=PageRoute)

Ending = Annotated[SessionAdministration, provided(SessionAdministration)]


def _path(user_id: UUID) -> str:
    return f"{path_of(user_id)}/sessions"


# Not for whoever may only look at accounts: addresses and devices are people's whereabouts.
@router.get("")
@policy(Allow(UserPermission.USERS_WRITE))
async def sessions_page(
    page: CurrentPage, user: User, sessions: Sessions, principal: CurrentPrincipal, cursor: CursorText = None
) -> Response:
    """List the sessions of the account that are alive, newest first."""
    rows, next_cursor = await sessions.list_alive(user.id, PageParams(cursor=cursor))
    return page.show(
        "admin_user_sessions.html", user=user, sessions=rows, next_path=next_part(_path(user.id), next_cursor),
        current=principal.session_id,
    )  # fmt: skip


@router.post("/end-all")
@policy(Recent(STEP_UP_MINUTES, UserPermission.USERS_WRITE))
async def end_all(user_id: UUID, page: CurrentPage, ending: Ending, principal: CurrentPrincipal) -> Response:
    """End every session of the account; an administrator's own, but for this one."""
    await ending.end_all(principal, user_id)
    return page.go(_path(user_id), PagesNotice.SESSIONS_ENDED)


@router.post("/{session_id}/end")
@policy(Recent(STEP_UP_MINUTES, UserPermission.USERS_WRITE))
async def end_session(
    user_id: UUID, session_id: UUID, page: CurrentPage, ending: Ending, principal: CurrentPrincipal
) -> Response:
    """End one session of the account."""
    await ending.end(principal, user_id, session_id)
    return page.go(_path(user_id), PagesNotice.SESSION_ENDED)
