"""What all pages share, and what features add to it.

Files are read once, served from memory, and named by their content so that browsers can cache them.
"""

import hashlib
from collections.abc import Iterable
from functools import cache, cached_property
from pathlib import Path
from typing import Any, NamedTuple

from fastapi import FastAPI
from jinja2 import Environment as Templates
from starlette.responses import Response

from app.access.guard import route_policies
from app.access.policies import Policy, Principal
from app.core.errors import Forbidden, NotFound, Unauthenticated
from app.core.schemas import TextWithMore
from app.core.settings.model import Settings
from app.features.accounts.mailed.mails import templates_in
from app.features.accounts.passwords.hasher import LONGEST_PASSWORD, SHORTEST_PASSWORD
from app.features.accounts.service import called
from app.features.pages.kit.words import device, event_words, short, when

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


class Notice(TextWithMore):
    """What was done, for the page that comes next. The URL has the name alone; a feature has a subclass of its own."""

    def __init__(self, _: str, text: str) -> None:
        self.text = text


class PagesNotice(Notice):
    """What was done on these pages."""

    SIGNIN_ENDED = "signin-ended", "That took too long, or there were too many tries. Sign in again."
    PROFILE = "profile", "Your name has been changed."
    ALERTS = "alerts", "We have noted which mails you want."
    PASSWORD = "password", "Your password has been changed. Every other session of yours has ended."
    PASSWORD_REMOVED = "password-removed", "You have no password any more. Your passkeys sign you in."
    FACTORS = "factors", "Your second factors have changed. Every other session of yours has ended."
    FACTORS_RESET = "factors-reset", "The second factors have been removed, and the sessions of the account have ended."
    EMAIL = "email", "We have written to the new address. It counts when you open the link in that mail."
    SESSION_ENDED = "session-ended", "The session has ended."
    SESSIONS_ENDED = "sessions-ended", "All other sessions have ended."
    ACCOUNT_DELETED = "account-deleted", "Your account has been deleted, with all that belonged to it."
    APPLICATION_REVOKED = "application-revoked", "The application may no longer act for you."
    CLIENT_REMOVED = "client-removed", "The client has been removed, and its sessions have ended."
    USER_CHANGED = "user-changed", "The account has been changed."
    USER_DISABLED = "user-disabled", "The account is disabled, and its sessions have ended."
    USER_ENABLED = "user-enabled", "The account is enabled."
    USER_DELETED = "user-deleted", "The account has been deleted."
    USER_INVITED = "user-invited", "The invitation is on its way. It holds for a week."
    ROLES_CHANGED = "roles-changed", "The roles have been changed, and the sessions of the account have ended."


class PageLink(NamedTuple):
    """A page below `/account` or `/admin`, for the navigation there; `icon` is one of those in `static/icons.svg`.

    The overview of its part lists it with the `words`.
    """

    path: str
    label: str
    icon: str = "page"
    words: str = ""


class Site:
    """Folders of templates, texts of notices, and what templates read on every page."""

    def __init__(self, settings: Settings, assets: Assets) -> None:
        self._reload = not settings.production
        self._folders: list[Path] = []
        self.notices: dict[str, str] = {}
        self.common: dict[str, Any] = {
            "app_name": settings.app_name,
            "admin_email": settings.admin_email,
            "asset": assets.url,
            "development": settings.environment == "development",
            "registration_open": settings.registration == "open",
            "session_max_days": settings.session_max_days,
            "links": [],
            "goes_with_account": [],
        }

    def add(
        self,
        *,
        templates: Path,
        notices: Iterable[Notice] = (),
        links: Iterable[PageLink] = (),
        goes_with_account: tuple[str, ...] = (),
    ) -> None:
        """Add the part of a feature; each of `goes_with_account` completes "With the account go …"."""
        self._folders.append(templates)
        self.notices |= {str(notice): notice.text for notice in notices}
        self.common["links"] += links
        self.common["goes_with_account"] += goes_with_account

    @property
    def templates(self) -> Templates:
        """The templates of all features, each compiled once in a process."""
        return _templates(tuple(self._folders), reload=self._reload)


@cache
def _templates(folders: tuple[Path, ...], *, reload: bool) -> Templates:
    templates = templates_in(folders, reload=reload)
    templates.autoescape = True  # whatever their names
    templates.filters |= {"when": when, "event": event_words, "short": short, "device": device, "called": called}
    # What macros need besides arguments is global.
    templates.globals |= {"shortest_password": SHORTEST_PASSWORD, "longest_password": LONGEST_PASSWORD}
    return templates


class Navigation:
    """Asks the policies which pages a reader may open, so that a page links to those and no others."""

    def __init__(self, app: FastAPI) -> None:
        self._app = app

    @cached_property
    def _policies(self) -> dict[str, Policy]:
        return {path: policy for method, path, policy in route_policies(self._app) if method == "GET"}

    def may_open(self, principal: Principal | None, path: str) -> bool:
        """Return whether a page has this path, as the route table writes it, and its policy lets the principal in."""
        policy = self._policies.get(path)
        if policy is None or not policy.needs_principal:
            return policy is not None
        if principal is None:
            return False
        try:
            policy.check(principal)
        except Forbidden:
            return False
        except Unauthenticated:
            return True  # after the password, which the page asks for
        return True
