"""One account, as administrators see and change it."""

import re
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import httpx2
import pytest
import time_machine

from app.access.roles import Role
from tests.conftest import StartService
from tests.features.factors.steps import answer_with, challenged, with_app
from tests.support.api.oauth import machine_token, register_machine
from tests.support.pages.browser import Browser, shows_again, text_of, with_browser
from tests.support.service import Person, Service

pytestmark = pytest.mark.anyio

ME = "/api/v1/users/me"


def path_of(person: Person, part: str = "") -> str:
    """A page of somebody."""
    return f"/admin/users/{person.id}{part}"


async def status_of(browser: Browser) -> int:
    """Whether the browser is still signed in."""
    return (await browser.get(ME, headers={"Accept": "*/*"})).status_code


async def stored(admin: Browser, person: Person) -> dict[str, object]:
    """The account, as the API says it."""
    answer = await admin.get(f"/api/v1/users/{person.id}")
    body: dict[str, object] = answer.json()
    return body


def went_back(answer: httpx2.Response, person: Person, notice: str) -> None:
    """It was done, and the browser is sent to the page of the account."""
    assert (answer.status_code, answer.headers["Location"]) == (303, path_of(person, f"?done={notice}"))


async def test_renames(service: Service) -> None:
    """And shows a refused name again."""
    person, (_, admin) = await service.person(), await with_browser(service, Role.ADMIN)
    went_back(await admin.post(path_of(person, "/name"), display_name="Ann"), person, "user-changed")
    assert (await stored(admin, person))["display_name"] == "Ann"
    shows_again(await admin.post(path_of(person, "/name"), display_name="x" * 101), 422)
    went_back(await admin.post(path_of(person, "/name"), display_name=""), person, "user-changed")
    assert (await stored(admin, person))["display_name"] is None


@pytest.mark.asvs("7.4.2")
async def test_disables_and_enables(service: Service) -> None:
    """The browser of the user is out at once; the page says the state, and offers the other one."""
    person, browser = await with_browser(service)
    _, admin = await with_browser(service, Role.ADMIN)
    went_back(await admin.post(path_of(person, "/disable")), person, "user-disabled")
    assert await status_of(browser) == 401
    page = await admin.get(path_of(person))
    assert "disabled" in text_of(page)
    assert path_of(person, "/disable") not in page.text
    went_back(await admin.post(path_of(person, "/enable")), person, "user-enabled")
    assert (await browser.sign_in(person)).status_code == 303


@pytest.mark.asvs("7.2.4", "8.3.2")
async def test_sets_roles(service: Service) -> None:
    """Exactly those that are ticked; the sessions of the account end."""
    person, browser = await with_browser(service)
    _, admin = await with_browser(service, Role.ADMIN)
    page = await admin.get(path_of(person, "/roles"))
    assert 'name="role_member" value="on" checked' in page.text
    assert 'name="role_admin" value="on">' in page.text
    answer = await admin.post(path_of(person, "/roles"), role_auditor="on", role_admin="on")
    went_back(answer, person, "roles-changed")
    assert (await stored(admin, person))["roles"] == ["admin", "auditor"]
    assert await status_of(browser) == 401
    for fields in ({}, {"role_root": "on"}, {"role_admin": "off"}, {"roles": "admin"}):
        shows_again(await admin.post(path_of(person, "/roles"), **fields), 422)
    assert (await stored(admin, person))["roles"] == ["admin", "auditor"]


@pytest.mark.asvs("7.5.3")
async def test_an_old_sign_in_gives_nobody_a_role_or_name_and_deletes_nobody(start: StartService) -> None:
    """Neither by the page of the roles nor by an invitation: all ask for the password, and come back."""
    with time_machine.travel(datetime(2026, 7, 1, tzinfo=UTC), tick=True) as clock:
        async with start() as service:
            person, (_, admin) = await service.person(), await with_browser(service, Role.ADMIN)
            clock.shift(timedelta(minutes=16))
            for path, fields in (
                (path_of(person, "/roles"), {"role_admin": "on"}),
                ("/admin/users/invite", {"email": "new@people.example", "role_admin": "on"}),
                (path_of(person, "/delete"), {}),
            ):
                assert (await admin.get(path)).headers["Location"] == f"/confirm?next={path}"
                headers = {"Sec-Fetch-Site": "same-origin", "Referer": f"https://service.example{path}"}
                answer = await admin.client.post(path, data=fields, headers=headers)
                assert answer.headers["Location"] == f"/confirm?next={path}"
            headers = {"Sec-Fetch-Site": "same-origin", "Referer": f"https://service.example{path_of(person)}"}
            answer = await admin.client.post(path_of(person, "/name"), data={"display_name": "Ann"}, headers=headers)
            assert answer.headers["Location"] == f"/confirm?next={path_of(person)}"
            account = await stored(admin, person)
            assert (account["roles"], account["display_name"]) == (["member"], None)
            assert len((await admin.get("/api/v1/users")).json()["items"]) == 2


