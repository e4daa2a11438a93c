"""`manage create-admin`: the first account, or another administrator."""

import secrets
import sys
from typing import Annotated

import typer
from pydantic import SecretStr

from app.access.roles import Role
from app.commands.support import fail, run_with_services, say
from app.core.services import Services
from app.features.accounts.service import AccountService, AccountSettings

_Email = Annotated[str, typer.Option("--email", help="The address that the administrator signs in with.")]
_FromStdin = Annotated[bool, typer.Option("--password-stdin", help="Read it from standard input; do not make one.")]


def create_admin(*, email: _Email, password_stdin: _FromStdin = False) -> None:
    """Create an administrator. Without --password-stdin, a random password is made and shown once."""
    password = _read_password() if password_stdin else SecretStr(secrets.token_urlsafe(18))

    def show(services: Services) -> None:
        say(f"Administrator: {email}")
        if not password_stdin:
            say(f"Password, shown this once: {password.get_secret_value()}")
        if Role.ADMIN in services[AccountSettings].require_second_factor_for:
            say("Sign in, and add a second factor first: the role demands one.")

    async def create(services: Services) -> None:
        # Shown before the commit, so that no account has a password that nobody has seen.
        await services[AccountService].create(email, password, [Role.ADMIN], before_commit=lambda: show(services))

    try:
        run_with_services(create)
    except ValueError as error:
        fail(f"--email {error}. Example: --email admin@example.com")


def _read_password() -> SecretStr:
    """Read one line of standard input, without the byte order mark that PowerShell writes."""
    try:
        return SecretStr(sys.stdin.buffer.readline(4096).decode("utf-8-sig").rstrip("\r\n"))
    except UnicodeDecodeError:
        fail("The password on standard input is not UTF-8 text.")
    except OSError as error:
        fail(f"The password on standard input cannot be read: {error.strerror}.")
