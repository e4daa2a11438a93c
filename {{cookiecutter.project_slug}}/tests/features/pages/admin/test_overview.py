"""Where the administration begins, and who gets in."""

import pytest

from app.access.guard import route_policies
from app.access.roles import Role
from tests.support.pages.browser import text_of, with_browser
from tests.support.service import Service

pytestmark = pytest.mark.anyio


@pytest.mark.asvs("8.2.1")
async def test_members_see_a_page_that_says_no(service: Service) -> None:
    """Each page of the administration, and each form of it; what is there is told to nobody."""
    person, browser = await with_browser(service)
    lines = [line for line in route_policies(service.app) if line.path.startswith("/admin")]
    assert len(lines) > 15
    for line in lines:
        path = line.path.replace("{user_id}", str(person.id)).replace("{session_id}", str(person.id))
        answer = await (browser.get(path) if line.method == "GET" else browser.post(path))
        assert answer.status_code == 403, line
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
    assert 'method="post"' not in answer.text
    assert "/roles" not in answer.text
    assert "/sessions" not in answer.text
    _, admin = await with_browser(service, Role.ADMIN)
    answer = await admin.get(f"/admin/users/{person.id}")
    for part in ("/roles", "/sessions", "/name", "/disable", "/delete"):
        assert f'/admin/users/{person.id}{part}"' in answer.text
