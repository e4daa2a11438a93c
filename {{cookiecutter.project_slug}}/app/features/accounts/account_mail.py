"""The mails about accounts: templates as plain files in `mails/`, each as text and as HTML, or in a folder before it.

Values are data: HTML escapes them, a name that is missing stops the mail, and links begin with `PUBLIC_URL`, whatever
`Host` the request named (ASVS 1.1.2, 1.3.7). Nobody is greeted by name before they have shown that the mailbox is
theirs: the name could be somebody else's message to them.
"""

from enum import StrEnum
from functools import cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.mail import Mail, Outbox
from app.core.settings import Settings
from app.features.accounts.models import User
from app.features.accounts.tokens import LIFETIMES, TokenKind

TEMPLATES = Path(__file__).with_name("mails")
_LONGEST_NAME = 100


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
}


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
    """Writes mails, and puts them into the outbox in the caller's unit."""

    def __init__(self, outbox: Outbox, settings: Settings, api_url: str) -> None:
        self._outbox = outbox
        self._app_name = settings.app_name
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
        self, unit: AsyncSession, kind: MailKind, to: str, *, token: str | None = None, name: str | None = None
    ) -> None:
        """Write to an address."""
        subject = f"{self._app_name[:_LONGEST_NAME]}: {_SUBJECTS[kind]}"
        text, html = self._write(kind, subject, token, name)
        await self._outbox.add(unit, Mail(to=to, subject=subject, text=text, html=html))
        await unit.flush()

    async def tell(self, unit: AsyncSession, kind: MailKind, user: User, *, token: str | None = None) -> None:
        """Write to a user, by name where the mailbox is known to be theirs."""
        await self.send(unit, kind, user.email, token=token, name=user.display_name if user.verified_at else None)

    def _try_all(self) -> None:
        """A template that is missing or broken stops the boot, not a mail."""
        for kind in MailKind:
            self._write(kind, self._app_name, "-", None)

    def _write(self, kind: MailKind, subject: str, token: str | None, name: str | None) -> tuple[str, str]:
        """The mail as text and as HTML. A token that is not given is missing: the template that needs it fails."""
        values = self._common | {"subject": subject, "display_name": name} | ({} if token is None else {"token": token})
        text, html = (
            _templates(self._folders).get_template(f"{kind}.{suffix}").render(values) for suffix in ("txt", "html")
        )
        return text, html
