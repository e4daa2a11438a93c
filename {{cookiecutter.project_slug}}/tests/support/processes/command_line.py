"""`manage` as a process in a folder with an `.env` of its own."""

import os
import secrets
from copy import copy
from pathlib import Path
from typing import Any, Literal, Self

from dotenv import dotenv_values
from pydantic import SecretStr

from app.assembly import SETTINGS
from app.core.settings.model import Settings
from tests.support.processes.server import environment
from tests.support.processes.warm import MANAGE, Command, Done

_WITH_NOTES = "import runpy; runpy.run_module('tests.support.processes.notes', run_name='__main__')"
_KILLED = {
    when: f"""
import os, signal
from app.manage import main
replace = os.replace
def replace_and_die(*names, **folders):
    if {when == "after"}:
        replace(*names, **folders)
    os.kill(os.getpid(), signal.SIGKILL)
os.replace = replace_and_die
main()
"""
    for when in ("before", "after")
}
_LONG_AGO = 3600


class CommandLine:
    """The keys stand in `.env`, all else in the environment."""

    def __init__(self, folder: Path, database_url: str) -> None:
        self._code = MANAGE
        self.folder = folder
        self.env_file = folder / ".env"
        self.database_url = database_url
        self.environment = environment(DATABASE_URL=database_url, SECRET_KEY="")
        self.env_file.write_text(f"# keys\nSECRET_KEY={secrets.token_urlsafe(64)}\n", encoding="utf-8")
        self.env_file.chmod(0o600)

    def __call__(self, *arguments: str, **settings: str) -> Done:
        """Run a command: exit code, standard output, standard error, in none of which a key may stand."""
        keys = self.keys()
        done = self.start(*arguments, stdin=b"", stdout=None, **settings).end()
        assert "Traceback" not in done.err, done.err
        assert not any(key in text for key in {*keys, *self.keys()} for text in done[1:])
        return done

    def start(self, *arguments: str, stdin: bytes | Path = b"", stdout: Path | None = None, **settings: str) -> Command:
        """Start a command; nobody is there to answer it, unless `stdin` is a terminal."""
        variables = {**self.environment, **settings}
        return Command(
            arguments, folder=self.folder, environment=variables, code=self._code, stdin=stdin, stdout=stdout
        )

    def create_admin(self, email: str) -> str:
        """Make an administrator; the password."""
        done = self("create-admin", "--email", email)
        assert done.code == 0, done.err
        return done.out.strip().rsplit(" ", 1)[1]

    def after(self, prelude: str) -> Self:
        """The same, with code that runs before it in the same process."""
        other = copy(self)
        other._code = f"{prelude}\n{self._code}"  # noqa: SLF001  # its own
        return other

    def with_database(self, url: str) -> Self:
        """The same, on another database."""
        other = copy(self)
        other.database_url, other.environment = url, {**self.environment, "DATABASE_URL": url}
        return other

    def with_notes(self) -> Self:
        """The same, with the feature of `notes.py` in the service."""
        other = copy(self)
        other._code = _WITH_NOTES  # noqa: SLF001  # its own
        return other

    def killed(self, when: Literal["before", "after"]) -> Self:
        """The same, killed by itself right before or right after it has put another `.env` into its place."""
        other = copy(self)
        other._code = _KILLED[when]  # noqa: SLF001  # its own
        return other

    def keys(self) -> list[str]:
        """The keys in `.env`, the current one first."""
        values = dotenv_values(self.env_file) if self.env_file.exists() else {}
        return [
            key for key in f"{values.get('SECRET_KEY')},{values.get('SECRET_KEY_FALLBACKS') or ''}".split(",") if key
        ]

    def secrets(self) -> list[SecretStr]:
        """The same, for a key ring."""
        return [SecretStr(key) for key in self.keys()]

    def let_time_pass(self) -> None:
        """Make `.env` an hour older."""
        before = self.env_file.stat().st_mtime - _LONG_AGO
        os.utime(self.env_file, (before, before))

    def server_settings(self) -> dict[str, str]:
        """The settings of the commands, for a server that runs meanwhile."""
        settings = {
            name: self.environment[name] for name in map(str.upper, SETTINGS.model_fields) if name in self.environment
        }
        key, *fallbacks = self.keys()
        return {**settings, "SECRET_KEY": key, "SECRET_KEY_FALLBACKS": ",".join(fallbacks)}

    def settings(self) -> Settings:
        """The settings of the commands, for a service in this process."""
        given = {name.lower(): value for name, value in self.environment.items()}
        values: dict[str, Any] = {name: given[name] for name in SETTINGS.model_fields if name in given}
        key, *fallbacks = self.keys()
        return SETTINGS(**{**values, "secret_key": key, "secret_key_fallbacks": ",".join(fallbacks)})
