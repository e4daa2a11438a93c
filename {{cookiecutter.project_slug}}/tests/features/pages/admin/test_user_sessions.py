"""The sessions of somebody, as administrators see and end them."""

import re
from uuid import uuid4

import pytest

from app.access.roles import Role
from tests.support.pages.browser import Browser, text_of, with_browser
from tests.support.records.trail import listed
from tests.support.service import Person, Service

pytestmark = pytest.mark.anyio

ME = "/api/v1/users/me"


def path_of(person: Person, part: str = "") -> str:
    """A page of the sessions of somebody."""
    return f"/admin/users/{person.id}/sessions{part}"


async def session_ids(admin: Browser, person: Person) -> list[str]:
    """The sessions that the page lets administrators end, newest first."""
    return re.findall(rf'action="{path_of(person)}/([0-9a-f-]{{36}})/end"', (await admin.get(path_of(person))).text)


async def status_of(browser: Browser) -> int:
    """Whether the browser is still signed in."""
    return (await browser.get(ME, headers={"Accept": "*/*"})).status_code


@pytest.mark.asvs("7.4.5", "16.2.1")
async def test_ends_one_session_of_somebody(service: Service) -> None:
    """It is over at once; the trail says who ended whose, and why; the other one goes on."""
    person, browser = await with_browser(service)
    other = Browser(service)
    await other.sign_in(person)
    admin_person, admin = await with_browser(service, Role.ADMIN)
    newest, oldest = await session_ids(admin, person)
    answer = await admin.post(path_of(person, f"/{newest}/end"))
    assert (answer.status_code, answer.headers["Location"]) == (303, path_of(person, "?done=session-ended"))
    assert (await status_of(browser), await status_of(other)) == (200, 401)
    assert await session_ids(admin, person) == [oldest]
    tokens = await service.sign_in(admin_person)
    event = (await listed(service, tokens, action="session_ended"))[0]
    assert (event["actor"], event["target_type"], event["target_id"]) == (str(admin_person.id), "session", newest)
    assert event["details"] == {"reason": "ended by administrator", "user_id": str(person.id)}


@pytest.mark.asvs("7.4.5")
async def test_ends_all_sessions_of_somebody(service: Service) -> None:
    """Those of tokens too."""
    person, browser = await with_browser(service)
    tokens = await service.sign_in(person)
    _, admin = await with_browser(service, Role.ADMIN)
    assert (await admin.post(path_of(person, "/end-all"))).status_code == 303
    assert await status_of(browser) == 401
    assert (await service.whoami(tokens)).status_code == 401
    assert "Not signed in anywhere." in text_of(await admin.get(path_of(person)))
    assert await status_of(admin) == 200


async def test_administrators_keep_their_own_session(service: Service) -> None:
    """Ending all of one's own ends the others."""
    person, admin = await with_browser(service, Role.ADMIN)
    other = Browser(service)
    await other.sign_in(person)
    await admin.post(path_of(person, "/end-all"))
    assert (await status_of(admin), await status_of(other)) == (200, 401)


async def test_a_session_belongs_to_its_user(service: Service) -> None:
    """Under the path of somebody else it is not there, and goes on."""
    person, browser = await with_browser(service)
    somebody = await service.person()
    _, admin = await with_browser(service, Role.ADMIN)
    (session,) = await session_ids(admin, person)
    for path in (path_of(somebody, f"/{session}/end"), path_of(person, f"/{uuid4()}/end")):
        assert (await admin.post(path)).status_code == 404
    assert await status_of(browser) == 200
