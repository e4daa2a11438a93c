"""Every text field of every form, in lengths and scripts that a column may not hold: refused or kept, never a 500."""

from collections.abc import AsyncIterator
from html.parser import HTMLParser
from typing import NamedTuple
from urllib.parse import urlencode

import pytest
from fastapi.routing import iter_route_contexts

from app.access.roles import Role
from app.features.pages.kit.page import PageRoute
from tests.support.api.long_texts import INTERNAL, awkward_addresses, awkward_texts
from tests.support.api.oauth import register
from tests.support.pages.browser import FORM, Browser
from tests.support.service import Person, Service

pytestmark = [pytest.mark.anyio, pytest.mark.asvs("1.1.1", "2.2.1", "16.5.1")]

PASSWORD = "five wet stones roll"
TEXTS = {"text", "search", "email", "password", "hidden", "textarea", ""}


class Form(NamedTuple):
    """A form of a page: where it goes, its method, the fields that take a text, and what else it sends."""

    action: str
    method: str
    texts: tuple[str, ...]
    rest: dict[str, str]


class Forms(HTMLParser):
    """Finds the forms of a page."""

    def __init__(self, path: str) -> None:
        super().__init__()
        self._path = path
        self.found: list[Form] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Take a form, or a field of the form before."""
        given = {name: value or "" for name, value in attrs}
        if tag == "form":
            self.found.append(Form(given.get("action", self._path), given.get("method", "get"), (), {}))
        elif tag in {"input", "textarea", "select"} and self.found and "name" in given:
            form, name = self.found[-1], given["name"]
            kind = tag if tag == "textarea" else given.get("type", "")
            if kind in TEXTS:
                self.found[-1] = form._replace(texts=(*form.texts, name))
            elif kind != "radio" or name not in form.rest:
                form.rest[name] = given.get("value", "on")


async def test_no_field_takes_more_than_its_column(service: Service) -> None:
    """Each text field of each form that an administrator finds, with the other fields right."""
    _, browser = await _administrator(service)
    forms = {form.action.partition("?")[0]: form async for form in _forms(service, browser)}
    assert {"/login", "/register", "/admin/users/invite", "/account/profile"} <= forms.keys()
    failed = []
    for form in forms.values():
        for name in form.texts:
            for value in awkward_addresses() if "email" in name else awkward_texts():
                status = await _send(browser, form, name, value)
                if status >= INTERNAL:
                    failed.append((form.action, name, status, len(value), value[:40]))
                if name.startswith("new_password") or browser.cookie is None:
                    _, browser = await _administrator(service)
    assert failed == []


async def _send(browser: Browser, form: Form, name: str, value: str) -> int:
    fields = {field: PASSWORD if "password" in field else "Name" for field in form.texts}
    fields |= {field: f"{id(value)}@people.example" for field in form.texts if "email" in field}
    sent = urlencode(fields | form.rest | {name: value}, errors="surrogatepass")
    if form.method == "get":
        return (await browser.client.get(f"{form.action}?{sent}")).status_code
    headers = FORM | {"Content-Type": "application/x-www-form-urlencoded"}
    return (await browser.client.post(form.action, content=sent.encode(), headers=headers)).status_code


async def _forms(service: Service, browser: Browser) -> AsyncIterator[Form]:
    person, client = await service.person(), (await register(service)).client
    for context in iter_route_contexts(service.app.routes):
        if not isinstance(context.original_route, PageRoute) or "GET" not in (context.methods or ()):
            continue
        path = (context.path or "").replace("{user_id}", str(person.id)).replace("{client_id}", str(client.id))
        if "{" in path:
            continue
        for signed_in in (browser, Browser(service)):
            answer = await signed_in.get(path)
            if answer.headers.get("Content-Type", "").startswith("text/html"):
                page = Forms(path)
                page.feed(answer.text)
                for form in page.found:
                    yield form


async def _administrator(service: Service) -> tuple[Person, Browser]:
    person, browser = await service.person(Role.ADMIN, password=PASSWORD), Browser(service)
    assert (await browser.sign_in(person)).status_code == 303
    return person, browser
