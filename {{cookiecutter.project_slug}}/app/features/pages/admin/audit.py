"""The audit trail: look through it, take a copy of it."""

from contextlib import suppress
from datetime import UTC, datetime
from typing import Annotated, Any
from uuid import UUID

from pydantic import AfterValidator, Field, NaiveDatetime
from starlette.responses import Response, StreamingResponse

from app.access.policies import Allow
from app.core.email_address import LONGEST_ADDRESS
from app.core.errors import Unprocessable
from app.core.events import ACTOR, SecurityEvent, emit_event
from app.core.pagination import PageParams
from app.features.accounts.permissions import UserPermission
from app.features.accounts.routes import Accounts
from app.features.accounts.service import AccountService, called
from app.features.audit.permissions import TrailPermission
from app.features.audit.routes import Audit, Events
from app.features.audit.schemas import AuditEventRead
from app.features.audit.service import Filters
from app.features.pages.kit.forms import FormBody
from app.features.pages.kit.page import CurrentPage, HtmlPage, PageRouter

router = PageRouter(__name__, "/admin/audit")

_TEMPLATE = "admin_audit.html"


class PagesEvent(SecurityEvent):
    """Security events of the pages."""

    AUDIT_EXPORTED = "audit_exported", ACTOR


Moment = Annotated[NaiveDatetime, AfterValidator(lambda time: time.replace(tzinfo=UTC))]
"""A day, or a day and a time, as browsers send it; in UTC, as every time of the page is."""
Person = Annotated[str, Field(max_length=LONGEST_ADDRESS)]
"""The id or the address of an account, or the id of something else."""


class AuditForm(FormBody):
    """Which events, and which part of the list; an empty field filters nothing."""

    actor: Person | None = None
    target: Person | None = None
    action: Annotated[str, Field(max_length=100)] | None = None
    since: Moment | None = None
    until: Moment | None = None
    cursor: Annotated[str, Field(max_length=200)] | None = None

    async def filters(self, page: HtmlPage, accounts: AccountService) -> Filters:
        """Return the same for the trail; raises `Unprocessable` for who is nobody."""
        actor, target = [await _id_of(page, accounts, name, getattr(self, name)) for name in ("actor", "target")]
        return Filters(actor=actor, target=target, action=self.action, since=self.since, until=self.until)


async def _id_of(page: HtmlPage, accounts: AccountService, field: str, person: str | None) -> UUID | None:
    """Read an id, or the address of an account for those who may see accounts."""
    found = _as_id(person or "")
    if person and found is None and _sees_accounts(page):
        with suppress(ValueError):
            found = await accounts.find(person)
    if person and found is None:
        reason = "This is neither an id nor the address of an account."
        raise Unprocessable("The form breaks a rule.", errors=[{"location": [field], "reason": reason}])
    return found


def _as_id(text: str) -> UUID | None:
    with suppress(ValueError):
        return UUID(text)
    return None


def _sees_accounts(page: HtmlPage) -> bool:
    return UserPermission.USERS_READ in page.principal.permissions


async def names_of(page: HtmlPage, accounts: AccountService, events: list[AuditEventRead]) -> dict[str, str]:
    """Return what each account that the events are about is called, for those who may see accounts."""
    ids = {event.actor for event in events}
    ids |= {_as_id(event.target_id or "") for event in events if event.target_type == "user"}
    named = await accounts.addresses(found for found in ids if found) if _sees_accounts(page) else {}
    return {str(user_id): _name(user) for user_id, user in named.items()}


def _name(user: Any) -> str:
    """Return the address; of a service account, its name behind a mark, as anybody's address may be the name."""
    return user.email if called(user) == user.email else f"service account {called(user)}"


@router.page("", Allow(TrailPermission.AUDIT_READ))
async def audit_page(page: CurrentPage, trail: Audit, events: Events, accounts: Accounts) -> Response:
    """List security events, newest first."""
    async with page.form(AuditForm, _TEMPLATE, **_nothing(events)) as asked:
        events.require(asked.action, "query", "action")
        filters = await asked.filters(page, accounts)
        rows, cursor = await trail.list_events(filters, PageParams(cursor=asked.cursor))
        count = await trail.count_events(filters, len(rows))
    page.values.pop("cursor", None)
    found, next_path = [AuditEventRead.model_validate(row) for row in rows], page.next_path(cursor, **page.values)
    names = await names_of(page, accounts, found)
    return page.show(_TEMPLATE, events=found, names=names, count=count, next_path=next_path, actions=events.events)


@router.form("/export", Allow(TrailPermission.AUDIT_READ))
async def export(page: CurrentPage, trail: Audit, events: Events, accounts: Accounts) -> Response:
    """Send the events as a file, oldest first. An event records the export before it starts."""
    async with page.form(AuditForm, _TEMPLATE, **_nothing(events)) as asked:
        events.require(asked.action, "body", "action")
        filters = await asked.filters(page, accounts)
    used = {name: str(value) for name, value in filters if value is not None}
    emit_event(PagesEvent.AUDIT_EXPORTED, outcome="success", user_id=page.principal.user_id, filters=used)
    headers = {"Content-Disposition": f'attachment; filename="audit-{datetime.now(UTC):%Y-%m-%d}.jsonl"'}
    return StreamingResponse(trail.export(filters), media_type="application/jsonl", headers=headers)


def _nothing(events: Events) -> dict[str, Any]:
    return {"events": [], "names": {}, "count": None, "next_path": None, "actions": events.events}
