"""The page of my sessions."""

import re
from datetime import UTC, datetime, timedelta
from html import unescape

import pytest
import time_machine

from tests.conftest import StartService
from tests.support.pages.browser import Browser, text_of, with_browser
from tests.support.service import Person, Service

pytestmark = pytest.mark.anyio

PATH = "/account/sessions"
ME = "/api/v1/users/me"
FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"


async def session_ids(browser: Browser) -> list[str]:
    """The sessions that the page lets its user end, newest first."""
    return re.findall(rf'action="{PATH}/([0-9a-f-]{{36}})/end"', (await browser.get(PATH)).text)


async def elsewhere(service: Service, person: Person, user_agent: str = FIREFOX) -> Browser:
    """The same person with another browser."""
    other = Browser(service)
    other.client.headers["User-Agent"] = user_agent
    await other.sign_in(person)
    return other


@pytest.mark.asvs("7.5.2")
async def test_lists_where_i_am_signed_in(service: Service) -> None:
    """In words: the device, the address, since when; this session is marked, and has no button to end it."""
    person, browser = await with_browser(service)
    await elsewhere(service, person)
    await service.sign_in(person)
    answer = await browser.get(PATH)
    assert "3 sessions, this one first" in text_of(answer)
    text = text_of(answer)
    assert "Firefox on Linux" in text
    assert text.count("this session") == 1
    assert text.count("127.0.0.1 · signed in") == 3
    assert len(await session_ids(browser)) == 2


async def test_says_this_one_first_where_it_is(service: Service) -> None:
    """Of many, the oldest is on the last page, and the count is of that page."""
    person, browser = await with_browser(service)
    for _ in range(50):
        await service.sign_in(person)
    first = await browser.get(PATH)
    assert "50 sessions on this page" in text_of(first)
    assert "this one first" not in text_of(first)
    (more,) = re.findall(r'href="([^"]*cursor=[^"]*)"', first.text)
    assert "1 session on this page, this one first" in text_of(await browser.get(unescape(more)))


@pytest.mark.asvs("7.5.2", "7.4.1")
async def test_ends_one_or_all_others(service: Service) -> None:
    """The other browsers are out at once, this one stays."""
    person, browser = await with_browser(service)
    others = [await elsewhere(service, person) for _ in range(3)]
    newest = (await session_ids(browser))[0]
    answer = await browser.post(f"{PATH}/{newest}/end")
    assert (answer.status_code, answer.headers["Location"]) == (303, f"{PATH}?done=session-ended")
    alive = [(await other.get(ME, headers={"Accept": "*/*"})).status_code for other in others]
    assert alive == [200, 200, 401]
    assert (await browser.post(f"{PATH}/end-others")).status_code == 303
    alive = [(await other.get(ME, headers={"Accept": "*/*"})).status_code for other in others]
    assert alive == [401, 401, 401]
    assert await session_ids(browser) == []
    assert (await browser.get(ME)).status_code == 200


async def test_this_session_is_the_first(service: Service) -> None:
    """Whatever was used since."""
    person, browser = await with_browser(service)
    await elsewhere(service, person)
    page = (await browser.get(PATH)).text
    assert page.index("this session") < page.index('/end"')


@pytest.mark.asvs("8.2.2")
async def test_sessions_of_others_are_not_there(service: Service) -> None:
    """404, as for one that never was; it goes on, and the page does not show it."""
    person, browser = await with_browser(service)
    await elsewhere(service, person)
    theirs = (await session_ids(browser))[0]
    _, attacker = await with_browser(service)
    assert theirs not in (await attacker.get(PATH)).text
    unknown = "00000000-0000-4000-8000-000000000000"
    answers = [await attacker.post(f"{PATH}/{session}/end") for session in (theirs, unknown)]
    assert [answer.status_code for answer in answers] == [404, 404]
    assert (await attacker.post(f"{PATH}/x/end")).status_code == 422
    await attacker.post(f"{PATH}/end-others")
    assert await session_ids(browser) == [theirs]


@pytest.mark.asvs("1.2.1")
@pytest.mark.parametrize("agent", ["<script>alert(1)</script>", "\"' onload=x", "x" * 10_000, "caf\xe9 \x85"])
async def test_a_hostile_device_is_text(service: Service, agent: str) -> None:
    """Whatever a client calls itself is neither markup nor longer than a line."""
    person, browser = await with_browser(service)
    await service.sign_in(person, headers={"User-Agent": agent.encode("latin-1")})
    answer = await browser.get(PATH)
    assert "<script" not in answer.text
    assert agent not in answer.text
    assert "x" * 50 not in answer.text
    assert "\x85" not in answer.text


@pytest.mark.asvs("7.5.1", "7.5.3")
async def test_an_old_sign_in_ends_nothing(start: StartService) -> None:
    """It is asked for the password, and comes back to the list; one may still look at it, and sign out."""
    with time_machine.travel(datetime(2026, 7, 1, tzinfo=UTC), tick=True) as clock:
        async with start() as service:
            person, browser = await with_browser(service)
            other = await elsewhere(service, person)
            (theirs,) = await session_ids(browser)
            clock.shift(timedelta(minutes=16))
            for action in (f"{theirs}/end", "end-others"):
                headers = {"Sec-Fetch-Site": "same-origin", "Referer": f"https://service.example{PATH}?done=x"}
                headers["Content-Type"] = "application/x-www-form-urlencoded"
                answer = await browser.client.post(f"{PATH}/{action}", headers=headers)
                assert answer.headers["Location"] == f"/confirm?next={PATH}"
            assert await session_ids(browser) == [theirs]
            assert (await other.get(ME)).status_code == 200
            assert (await browser.post("/logout")).status_code == 303


async def test_long_lists_come_in_parts(service: Service) -> None:
    """The link to the next part shows the rest, and nothing twice."""
    person, browser = await with_browser(service)
    for _ in range(55):
        await service.sign_in(person)
    first = await browser.get(PATH)
    found = re.search(r'href="(/account/sessions\?cursor=[^"]+)" rel="next"', first.text)
    assert found is not None
    second = await browser.get(found[1])
    listed = [len(re.findall("<bdi>", part.text)) for part in (first, second)]
    assert listed == [50, 6]
    assert (await browser.get(PATH, params={"cursor": "x"})).status_code == 422
