"""The audit trail, for those who may read it."""

from typing import Annotated
from uuid import UUID

from fastapi import Depends, Query

from app.access.guard import GuardedRouter
from app.access.policies import Allow, policy
from app.core.events import EventCatalog, EventName
from app.core.pagination import DEFAULT_LIMIT, CursorText, Limit, PageParams
from app.core.schemas import Page
from app.core.services import provided
from app.features.audit.permissions import TrailPermission
from app.features.audit.schemas import AuditEventRead, Moment
from app.features.audit.service import AuditTrail, Filters

router = GuardedRouter(prefix="/audit", tags=["audit"])

Actor = Annotated[UUID | None, Query(description="Only what this user did.")]
Target = Annotated[UUID | None, Query(description="Only what happened to this user, session or thing.")]
Action = Annotated[EventName | None, Query(description="Only this event.")]
Events = Annotated[EventCatalog, provided(EventCatalog)]
Since = Annotated[Moment | None, Query(description="Only from this time on.")]
Until = Annotated[Moment | None, Query(description="Only before this time.")]


async def _filters(
    actor: Actor = None, target: Target = None, action: Action = None, since: Since = None, until: Until = None
) -> Filters:
    return Filters(actor=actor, target=str(target) if target else None, action=action, since=since, until=until)


Audit = Annotated[AuditTrail, provided(AuditTrail)]


@router.get("")
@policy(Allow(TrailPermission.AUDIT_READ))
async def list_events(
    trail: Audit,
    filters: Annotated[Filters, Depends(_filters)],
    events: Events,
    limit: Limit = DEFAULT_LIMIT,
    cursor: CursorText = None,
) -> Page[AuditEventRead]:
    """Security events, newest first."""
    events.require(filters.action, "query", "action")
    rows, next_cursor = await trail.list_events(filters, PageParams(limit, cursor))
    return Page(items=[AuditEventRead.model_validate(row) for row in rows], next_cursor=next_cursor)
