"""What all pages share: files, templates and their filters, and what features add to it.

Files are read once, served from memory, and named by their content so that browsers can cache them. Texts of others are
shown bounded, and without characters that reorder the text around them.
"""

import hashlib
import re
from collections.abc import Iterable
from datetime import UTC, datetime
from functools import cache, cached_property
from pathlib import Path
from typing import Any, NamedTuple

from fastapi import FastAPI
from jinja2 import Environment as Templates, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from starlette.responses import Response

from app.access.guard import route_policies
from app.access.policies import Policy, Principal
from app.core.errors import Forbidden, NotFound, Unauthenticated
from app.core.logging.redaction import escape
from app.core.settings.model import Environment, Registration, Settings
from app.features.accounts.passwords.hasher import LONGEST_PASSWORD, SHORTEST_PASSWORD
from app.features.pages.kit.notices import Notice

FOLDER = Path(__file__).with_name("static")
PREFIX = "/assets"

_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".png": "image/png",
    ".svg": "image/svg+xml",
}
_FOR_EVER = "public, max-age=31536000, immutable"


class Assets:
    """The files of a folder and of its subfolders, by name."""

    def __init__(self, folder: Path = FOLDER) -> None:
        files = sorted(path for path in folder.rglob("*") if path.suffix in _TYPES)
        self._files = {path.name: (path.read_bytes(), _TYPES[path.suffix]) for path in files}
        self._versions = {name: hashlib.sha256(content).hexdigest()[:16] for name, (content, _) in self._files.items()}

    def url(self, name: str) -> str:
        """Return the URL of the file as it is now; raises `KeyError` for an unknown name."""
        return f"{PREFIX}/{self._versions[name]}/{name}"

    def get(self, version: str, name: str) -> Response:
        """Return the file; raises `NotFound` for any other name, or another version of it."""
        if self._versions.get(name) != version:
            raise NotFound("There is no such file.")
        content, media_type = self._files[name]
        return Response(content, media_type=media_type, headers={"Cache-Control": _FOR_EVER})


LONGEST_SHOWN = 120

# In this order: each browser also names those below it.
_BROWSERS = (
    (re.compile(r"\bEdg(?:A|iOS)?/"), "Edge"),
    (re.compile(r"\b(?:OPR|OPT|Opera)/"), "Opera"),
    (re.compile(r"\b(?:Firefox|FxiOS)/"), "Firefox"),
    (re.compile(r"\bSamsungBrowser/"), "Samsung Internet"),
    (re.compile(r"\b(?:Headless)?(?:Chrome|CriOS|Chromium)/"), "Chrome"),
    (re.compile(r"\bVersion/[\d.]+ (?:Mobile/\w+ )?Safari/"), "Safari"),
    (re.compile(r"^curl/"), "curl"),
)
_SYSTEMS = (
    (re.compile(r"\b(?:iPhone|iPad)\b"), "iOS"),
    (re.compile(r"\bAndroid\b"), "Android"),
    (re.compile(r"\bCrOS\b"), "ChromeOS"),
    (re.compile(r"\bWindows NT\b"), "Windows"),
    (re.compile(r"\bMacintosh\b"), "macOS"),
    (re.compile(r"\bLinux\b"), "Linux"),
)
_LONGEST_DEVICE = 40


def short(text: object, longest: int = LONGEST_SHOWN) -> str:
    """Shorten the text; a line break becomes a space, and any other character that is not printable its escape."""
    shown = escape(" ".join(str(text)[: longest + 1].splitlines()))
    return shown if len(shown) <= longest else f"{shown[: longest - 1]}…"


def device(user_agent: str) -> str:
    """Name browser and system; for an unknown one, return the start of what it calls itself."""
    browser, system = _first(_BROWSERS, user_agent), _first(_SYSTEMS, user_agent)
    if browser is None:
        return short(user_agent, _LONGEST_DEVICE) or "Unknown"
    return f"{browser} on {system}" if system else browser


def _first(known: tuple[tuple[re.Pattern[str], str], ...], text: str) -> str | None:
    return next((name for pattern, name in known if pattern.search(text)), None)


class AccountLink(NamedTuple):
    """A page of the own account, for its navigation."""

    path: str
    label: str


class Site:
    """Folders of templates, texts of notices, and what templates read on every page."""

    def __init__(self, settings: Settings, assets: Assets) -> None:
        self._reload = not settings.production
        self._folders: list[Path] = []
        self._account_links: list[AccountLink] = []
        self._goes_with_account: list[str] = []
        self.notices: dict[str, str] = {}
        self.common: dict[str, Any] = {
            "app_name": settings.app_name,
            "admin_email": settings.admin_email,
            "asset": assets.url,
            "development": settings.environment is Environment.DEVELOPMENT,
            "registration_open": settings.registration is Registration.OPEN,
            "account_links": self._account_links,
            "goes_with_account": self._goes_with_account,
        }

    def add(
        self,
        *,
        templates: Path,
        notices: Iterable[Notice] = (),
        account_links: Iterable[AccountLink] = (),
        goes_with_account: tuple[str, ...] = (),
    ) -> None:
        """Add the part of a feature; each of `goes_with_account` completes "With the account go …"."""
        self._folders.append(templates)
        self.notices |= {str(notice): notice.text for notice in notices}
        self._account_links += account_links
        self._goes_with_account += goes_with_account

    @property
    def templates(self) -> Templates:
        """The templates of all features, each compiled once in a process."""
        return _templates(tuple(self._folders), reload=self._reload)


@cache
def _templates(folders: tuple[Path, ...], *, reload: bool) -> Templates:
    templates = Templates(
        loader=FileSystemLoader(folders),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=reload,
    )
    templates.filters |= {"when": _when, "short": short, "device": device}
    # What macros need besides arguments is global.
    templates.globals |= {"shortest_password": SHORTEST_PASSWORD, "longest_password": LONGEST_PASSWORD}
    return templates


def _when(time: datetime | None) -> Markup:
    """Write a time for people and programs."""
    if time is None:
        return Markup("never")
    utc = time.astimezone(UTC)
    return Markup('<time datetime="{}">{}</time>').format(
        utc.isoformat(timespec="seconds"), utc.strftime("%Y-%m-%d %H:%M UTC")
    )


class Navigation:
    """Asks the policies which pages a reader may open, so that a page links to those and no others."""

    def __init__(self, app: FastAPI) -> None:
        self._app = app

    @cached_property
    def _policies(self) -> dict[str, Policy]:
        return {line.path: line.policy for line in route_policies(self._app) if line.method == "GET"}

    def may_open(self, principal: Principal | None, path: str) -> bool:
        """Return whether a page has this path, as the route table writes it, and its policy lets the principal in."""
        policy = self._policies.get(path)
        if policy is None or not policy.needs_principal:
            return policy is not None
        if principal is None:
            return False
        try:
            policy.enforce(principal)
        except Forbidden:
            return False
        except Unauthenticated:
            return True  # after the password, which the page asks for
        return True
