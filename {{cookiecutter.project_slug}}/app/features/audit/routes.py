"""The audit trail, for those who may read it."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Query

from app.access.guard import GuardedRoute
from app.access.permissions import Permission
from app.access.policies import Allow, policy
from app.core.events.catalog import SecurityEvent
from app.core.pagination import DEFAULT_LIMIT, CursorText, Limit, PageParams
from app.core.schemas import Page
from app.core.state import from_state
from app.features.audit.schemas import AuditEventRead, Moment
from app.features.audit.service import AuditTrail, Filters

router = APIRouter(prefix="/audit", tags=["audit"], route_class=GuardedRoute)

Actor = Annotated[UUID | None, Query(description="Only what this user did.")]
Target = Annotated[UUID | None, Query(description="Only what happened to this user, session or thing.")]
Action = Annotated[SecurityEvent | None, Query(description="Only this event.")]
Since = Annotated[Moment | None, Query(description="Only from this time on.")]
Until = Annotated[Moment | None, Query(description="Only before this time.")]


async def _filters(
    actor: Actor = None, target: Target = None, action: Action = None, since: Since = None, until: Until = None
) -> Filters:
    return Filters(actor=actor, target=str(target) if target else None, action=action, since=since, until=until)


Audit = Annotated[AuditTrail, from_state("audit")]


@router.get("")
@policy(Allow(Permission.AUDIT_READ))
async def list_events(
    trail: Audit,
    filters: Annotated[Filters, Depends(_filters)],
    limit: Limit = DEFAULT_LIMIT,
    cursor: CursorText = None,
) -> Page[AuditEventRead]:
    """Security events, newest first."""
    rows, next_cursor = await trail.list_events(filters, PageParams(limit, cursor))
    return Page(items=[AuditEventRead.of(row) for row in rows], next_cursor=next_cursor)
