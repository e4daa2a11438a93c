"""`app/features/identity/api.py`: my linked sign-ins, without a browser."""

from uuid import uuid4

import pytest

from tests.features.identity.providers.issuer import Issuer
from tests.features.identity.steps import last_event, linked, sign_in
from tests.support.pages.browser import Browser
from tests.support.records.mail import Mailbox, bodies
from tests.support.service import Service

pytestmark = pytest.mark.anyio

MINE = "/api/v1/users/me/identities"


@pytest.mark.asvs("8.2.2", "15.3.1")
async def test_only_mine_are_listed_and_unlinked(service: Service, good: Issuer, mailbox: Mailbox) -> None:
    """Somebody else's are not there; what is unlinked opens nothing, and the owner is told by mail."""
    person, browser = await linked(service, good)
    tokens, other = await service.sign_in(person), await service.sign_in(await service.person())
    (mine,) = (await service.client.get(MINE, headers=tokens.bearer)).json()["items"]
    assert (mine["issuer"], mine["subject"], mine["last_used_at"]) == (good.url, good.person["sub"], None)
    assert (await service.client.get(MINE, headers=other.bearer)).json() == {"items": [], "next_cursor": None}
    for path, bearer in ((f"{MINE}/{mine['id']}", other.bearer), (f"{MINE}/{uuid4()}", tokens.bearer)):
        assert (await service.client.delete(path, headers=bearer)).status_code == 404
    assert (await service.client.delete(f"{MINE}/{mine['id']}", headers=tokens.bearer)).status_code == 204
    assert (await service.client.get(MINE, headers=tokens.bearer)).json()["items"] == []
    assert (await browser.get("/account")).status_code == 303
    assert (await sign_in(Browser(service))).status_code == 403
    _, mail = await mailbox.wait(person.email, 2)
    assert all("with Good was unlinked from your account" in " ".join(body.split()) for body in bodies(mail))


async def test_the_only_way_to_sign_in_is_not_unlinked_by_a_program_either(service: Service, good: Issuer) -> None:
    """As on the page; nothing else than a sign-in of the last minutes unlinks."""
    good.person |= {"email": "only.here@people.example", "email_verified": True}
    browser = Browser(service)
    await sign_in(browser)
    (action, _, _) = await last_event(service)
    assert action == "signin_succeeded"
    cookie = {"Sec-Fetch-Site": "same-origin"}
    (mine,) = (await browser.client.get(MINE, headers=cookie)).json()["items"]
    answer = await browser.client.delete(f"{MINE}/{mine['id']}", headers=cookie)
    assert answer.status_code == 409
    assert "your only way to sign in" in answer.json()["detail"]
