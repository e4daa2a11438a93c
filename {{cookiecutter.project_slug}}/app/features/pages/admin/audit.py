"""The audit trail: look through it, take a copy of it."""

import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Request
from pydantic import BeforeValidator, Field
from starlette.responses import Response, StreamingResponse

from app.access.policies import Allow, policy
from app.access.principal import CurrentPrincipal
from app.core.events.flow import emit_event
from app.core.pagination import PageParams
from app.features.audit.permissions import TrailPermission
from app.features.audit.routes import Audit, Events
from app.features.audit.schemas import AuditEventRead
from app.features.audit.service import AuditTrail, Filters
from app.features.pages.admin.audit_csv import lines
from app.features.pages.events import PagesEvent
from app.features.pages.kit.forms import FormBody, read_form, read_query
from app.features.pages.kit.page import CurrentPage
from app.features.pages.kit.route import PageRoute
from app.features.pages.kit.urls import next_part

router = APIRouter(prefix="/admin/audit", route_class=PageRoute)

_PATH = "/admin/audit"
_TEMPLATE = "admin_audit.html"
_TIME = re.compile(r"\d{4}-\d\d-\d\d(?:T\d\d:\d\d(?::\d\d)?)?", re.ASCII)


def _in_utc(text: object) -> datetime:
    """A day, or a day and a time, as browsers write what is picked; in UTC, as everything on the page is."""
    try:
        if isinstance(text, str) and _TIME.fullmatch(text):
            return datetime.fromisoformat(text).replace(tzinfo=UTC)
    except ValueError:
        pass
    raise ValueError("is no time such as 2026-01-31T12:00")


Moment = Annotated[datetime, BeforeValidator(_in_utc)]


class FilterForm(FormBody):
    """Which events: what is left empty does not matter."""

    actor: UUID | None = None
    target: UUID | None = None
    action: Annotated[str, Field(max_length=100)] | None = None
    since: Moment | None = None
    until: Moment | None = None

    def filters(self) -> Filters:
        """The same, for the trail."""
        target = None if self.target is None else str(self.target)
        return Filters(actor=self.actor, target=target, action=self.action, since=self.since, until=self.until)


class AuditForm(FilterForm):
    """Which events, and the part of the list."""

    cursor: Annotated[str, Field(max_length=200)] | None = None


@router.get("")
@policy(Allow(TrailPermission.AUDIT_READ))
async def audit_page(request: Request, page: CurrentPage, trail: Audit, events: Events) -> Response:
    """List security events, newest first."""
    context: dict[str, Any] = {"events": [], "next_path": None, "actions": events.events}
    form, asked = read_query(request, AuditForm, _TEMPLATE, **context)
    with form.handle_errors():
        events.require(asked.action, "query", "action")
        rows, next_cursor = await trail.list_events(asked.filters(), PageParams(cursor=asked.cursor))
    context["events"] = [AuditEventRead.model_validate(row) for row in rows]
    typed = {name: value for name, value in form.values.items() if name in FilterForm.model_fields}
    context["next_path"] = next_part(_PATH, next_cursor, **typed)
    return page.show(_TEMPLATE, values=typed, **context)


@router.post("/export")
@policy(Allow(TrailPermission.AUDIT_READ))
async def export(request: Request, trail: Audit, events: Events, principal: CurrentPrincipal) -> Response:
    """The events as a file, oldest first. That somebody has taken it is on record before it begins."""
    context: dict[str, Any] = {"events": [], "next_path": None, "actions": events.events}
    form, asked = await read_form(request, FilterForm, _TEMPLATE, **context)
    with form.handle_errors():
        events.require(asked.action, "body", "action")
    emit_event(PagesEvent.AUDIT_EXPORTED, outcome="success", user_id=principal.user_id, filters=form.values)
    name = f"audit-{datetime.now(UTC):%Y-%m-%d}.csv"
    return StreamingResponse(
        lines(_answers(trail, asked.filters())),
        media_type="text/csv; charset=utf-8; header=present",
        headers={"Content-Disposition": f'attachment; filename="{name}"'},
    )


async def _answers(trail: AuditTrail, filters: Filters) -> AsyncIterator[AuditEventRead]:
    async for row in trail.export(filters):
        yield AuditEventRead.model_validate(row)
