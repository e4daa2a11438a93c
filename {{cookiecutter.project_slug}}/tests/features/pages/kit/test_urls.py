"""`app/features/pages/kit/urls.py`: where a page may lead to next, which is never another site."""

import pytest

from app.features.pages.kit.urls import safe_next_path
from tests.support.pages.browser import FORM, Browser
from tests.support.service import Service

pytestmark = [pytest.mark.anyio, pytest.mark.asvs("1.2.2", "3.7.2")]

ELSEWHERE = [
    "//evil.example",
    "///evil.example",
    "/\\evil.example",
    "\\\\evil.example",
    "/%0d%0aLocation: https://evil.example",
    "https://evil.example",
    "https:evil.example",
    "https://service.example@evil.example",
    "https://service.example.evil.example/",
    "javascript:alert(1)",
    "data:text/html,x",
    "evil.example",
    "?next=//evil.example",
    "",
    " /account",
    "/ä",
    "/" + "a" * 4000,
]


@pytest.mark.parametrize("address", ELSEWHERE, ids=ascii)
async def test_no_form_leads_elsewhere(service: Service, address: str) -> None:
    """After signing in, after confirming, and for whoever is signed in already: the page that there is instead."""
    person = await service.person()
    browser = Browser(service)
    answers = [await browser.sign_in(person, next=address)]
    answers.append(await browser.post("/confirm", password=person.password, next=address))
    answers.append(await browser.get("/login", params={"next": address}))
    for answer in answers:
        assert answer.status_code == 303
        location = answer.headers["Location"]
        assert location == "/account" or (address.startswith("/%0d") and location.startswith("/%0d%0a"))
    page = (await browser.get("/confirm", params={"next": address})).text
    assert 'name="next" value="/account"' in page or address.startswith("/%0d")


@pytest.mark.parametrize("address", ["/\t/evil.example", "/account\r\nSet-Cookie: a=b", "/\x7f", "/\0"], ids=ascii)
async def test_a_control_character_leads_nowhere(service: Service, address: str) -> None:
    """Browsers pass over some of them; this service does not."""
    assert safe_next_path(address) is None
    person = await service.person()
    browser = Browser(service)
    answer = await browser.sign_in(person, next=address)
    assert answer.status_code == 400 or answer.headers["Location"] == "/account"
    assert (await browser.get("/login", params={"next": address})).status_code in {303, 400}


@pytest.mark.parametrize("path", ["/", "/account", "/admin/users?search=%2F%2Fevil.example&limit=5", "/a//b"])
async def test_a_path_of_this_service_is_kept(service: Service, path: str) -> None:
    """With its query, for whoever was asked to sign in on the way there."""
    assert safe_next_path(path) == path
    answer = await Browser(service).sign_in(await service.person(), next=path)
    assert answer.headers["Location"] == path


async def test_there_and_back(service: Service) -> None:
    """Who asks for a page without being signed in is led to the form, and after it to that page."""
    browser = Browser(service)
    asked = await browser.get("/confirm?next=/a%26b")
    assert asked.status_code == 303
    assert asked.headers["Location"] == "/login?next=/confirm%3Fnext%3D/a%2526b"
    form = await browser.get(asked.headers["Location"])
    assert 'value="/confirm?next=/a%26b"' in form.text


async def test_a_referer_that_is_no_address_leads_to_the_start(service: Service) -> None:
    """It is the browser's word, or anybody's: what cannot be parsed is no page of this service."""
    headers = FORM | {"Referer": "http://[", "Content-Type": "application/x-www-form-urlencoded"}
    answer = await Browser(service).client.post("/account/sessions/end-others", headers=headers)
    assert (answer.status_code, answer.headers["Location"]) == (303, "/login?next=/account")
