"""`manage create-admin`: the first account, or another administrator."""

import asyncio
import secrets
import sys
from typing import Annotated

import typer
from pydantic import SecretStr, TypeAdapter, ValidationError

from app.access.roles import Role
from app.commands.support import database_faults, fail, settings_or_exit
from app.core.database import Database
from app.core.errors import Problem
from app.core.migrations import require_current
from app.core.settings import Settings
from app.features.accounts.passwords import LONGEST_PASSWORD, SHORTEST_PASSWORD, NewPassword, PasswordHasher
from app.features.accounts.service import AccountService

_RANDOM_PASSWORD_BYTES = 18

_Email = Annotated[str, typer.Option("--email", help="The address that the administrator signs in with.")]
_FromStdin = Annotated[
    bool, typer.Option("--password-stdin", help="Read the password from standard input, instead of making one.")
]


def create_admin(email: _Email, password_stdin: _FromStdin = False) -> None:  # noqa: FBT002  # an option
    """Create an administrator. Without --password-stdin, a random password is made and shown once."""
    password = _read_password() if password_stdin else SecretStr(secrets.token_urlsafe(_RANDOM_PASSWORD_BYTES))
    settings = settings_or_exit()
    try:
        with database_faults():
            asyncio.run(_create(settings, email, password))
    except ValueError as error:
        fail(f"--email {error}. Example: --email admin@example.com")
    except Problem as problem:
        fail(problem.detail)
    typer.echo(f"Created the administrator {email}.")
    if not password_stdin:
        typer.echo(f"Password, shown this once: {password.get_secret_value()}")


def _read_password() -> SecretStr:
    """One line of standard input, checked by the rule of every other path that sets a password."""
    try:
        line = sys.stdin.buffer.readline().decode("utf-8").rstrip("\r\n")
        password: SecretStr = TypeAdapter(NewPassword).validate_python(line)
    except UnicodeDecodeError:
        fail("The password on standard input is not UTF-8 text.")
    except ValidationError:
        fail(f"The password must have {SHORTEST_PASSWORD} to {LONGEST_PASSWORD} characters.")
    return password


async def _create(settings: Settings, email: str, password: SecretStr) -> None:
    database = Database(settings.database_url)
    hasher = PasswordHasher()
    try:
        await require_current(database, settings.database_url)
        await AccountService(database, hasher).create(email, password, [Role.ADMIN])
    finally:
        hasher.close()
        await database.close()
