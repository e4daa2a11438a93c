"""`app/features/pages/kit/forms.py` and `_fields.html`: nothing is lost, and what is wrong is said beside its field."""

import re
from collections.abc import AsyncIterator

import httpx2
import pytest

from app.access.roles import Role
from app.features.accounts.schemas import AccountCreate
from app.features.pages.entry.mailed import ResetForm
from app.features.pages.kit.forms import shown_values
from tests.conftest import StartService
from tests.support.pages.browser import FORM, Browser, text_of, with_browser
from tests.support.service import Service

pytestmark = pytest.mark.anyio

PASSWORD = "seven unlikely words stand in this row"


def field(answer: httpx2.Response, name: str) -> str:
    """The markup of a field."""
    found = re.search(rf'<input id="{name}"[^>]*>', answer.text)
    assert found is not None
    return found[0]


def beside(answer: httpx2.Response, name: str) -> str:
    """What is said beside a field, as a screen reader reads it with the field."""
    assert f'aria-describedby="{name}-help"' in field(answer, name)
    found = re.search(rf'<small id="{name}-help">(.*?)</small>', answer.text, re.DOTALL)
    assert found is not None
    return re.sub(r"<[^>]+>", " ", found[1]).strip()


async def test_what_was_typed_is_kept_and_what_is_wrong_is_marked(service: Service) -> None:
    """Address and name are there again; the first wrong field has the focus, and is marked for screen readers."""
    answer = await Browser(service).post(
        "/register", email="ada@people.example", display_name="\u202eAda", password="too short"
    )
    assert answer.status_code == 422
    assert 'value="ada@people.example"' in field(answer, "email")
    assert "aria-invalid" not in field(answer, "email")
    assert "autofocus" not in field(answer, "email")
    assert 'aria-invalid="true"' in field(answer, "display_name")
    assert " autofocus" in field(answer, "display_name")
    assert beside(answer, "display_name") == "This must not hold control or formatting characters."
    assert beside(answer, "password").startswith("Use at least 15 characters.")
    assert "<title>Error: " in answer.text
    assert 'role="alert"' in answer.text


@pytest.mark.asvs("6.2.2", "14.2.4")
async def test_a_password_is_in_no_answer(service: Service) -> None:
    """Too short, refused by the policy, wrong, or right beside another mistake: it is not sent back."""
    browser = Browser(service)
    for path, fields in (
        ("/register", {"email": "ada@people.example", "password": "Canary-7"}),
        ("/register", {"email": "ada@people.example", "password": "Canary-7Canary-7"}),
        ("/register", {"email": "nobody", "password": "Canary-7" + PASSWORD}),
        ("/login", {"email": "ada@people.example", "password": "Canary-7"}),
        ("/reset", {"token": "pwr_" + "x" * 43, "new_password": "Canary-7"}),
        ("/reset", {"token": "pwr_" + "x" * 43, "new_password": "Canary-7" + PASSWORD}),
    ):
        answer = await browser.post(path, **fields)
        assert answer.status_code >= 400
        assert "Canary-7" not in answer.text
        name = "new_password" if path == "/reset" else "password"
        assert "value=" not in field(answer, name)


@pytest.mark.asvs("14.2.4")
def test_a_form_does_not_even_keep_a_password() -> None:
    """Whatever a template makes of what is kept: passwords are not among it, and neither is what no field is for."""
    typed = {"email": "ada@people.example", "password": PASSWORD, "canary": "1"}
    assert shown_values(AccountCreate, typed) == {"email": "ada@people.example"}
    assert shown_values(ResetForm, {"new_password": PASSWORD}) == {}


async def test_the_reason_of_the_policy_is_beside_the_password(service: Service) -> None:
    """And the address, which is right, is kept."""
    answer = await Browser(service).post("/register", email="ada@people.example", password="passwordpassword")
    assert answer.status_code == 422
    assert beside(answer, "password").startswith("The password is ")
    assert "Take several unrelated words" in beside(answer, "password")
    assert 'value="ada@people.example"' in field(answer, "email")


async def test_an_empty_field_is_a_missing_one(service: Service) -> None:
    """As browsers send it."""
    answer = await Browser(service).post("/login", email="", password="")
    assert answer.status_code == 422
    assert beside(answer, "email") == beside(answer, "password") == "Please fill this in."
    assert " autofocus" in field(answer, "email")
    assert " autofocus" not in field(answer, "password")


