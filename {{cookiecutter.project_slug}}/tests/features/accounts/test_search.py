"""Searching users: text in any case, anywhere in address or name, and nothing but text."""

import pytest

from app.access.roles import Role
from app.core.clock import utc_now
from app.core.database.database import Database
from app.features.accounts.models import User
from tests.support.service import Service, Tokens

pytestmark = pytest.mark.anyio

NAMES = {
    "plain@people.example": None,
    "percent@people.example": "100% Ada",
    "under_score@people.example": "snake_case",
    "backslash@people.example": "C:\\Ada",
    "slash@people.example": "and/or",
    "quote@people.example": 'O\'Reilly "Ada" -- ; DROP TABLE users',
    "pattern@people.example": "(a+)+$ .* [a-z] ?",
    "umlaut@people.example": "ÄNNE Größe",
    "greek@people.example": "ΣΊΣΥΦΟΣ",
    "cyrillic@people.example": "Пётр Ильич",
    "wide@people.example": "\uff21\uff24\uff21 \U0001f680",
}


@pytest.fixture
async def admin(service: Service) -> Tokens:
    """An administrator among people with such names; their own address has no letter that is searched for."""
    async with service[Database].transaction() as db:
        db.add_all(
            User(email=email, mailbox=email, display_name=name, created_at=utc_now()) for email, name in NAMES.items()
        )
    return await service.sign_in(await service.person(Role.ADMIN, email="0@0.example"))


async def search(service: Service, admin: Tokens, q: str) -> set[str]:
    """The first parts of the addresses that are found."""
    answer = await service.client.get("/api/v1/users", params={"q": q}, headers=admin.bearer)
    assert answer.status_code == 200, answer.text
    return {item["email"].split("@")[0] for item in answer.json()["items"]}


@pytest.mark.asvs("1.2.9", "1.2.4")
@pytest.mark.parametrize(
    ("q", "found"),
    [
        ("%", {"percent"}),
        ("_", {"under_score"}),
        ("0%", {"percent"}),
        ("r_s", {"under_score"}),
        ("e_c", {"under_score"}),
        ("%a%", set()),
        ("\\", {"backslash"}),
        ("\\%", set()),
        ("/", {"slash"}),
        ("/%", set()),
        ("d/o", {"slash"}),
        ("//", set()),
        (".*", {"pattern"}),
        ("(a+)+$", {"pattern"}),
        ("[a-z]", {"pattern"}),
        ("?", {"pattern"}),
        ("'", {"quote"}),
        ("' OR '1'='1", set()),
        ("%' OR 1=1 --", set()),
        ("'; DROP TABLE users; --", set()),
        ('"Ada"', {"quote"}),
        ("$1", set()),
        (":q", set()),
        ("\U0001f680", {"wide"}),
    ],
)
async def test_every_character_is_itself(service: Service, admin: Tokens, q: str, found: set[str]) -> None:
    """No wildcard, no escape, no expression, no SQL."""
    assert await search(service, admin, q) == found


@pytest.mark.parametrize(
    ("q", "found"),
    [
        ("PLAIN@", {"plain"}),
        ("aDa", {"percent", "backslash", "quote"}),
        ("änne", {"umlaut"}),
        ("GRÖ", {"umlaut"}),
        ("σίσυφοσ", {"greek"}),
        ("ПЁТР", {"cyrillic"}),
        ("ильич", {"cyrillic"}),
        ("\uff41\uff44\uff41", {"wide"}),
        ("nne G", {"umlaut"}),
        ("nobody at all", set()),
    ],
)
async def test_case_does_not_matter(service: Service, admin: Tokens, q: str, found: set[str]) -> None:
    """In no script, on SQLite and on PostgreSQL alike; a text is found anywhere in the address or the name."""
    assert await search(service, admin, q) == found


async def test_a_cursor_holds_for_its_search_alone(service: Service, admin: Tokens) -> None:
    """Over HTTP: refused with another text, without one, and with one where there was none."""
    for given, others in (({"q": "@"}, ({"q": "ada"}, {})), ({}, ({"q": "@"}, {"q": "None"}))):
        answer = await service.client.get("/api/v1/users", params={**given, "limit": "1"}, headers=admin.bearer)
        cursor = {"cursor": answer.json()["next_cursor"]}
        for query in others:
            answer = await service.client.get("/api/v1/users", params={**query, **cursor}, headers=admin.bearer)
            assert answer.status_code == 422
        answer = await service.client.get("/api/v1/users", params={**given, **cursor}, headers=admin.bearer)
        assert (answer.status_code, len(answer.json()["items"]) > 1) == (200, True)


async def test_nothing_is_as_good_as_no_search_and_everything_has_the_at_sign(service: Service, admin: Tokens) -> None:
    """Without `q` all are listed; whoever has no name is found by the address."""
    everybody = {email.split("@")[0] for email in NAMES} | {"0"}
    assert await search(service, admin, "@") == everybody
    listed = (await service.client.get("/api/v1/users", headers=admin.bearer)).json()["items"]
    assert {item["email"].split("@")[0] for item in listed} == everybody


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("q=", 422),
        ("q=" + "x" * 101, 422),
        ("q=" + "x" * 5000, 422),
        ("q=" + "%F0%9F%9A%80" * 101, 422),
        ("q=%00", 400),
        ("q=a%00b", 400),
        ("q=%0d%0aSet-Cookie:x=1", 400),
        ("q=%ff", 400),
        ("q=%ed%a0%80", 400),
        ("q=%", 400),
        ("q=a&q=b", 400),
        ("q=" + "x" * 100, 200),
        ("q=" + "%25" * 100, 200),
    ],
)
async def test_a_search_is_bounded_text(service: Service, admin: Tokens, query: str, status: int) -> None:
    """One text of 1 to 100 characters; no NUL, no control character, no half of a character."""
    answer = await service.client.get(f"/api/v1/users?{query}", headers=admin.bearer)
    assert answer.status_code == status
    assert "xxx" not in answer.text


async def test_lists_by_state(service: Service) -> None:
    """A disabled account is that alone, whether it was confirmed or not; a state that there is not is refused."""
    admin = await service.sign_in(await service.person(Role.ADMIN, email="0@0.example"))
    now, rows = utc_now(), {"open": (None, None), "gone": (None, 1), "left": (1, 1), "here": (1, None)}
    async with service[Database].transaction() as db:
        for name, (verified, disabled) in rows.items():
            times = {"verified_at": verified and now, "disabled_at": disabled and now, "created_at": now}
            db.add(User(email=f"{name}@people.example", mailbox=f"{name}@people.example", **times))
    for state, found in (("active", {"here"}), ("unconfirmed", {"open"}), ("disabled", {"gone", "left"})):
        answer = await service.client.get(f"/api/v1/users?q=people&state={state}", headers=admin.bearer)
        assert {item["email"].split("@")[0] for item in answer.json()["items"]} == found, state
    assert (await service.client.get("/api/v1/users?state=asleep", headers=admin.bearer)).status_code == 422
