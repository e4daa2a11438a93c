"""`app/features/pages/kit/problems.py`: errors as people see them, and as programs do."""

from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest

from app.core.database.database import Database
from app.core.errors import Problem, Unprocessable
from app.features.accounts.mailed.recovery import MailboxService
from app.features.pages.kit.problems import present
from app.http.middleware.security_headers import security_headers
from tests.conftest import StartService
from tests.support.http.asgi import http_scope
from tests.support.pages.browser import FORM, Browser, text_of, with_browser
from tests.support.service import Service

pytestmark = pytest.mark.anyio

PASSWORD = "seven unlikely words stand in this row"
Ask = Callable[[Service, dict[str, str]], Coroutine[Any, Any, httpx2.Response]]


async def _closed(service: Service, headers: dict[str, str]) -> httpx2.Response:
    return await service.client.get("/register", headers=headers)


async def _missing(service: Service, headers: dict[str, str]) -> httpx2.Response:
    return await service.client.get("/nothing", headers=headers)


async def _method(service: Service, headers: dict[str, str]) -> httpx2.Response:
    return await service.client.put("/login", headers=headers)


async def _large(service: Service, headers: dict[str, str]) -> httpx2.Response:
    return await service.client.post("/login", content=b"a" * (2**20 + 1), headers=FORM | headers)


async def _type(service: Service, headers: dict[str, str]) -> httpx2.Response:
    return await service.client.post("/login", content=b"{}", headers=FORM | headers)


async def _crash(service: Service, headers: dict[str, str]) -> httpx2.Response:
    vars(service[MailboxService]).clear()
    form = FORM | {"Content-Type": "application/x-www-form-urlencoded"}
    return await service.client.post("/forgot", content=b"email=a%40people.example", headers=form | headers)


ERRORS: list[tuple[int, Ask, str]] = [
    (403, _closed, "You may not do this"),
    (404, _missing, "There is no such page"),
    (405, _method, "This cannot be done here"),
    (413, _large, "That is too much"),
    (415, _type, "This cannot be read"),
    (500, _crash, "Something went wrong here"),
]
CASES = pytest.mark.parametrize(("status", "ask", "title"), ERRORS, ids=[str(status) for status, *_ in ERRORS])


def assert_page(answer: httpx2.Response, status: int, title: str) -> None:
    """A page for people, with every header, the request's id, and nothing of the inside."""
    assert answer.status_code == status
    assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
    assert f"<h1>{title}</h1>" in answer.text
    assert answer.headers["X-Request-ID"] in answer.text
    assert "Accept" in answer.headers["Vary"]
    for name, value in security_headers(hsts_include_subdomains=True):
        assert name.decode() in answer.headers
        if name != b"content-security-policy":
            assert answer.headers[name.decode()] == value.decode()
    assert "frame-ancestors 'none'" in answer.headers["Content-Security-Policy"]
    assert "script-src" not in answer.headers["Content-Security-Policy"]
    assert "Traceback" not in answer.text
    assert "AttributeError" not in answer.text


@pytest.mark.asvs("3.4.1", "3.4.3", "3.4.4", "3.4.5", "3.4.6", "16.5.1")
@CASES
async def test_a_person_gets_a_page(start: StartService, status: int, ask: Ask, title: str) -> None:
    """Whoever made the answer: a middleware, the router, a route, or a crash."""
    async with start(registration="closed") as service:
        assert_page(await ask(service, {"Accept": "text/html,application/xml;q=0.9,*/*;q=0.8"}), status, title)


@pytest.mark.parametrize(
    "accept",
    [
        "*/*",
        "application/json",
        "application/problem+json",
        "application/json, text/html;q=0.5",
        "text/html;q=0",
        "text/html;q=nan",
        "text/html;q=x",
        "",
    ],
)
@CASES
async def test_a_program_gets_a_document(start: StartService, status: int, ask: Ask, title: str, accept: str) -> None:
    """For the same request: RFC 9457, whoever does not want HTML first."""
    async with start(registration="closed") as service:
        answer = await ask(service, {"Accept": accept})
        assert answer.status_code == status
        assert answer.headers["Content-Type"] == "application/problem+json"
        assert answer.json()["status"] == status
        assert "Accept" in answer.headers["Vary"]


@pytest.mark.parametrize("path", ["/api/v1/nothing", "/api/v1/users/me", "/oauth/token", "/.well-known/nothing"])
async def test_what_is_for_programs_speaks_to_programs(service: Service, path: str) -> None:
    """Whatever they say they accept: a browser too is no reason to redirect a call of the API."""
    answer = await service.client.get(path, headers={"Accept": "text/html"})
    assert answer.status_code in {401, 404, 405}
    assert answer.headers["Content-Type"].endswith("json")


