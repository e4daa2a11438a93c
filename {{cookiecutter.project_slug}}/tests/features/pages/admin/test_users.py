"""The list of accounts, and invitations."""

import re

import pytest
from markupsafe import escape

from app.access.roles import Role
from tests.support.api.account_mail import TOKEN, Post
from tests.support.pages.browser import Browser, shows_again, text_of, with_browser
from tests.support.records.mail import Mailbox
from tests.support.service import Service

pytestmark = pytest.mark.anyio

PATH = "/admin/users"


async def found(browser: Browser, path: str = PATH, **query: str) -> list[str]:
    """The ids of the accounts that the page lists."""
    answer = await browser.get(path, **({"params": query} if query else {}))
    assert answer.status_code == 200
    return re.findall(r'href="/admin/users/([0-9a-f-]{36})"', answer.text)


async def test_finds_by_address_and_name(service: Service) -> None:
    """In any case; the box keeps what was searched for, and an empty one finds all."""
    ann, ben = await service.person(email="ann@people.example"), await service.person(email="ben@people.example")
    _, admin = await with_browser(service, Role.ADMIN)
    await admin.post(f"{PATH}/{ben.id}/name", display_name="Benjamin Example")
    assert await found(admin, q="ANN@") == [str(ann.id)]
    assert await found(admin, q="benjamin") == [str(ben.id)]
    assert await found(admin, q="%") == []
    assert len(await found(admin, q="")) == 3
    assert 'value="ANN@"' in (await admin.get(PATH, params={"q": "ANN@"})).text
    assert "Nobody was found." in text_of(await admin.get(PATH, params={"q": "nobody"}))


async def test_finds_by_state_and_counts(service: Service) -> None:
    """The list has those of the state alone, and says how many they are; the box keeps the state."""
    ann = await service.person(email="ann@people.example")
    _, admin = await with_browser(service, Role.ADMIN)
    await admin.post(f"{PATH}/{ann.id}/disable")
    assert await found(admin, state="disabled") == [str(ann.id)]
    page = await admin.get(PATH, params={"state": "disabled"})
    assert "1 account, newest first" in text_of(page)
    assert "<option selected>disabled</option>" in page.text
    assert "0 accounts" in text_of(await admin.get(PATH, params={"q": "ann", "state": "active"}))
    assert "2 accounts" in text_of(await admin.get(PATH))
    shows_again(await admin.get(PATH, params={"state": "asleep"}), 422)


async def test_lists_in_parts_that_keep_the_search(service: Service) -> None:
    """The next part is of the same search, and leads back; a cursor of another one is refused, and said on the page."""
    for number in range(52):
        await service.person(email=f"p{number}@many.example")
    _, admin = await with_browser(service, Role.ADMIN)
    first = await admin.get(PATH, params={"q": "many", "state": "active"})
    assert "50 of 52 accounts" in text_of(first)
    assert 'rel="first"' not in first.text
    link = re.search(r'href="(/admin/users\?[^"]+)" rel="next"', first.text)
    assert link is not None
    path = link[1].replace("&amp;", "&")
    listed = await found(admin, q="many"), await found(admin, path)
    assert [len(part) for part in listed] == [50, 2]
    assert not set(listed[0]) & set(listed[1])
    assert (
        'href="/admin/users?q=many&amp;state=active&amp;sort=-created_at" rel="first"' in (await admin.get(path)).text
    )
    refused = await admin.get(path.replace("q=many", "q=any"))
    shows_again(refused, 422)
    assert "The cursor is not one that this list gave." in text_of(refused)


async def test_sorts_by_links_in_the_head(service: Service) -> None:
    """Each keeps the search, says which way the list is sorted, and turns it round; another order is refused."""
    for name in ("zoe", "ann"):
        await service.person(email=f"{name}@many.example")
    _, admin = await with_browser(service, Role.ADMIN)
    page = await admin.get(PATH, params={"q": "many"})
    for way in ("ascending", "descending"):
        (path,) = re.findall(r'href="([^"]+)">Address</a>', page.text)
        page = await admin.get(path.replace("&amp;", "&"))
        assert re.findall(r'<th scope="col" aria-sort="(\w+)">', page.text) == [way]
        names = re.findall(r"(\w+)@many\.example", page.text)
        assert names == sorted(names, reverse=way == "descending")
        assert 'value="many"' in page.text
    shows_again(await admin.get(PATH, params={"sort": "password_hash"}), 422)


@pytest.mark.asvs("1.2.1")
@pytest.mark.parametrize("q", ["<script>alert(1)</script>", "\"' onfocus=x", "\u202eabc", "x" * 3000])
async def test_a_hostile_search_is_text(service: Service, q: str) -> None:
    """It is shown again, escaped and bounded."""
    _, admin = await with_browser(service, Role.ADMIN)
    answer = await admin.get(PATH, params={"q": q})
    assert answer.status_code == (422 if len(q) > 100 else 200)
    assert "<script" not in answer.text
    assert str(escape(q[:2000])) in answer.text
    assert "x" * 2001 not in answer.text


@pytest.mark.asvs("6.4.1")
async def test_invites_somebody(service: Service, mailbox: Mailbox) -> None:
    """A mail goes out, and whoever has its token chooses the password of an account with those roles."""
    _, admin = await with_browser(service, Role.ADMIN)
    assert 'name="role_member" value="on" checked' in (await admin.get(f"{PATH}/invite")).text
    answer = await admin.post(f"{PATH}/invite", email="new@people.example", role_auditor="on")
    assert answer.status_code == 303
    assert answer.headers["Location"].endswith("?done=user-invited")
    page = text_of(await admin.get(answer.headers["Location"]))
    assert "new@people.example" in page
    assert "unconfirmed" in page
    assert "Roles auditor" in page
    assert TOKEN.findall(await Post(service, mailbox).text("new@people.example"))


async def test_an_invitation_that_is_refused_keeps_what_was_typed(service: Service) -> None:
    """Address and roles; what is wrong is said."""
    person, admin = await service.person(), (await with_browser(service, Role.ADMIN))[1]
    for fields, status, said in (
        ({"email": person.email, "role_admin": "on"}, 409, "There is an account with this e-mail address already."),
        ({"email": "x", "role_admin": "on"}, 422, "Use at least 3 characters."),
        ({"email": "new@people.example"}, 422, "Choose at least one role."),
        ({"email": "new@people.example", "role_root": "on"}, 422, "This form has no such field."),
        ({"email": "new@people.example", "role_admin": "yes"}, 422, "Please look at the fields that are marked."),
    ):
        answer = await admin.post(f"{PATH}/invite", **fields)
        shows_again(answer, status)
        assert said in text_of(answer)
        assert f'value="{fields["email"]}"' in answer.text
        assert 'name="role_member" value="on" checked' not in answer.text
        if fields.get("role_admin") == "on":
            assert 'name="role_admin" value="on" checked' in answer.text
