"""The start of the administration: what the last days were like, and what needs attention."""

from collections import Counter
from collections.abc import Iterable
from datetime import datetime, time, timedelta
from typing import NamedTuple

from starlette.responses import Response

from app.access.policies import Allow
from app.core.clock import utc_now
from app.core.events import UpkeepEvent
from app.core.mail.delivery import MailDelivery
from app.core.services import services_of
from app.features.accounts.events import AccountEvent
from app.features.accounts.permissions import UserPermission
from app.features.audit.permissions import TrailPermission
from app.features.audit.service import AuditTrail
from app.features.pages.kit.page import CurrentPage, PageRouter
from app.features.signin.events import SignInEvent

router = PageRouter(__name__, "/admin")

_DAYS = 14
_TALLEST = 40
_PURGE_OVERDUE = timedelta(days=2)


class Figure(NamedTuple):
    """How often something happened on each day, and which page shows more of it."""

    label: str
    path: str
    counts: list[int]

    @property
    def heights(self) -> list[int]:
        """The height of each day's bar: the highest is 40, and one that is not empty can be seen."""
        highest = max(self.counts)
        return [-(-count * _TALLEST // highest) if highest else 0 for count in self.counts]


class Attention(NamedTuple):
    """Something to look at, and the page that shows it."""

    text: str
    path: str


@router.page("", Allow(UserPermission.USERS_READ))
async def overview(page: CurrentPage) -> Response:
    """Show the last 14 days and what needs attention to those who may read the audit trail; to others, the pages."""
    if TrailPermission.AUDIT_READ not in page.principal.permissions:
        return page.show("admin.html", days=[], figures=[], attention=None)
    services, now = services_of(page.request.app), utc_now()
    first = datetime.combine(now.date() - timedelta(days=_DAYS - 1), time(), now.tzinfo)
    days = [str((first + timedelta(days=number)).date()) for number in range(_DAYS)]
    trail = services[AuditTrail]
    number: Counter[tuple[str, str]] = Counter()
    for day, action, outcome, count in await trail.daily(first):
        number[day, action] += count
        number[day, ""] += count if outcome != "success" else 0
    figures = [
        Figure(label, path, [number[day, action] for day in days])
        for label, path, action in (
            ("Sign-ins", f"/admin/audit?action={SignInEvent.SIGNIN_SUCCEEDED}", SignInEvent.SIGNIN_SUCCEEDED),
            ("Failures and refusals", "/admin/audit", ""),
            ("New accounts", "/admin/users", AccountEvent.ACCOUNT_CREATED),
        )
    ]
    totals = {action: sum(number[day, action] for day in days) for _, action in number}
    purge, mail = await trail.latest(UpkeepEvent.ROWS_PURGED), await services[MailDelivery].standing()
    overdue = purge is None or now - purge.created_at > _PURGE_OVERDUE
    attention = list(_attention(totals, failed=mail.failed, overdue=overdue))
    return page.show("admin.html", days=days, figures=figures, attention=attention)


def _attention(totals: dict[str, int], *, failed: int, overdue: bool) -> Iterable[Attention]:
    reused, limited = totals.get(SignInEvent.TOKEN_REUSED, 0), totals.get(AccountEvent.SIGNIN_LIMITED, 0)
    if reused:
        path = f"/admin/audit?action={SignInEvent.TOKEN_REUSED}"
        yield Attention(f"A refresh token came twice, {reused} in 14 days: somebody may have a copy of it.", path)
    if limited:
        path = f"/admin/audit?action={AccountEvent.SIGNIN_LIMITED}"
        yield Attention(
            f"A limit of the sign-in was reached, {limited} in 14 days: somebody may guess passwords.", path
        )
    if failed:
        yield Attention(f"Mails that could not be delivered: {failed}.", "/admin/health")
    if overdue:
        yield Attention("Nothing was purged for two days: let manage purge run daily.", "/admin/health")
