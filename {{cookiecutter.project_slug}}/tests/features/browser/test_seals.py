"""The seals of browser sessions: after a change of the key nobody is signed out, and rows are sealed anew."""

import secrets
from pathlib import Path

import httpx2
import pytest
from sqlalchemy import LargeBinary, bindparam, text

from app.core.database.database import Database
from app.features.browser.cookie import NAME
from app.features.browser.service import BrowserSessions
from tests.conftest import StartService
from tests.support.pages.browser import FORM, Browser
from tests.support.processes.command_line import CommandLine
from tests.support.processes.server import ServerProcess
from tests.support.service import Service

OLD, NEW = secrets.token_urlsafe(64), secrets.token_urlsafe(64)
ME = "/api/v1/users/me"
ROTATE = "rotate-secret-key"
EMAIL = "ada@people.example"


async def reseal(service: Service, limit: int) -> int:
    """One batch, in a transaction of its own."""
    async with service[Database].transaction() as db:
        return await service[BrowserSessions].reseal(db, limit=limit)


async def cookies_of(service: Service, count: int) -> list[str]:
    """The cookies of that many browsers, each of somebody else."""
    browsers = [Browser(service) for _ in range(count)]
    for browser in browsers:
        await browser.sign_in(await service.person())
    return [str(browser.cookie) for browser in browsers]


async def statuses(service: Service, cookies: list[str]) -> list[int]:
    """What each cookie opens."""
    headers = [{"Cookie": f"{NAME}={cookie}"} for cookie in cookies]
    return [(await service.client.get(ME, headers=header)).status_code for header in headers]


@pytest.mark.anyio
@pytest.mark.asvs("11.2.2")
async def test_seals_in_batches_what_the_old_key_sealed(start: StartService) -> None:
    """Not more than the limit at once, each row once; before and afterwards every cookie opens its session."""
    async with start(secret_key=OLD) as service:
        cookies = await cookies_of(service, 3)
        assert await reseal(service, 100) == 0
    async with start(secret_key=NEW, secret_key_fallbacks=[OLD]) as service:
        cookies += await cookies_of(service, 1)
        assert await statuses(service, cookies) == [200] * 4
        assert [await reseal(service, 2) for _ in range(3)] == [2, 1, 0]
        assert await statuses(service, cookies) == [200] * 4
    async with start(secret_key=NEW) as service:
        assert await statuses(service, cookies) == [200] * 4
    async with start(secret_key=OLD) as service:
        assert await statuses(service, cookies) == [401] * 4


@pytest.mark.anyio
async def test_what_does_not_open_stays_closed_and_holds_nothing_up(start: StartService) -> None:
    """A row that nobody here sealed opens no session; the others are sealed anew, and then none is left to seal."""
    async with start(secret_key=OLD) as service:
        cookies = await cookies_of(service, 3)
    async with start(secret_key=NEW, secret_key_fallbacks=[OLD]) as service:
        async with service[Database].transaction() as db:
            broken = text("UPDATE browser_sessions SET sealed = :sealed WHERE id_hash = :id_hash")
            rows = (await db.execute(text("SELECT id_hash FROM browser_sessions"))).scalars().all()
            values = {"sealed": b"\0" * 80, "id_hash": bytes(rows[0])}
            kinds = [bindparam(name, type_=LargeBinary()) for name in values]
            await db.execute(broken.bindparams(*kinds), values)
        assert sum([await reseal(service, 2) for _ in range(3)]) == 2
        assert await reseal(service, 2) == 0
        assert sorted(await statuses(service, cookies)) == [200, 200, 401]


@pytest.mark.asvs("7.4.1", "11.2.2")
def test_a_browser_stays_signed_in_when_the_old_key_goes(tmp_path: Path, database_url: str) -> None:
    """Real processes: sign in, rotate, reseal, retire; the old key cannot go before the row is sealed anew."""
    manage = CommandLine(tmp_path, database_url)
    password = manage.create_admin(EMAIL)
    with ServerProcess(tmp_path, SECRET_KEY="", DATABASE_URL=database_url) as server:
        form = {"email": EMAIL, "password": password}
        answer = httpx2.post(f"{server.url}/login", data=form, headers=FORM, timeout=20)
        assert answer.status_code == 303
        cookie = answer.headers["Set-Cookie"].partition(";")[0]
    assert manage(ROTATE)[0] == 0
    manage.let_time_pass()
    code, _, err = manage(ROTATE, "--retire", "--yes")
    assert (code, "1 browser sessions are sealed with an earlier key" in err) == (1, True)
    code, out, _ = manage(ROTATE, "--reseal")
    assert (code, "browser sessions: 1 sealed with the current key" in out) == (0, True)
    assert manage(ROTATE, "--retire", "--yes")[0] == 0
    assert len(manage.keys()) == 1
    with ServerProcess(tmp_path, SECRET_KEY="", DATABASE_URL=database_url) as server:
        answer = httpx2.get(f"{server.url}{ME}", headers={"Cookie": cookie}, timeout=20)
        assert (answer.status_code, answer.json()["email"]) == (200, EMAIL)
