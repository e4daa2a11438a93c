"""Pages, their content security policy, and their routes, which take forms of this origin alone."""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Annotated, Any, TypeVar

from fastapi import Depends, Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from app.access.guard import GuardedRoute, GuardedRouter, require
from app.access.policies import Policy, Principal, policy
from app.core.errors import Problem, Unauthenticated
from app.core.services import provided, services_of
from app.core.settings.model import Settings
from app.features.authorization.service import AuthorizationService
from app.features.browser.cookie import session_cookie
from app.features.browser.service import BrowserSessions, SignedInUser
from app.features.pages.kit.forms import Fields, FormRefused, errors_by_field, parse_fields, shown_values
from app.features.pages.kit.site import Assets, Navigation, Notice, Site
from app.features.pages.kit.urls import with_query
from app.http.middleware.checks import cross_origin_refusal, is_own_origin
from app.http.request.strict_json import StrictRequest

SEE_OTHER = 303
_NOTICE = "done"

_Handler = TypeVar("_Handler", bound=Callable[..., Any])


def content_security_policy(*, form_action: Sequence[str] = (), scripts: bool = False) -> str:
    """Return the policy of a page (ASVS 3.4.3); `form_action` are other origins to which its forms may lead."""
    script = "script-src 'self'; connect-src 'self'; " if scripts else ""
    leads_to = " ".join(["'self'", *form_action])
    files = f"default-src 'none'; {script}style-src 'self'; img-src 'self' data:"
    return f"{files}; form-action {leads_to}; base-uri 'none'; frame-ancestors 'none'; object-src 'none'"


class HtmlPage:
    """The page that a handler makes: `show` a template, or `go` to another page."""

    def __init__(self, request: Request, signed_in: SignedInUser | None) -> None:
        self.request = request
        self.signed_in = signed_in
        self.values: dict[str, str] = {}
        """What was typed in the form of the request, as far as it is shown again."""

    @property
    def principal(self) -> Principal:
        """The principal of the signed-in user; raises `Unauthenticated` if nobody is signed in."""
        if self.signed_in is None:
            raise Unauthenticated("Sign in first.")
        return self.signed_in.principal

    def show(
        self, template: str, *, status: int = 200, headers: Mapping[str, str] | None = None, **context: Any
    ) -> Response:
        """Render a template with the `context`; the page may run scripts if the template names one of ours."""
        services = services_of(self.request.app)
        site, principal = services[Site], self.signed_in.principal if self.signed_in else None
        named: dict[str, str] = {}
        common = site.common | {
            "signed_in": self.signed_in,
            "path": self.request.scope["path"],
            "later": "cursor" in self.request.query_params,
            "notice": site.notices.get(self.request.query_params.get(_NOTICE, "")),
            "may_open": partial(services[Navigation].may_open, principal),
            "values": self.values,
            "errors": {},
            "script": lambda name: named.setdefault(name, services[Assets].url(name)),
        }
        html = site.templates.get_template(template).render(common | context)
        own = {"Content-Security-Policy": content_security_policy(scripts=bool(named)), **(headers or {})}
        return HTMLResponse(html, status_code=status, headers=own)

    def go(self, path: str, notice: Notice | None = None, headers: Mapping[str, str] | None = None) -> Response:
        """Send the browser to another page with a GET (RFC 9110 section 15.4.4), which says what was done."""
        return RedirectResponse(with_query(path, **{_NOTICE: notice}), status_code=SEE_OTHER, headers=headers)

    def next_path(self, cursor: str | None, **query: object) -> str | None:
        """Return the path of the next part of this page's list, for the same query; None at the end."""
        return cursor and with_query(self.request.scope["path"], **query, cursor=cursor)

    @asynccontextmanager
    async def form(
        self, kind: type[Fields], template: str, beside: Mapping[str, type[Problem]] | None = None, **options: Any
    ) -> AsyncIterator[Fields]:
        """Read the form of the request, for the block to use, with line feeds for the CR LF of browsers.

        If the form breaks a rule, or the block raises a `Problem`, the answer is the template, shown again with what
        was typed and with what is wrong: beside the field that `beside` gives the class of the problem, or on top.
        """
        sent = await self.request.form() if self.request.method == "POST" else self.request.query_params
        typed = {name: str(value).replace("\r\n", "\n") for name, value in sent.items() if value != ""}
        self.values = shown_values(kind, typed)
        try:
            yield parse_fields(kind, typed)
        except Problem as problem:
            headers = {**options.pop("headers", {}), **problem.headers}
            errors = errors_by_field(problem, beside or {})
            page = self.show(template, status=problem.status, headers=headers, errors=errors, **options)
            raise FormRefused(page) from None


async def signed_in_user(request: Request) -> SignedInUser | None:
    """Return the signed-in user, on pages for everybody too."""
    principal = getattr(request.state, "principal", None)
    if principal is not None:
        return SignedInUser(principal, request.state.account)
    return await services_of(request.app)[BrowserSessions].signed_in(session_cookie(request))


async def _page(request: Request) -> HtmlPage:
    return HtmlPage(request, await signed_in_user(request))


CurrentPage = Annotated[HtmlPage, Depends(_page)]
"""The page as a parameter of a handler."""

Authorization = Annotated[AuthorizationService, provided(AuthorizationService)]
Browsers = Annotated[BrowserSessions, provided(BrowserSessions)]


class PageRoute(GuardedRoute):
    """A page, or the target of a form. It is no part of the API's description."""

    async def authenticate(self, request: Request) -> Principal:
        """Authenticate the session cookie alone: no token opens a page."""
        return await services_of(request.app)[BrowserSessions](request)

    async def load(self, request: StrictRequest) -> None:
        """Read the form of this origin, with a cookie or without: no other site signs a user in (ASVS 3.5.1)."""
        if request.method == "POST":
            if not is_own_origin(request.scope, services_of(request.app)[Settings].public_url):
                raise cross_origin_refusal()
            await request.load(form=True)
            if self.policy.needs_principal:  # Its session may have ended while the form was on its way.
                request.state.principal = principal = await self.authenticate(request)
                require(self.policy, principal)


class PageRouter(GuardedRouter):
    """Pages, and the targets of their forms; `module` is the `__name__` of the module that has them."""

    def __init__(self, module: str, prefix: str = "") -> None:
        super().__init__(prefix=prefix, route_class=PageRoute, include_in_schema=False)
        self._module = module

    def page(self, path: str, rule: Policy, **options: Any) -> Callable[[_Handler], _Handler]:
        """Add a page under a policy; `options` are those of the route."""
        return lambda handler: self.get(path, **options)(policy(rule)(handler))

    def form(self, path: str, rule: Policy, *, page: str = "", **options: Any) -> Callable[[_Handler], _Handler]:
        """Add the target of a form under a policy, and the page with the form if that is a template alone.

        `options` are those of the route, such as `max_body_size`.
        """
        if page:
            self.show(path, rule, page)
        return lambda handler: self.post(path, **options)(policy(rule)(handler))

    def show(self, path: str, rule: Policy, template: str, **options: Any) -> None:
        """Add a page that is its template alone; `options` are those of `HtmlPage.show`."""

        async def show(page: CurrentPage) -> Response:
            return page.show(template, **options)

        # The route table lists a page with the feature of its handler's module.
        show.__module__ = self._module
        self.page(path, rule)(show)
