"""A page: a template, what every page shows, and a content security policy that lets no script run."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import cache, partial
from pathlib import Path
from typing import Annotated, Any

from fastapi import Depends, Request
from jinja2 import Environment as Templates, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from starlette.responses import HTMLResponse, RedirectResponse, Response

from app.core.services import services_of
from app.core.settings.model import Environment, Registration, Settings
from app.features.accounts.passwords.hasher import LONGEST_PASSWORD, SHORTEST_PASSWORD
from app.features.accounts.service import Account
from app.features.browser.cookie import session_cookie
from app.features.browser.service import BrowserSessions, SignedInUser
from app.features.pages.kit.assets import Assets
from app.features.pages.kit.navigation import Navigation
from app.features.pages.kit.notices import Notice, notice_of, with_notice
from app.features.pages.kit.site import Site
from app.features.pages.kit.untrusted_text import device, short

SEE_OTHER = 303


def content_security_policy(*, form_action: Sequence[str] = (), scripts: bool = False) -> str:
    """The policy of a page (ASVS 3.4.3): nothing from anywhere else, nothing inline, framed by nobody.

    `form_action` are other origins to which an answer to a form of the page may lead.
    """
    script = ["script-src 'self'", "connect-src 'self'"] if scripts else []
    return "; ".join(
        [
            "default-src 'none'",
            *script,
            "style-src 'self'",
            "img-src 'self' data:",
            " ".join(["form-action 'self'", *form_action]),
            "base-uri 'none'",
            "frame-ancestors 'none'",
            "object-src 'none'",
        ]
    )


class Pages:
    """Makes pages of templates."""

    def __init__(self, settings: Settings, assets: Assets, site: Site) -> None:
        self._reload = not settings.production
        self._site = site
        self._common = {
            "app_name": settings.app_name,
            "admin_email": settings.admin_email,
            "asset": assets.url,
            "development": settings.environment is Environment.DEVELOPMENT,
            "registration_open": settings.registration is Registration.OPEN,
            "account_links": site.account_links,
            "goes_with_account": site.goes_with_account,
            "values": {},
            "errors": {},
        }

    @property
    def templates(self) -> Templates:
        """The templates of all features, each compiled once."""
        return _templates(tuple(self._site.templates), reload=self._reload)

    def show(  # noqa: PLR0913  # one for each thing in which pages differ
        self,
        request: Request,
        template: str,
        *,
        signed_in: SignedInUser | None,
        status: int = 200,
        headers: Mapping[str, str] | None = None,
        policy: str | None = None,
        **context: Any,
    ) -> Response:
        """Render the page for whoever is signed in, if anybody is."""
        navigation = services_of(request.app)[Navigation]
        common = self._common | {
            "signed_in": signed_in,
            "path": request.scope["path"],
            "notice": notice_of(request, self._site.notices),
            "may_open": partial(navigation.may_open, signed_in.principal if signed_in else None),
        }
        html = self.templates.get_template(template).render(common | context)
        own = {"Content-Security-Policy": policy or content_security_policy(), **(headers or {})}
        return HTMLResponse(html, status_code=status, headers=own)


@cache
def _templates(folders: tuple[Path, ...], *, reload: bool) -> Templates:
    """The templates of all pages, each compiled once in a process. What macros need besides arguments is global."""
    templates = Templates(
        loader=FileSystemLoader(folders),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=reload,
    )
    templates.filters |= {"when": _when, "short": short, "device": device}
    templates.globals |= {"shortest_password": SHORTEST_PASSWORD, "longest_password": LONGEST_PASSWORD}
    return templates


class HtmlPage:
    """The page that a handler makes: `show` a template, or `go` to another page."""

    def __init__(self, request: Request, signed_in: SignedInUser | None) -> None:
        self._request = request
        self._pages = services_of(request.app)[Pages]
        self.signed_in = signed_in

    @property
    def account(self) -> Account:
        """The account of whoever is signed in, on a page whose policy is not `Public`."""
        account: Account = self._request.state.account
        return account

    def show(self, template: str, **options: Any) -> Response:
        """Show a template; `status`, `headers` and `policy` are those of the answer, all else is for the template."""
        return self._pages.show(self._request, template, signed_in=self.signed_in, **options)

    def go(self, path: str, notice: Notice | None = None, headers: Mapping[str, str] | None = None) -> Response:
        """Send the browser to another page with a GET (RFC 9110 section 15.4.4), which says what was done."""
        location = path if notice is None else with_notice(path, notice)
        return RedirectResponse(location, status_code=SEE_OTHER, headers=headers)


async def signed_in_user(request: Request) -> SignedInUser | None:
    """Whoever is signed in, on pages that are for everybody too."""
    principal = getattr(request.state, "principal", None)
    if principal is not None:
        return SignedInUser(principal, request.state.account)
    return await services_of(request.app)[BrowserSessions].signed_in(session_cookie(request))


async def _page(request: Request) -> HtmlPage:
    return HtmlPage(request, await signed_in_user(request))


CurrentPage = Annotated[HtmlPage, Depends(_page)]
"""The page as a parameter of a handler."""


def _when(time: datetime | None) -> Markup:
    """A time as people and programs read it."""
    if time is None:
        return Markup("never")
    utc = time.astimezone(UTC)
    return Markup('<time datetime="{}">{}</time>').format(
        utc.isoformat(timespec="seconds"), utc.strftime("%Y-%m-%d %H:%M UTC")
    )
