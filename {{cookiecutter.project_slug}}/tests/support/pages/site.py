"""The service as a process of its own with a database of its own, for browsers: its addresses, its people, its mail."""

import secrets
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import httpx2
import pytest
from playwright.async_api import Page, StorageState
from pydantic import SecretStr

from app.access.roles import Role
from app.assembly import SETTINGS, opened
from app.features.accounts.service import AccountService
from app.features.audit.service import AuditTrail
from app.features.browser.cookie import NAME
from tests.support.database.databases import Databases
from tests.support.pages.browser import FORM
from tests.support.processes.server import HOST, ServerProcess
from tests.support.records.mail import Mailbox
from tests.support.service import Person


class Site:
    """A running service. `url` is its origin, and its `PUBLIC_URL`."""

    def __init__(self, server: ServerProcess, settings: dict[str, str]) -> None:
        self.url = server.url
        self.server = server
        self.mailbox = Mailbox(server.log.parent / "var" / "mail")
        self._settings = settings

    async def person(self, *roles: Role) -> Person:
        """Give somebody an account; a member unless told otherwise."""
        email, password = f"{secrets.token_hex(6)}@people.example", secrets.token_urlsafe(18)
        async with self._accounts() as accounts:
            user_id = await accounts.create(email, SecretStr(password), roles or [Role.MEMBER])
        return Person(user_id, email, password)

    async def signed_in(self, person: Person) -> StorageState:
        """What a browser keeps when somebody has signed in, without a browser: `storage_state` of `visiting`."""
        async with httpx2.AsyncClient(base_url=self.url, headers=FORM, timeout=30) as http:
            answer = await http.post("/login", data={"email": person.email, "password": person.password})
        name, _, value = answer.headers["Set-Cookie"].partition(";")[0].partition("=")
        assert name == NAME
        return {
            "cookies": [
                {
                    "name": name,
                    "value": value,
                    "domain": HOST,
                    "path": "/",
                    "expires": -1,
                    "httpOnly": True,
                    "secure": True,
                    "sameSite": "Lax",
                }
            ]
        }

    @asynccontextmanager
    async def _accounts(self) -> AsyncIterator[AccountService]:
        """The accounts of the service's database, as a command of `manage` has them."""
        given = {name.lower(): value for name, value in self._settings.items()}
        settings = SETTINGS.with_named()(environment="test", admin_email="operator@service.example", **given)  # type: ignore[arg-type]  # it parses
        async with opened(settings) as services, services[AuditTrail].recording():
            yield services[AccountService]


@contextmanager
def running_site(folder: Path, databases: Databases, **settings: str) -> Iterator[Site]:
    """Start the service in a folder."""
    with databases.migrated(folder) as url:
        shared = {"DATABASE_URL": url, "SECRET_KEY": secrets.token_urlsafe(64), **settings}
        with ServerProcess(folder, head_seconds=None, **shared) as server:
            yield Site(server, shared)


async def sign_in(page: Page, person: Person) -> None:
    """Sign in with the form, as people do."""
    await page.goto("/login")
    await page.get_by_label("E-mail address").fill(person.email)
    await page.get_by_label("Password").fill(person.password)
    await page.get_by_role("button", name="Sign in").click()


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory, databases: Databases) -> Iterator[Site]:
    """The service as a process of its own, for browsers; a test looks only at what it has put there."""
    with running_site(tmp_path_factory.mktemp("site"), databases) as running:
        yield running
