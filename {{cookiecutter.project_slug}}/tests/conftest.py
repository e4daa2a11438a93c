"""What all tests share: settings of their own, and the real application on a real SQLite file."""

import asyncio
import secrets
import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest
from pydantic import SecretStr

from app.core.migrations import upgrade
from app.core.settings import Settings
from app.main import create_app
from tests.support.mail import Mailbox
from tests.support.service import Service

MakeSettings = Callable[..., Settings]
StartService = Callable[..., AbstractAsyncContextManager[Service]]

PUBLIC_URL = "https://service.example"
# Production demands a mail server; nothing listens there.
NO_SMTP = "smtp://127.0.0.1:9?tls=off"


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """Run asynchronous tests on asyncio, as the service does."""
    return "asyncio"


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Keep the settings of whoever runs the tests out of them, and their mail out of the project."""
    monkeypatch.setattr("app.core.settings.ENV_FILE", tmp_path / "no.env")
    monkeypatch.setattr("app.core.settings.SECRETS_DIR", tmp_path / "no-secrets")
    monkeypatch.setattr("app.core.mail_transport.MAIL_FOLDER", tmp_path / "mail")
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.fixture
def mailbox(tmp_path: Path) -> Mailbox:
    """The mail that the service of this test has written."""
    return Mailbox(tmp_path / "mail")


@pytest.fixture(scope="session")
def migrated_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An SQLite file with the current schema, to copy for each test."""
    path = tmp_path_factory.mktemp("database") / "migrated.db"
    asyncio.run(upgrade(SecretStr(f"sqlite+aiosqlite:///{path}")))
    return path


@pytest.fixture
def make_settings(tmp_path: Path, migrated_database: Path) -> MakeSettings:
    """Settings for a test: a database and a key of its own, and no `.env`."""
    database = tmp_path / "test.db"
    shutil.copyfile(migrated_database, database)
    key = secrets.token_urlsafe(64)

    def make(**overrides: Any) -> Settings:
        values: dict[str, Any] = {
            "environment": "test",
            "smtp_url": NO_SMTP if overrides.get("environment") == "production" else None,
            "admin_email": "operator@service.example",
            "secret_key": key,
            "database_url": f"sqlite:///{database}",
            "rate_limit_signin": "1000/minute",
            "rate_limit_default": "100000/minute",
            "public_url": PUBLIC_URL,
            "log_format": "json",
            **overrides,
        }
        return Settings(**values)

    return make


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
