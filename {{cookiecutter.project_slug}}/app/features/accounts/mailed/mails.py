"""The mails about accounts: plain files in `templates/`, or in a folder before it, each as text and as HTML.

Links begin with `PUBLIC_URL`, whatever the `Host` (ASVS 1.1.2, 1.3.7). A mail greets by name only if the mailbox is
confirmed: the name could be a stranger's message. Texts of others (user agents, client names) pass through `unlinked`.

Requests for mail are limited by client, for a mailbox, and by account (ASVS 2.4.1). A client over its limit gets 429. A
mailbox over its limit gets no more mail, and the same answer as ever. Each kind is counted apart for as long as a token
lives: who uses up a limit has filled the mailbox with tokens that work. Revoking them begins the count of resets anew.
A change of address counts for the account that asks: no stranger uses it up.
"""

import re
from collections.abc import Mapping
from functools import cache, partial
from pathlib import Path
from typing import Any
from uuid import UUID

from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape
from limits import RateLimitItemPerHour, parse as parse_limit
from sqlalchemy import Connection, bindparam, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.clock import utc_now
from app.core.crypto import digest
from app.core.database.database import table_of
from app.core.events import emit_event
from app.core.limits import Limiter, Verdict, subscriber
from app.core.mail.outbox import Mail, MailFolders, MailTemplate, Outbox
from app.core.services import Services
from app.core.settings.model import Settings
from app.feature import API_PREFIX
from app.features.accounts.events import AccountEvent, parse_alerts
from app.features.accounts.mailed.tokens import LIFETIMES, TokenKind
from app.features.accounts.models import User
from app.features.accounts.service import SERVICE_DOMAIN
from app.features.sessions.devices import Client

MAILS_PER_HOUR = RateLimitItemPerHour(5)
RECOVERY = "recovery"
TOO_MANY = "Too many requests for mail. Try again later."
TEMPLATES = Path(__file__).with_name("templates")
_LINKING = re.compile(r"[:@\"]|[.\u3002\uff0e\uff61](?![0-9])")

_users = table_of(User)
# Alerts go only to confirmed mailboxes: an unconfirmed address may be a stranger's.
_OWNER = select(_users.c.email, _users.c.display_name, _users.c.muted).where(
    _users.c.id == bindparam("user_id"),
    _users.c.verified_at.is_not(None),
    _users.c.email.not_like(f"%@{SERVICE_DOMAIN}"),
)


class MailKind(MailTemplate):
    """The mails about accounts."""

    VERIFY = "verify", "Confirm your e-mail address", "token"
    ACCOUNT_EXISTS = "account_exists", "You already have an account"
    RESET = "reset", "Set a new password", "token"
    CHOOSE_PASSWORD = "choose_password", "Choose your password", "token"
    PASSWORD_CHANGED = "password_changed", "Your password was changed"
    EMAIL_CHANGE = "email_change", "Confirm your new e-mail address", "token"
    EMAIL_CHANGE_REQUESTED = "email_change_requested", "Another e-mail address for your account"
    EMAIL_CHANGED = "email_changed", "Your e-mail address was changed"
    INVITATION = "invitation", "You are invited", "token"
    ACCOUNT_DELETED = "account_deleted", "Your account was deleted"


@cache
def templates_in(folders: tuple[Path, ...], *, reload: bool = False) -> Environment:
    """Return the templates, compiled once; of two with one name, that of the first folder."""
    return Environment(
        loader=FileSystemLoader(folders),
        autoescape=select_autoescape(["html"], default=False),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=reload,
    )


