"""The routes of pages: forms are asked where they come from, with a cookie or without."""

import pytest

from app.access.guard import route_policies
from app.access.roles import Role
from tests.conftest import StartService
from tests.support.pages.browser import FORM, Browser, with_browser
from tests.support.service import Service

pytestmark = [pytest.mark.anyio, pytest.mark.asvs("3.5.1")]

FIELDS = {"email": "eve@people.example", "password": "seven unlikely words stand in this row"}
OTHERS = [
    {},
    {"Origin": "null"},
    {"Origin": "https://evil.example"},
    {"Sec-Fetch-Site": "cross-site", "Origin": "https://evil.example"},
    {"Sec-Fetch-Site": "same-site", "Origin": "https://other.service.example"},
    {"Sec-Fetch-Site": "cross-site", "Origin": "https://service.example"},
    {"Referer": "https://service.example/login"},
]


def _forms(service: Service) -> list[str]:
    """Every path that takes the form of a page."""
    programs = ("/api/", "/oauth/")
    return [
        path
        for method, path, _ in route_policies(service.app)
        if method == "POST" and not path.startswith(programs) and "{" not in path
    ]


@pytest.mark.parametrize("headers", OTHERS, ids=str)
async def test_no_other_page_fills_in_a_form(service: Service, headers: dict[str, str]) -> None:
    """Signed in or not, every form of every page is refused before it is read, and nothing is done."""
    browser = Browser(service)
    paths = _forms(service)
    assert {"/login", "/logout", "/register", "/verify", "/forgot", "/reset", "/confirm"} <= set(paths)
    for signed_in in (False, True):
        if signed_in:
            assert (await browser.sign_in(await service.person())).status_code == 303
        for path in paths:
            answer = await browser.client.post(path, data=FIELDS, headers={"Accept": "text/html", **headers})
            # Who is nobody is led to the form to sign in, which is a page of ours again.
            assert answer.status_code in ({403} if signed_in else {403, 303}), path
            assert answer.status_code == 403 or answer.headers["Location"].startswith("/login"), path
            assert "Set-Cookie" not in answer.headers
    assert (await browser.get("/api/v1/users/me")).status_code == 200


@pytest.mark.asvs("3.4.2")
async def test_a_listed_origin_does_nothing_with_the_cookie(start: StartService) -> None:
    """Neither by a form nor by the API: what `CORS_ORIGINS` lists sends tokens, also from the same site."""
    async with start(cors_origins=("https://app.service.example",)) as service:
        _, admin = await with_browser(service, Role.ADMIN)
        person = await service.person()
        page, api = f"/admin/users/{person.id}/roles", f"/api/v1/users/{person.id}/roles"
        for site in ({"Sec-Fetch-Site": "same-site"}, {"Sec-Fetch-Site": "cross-site"}, {}):
            headers = {"Origin": "https://app.service.example", "Accept": "text/html"} | site
            form = await admin.client.post(page, data={"role_admin": "on"}, headers=headers)
            call = await admin.client.put(api, json={"roles": ["admin"]}, headers=headers)
            login = await service.client.post("/login", data=FIELDS, headers=headers)
            assert [form.status_code, call.status_code, login.status_code] == [403, 403, 403]
        assert (await admin.get(api.removesuffix("/roles"))).json()["roles"] == ["member"]


@pytest.mark.asvs("3.5.2")
@pytest.mark.parametrize("kind", ["application/json", "text/plain", "multipart/form-data; boundary=x", ""])
async def test_a_form_is_url_encoded(service: Service, kind: str) -> None:
    """Any other type is refused, whatever it holds."""
    headers = FORM | {"Content-Type": kind}
    answer = await service.client.post("/register", content=b"email=a%40b.example", headers=headers)
    assert answer.status_code == 415


async def test_pages_are_no_part_of_the_api(service: Service) -> None:
    """Its description names no page."""
    paths = (await service.client.get("/openapi.json")).json()["paths"]
    assert not {"/login", "/register", "/confirm"} & set(paths)
