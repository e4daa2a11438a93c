"""The audit trail: look through it, take a copy of it as CSV (RFC 4180), safe to be opened with a spreadsheet.

What could begin a formula, at any separator, gets an apostrophe in front, which marks it as text (ASVS 1.2.10).
"""

import csv
import io
import re
from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import UTC, datetime
from typing import Annotated, Any
from uuid import UUID

import orjson
from pydantic import AfterValidator, Field, NaiveDatetime
from starlette.responses import Response, StreamingResponse

from app.access.policies import Allow
from app.core.email_address import LONGEST_ADDRESS
from app.core.errors import Unprocessable
from app.core.events import ACTOR, SecurityEvent, emit_event
from app.core.pagination import PageParams
from app.features.accounts.permissions import UserPermission
from app.features.accounts.routes import Accounts
from app.features.accounts.service import AccountService
from app.features.audit.permissions import TrailPermission
from app.features.audit.routes import Audit, Events
from app.features.audit.schemas import AuditEventRead
from app.features.audit.service import Filters
from app.features.pages.kit.forms import FormBody
from app.features.pages.kit.page import CurrentPage, HtmlPage, PageRouter

router = PageRouter(__name__, "/admin/audit")

_TEMPLATE = "admin_audit.html"
# With the full-width forms, which some programs read as the plain ones.
_FORMULA = "=+@＝＋－＠-"  # noqa: RUF001  # meant
_BEGINS_A_FORMULA = (*_FORMULA, "\t", "\r", "\n")
# After a separator, and after quotes that such a program would take for those of the cell.
_BEGINS_ANOTHER = re.compile(rf"([,;|\s][\"']*)([{_FORMULA}])")


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
    if person is None:
        return None
    found = _as_id(person)
    if found is None and _sees_accounts(page):
        with suppress(ValueError):
            found = await accounts.find(person)
    if found is not None:
        return found
    reason = "This is neither an id nor the address of an account."
    raise Unprocessable("The form breaks a rule.", errors=[{"location": [field], "reason": reason}])


def _as_id(text: str) -> UUID | None:
    with suppress(ValueError):
        return UUID(text)
    return None


def _sees_accounts(page: HtmlPage) -> bool:
    return UserPermission.USERS_READ in page.principal.permissions


async def _names(page: HtmlPage, accounts: AccountService, events: list[AuditEventRead]) -> dict[str, str]:
    """Return the address of each account that the events are about, for those who may see accounts."""
    ids = {event.actor for event in events}
    ids |= {_as_id(event.target_id or "") for event in events if event.target_type == "user"}
    named = await accounts.addresses(found for found in ids if found) if _sees_accounts(page) else {}
    return {str(user_id): address for user_id, address in named.items()}


@router.page("", Allow(TrailPermission.AUDIT_READ))
async def audit_page(page: CurrentPage, trail: Audit, events: Events, accounts: Accounts) -> Response:
    """List security events, newest first."""
    async with page.form(AuditForm, _TEMPLATE, **_nothing(events)) as asked:
        events.require(asked.action, "query", "action")
        filters = await asked.filters(page, accounts)
        rows, cursor = await trail.list_events(filters, PageParams(cursor=asked.cursor))
    page.values.pop("cursor", None)
    found, next_path = [AuditEventRead.model_validate(row) for row in rows], page.next_path(cursor, **page.values)
    names = await _names(page, accounts, found)
    return page.show(_TEMPLATE, events=found, names=names, next_path=next_path, actions=events.events)


@router.form("/export", Allow(TrailPermission.AUDIT_READ))
async def export(page: CurrentPage, trail: Audit, events: Events, accounts: Accounts) -> Response:
    """Send the events as a file, oldest first. An event records the export before it starts."""
    async with page.form(AuditForm, _TEMPLATE, **_nothing(events)) as asked:
        events.require(asked.action, "body", "action")
        filters = await asked.filters(page, accounts)
    used = {name: str(value) for name, value in filters if value is not None}
    emit_event(PagesEvent.AUDIT_EXPORTED, outcome="success", user_id=page.principal.user_id, filters=used)
    name = f"audit-{datetime.now(UTC):%Y-%m-%d}.csv"
    return StreamingResponse(
        _lines(trail.export(filters)),
        media_type="text/csv; charset=utf-8; header=present",
        headers={"Content-Disposition": f'attachment; filename="{name}"'},
    )


def _nothing(events: Events) -> dict[str, Any]:
    return {"events": [], "names": {}, "next_path": None, "actions": events.events}


def cell(value: object) -> str:
    """Return the value as the text of a cell that nothing calculates."""
    text = "" if value is None else orjson.dumps(value).decode() if isinstance(value, dict) else str(value)
    text = _BEGINS_ANOTHER.sub(r"\1'\2", text)
    return f"'{text}" if text.startswith(_BEGINS_A_FORMULA) else text


def line(cells: Any) -> str:
    """Return a line of texts, each in quotes: a comma, a quote or a line end in one stays a part of it."""
    out = io.StringIO()
    csv.writer(out, quoting=csv.QUOTE_ALL, lineterminator="\r\n").writerow(cells)
    return out.getvalue()


async def _lines(rows: AsyncIterator[Any]) -> AsyncIterator[str]:
    """Yield the header, and a line for each event."""
    yield line(AuditEventRead.model_fields)
    async for row in rows:
        yield line(cell(value) for value in AuditEventRead.model_validate(row).model_dump(mode="json").values())
