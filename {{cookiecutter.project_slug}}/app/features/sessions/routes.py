"""My sessions: see them, end them (ASVS 7.5.2)."""

from typing import Annotated
from uuid import UUID

from app.access.guard import GuardedRouter
from app.access.policies import STEP_UP_MINUTES, Allow, CurrentPrincipal, OwnSession, policy
from app.core.pagination import QueryParams
from app.core.schemas import Page, ResponseBody, Timestamp
from app.core.services import provided
from app.features.sessions.permissions import AccountPermission
from app.features.sessions.service import SessionService

router = GuardedRouter(prefix="/sessions", tags=["sessions"])

Sessions = Annotated[SessionService, provided(SessionService)]


class SessionRead(ResponseBody):
    """A sign-in; `current` is the one that asks, `client_id` the OAuth client that has it, if one does."""

    id: UUID
    current: bool
    created_at: Timestamp
    last_seen_at: Timestamp
    expires_at: Timestamp
    ip: str
    user_agent: str
    client_id: str | None


@router.get("")
@policy(Allow(AccountPermission.ACCOUNT_READ))
async def list_sessions(sessions: Sessions, principal: CurrentPrincipal, params: QueryParams) -> Page[SessionRead]:
    """My sessions that are alive, newest first."""
    rows, next_cursor = await sessions.list_alive(principal.user_id, params)
    items = [SessionRead.model_validate(vars(row) | {"current": row.id == principal.session_id}) for row in rows]
    return Page(items=items, next_cursor=next_cursor)


@router.delete("", status_code=204)
@policy(OwnSession(STEP_UP_MINUTES, AccountPermission.ACCOUNT_WRITE))
async def end_other_sessions(sessions: Sessions, principal: CurrentPrincipal) -> None:
    """End every session of mine but this one."""
    await sessions.end_others(principal)


@router.delete("/{session_id}", status_code=204)
@policy(OwnSession(STEP_UP_MINUTES, AccountPermission.ACCOUNT_WRITE))
async def end_session(session_id: UUID, sessions: Sessions, principal: CurrentPrincipal) -> None:
    """End one session of mine. To sign out, which an old sign-in may too, a client revokes its token."""
    await sessions.end_own(principal, session_id)
