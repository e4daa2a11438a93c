"""The mails about accounts: plain files in `templates/`, or in a folder before it, each as text and as HTML.

Values are data: HTML escapes them, a name that is missing stops the mail, and links begin with `PUBLIC_URL`, whatever
`Host` the request named (ASVS 1.1.2, 1.3.7). Nobody is greeted by name before they have shown that the mailbox is
theirs: the name could be somebody else's message to them.

Alerts tell the owner what happened to the account, unless they have switched that off. What others chose in them (what
a program calls itself, the name of a client) is shown as `unlinked` leaves it. They hold no token.
"""

import re
from collections.abc import Mapping
from enum import StrEnum
from functools import cache, partial
from pathlib import Path
from uuid import UUID

from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape
from sqlalchemy import Connection, bindparam, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.clock import utc_now
from app.core.database.database import table_of
from app.core.mail.outbox import Mail, Outbox
from app.core.settings.model import Settings
from app.features.accounts.mailed.alerts import Alert, parse_alerts
from app.features.accounts.mailed.tokens import LIFETIMES, TokenKind
from app.features.accounts.models import User
from app.features.accounts.service_accounts import DOMAIN
from app.features.sessions.client import Client

TEMPLATES = Path(__file__).with_name("templates")
_LONGEST_NAME = 100
_LONGEST_SHOWN = 200
_LINKING = re.compile(r"[:@\"]|[.\u3002\uff0e\uff61](?![0-9])")

_users = table_of(User)
# Nobody but the owner of a confirmed mailbox is told: the address of another account may be a stranger's.
_OWNER = select(_users.c.email, _users.c.display_name, _users.c.muted).where(
    _users.c.id == bindparam("user_id"),
    _users.c.verified_at.is_not(None),
    _users.c.email.not_like(f"%@{DOMAIN}"),
)


class MailKind(StrEnum):
    """The mails; the value is the name of the templates."""

    VERIFY = "verify"
    ACCOUNT_EXISTS = "account_exists"
    RESET = "reset"
    CHOOSE_PASSWORD = "choose_password"  # noqa: S105  # the name of a template
    PASSWORD_CHANGED = "password_changed"  # noqa: S105  # the name of a template
    EMAIL_CHANGE = "email_change"
    EMAIL_CHANGE_REQUESTED = "email_change_requested"
    EMAIL_CHANGED = "email_changed"
    INVITATION = "invitation"
    ACCOUNT_DELETED = "account_deleted"
    NEW_DEVICE = Alert.NEW_DEVICE.value
    ROLES_CHANGED = Alert.ROLES_CHANGED.value
    NEW_APPLICATION = Alert.NEW_APPLICATION.value
    ACCOUNT_DISABLED = Alert.ACCOUNT_DISABLED.value


_SUBJECTS = {
    MailKind.VERIFY: "Confirm your e-mail address",
    MailKind.ACCOUNT_EXISTS: "You already have an account",
    MailKind.RESET: "Set a new password",
    MailKind.CHOOSE_PASSWORD: "Choose your password",
    MailKind.PASSWORD_CHANGED: "Your password was changed",
    MailKind.EMAIL_CHANGE: "Confirm your new e-mail address",
    MailKind.EMAIL_CHANGE_REQUESTED: "Another e-mail address for your account",
    MailKind.EMAIL_CHANGED: "Your e-mail address was changed",
    MailKind.INVITATION: "You are invited",
    MailKind.ACCOUNT_DELETED: "Your account was deleted",
    MailKind.NEW_DEVICE: "A sign-in from a new device",
    MailKind.ROLES_CHANGED: "Your roles were changed",
    MailKind.NEW_APPLICATION: "An application may act for you",
    MailKind.ACCOUNT_DISABLED: "Your account was disabled",
}
# What a mail may need besides `_common`, as a template that is tried gets it.
_SAMPLES = dict.fromkeys(("token", "when", "ip", "user_agent", "application", "roles"), "-")


