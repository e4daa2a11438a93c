"""The audit trail, for those who may read it."""

from typing import Annotated

from fastapi import Query

from app.access.guard import GuardedRouter
from app.access.policies import Allow, policy
from app.core.events import EventCatalog
from app.core.pagination import DEFAULT_LIMIT, CursorText, Limit, PageParams
from app.core.schemas import Page
from app.core.services import provided
from app.features.audit.permissions import TrailPermission
from app.features.audit.schemas import AuditEventRead
from app.features.audit.service import AuditTrail, Filters

router = GuardedRouter(prefix="/audit", tags=["audit"])

Audit = Annotated[AuditTrail, provided(AuditTrail)]
Events = Annotated[EventCatalog, provided(EventCatalog)]


class AuditQuery(Filters):
    """Which rows, and which part of the list."""

    limit: Limit = DEFAULT_LIMIT
    cursor: CursorText = None


@router.get("")
@policy(Allow(TrailPermission.AUDIT_READ))
async def list_events(trail: Audit, events: Events, query: Annotated[AuditQuery, Query()]) -> Page[AuditEventRead]:
    """Security events, newest first."""
    events.require(query.action, "query", "action")
    rows, next_cursor = await trail.list_events(query, PageParams(query.limit, query.cursor))
    return Page(items=[AuditEventRead.model_validate(row) for row in rows], next_cursor=next_cursor)
