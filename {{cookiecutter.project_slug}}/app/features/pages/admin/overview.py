"""The start of the administration: what the last days were like, and what needs attention; routes, and health."""

from collections import Counter
from collections.abc import Awaitable, Callable
from datetime import datetime, time, timedelta
from time import perf_counter
from typing import Annotated

from starlette.responses import Response

from app.access.guard import route_policies
from app.access.policies import Allow
from app.core.clock import utc_now
from app.core.database.database import Database
from app.core.events import UpkeepEvent
from app.core.limits import Limiter
from app.core.mail.delivery import MailDelivery
from app.core.pagination import PageParams
from app.core.services import provided
from app.features.accounts.events import AccountEvent
from app.features.accounts.permissions import UserPermission
from app.features.accounts.routes import Accounts, CurrentSettings
from app.features.audit.permissions import TrailPermission
from app.features.audit.routes import Audit
from app.features.audit.schemas import AuditEventRead
from app.features.audit.service import Filters
from app.features.browser.events import BrowserEvent
from app.features.factors.events import FactorEvent
from app.features.pages.admin.audit import names_of
from app.features.pages.kit.page import CurrentPage, PageRouter
from app.features.signin.events import SignInEvent
from app.features.system.permissions import SystemPermission

router = PageRouter(__name__, "/admin")

Mails = Annotated[MailDelivery, provided(MailDelivery)]

_DAYS = 14
_PURGE_OVERDUE = timedelta(days=2)
_ALARMS = SignInEvent.TOKEN_REUSED, FactorEvent.PASSKEY_COPIED, BrowserEvent.SESSION_FORGED, AccountEvent.SIGNIN_LIMITED


@router.page("", Allow(UserPermission.USERS_READ))
async def overview(page: CurrentPage, trail: Audit, mails: Mails, accounts: Accounts) -> Response:
    """Show the last 14 days and what needs attention to those who may read the audit trail; to others, the pages."""
    if TrailPermission.AUDIT_READ not in page.principal.permissions:
        return page.show("admin.html", days=[], figures=[], attention=None)
    now = utc_now()
    first = datetime.combine(now.date() - timedelta(days=_DAYS - 1), time(), now.tzinfo)
    days = [str((first + timedelta(days=number)).date()) for number in range(_DAYS)]
    number: Counter[tuple[str, str]] = Counter()
    for day, action, outcome, count in await trail.daily(first):
        number[day, action] += count
        number[day, ""] += count if outcome != "success" else 0
    figures = [
        (label, path, [number[day, action] for day in days])
        for label, path, action in (
            ("Sign-ins", f"/admin/audit?action={SignInEvent.SIGNIN_SUCCEEDED}", SignInEvent.SIGNIN_SUCCEEDED),
            ("Failures and refusals", "/admin/audit", ""),
            ("New accounts", "/admin/users", AccountEvent.ACCOUNT_CREATED),
        )
    ]
    purge, mail = await trail.latest(UpkeepEvent.ROWS_PURGED), await mails.queue.standing()
    attention = {action: sum(number[day, action] for day in days) for action in _ALARMS} | {
        "failed": mail.failed,
        "waiting": mail.waiting,
        "overdue": purge is None or now - purge.created_at > _PURGE_OVERDUE,
    }
    latest = [AuditEventRead.model_validate(row) for row in (await trail.list_events(Filters(), PageParams(5)))[0]]
    names = await names_of(page, accounts, latest)
    return page.show("admin.html", days=days, figures=figures, attention=attention, latest=latest, names=names)


@router.page("/routes", Allow(SystemPermission.DOCS_READ))
async def routes_page(page: CurrentPage) -> Response:
    """Show the policy of every method of every path, as `manage routes` does."""
    return page.show("admin_routes.html", routes=route_policies(page.request.app))


@router.page("/health", Allow(SystemPermission.DOCS_READ))
async def health_page(
    page: CurrentPage,
    database: Annotated[Database, provided(Database)],
    limiter: Annotated[Limiter, provided(Limiter)],
    mails: Mails,
    settings: CurrentSettings,
) -> Response:
    """Show the state of the database, the counters and the mail. If one of the first two is down, answer 503."""
    return page.show(
        "admin_health.html",
        database=await _milliseconds(database.ping),
        counters=await _milliseconds(limiter.ping),
        shared=settings.redis_url is not None,
        mail=await mails.queue.standing(),
    )


async def _milliseconds(ask: Callable[[], Awaitable[None]]) -> str:
    begin = perf_counter()
    await ask()
    return f"{(perf_counter() - begin) * 1000:.1f} ms"
