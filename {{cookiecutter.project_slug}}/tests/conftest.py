"""What all tests share: settings of their own, and the real application on a real database."""

import asyncio
import gc
import secrets
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import httpx2
import pytest
from pwdlib.hashers.argon2 import Argon2Hasher

from app.assembly import SETTINGS
from app.core.settings.model import Settings
from app.features.accounts.passwords.hasher import usable_cores
from app.main import create_app
from tests.support.database.databases import (
    MARKER,
    PLUGIN,
    POSTGRESQL,
    SQLITE,
    Databases,
    ForMarkedTests,
    MarkerPlugin,
    PostgresqlCopies,
    PostgresqlPlugin,
    SqliteFiles,
    chosen_database,
)
from tests.support.database.postgresql import PostgresqlDatabases, databases_on
from tests.support.records.mail import Mailbox
from tests.support.service import Service

MakeSettings = Callable[..., Settings]
StartService = Callable[..., AbstractAsyncContextManager[Service]]

PUBLIC_URL = "https://service.example"
CHEAP_ARGON2ID = Argon2Hasher(memory_cost=256, time_cost=1, parallelism=1)
# Production demands a mail server; nothing listens there.
NO_SMTP = "smtp://127.0.0.1:9?tls=off"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Let a run choose its database, and what it is to prove."""
    parser.addoption("--database", choices=(SQLITE, POSTGRESQL), help="what the tests run on")
    parser.addoption("--update", action="store_true", help="write tables on record anew, instead of comparing them")
    parser.addoption("--asvs", metavar="ID", help="run what proves this requirement of the OWASP ASVS, or section: 6.2")
    parser.addini("database", "what the tests run on where --database does not say", default=SQLITE)


def pytest_configure(config: pytest.Config) -> None:
    """Mark the tests that use the database of the run, and have a PostgreSQL server ready to be started."""
    config.pluginmanager.register(MarkerPlugin(), MARKER)
    config.pluginmanager.register(PostgresqlPlugin(config), PLUGIN)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave what proves the requirement that was asked for."""
    asked = config.getoption("--asvs")
    if asked is not None:
        proofs = [item for item in items if any(f"{each}.".startswith(f"{asked}.") for each in requirements_of(item))]
        config.hook.pytest_deselected(items=list(set(items).difference(proofs)))
        items[:] = proofs


def requirements_of(item: pytest.Item) -> list[str]:
    """The requirements of the OWASP ASVS that a test proves."""
    return [requirement for mark in item.iter_markers("asvs") for requirement in mark.args]


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """One more than there are cores for `-n auto`: a test that waits for a process leaves its core to others."""
    return usable_cores() + 1


def pytest_collection_finish() -> None:
    """Collect garbage less often: each test makes an application, beside modules that are garbage never."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """Run asynchronous tests on asyncio, as the service does."""
    return "asyncio"


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Keep the settings of whoever runs the tests out of them, and their mail out of the project."""
    monkeypatch.setattr("app.core.settings.model.ENV_FILE", tmp_path / "no.env")
    monkeypatch.setattr("app.core.settings.model.SECRETS_DIR", tmp_path / "no-secrets")
    monkeypatch.setattr("app.core.mail.transport.MAIL_FOLDER", tmp_path / "mail")
    for name in SETTINGS.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.fixture(autouse=True)
def _cheap_hashes(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Hash passwords at a small part of the cost, except where that cost is tested; other processes never do."""
    if request.node.get_closest_marker("owasp_argon2id") is None:
        monkeypatch.setattr("app.features.accounts.passwords.hasher.OWASP_ARGON2ID", CHEAP_ARGON2ID)


@pytest.fixture
def mailbox(tmp_path: Path) -> Mailbox:
    """The mail that the service of this test has written."""
    return Mailbox(tmp_path / "mail")


@pytest.fixture(scope="session")
def postgresql(request: pytest.FixtureRequest) -> Iterator[PostgresqlDatabases]:
    """Databases on a PostgreSQL server, whatever the other tests run on."""
    plugin = request.config.pluginmanager.get_plugin(PLUGIN)
    assert plugin is not None
    with databases_on(plugin.superuser_url) as databases:
        yield databases


@pytest.fixture
def postgresql_url(postgresql: PostgresqlDatabases) -> Iterator[str]:
    """An empty database on PostgreSQL, whatever the other tests run on."""
    created = postgresql.create()
    try:
        yield created
    finally:
        postgresql.drop(created)


@pytest.fixture(scope="session")
def databases(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Databases:
    """Databases of the kind that this run is for, as the first start of the service leaves them."""
    marked = request.config.pluginmanager.get_plugin(MARKER)
    assert marked is not None
    if chosen_database(request.config) == POSTGRESQL:
        copies = PostgresqlCopies(request.getfixturevalue("postgresql"), _start_once)
        return ForMarkedTests(copies, lambda: marked.item)
    return ForMarkedTests(SqliteFiles(tmp_path_factory.mktemp("database"), _start_once), lambda: marked.item)


def _start_once(url: str) -> None:
    async def start() -> None:
        app = create_app(_settings(database_url=url))
        async with app.router.lifespan_context(app):
            pass

    asyncio.run(start())


@pytest.fixture
def database_url(databases: Databases, tmp_path: Path) -> Iterator[str]:
    """A database of the test's own with the current schema, as `DATABASE_URL` names it."""
    with databases.migrated(tmp_path) as url:
        yield url


@pytest.fixture
def empty_database_url(databases: Databases, tmp_path: Path) -> Iterator[str]:
    """A database of the test's own without a table."""
    with databases.empty(tmp_path) as url:
        yield url


@pytest.fixture
def make_settings(database_url: str) -> MakeSettings:
    """Settings for a test: a database and a key of its own, and no `.env`."""
    return partial(_settings, database_url=database_url, secret_key=secrets.token_urlsafe(64))


def _settings(**overrides: Any) -> Settings:
    production = overrides.get("environment") == "production"
    values: dict[str, Any] = {
        "environment": "test",
        "smtp_url": NO_SMTP if production else None,
        "admin_email": "operator@service.example",
        "secret_key": secrets.token_urlsafe(64),
        "rate_limit_signin": "100/15minutes" if production else "1000/minute",
        "rate_limit_default": "100000/minute",
        "public_url": PUBLIC_URL,
        # Production demands one of administrators; tests of that say so.
        "require_second_factor_for": (),
        "log_format": "json",
        **overrides,
    }
    return SETTINGS.with_named()(**values)


@pytest.fixture
def start(make_settings: MakeSettings) -> StartService:
    """Start the application in this process, with other settings where a test needs them."""

    @asynccontextmanager
    async def running(**overrides: Any) -> AsyncIterator[Service]:
        app = create_app(make_settings(**overrides))
        async with (
            app.router.lifespan_context(app),
            httpx2.AsyncClient(
                transport=httpx2.ASGITransport(app=app, raise_app_exceptions=False), base_url=PUBLIC_URL
            ) as client,
        ):
            yield Service(app, client)

    return running


@pytest.fixture
async def service(start: StartService) -> AsyncIterator[Service]:
    """The application with the settings that most tests use."""
    async with start() as running:
        yield running