@pytest.mark.asvs("15.3.3")
async def test_an_unknown_field_is_refused(service: Service) -> None:
    """Nobody makes themselves an administrator by sending more than was asked for; its name is not repeated."""
    answer = await Browser(service).post(
        "/register", email="ada@people.example", password=PASSWORD, roles="admin", canary="1"
    )
    assert answer.status_code == 422
    assert "This form has no such field." in text_of(answer)
    assert "canary" not in answer.text


@pytest.mark.asvs("1.2.1", "1.2.3")
@pytest.mark.parametrize("text", ['"><svg onload=alert(1)>', "</title><script>1</script>", "{{7*7}}", "'\u2028`${1}"])
async def test_markup_is_shown_as_text(service: Service, text: str) -> None:
    """What somebody typed is a value and nothing else."""
    answer = await Browser(service).post("/login", email=text, password="x")
    assert "<svg" not in answer.text
    assert re.findall(r"<script[^>]*>", answer.text) == re.findall(r'<script src="/assets/[^>"]+" defer>', answer.text)
    assert "49" not in field(answer, "email")


async def test_a_long_text_is_not_sent_back_whole(service: Service) -> None:
    """As much of it as anybody would read."""
    answer = await Browser(service).post("/login", email="a" * 9000, password="x")
    assert answer.status_code == 422
    assert len(field(answer, "email")) < 2300


@pytest.mark.asvs("2.4.1")
async def test_a_limit_says_when_to_try_again(start: StartService) -> None:
    """On the form, with what was typed, and for programs in the header."""
    async with start(rate_limit_signin="1/10minutes") as service:
        browser, person = Browser(service), await service.person()
        for path, fields in (
            ("/login", {"email": person.email, "password": "wrong"}),
            ("/forgot", {"email": "ada@people.example"}),
            ("/register", {"email": "ada@people.example", "password": PASSWORD}),
        ):
            await browser.post(path, **fields)
            answer = await browser.post(path, **fields)
            assert answer.status_code == 429
            assert 0 < int(answer.headers["Retry-After"]) <= 600
            assert re.search(r"Try again in (10|9) minutes\.", text_of(answer))
            assert "later" not in text_of(answer)
            assert f'value="{fields["email"]}"' in field(answer, "email")


@pytest.mark.asvs("6.2.4", "6.2.6", "6.2.7")
async def test_password_managers_know_what_a_field_is_for(service: Service) -> None:
    """Each field says it, and hides a password; nothing cuts one off, or hinders pasting; the rule is said before."""
    browser, person = Browser(service), await service.person()
    await browser.sign_in(person)
    for path, name, purpose in (
        ("/register", "email", "username"),
        ("/register", "password", "new-password"),
        ("/reset", "new_password", "new-password"),
        ("/login", "email", "username webauthn"),
        ("/login", "password", "current-password"),
        ("/confirm", "password", "current-password"),
        ("/forgot", "email", "username"),
    ):
        signed_in = browser if path == "/confirm" else Browser(service)
        answer = await signed_in.get(path)
        markup = field(answer, name)
        assert f'autocomplete="{purpose}"' in markup
        assert ('type="password"' in markup) is name.endswith("password")
        assert f'<label for="{name}">' in answer.text
        assert not re.search(r"\s(maxlength|onpaste|readonly)", markup)
        if purpose == "new-password":
            assert beside(answer, name).startswith("15 to 128 characters")
    confirm = (await browser.get("/confirm")).text
    assert f'<input type="text" autocomplete="username" value="{person.email}" readonly hidden>' in confirm


async def test_a_form_without_a_type_is_no_form(service: Service) -> None:
    """The error page of whoever sends something else."""
    answer = await service.client.post("/login", content=b"x", headers=FORM)
    assert answer.status_code == 415


@pytest.mark.asvs("7.4.1")
@pytest.mark.parametrize("path", ["/account/data", "/admin/audit/export"])
async def test_a_form_whose_session_ends_while_it_is_sent_is_answered_nothing(service: Service, path: str) -> None:
    """Whoever keeps a form open until the owner has ended the session reads nothing with it."""
    person, browser = await with_browser(service, Role.AUDITOR)
    owner = await service.sign_in(person)

    async def body() -> AsyncIterator[bytes]:
        assert (await service.client.delete("/api/v1/sessions", headers=owner.bearer)).status_code == 204
        yield b"actor="

    form = {**FORM, "Content-Type": "application/x-www-form-urlencoded", "Content-Length": "6"}
    answer = await browser.client.post(path, content=body(), headers=form)
    assert (answer.status_code, answer.headers["Location"]) == (303, "/login?next=/account")
    assert person.email not in answer.text