class AccountMail:
    """Writes mails, and puts them into the outbox in the caller's transaction; counts requests for them."""

    def __init__(self, services: Services) -> None:
        settings, mails = services[Settings], services[MailFolders]
        self._outbox, self._limiter = services[Outbox], services[Limiter]
        self.deliver = self._outbox.added.set
        """Delivers what `put_alert` added, once it is committed."""
        self._per_client = parse_limit(settings.rate_limit_signin)
        self.folders = tuple(reversed(mails))
        self._common: dict[str, Any] = {
            "app_name": settings.app_name,
            "admin_email": settings.admin_email,
            "public_url": settings.public_url,
            "api_url": f"{settings.public_url}{API_PREFIX}",
            "hours": LIFETIMES[TokenKind.RESET].seconds // 3600,
            "days": LIFETIMES[TokenKind.INVITATION].days,
        }
        # Render every mail: a template that is missing or broken stops the boot.
        for kind in (kind for kinds in mails.values() for kind in kinds):
            self._mail(kind, settings.admin_email, None, dict.fromkeys(("when", *kind.needs), "-"))

    async def admit_client(self, ip: str) -> None:
        """Count a request of a client; raises `TooManyRequests`."""
        verdict = await self._limiter.hit(self._per_client, "mail", "client", subscriber(ip))
        verdict.require(TOO_MANY, AccountEvent.MAIL_LIMITED, by="client")

    async def admit(self, purpose: str, whose: str, *, by: str = "mailbox") -> Verdict:
        """Count a request for mail to a mailbox, or of an account; the caller sends none if it is not allowed."""
        verdict = await self._limiter.hit(MAILS_PER_HOUR, "mail", purpose, digest(whose).hex())
        if not verdict.allowed:
            emit_event(AccountEvent.MAIL_LIMITED, outcome="denied", by=by)
        return verdict

    async def allow_recovery(self, db: AsyncSession, user_id: UUID) -> None:
        """Begin the count of an account's resets anew: the tokens that used it up are revoked."""
        mailbox = await db.scalar(select(User.mailbox).where(User.id == user_id))
        for _ in range(MAILS_PER_HOUR.amount):
            if not (mailbox and await self._limiter.refund(MAILS_PER_HOUR, "mail", RECOVERY, digest(mailbox).hex())):
                break

    async def send(
        self, db: AsyncSession, kind: MailKind, to: str, user_id: UUID | None, name: str | None = None, **about: str
    ) -> None:
        """Write to an address, about an account of which the reader knows."""
        await self._outbox.add(db, self._mail(kind, to, name, about), kind=kind, user_id=user_id)
        await db.flush()

    async def notify(self, db: AsyncSession, kind: MailKind, user: User, **about: str) -> None:
        """Write to a user, by name if the mailbox is confirmed."""
        await self.send(db, kind, user.email, user.id, user.display_name if user.verified_at else None, **about)

    async def alert(
        self, db: AsyncSession, alert: MailTemplate, user_id: UUID, origin: Client | None = None, **about: str
    ) -> None:
        """Write to the owner of an account unless they muted it; the template shows the time, `origin` and `about`."""
        put = partial(self.put_alert, alert=alert, user_id=user_id, origin=origin, about=about)
        if await (await db.connection()).run_sync(put):
            self._outbox.announce(db)

    def put_alert(
        self, connection: Connection, alert: MailTemplate, user_id: UUID, origin: Client | None, about: dict[str, str]
    ) -> bool:
        """Do the same on a connection; return whether a mail waits for `deliver`."""
        owner = connection.execute(_OWNER, {"user_id": user_id}).one_or_none()
        if owner is None or alert in parse_alerts(owner.muted):
            return False
        said = {name: unlinked(value) for name, value in about.items()} | {"when": f"{utc_now():%Y-%m-%d %H:%M} UTC"}
        if origin is not None:
            said |= {"ip": origin.ip, "user_agent": unlinked(origin.user_agent)}
        self._outbox.put(connection, self._mail(alert, *owner[:2], said), kind=alert, user_id=user_id)
        return True

    def _mail(self, kind: MailTemplate, to: str, name: str | None, about: Mapping[str, str]) -> Mail:
        """Render the mail as text and as HTML; fails if the template needs a value that is not given."""
        subject = f"{self._common['app_name'][:100]}: {kind.subject}"
        values = {**self._common, "subject": subject, "display_name": name, **about}
        templates = templates_in(self.folders)
        text, html = (templates.get_template(f"{kind}.{suffix}").render(values) for suffix in ("txt", "html"))
        return Mail(to=to, subject=subject, text=text, html=html)


def unlinked(text: str) -> str:
    """Return a text that others chose on one line, without what mail programs make links of, and without quotes."""
    return _LINKING.sub(" ", "".join(character for character in text if character.isprintable()))[:200]
