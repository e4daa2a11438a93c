"""`app/features/pages/kit/site.py`: the files that pages need."""

import re

import pytest

from app.access.roles import Role
from app.features.pages.kit.site import FOLDER, Assets
from tests.support.pages.browser import with_browser
from tests.support.service import Service

pytestmark = pytest.mark.anyio


async def test_a_file_is_kept_for_ever_under_the_name_of_its_content(service: Service) -> None:
    """Every file that a page names is there, and nobody's answer: any cache may keep it."""
    page = await service.client.get("/login", headers={"Accept": "text/html"})
    urls = re.findall(r'(?:href|src)="(/assets/[^"]+)"', page.text)
    assert urls
    for url in urls:
        answer = await service.client.get(url)
        assert answer.status_code == 200
        assert answer.headers["Cache-Control"] == "public, max-age=31536000, immutable"
        assert "Set-Cookie" not in answer.headers


@pytest.mark.asvs("3.4.4", "4.1.1")
async def test_each_has_its_type(service: Service) -> None:
    """Nothing is left for a browser to guess."""
    assets = service[Assets]
    for name, kind in (
        ("brand.css", "text/css; charset=utf-8"),
        ("logo.svg", "image/svg+xml"),
        ("token.js", "text/javascript; charset=utf-8"),
    ):
        answer = await service.client.get(assets.url(name))
        assert answer.headers["Content-Type"] == kind
        assert answer.headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.asvs("13.4.3")
@pytest.mark.parametrize("path", ["", "/", "/x/brand.css", "/../page.py", "/%2e%2e/page.py", "/x/../../page.py"])
async def test_nothing_else_is_served(service: Service, path: str) -> None:
    """No folder, no other version, no file beside."""
    answer = await service.client.get(f"/assets{path}")
    assert answer.status_code == 404
    assert answer.headers["Cache-Control"] == "no-store"


async def test_every_icon_is_drawn(service: Service) -> None:
    """A page that names one which is not in the file would show a gap, without a word in any log."""
    person, admin = await with_browser(service, Role.ADMIN)
    for device in (
        "curl/8.5",
        "Mozilla/5.0 (iPhone; CPU iPhone OS 18_6 like Mac OS X) Version/18.6 Mobile/15E148 Safari/604.1",
    ):
        await service.sign_in(person, headers={"User-Agent": device})
    drawn = set(re.findall(r'<symbol id="([a-z]+)"', (FOLDER / "icons.svg").read_text("utf-8")))
    file = service[Assets].url("icons.svg")
    for path in ("/", "/account", "/account/factors", "/account/sessions", "/admin"):
        named = re.findall(r'<use href="([^"]+)#([a-z]+)"', (await admin.get(path)).text)
        assert named, path
        assert {address for address, _ in named} == {file}
        assert {name for _, name in named} <= drawn