@cache
def _templates(folders: tuple[Path, ...]) -> Environment:
    """The templates, compiled once; of one name, that of the first folder."""
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

    def __init__(self, outbox: Outbox, settings: Settings, api_url: str) -> None:
        self._outbox = outbox
        self._app_name = settings.app_name
        self._admin_email = settings.admin_email
        self._folders: tuple[Path, ...] = (TEMPLATES,)
        self._common = {
            "app_name": settings.app_name,
            "admin_email": settings.admin_email,
            "public_url": settings.public_url,
            "api_url": api_url,
            "hours": LIFETIMES[TokenKind.RESET].seconds // 3600,
            "days": LIFETIMES[TokenKind.INVITATION].days,
        }
        self._try_all()

    def prefer(self, folder: Path) -> None:
        """Take the templates that a folder has, and those here for the rest."""
        self._folders = (folder, *self._folders)
        self._try_all()

    async def send(
        self, db: AsyncSession, kind: MailKind, to: str, *, token: str | None = None, name: str | None = None
    ) -> None:
        """Write to an address."""
        await self._outbox.add(db, self._mail(kind, to, name, {} if token is None else {"token": token}))
        await db.flush()

    async def notify(self, db: AsyncSession, kind: MailKind, user: User, *, token: str | None = None) -> None:
        """Write to a user, by name where the mailbox is known to be theirs."""
        await self.send(db, kind, user.email, token=token, name=user.display_name if user.verified_at else None)

    async def alert(
        self, db: AsyncSession, alert: Alert, user_id: UUID, origin: Client | None = None, **about: str
    ) -> None:
        """Tell the owner of an account.

        `origin` is where it was done from, if they are to know; `about` is what else the template says.
        """
        put = partial(self.put_alert, alert=alert, user_id=user_id, origin=origin, about=about)
        if await (await db.connection()).run_sync(put):
            self._outbox.announce(db)

    def put_alert(
        self, connection: Connection, alert: Alert, user_id: UUID, origin: Client | None, about: Mapping[str, str]
    ) -> bool:
        """Tell the owner as `alert` does, unless they do not want to be told; whether a mail waits for `deliver`."""
        owner = connection.execute(_OWNER, {"user_id": user_id}).one_or_none()
        if owner is None or alert in parse_alerts(owner.muted):
            return False
        said = {name: unlinked(value) for name, value in about.items()} | {"when": f"{utc_now():%Y-%m-%d %H:%M} UTC"}
        if origin is not None:
            said |= {"ip": origin.ip, "user_agent": unlinked(origin.user_agent)}
        self._outbox.put(connection, self._mail(MailKind(alert.value), owner.email, owner.display_name, said))
        return True

    def deliver(self) -> None:
        """Have delivered what `put_alert` added, now that it is committed."""
        self._outbox.added.set()

    def _try_all(self) -> None:
        """A template that is missing or broken stops the boot, not a mail."""
        for kind in MailKind:
            self._mail(kind, self._admin_email, None, _SAMPLES)

    def _mail(self, kind: MailKind, to: str, name: str | None, about: Mapping[str, str]) -> Mail:
        """The mail as text and as HTML. A value that is not given is missing: the template that needs it fails."""
        subject = f"{self._app_name[:_LONGEST_NAME]}: {_SUBJECTS[kind]}"
        values = {**self._common, "subject": subject, "display_name": name, **about}
        text, html = (
            _templates(self._folders).get_template(f"{kind}.{suffix}").render(values) for suffix in ("txt", "html")
        )
        return Mail(to=to, subject=subject, text=text, html=html)


def unlinked(text: str) -> str:
    """A text that somebody else chose, on one line, of which a mail program makes no link, and which ends no quote."""
    shown = "".join(character for character in text if character.isprintable())
    return _LINKING.sub(" ", shown)[:_LONGEST_SHOWN]
