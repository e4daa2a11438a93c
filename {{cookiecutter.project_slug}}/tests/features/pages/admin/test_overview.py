"""Where the administration begins, and who gets in."""

import re
from datetime import UTC, datetime, timedelta

import pytest
import time_machine
from sqlalchemy import Uuid, bindparam, text

from app.access.guard import route_policies
from app.access.roles import Role
from app.core.database.database import Database
from tests.support.pages.browser import text_of, with_browser
from tests.support.service import Service

pytestmark = pytest.mark.anyio


@pytest.mark.asvs("8.2.1")
async def test_members_see_a_page_that_says_no(service: Service) -> None:
    """Each page of the administration, and each form of it; what is there is told to nobody."""
    person = await service.person()
    _, browser = await with_browser(service)
    lines = [(method, path) for method, path, _ in route_policies(service.app) if path.startswith("/admin")]
    assert len(lines) > 15
    for method, template in lines:
        path = template.replace("{user_id}", str(person.id)).replace("{session_id}", str(person.id))
        answer = await (browser.get(path) if method == "GET" else browser.post(path))
        assert answer.status_code == 403, (method, path)
        assert answer.headers["Content-Type"].startswith("text/html")
        assert person.email not in answer.text


async def test_links_lead_only_where_one_may_go(service: Service) -> None:
    """A member has no link to the administration, an auditor none to what only administrators may, an admin all."""
    shown = {}
    for role in Role:
        _, browser = await with_browser(service, role)
        pages = [
            await browser.get(path)
            for path in ("/", "/account", "/admin")
            if role is not Role.MEMBER or path != "/admin"
        ]
        text = "".join(page.text for page in pages)
        paths = (
            "/account",
            "/admin",
            "/admin/users",
            "/admin/audit",
            "/admin/users/invite",
            "/admin/routes",
            "/admin/health",
        )
        shown[role] = [path for path in paths if f'href="{path}"' in text]
        for path in shown[role]:
            assert (await browser.get(path)).status_code == 200
    assert shown[Role.MEMBER] == ["/account"]
    assert shown[Role.AUDITOR] == ["/account", "/admin", "/admin/users", "/admin/audit"]
    assert len(shown[Role.ADMIN]) == 7


async def test_the_page_of_a_user_offers_only_what_one_may_do(service: Service) -> None:
    """An auditor looks, and finds no form."""
    person = await service.person()
    _, auditor = await with_browser(service, Role.AUDITOR)
    answer = await auditor.get(f"/admin/users/{person.id}")
    assert person.email in text_of(answer)
    own = answer.text.partition("<main ")[2]  # below the menu of the auditor
    assert own
    assert 'method="post"' not in own
    assert "/roles" not in own
    assert "/sessions" not in own
    _, admin = await with_browser(service, Role.ADMIN)
    answer = await admin.get(f"/admin/users/{person.id}")
    for part in ("/roles", "/sessions", "/name", "/disable", "/delete"):
        assert f'/admin/users/{person.id}{part}"' in answer.text


async def test_the_start_shows_the_last_days(service: Service) -> None:
    """Sign-ins, what failed, and new accounts: each day's number is in the table; older days are not."""
    begin = datetime.now(UTC).replace(hour=12, minute=0, second=0, microsecond=0)
    with time_machine.travel(begin - timedelta(days=14), tick=True):
        await service.person()
    with time_machine.travel(begin - timedelta(days=13), tick=True):
        person = await service.person()
    with time_machine.travel(begin, tick=True):
        for _ in range(3):
            await service.try_sign_in(person.email, "a wrong password")
        _, admin = await with_browser(service, Role.ADMIN)
        answer = await admin.get("/admin")
    rows = re.findall(r'<th scope="row">([\d-]+)</th><td>(\d+)</td><td>(\d+)</td><td>(\d+)</td>', answer.text)
    assert len(rows) == 14
    assert rows[0] == (str(begin.date()), "1", "3", "1")
    assert rows[-1] == (str((begin - timedelta(days=13)).date()), "0", "0", "1")
    assert answer.text.count('<svg viewBox="0 0 140 44" role="img"') == 3
    assert answer.text.count("<rect") == 3 * 14


async def test_the_start_has_the_latest_events(service: Service) -> None:
    """What was done last, in words, and by whom: the address, not the number."""
    person, (me, admin) = await service.person(), await with_browser(service, Role.ADMIN)
    await admin.post(f"/admin/users/{person.id}/disable")
    answer = await admin.get("/admin")
    assert "Account disabled" in text_of(answer).partition("Latest events")[2]
    assert f'<bdi title="{me.id}">{me.email}</bdi>' in answer.text
    assert answer.text.count("<bdi title=") <= 5


@pytest.mark.asvs("16.3.3")
async def test_the_start_tells_of_a_session_that_is_not_as_it_was_written(service: Service) -> None:
    """Somebody put the session of another account behind their cookie: what gets its owner nothing is told here."""
    (member, mine), (me, admin) = await with_browser(service), await with_browser(service, Role.ADMIN)
    assert "was not what this service wrote" not in (await admin.get("/admin")).text
    changed = text("UPDATE sessions SET user_id = :admin WHERE user_id = :member")
    async with service[Database].transaction() as db:
        ids = (bindparam(name, type_=Uuid()) for name in ("admin", "member"))
        await db.execute(changed.bindparams(*ids), {"admin": me.id, "member": member.id})
    assert (await mine.get("/account")).status_code == 303
    answer = text_of(await admin.get("/admin"))
    assert "A browser session in the database was not what this service wrote, 1 in 14 days" in answer


async def test_the_start_says_what_needs_attention(service: Service) -> None:
    """A refresh token that came twice leads to its events; upkeep that nobody runs is told; nothing else is."""
    _, tokens = await service.signed_in()
    await service.refresh(tokens.refresh)
    await service.refresh(tokens.refresh)
    _, admin = await with_browser(service, Role.ADMIN)
    answer = await admin.get("/admin")
    assert 'href="/admin/audit?action=token_reused">A refresh token came twice, 1 in 14 days' in answer.text
    assert "let manage purge run daily" in text_of(answer)
    assert "A limit of the sign-in was reached" not in answer.text
    assert "could not be delivered" not in answer.text
    assert re.search(
        r"The database answers, and (no mail waits|1 mail waits|\d+ mails wait) to be sent\.", text_of(answer)
    )