async def test_deletes(service: Service) -> None:
    """After a page that says what goes."""
    person, (_, admin) = await service.person(), await with_browser(service, Role.ADMIN)
    assert person.email in text_of(await admin.get(path_of(person, "/delete")))
    answer = await admin.post(path_of(person, "/delete"))
    assert (answer.status_code, answer.headers["Location"]) == (303, "/admin/users?done=user-deleted")
    assert "The account has been deleted." in text_of(await admin.get(answer.headers["Location"]))
    for part in ("", "/roles", "/sessions", "/delete"):
        assert (await admin.get(path_of(person, part))).status_code == 404


async def test_the_last_administrator_stays(service: Service) -> None:
    """It is said on the page, and nothing changes."""
    person, admin = await with_browser(service, Role.ADMIN)
    for part, fields in (("/disable", {}), ("/delete", {}), ("/roles", {"role_member": "on"})):
        answer = await admin.post(path_of(person, part), **fields)
        shows_again(answer, 409)
        assert "This is the last administrator who can sign in." in text_of(answer)
    assert await status_of(admin) == 200


async def test_nobody_is_nobody(service: Service) -> None:
    """An id that belongs to no account is 404 on every page and form, and what is no id is refused."""
    _, admin = await with_browser(service, Role.ADMIN)
    nobody = Person(uuid4(), "", "")
    for part in ("", "/roles", "/sessions", "/delete"):
        assert (await admin.get(path_of(nobody, part))).status_code == 404
    for part in ("/name", "/disable", "/enable", "/roles", "/delete", "/sessions/end-all", f"/sessions/{uuid4()}/end"):
        assert (await admin.post(path_of(nobody, part))).status_code == 404
    assert (await admin.get("/admin/users/x")).status_code == 422


@pytest.mark.asvs("3.5.1")
async def test_a_page_of_somebody_else_changes_nothing(service: Service) -> None:
    """The forms of the administration, sent with the cookie from elsewhere."""
    person, (_, admin) = await service.person(), await with_browser(service, Role.ADMIN)
    before = await stored(admin, person)
    for part, fields in (("/disable", {}), ("/roles", {"role_admin": "on"}), ("/delete", {}), ("/name", {})):
        for headers in ({}, {"Sec-Fetch-Site": "cross-site", "Origin": "https://evil.example"}):
            answer = await admin.client.post(path_of(person, part), data=fields, headers=headers)
            assert answer.status_code == 403
    assert await stored(admin, person) == before


async def test_says_when_and_how_the_user_last_signed_in(service: Service) -> None:
    """With which factors, alive or not, and nothing of where; a service account is called as its client."""
    person, browser = await with_browser(service)
    _, admin = await with_browser(service, Role.ADMIN)
    await browser.post("/logout")
    page = await admin.get(path_of(person))
    assert re.search(r"Last sign-in .{1,40}, with the password [^a]", text_of(page))
    assert "127.0.0.1" not in page.text
    enrolled = await with_app(service)
    await answer_with(service, await challenged(service, enrolled.person), enrolled.codes[0], "recovery_codes")
    assert "with the password and a recovery code" in text_of(await admin.get(path_of(enrolled.person)))
    nobody = await service.person()
    assert "Last sign-in none that is kept" in text_of(await admin.get(path_of(nobody)))
    machine = await register_machine(service, name="Nightly <export> & more")
    await machine_token(service, machine)
    page = await admin.get(f"/admin/users/{machine.client.user_id}")
    assert "with a client secret, by an application" in text_of(page)
    assert "service account" in text_of(page)
    for path in (f"/admin/users/{machine.client.user_id}", "/admin/users"):
        page = await admin.get(path)
        assert "Nightly &lt;export&gt; &amp; more" in page.text
        assert "clients.invalid" not in page.text
