"""`manage create-admin`: the first account, or another administrator."""

import asyncio
import secrets
import sys
from collections.abc import Callable
from typing import Annotated

import typer
from pydantic import SecretStr

from app.access.roles import Role
from app.assembly import opened
from app.commands.support import database_faults, fail, say, settings_or_exit
from app.core.errors import Problem
from app.core.settings.model import Settings
from app.features.accounts.service import AccountService
from app.features.audit.service import AuditTrail

_RANDOM_PASSWORD_BYTES = 18
_LONGEST_LINE = 4096

_Email = Annotated[str, typer.Option("--email", help="The address that the administrator signs in with.")]
_FromStdin = Annotated[
    bool, typer.Option("--password-stdin", help="Read the password from standard input, instead of making one.")
]


def create_admin(email: _Email, password_stdin: _FromStdin = False) -> None:  # noqa: FBT002  # an option
    """Create an administrator. Without --password-stdin, a random password is made and shown once."""
    password = _read_password() if password_stdin else SecretStr(secrets.token_urlsafe(_RANDOM_PASSWORD_BYTES))
    settings = settings_or_exit()

    def show() -> None:
        say(f"Administrator: {email}")
        if not password_stdin:
            say(f"Password, shown this once: {password.get_secret_value()}")

    try:
        with database_faults():
            asyncio.run(_create(settings, email, password, show))
    except ValueError as error:
        fail(f"--email {error}. Example: --email admin@example.com")
    except Problem as problem:
        fail(problem.detail)


def _read_password() -> SecretStr:
    """One line of standard input, of which no more is read than can be a password.

    A byte order mark before it, which PowerShell writes, is no part of it.
    """
    try:
        return SecretStr(sys.stdin.buffer.readline(_LONGEST_LINE).decode("utf-8-sig").rstrip("\r\n"))
    except UnicodeDecodeError:
        fail("The password on standard input is not UTF-8 text.")
    except OSError as error:
        fail(f"The password on standard input cannot be read: {error.strerror}.")


async def _create(settings: Settings, email: str, password: SecretStr, show: Callable[[], None]) -> None:
    async with opened(settings) as services, services[AuditTrail].recording():
        # Shown before the commit: where it cannot be shown, there is no account with a password that nobody knows.
        await services[AccountService].create(email, password, [Role.ADMIN], before_commit=show)
