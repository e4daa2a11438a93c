"""The landing page."""

import pytest

from app.access.roles import Role
from tests.conftest import StartService
from tests.support.pages.browser import Browser, text_of, with_browser
from tests.support.service import Service

pytestmark = pytest.mark.anyio


async def test_tells_a_developer_what_to_do_next(start: StartService) -> None:
    """While developing: the commands, and where the documentation is."""
    async with start(environment="development", public_url="http://127.0.0.1:8000") as service:
        service.client.base_url = "http://127.0.0.1:8000"
        text = text_of(await Browser(service).get("/"))
        for words in ("make test", "make check", "README.md", "SECURITY.md", "uv run manage create-admin", "var/mail"):
            assert words in text


@pytest.mark.asvs("13.4.6")
async def test_says_little_in_production(start: StartService) -> None:
    """What it is called, and where to sign in: no command, no path, no version, no way to register."""
    async with start(environment="production", app_name="Our API") as service:
        answer = await Browser(service).get("/")
        text = text_of(answer)
        assert "Our API" in text
        assert 'href="/login"' in answer.text
        for words in ("make ", "README", "ENVIRONMENT", "FastAPI", "openapi", "readyz", "register", "var/"):
            assert words not in answer.text


async def test_leads_on_whoever_is_signed_in(service: Service) -> None:
    """To their account, and to the administration where they may."""
    person, member = await with_browser(service)
    answer = await member.get("/")
    assert f"You are signed in as {person.email}" in text_of(answer)
    assert 'href="/account"' in answer.text
    assert 'href="/admin"' not in answer.text
    _, admin = await with_browser(service, Role.ADMIN)
    assert 'href="/admin"' in (await admin.get("/")).text


async def test_no_link_is_dead(service: Service) -> None:
    """Every address of this service that a page names is one that answers."""
    _, admin = await with_browser(service, Role.ADMIN)
    seen, waiting = set(), ["/"]
    while waiting:
        path = waiting.pop()
        seen.add(path)
        answer = await admin.get(path)
        assert answer.status_code in {200, 303}, path
        for link in set(answer.text.split('href="')[1:]):
            target = link.split('"')[0].split("#")[0].replace("&amp;", "&")
            if target.startswith("/") and target not in seen and target not in waiting and "cursor=" not in target:
                waiting.append(target)
    assert {"/account/sessions", "/admin/health", "/logout"} <= seen


async def test_the_name_is_text(start: StartService) -> None:
    """Whatever `APP_NAME` is, in the title and on every page."""
    async with start(app_name='<b>Bob\'s</b> & "Co"') as service:
        answer = await Browser(service).get("/")
        assert "<b>" not in answer.text
        assert "&lt;b&gt;Bob&#39;s&lt;/b&gt; &amp; &#34;Co&#34;" in answer.text