async def test_the_words_of_a_problem_are_shown_where_they_say_something(start: StartService) -> None:
    """Why nobody can register; not that what is not found was not found."""
    async with start(registration="closed") as service:
        browser = Browser(service)
        assert "Nobody can register here. An administrator invites." in text_of(await browser.get("/register"))
        assert (await browser.post("/register", email="a@b.example", password=PASSWORD)).status_code == 403
        assert "Not Found" not in (await browser.get("/nothing")).text


@pytest.mark.asvs("2.4.1")
async def test_too_many_requests_say_when_to_try_again(start: StartService) -> None:
    """On a page, and no program is told less."""
    async with start(rate_limit_default="1/10minutes") as service:
        browser = Browser(service)
        await browser.get("/login")
        answer = await browser.get("/login")
        assert_page(answer, 429, "Too many tries")
        assert "Try again in 10 minutes." in text_of(answer) or "Try again in 9 minutes." in text_of(answer)
        assert "later" not in text_of(answer)
        assert int(answer.headers["Retry-After"]) <= 600


async def test_what_breaks_a_rule_is_named(service: Service) -> None:
    """Where and why, as in the document; in the words of the problem, not of the client."""
    errors = [{"location": ["query", "limit"], "reason": "Input should be <less> than 100"}]
    problem = Unprocessable("The request breaks a rule; see errors.", errors=errors)
    page = present(problem, http_scope(headers=[("accept", "text/html")], app=service.app))
    assert page.status_code == 422
    text = bytes(page.body).decode()
    assert "<code>limit</code>: Input should be &lt;less&gt; than 100" in text


@asynccontextmanager
async def _without_database(start: StartService, folder: Path) -> AsyncIterator[tuple[Service, Browser]]:
    """A service whose database goes away, and somebody who is signed in."""
    path = folder / "service.db"
    async with start(database_url=f"sqlite:///{path}") as service:
        browser = Browser(service)
        assert (await browser.sign_in(await service.person())).status_code == 303
        await service[Database].close()
        for file in folder.glob("service.db*"):
            file.unlink()
        path.mkdir()
        yield service, browser


@pytest.mark.asvs("16.5.2", "16.5.3")
async def test_an_outage_is_a_page_that_needs_no_database(start: StartService, tmp_path: Path) -> None:
    """Nobody is let in by it, and nobody is taken for signed out."""
    async with _without_database(start, tmp_path) as (_, browser):
        cookie = browser.cookie
        for path in ("/confirm", "/login", "/logout"):
            answer = await browser.get(path)
            assert_page(answer, 503, "We cannot answer now")
            assert "Try again in 5 seconds." in text_of(answer)
        assert browser.cookie == cookie


@pytest.mark.parametrize(("path", "status"), [("/nothing", 404), ("/admin/users", 403)])
async def test_the_page_of_a_4xx_shows_who_is_signed_in(service: Service, path: str, status: int) -> None:
    """Of the router and of a policy: it offers to sign out, and not to sign in."""
    _, browser = await with_browser(service)
    answer = await browser.get(path)
    assert answer.status_code == status
    assert "Sign out" in text_of(answer)
    assert "Sign in" not in text_of(answer)


async def test_the_page_of_a_404_needs_no_database(start: StartService, tmp_path: Path) -> None:
    """If the database does not answer, the page shows no user."""
    async with _without_database(start, tmp_path) as (_, browser):
        answer = await browser.get("/nothing")
        assert_page(answer, 404, "There is no such page")
        assert "Sign out" not in text_of(answer)


@pytest.mark.asvs("1.2.1")
async def test_a_path_is_not_repeated(service: Service) -> None:
    """The page of an error holds nothing of the address that was asked for."""
    answer = await Browser(service).get("/%3Csvg%20onload=alert(1)%3E?canary=%22%3E%3Csvg%3E")
    assert_page(answer, 404, "There is no such page")
    assert "svg onload" not in answer.text
    assert "canary" not in answer.text


async def test_every_status_has_a_title(service: Service) -> None:
    """One that nobody has written a text for has its own name."""
    scope = http_scope(headers=[("accept", "text/html")], app=service.app)
    assert b"<h1>I&#39;m a Teapot</h1>" in present(Problem("Short and stout.", status=418), scope).body
