"""The mails about accounts: plain files in `templates/`, or in a folder before it, each as text and as HTML.

Links begin with `PUBLIC_URL`, whatever the `Host` (ASVS 1.1.2, 1.3.7). A mail greets by name only if the mailbox is
confirmed: the name could be a stranger's message. Texts of others (user agents, client names) pass through `unlinked`.
"""

import re
from collections.abc import Mapping
from functools import cache, partial
from pathlib import Path
from typing import Any
from uuid import UUID

from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape
from sqlalchemy import Connection, bindparam, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.clock import utc_now
from app.core.database.database import table_of
from app.core.mail.outbox import Mail, MailFolders, MailTemplate, Outbox
from app.core.settings.model import Settings
from app.features.accounts.mailed.alerts import parse_alerts
from app.features.accounts.mailed.tokens import LIFETIMES, TokenKind
from app.features.accounts.models import User
from app.features.accounts.service import SERVICE_DOMAIN
from app.features.sessions.client import Client

TEMPLATES = Path(__file__).with_name("templates")
_LONGEST_NAME = 100
_LONGEST_SHOWN = 200
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
def _templates(folders: tuple[Path, ...]) -> Environment:
    """Return the templates, compiled once; of two with one name, that of the first folder."""
    return Environment(
        loader=FileSystemLoader(folders),
        autoescape=select_autoescape(["html"], default=False),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )


class AccountMail:
    """Writes mails, and puts them into the outbox in the caller's transaction."""

    def __init__(self, outbox: Outbox, settings: Settings, api_url: str, mails: MailFolders) -> None:
        self._outbox = outbox
        self.folders = tuple(reversed(mails))
        self._common: dict[str, Any] = {
            "app_name": settings.app_name,
            "admin_email": settings.admin_email,
            "public_url": settings.public_url,
            "api_url": api_url,
            "hours": LIFETIMES[TokenKind.RESET].seconds // 3600,
            "days": LIFETIMES[TokenKind.INVITATION].days,
        }
        # Render every mail: a template that is missing or broken stops the boot.
        for kind in (kind for kinds in mails.values() for kind in kinds):
            self._mail(kind, settings.admin_email, None, dict.fromkeys(("when", *kind.needs), "-"))

    async def send(
        self, db: AsyncSession, kind: MailKind, to: str, *, token: str | None = None, name: str | None = None
    ) -> None:
        """Write to an address."""
        await self._outbox.add(db, self._mail(kind, to, name, {} if token is None else {"token": token}))
        await db.flush()

    async def notify(self, db: AsyncSession, kind: MailKind, user: User, *, token: str | None = None) -> None:
        """Write to a user, by name if the mailbox is confirmed."""
        await self.send(db, kind, user.email, token=token, name=user.display_name if user.verified_at else None)

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
        self._outbox.put(connection, self._mail(alert, owner.email, owner.display_name, said))
        return True

    def deliver(self) -> None:
        """Deliver what `put_alert` added, now that it is committed."""
        self._outbox.added.set()

    def _mail(self, kind: MailTemplate, to: str, name: str | None, about: Mapping[str, str]) -> Mail:
        """Render the mail as text and as HTML; fails if the template needs a value that is not given."""
        subject = f"{self._common['app_name'][:_LONGEST_NAME]}: {kind.subject}"
        values = {**self._common, "subject": subject, "display_name": name, **about}
        templates = _templates(self.folders)
        text, html = (templates.get_template(f"{kind}.{suffix}").render(values) for suffix in ("txt", "html"))
        return Mail(to=to, subject=subject, text=text, html=html)


def unlinked(text: str) -> str:
    """Return a text that others chose on one line, without what mail programs make links of, and without quotes."""
    shown = "".join(character for character in text if character.isprintable())
    return _LINKING.sub(" ", shown)[:_LONGEST_SHOWN]
