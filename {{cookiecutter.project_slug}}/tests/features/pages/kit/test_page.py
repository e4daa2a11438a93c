"""`app/features/pages/kit/page.py`: templates, and the policy under which a browser shows them."""

import re

import pytest

from app.assembly import FEATURES
from app.features.pages.feature import FOLDER
from app.features.pages.kit.page import content_security_policy
from app.features.pages.kit.site import Site
from tests.support.service import Service

pytestmark = pytest.mark.anyio

MAILS = {folder for feature in FEATURES for folder in feature.mails}
FILES = {path.name: path for path in sorted(FOLDER.parent.rglob("templates/*.html")) if "mailed" not in path.parts}
# Jinja, and what it stands for, is no markup of the page's own.
JINJA = re.compile(r"\{[%#{].*?[%#}]\}", re.DOTALL)


@pytest.mark.asvs("3.4.3", "3.4.6")
async def test_a_page_runs_nothing_and_loads_nothing_of_others(service: Service) -> None:
    """No script at all where none is needed, otherwise our own files; no style, frame, base or form of anybody else."""
    for path, scripts in (("/forgot", False), ("/login", True), ("/register", True), ("/verify", True)):
        answer = await service.client.get(path)
        policy = answer.headers["Content-Security-Policy"]
        assert ("<script" in answer.text) is scripts
        assert policy == content_security_policy(scripts=scripts)
        sources = dict(part.split(" ", 1) for part in policy.split("; "))
        assert "unsafe" not in policy
        assert "*" not in policy
        assert sources["default-src"] == sources["object-src"] == sources["base-uri"] == "'none'"
        assert sources["frame-ancestors"] == "'none'"
        assert sources["form-action"] == "'self'"
        assert sources.get("script-src") == ("'self'" if scripts else None)


def test_a_form_may_lead_to_an_origin_that_is_named() -> None:
    """And to no other."""
    assert "form-action 'self' https://app.example;" in content_security_policy(form_action=["https://app.example"])


@pytest.mark.asvs("3.2.2", "1.1.2")
@pytest.mark.parametrize("name", FILES)
def test_a_template_has_nothing_inline(name: str) -> None:
    """No script, style or handler that the policy would have to allow; nothing marked as safe."""
    source = FILES[name].read_text(encoding="utf-8")
    markup = JINJA.sub("", source)
    assert not re.search(r"<script(?![^>]*\ssrc=)", markup)
    assert "<style" not in markup
    assert not re.search(r"\s(?:style|on[a-z]+)\s*=", markup)
    assert "javascript:" not in markup
    assert not re.search(r"\|\s*safe\b|autoescape", source)


@pytest.mark.asvs("1.1.2")
async def test_every_template_can_be_used(service: Service) -> None:
    """Each is well formed, and escapes what it is given."""
    templates = service[Site].templates
    assert templates.autoescape is True
    assert FILES
    for name, path in FILES.items():
        if path.parent not in MAILS:  # the service tries those itself, at its start
            templates.get_template(name)
