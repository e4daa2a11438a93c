"""`docs/deployment.md` and the pages of features list everything that the service connects to."""

import pytest

from tests.support.documents import names, rows, users_of
from tests.support.processes.server import PROJECT

pytestmark = pytest.mark.same_on_every_database

# What opens a connection, or starts a program that does.
CLIENTS = (
    *("aiohttp", "aiosmtplib", "asyncpg.connect", "authlib.integrations", "ftplib", "http.client", "httpx", "httpx2"),
    *("imaplib", "poplib", "redis.asyncio.Redis", "requests", "smtplib", "sqlalchemy.ext.asyncio.create_async_engine"),
    *("subprocess", "urllib.request", "urllib3", "websockets"),
)
HEADER = ("where", "to what", "setting", "while it is not there", "feature")
HINT = "\nGive each a row: in docs/deployment.md, or in the page of its feature, in a table with the same head."
# A file beside the service, and tools of developers.
ELSEWHERE = {"app/core/database/database.py", "app/commands/new_feature/command.py"}


@pytest.mark.asvs("13.1.1", "13.2.4")
def test_every_connection_is_listed() -> None:
    """Every module that can open one; none is missing, none is gone. What else connects is listed by its feature."""
    listed = [name for where, *_ in rows(*HEADER) for name in names(where)]
    assert len(listed) == len(set(listed))
    assert users_of(*CLIENTS) - ELSEWHERE <= set(listed), HINT
    assert [name for name in listed if not (PROJECT / name).is_file()] == []
