"""The route class that enforces policies, and the check that every route has it.

It is no dependency: FastAPI parses the body before, and a caller without access must not make it parse anything.
"""

from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Protocol

from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.params import Form
from fastapi.routing import APIRoute, iter_route_contexts
from starlette.routing import Match
from starlette.types import Scope

from app.access.policies import Policy, PolicyError, Principal, current_principal, policy_of
from app.core.errors import Problem
from app.core.events import ACTOR, SecurityEvent, emit_event
from app.core.services import dependencies_of, services_of
from app.http.request.base import scheme_and_credentials
from app.http.request.body_limit import MAX_BODY_BYTES, SMALL_BODY, limit_body
from app.http.request.strict_json import StrictRequest


class AccessEvent(SecurityEvent):
    """Security events of authentication and policies."""

    ACCESS_DENIED = "access_denied", ACTOR
    UNAUTHENTICATED = "unauthenticated", ACTOR


class Authenticator(Protocol):
    """Makes the principal of a request from one kind of credentials."""

    def takes(self, request: Request) -> bool:
        """Return whether this authenticator decides about the request."""

    async def __call__(self, request: Request) -> Principal:
        """Make the principal; raises `Unauthenticated`."""


class Authentication:
    """Authenticates a request with the first authenticator that takes it."""

    caller_of: Callable[[Request], Awaitable[object]]
    """Finds the OAuth client of a request, or the user in `request.state.principal`, or raises `Unauthenticated`."""

    def __init__(self) -> None:
        self._authenticators: list[Authenticator] = []
        self.key_schemes: dict[str, dict[str, str]] = {}
        """The OpenAPI security schemes of keys, by name."""

    def prefer(self, authenticator: Authenticator) -> None:
        """Put this authenticator before the others."""
        self._authenticators.insert(0, authenticator)

    async def __call__(self, request: Request) -> Principal:
        """Make the principal of the request; raises `Unauthenticated`."""
        return await next(each for each in self._authenticators if each.takes(request))(request)


class GuardedRoute(APIRoute):
    """A route whose handler declares one policy. Without one, `PolicyError` stops the boot.

    It reads a body of up to `SMALL_BODY` bytes, or of what its decorator says: `max_body_size=16 * KIB`.
    """

    def __init__(
        self, path: str, endpoint: Callable[..., Any], *, max_body_size: int | None = None, **options: Any
    ) -> None:
        self.policy = policy_of(endpoint)
        self.body_limit = SMALL_BODY if max_body_size is None else max_body_size
        if self.body_limit > MAX_BODY_BYTES:
            raise PolicyError(f"{path} would read {self.body_limit} bytes; no body may have more than {MAX_BODY_BYTES}")
        options["summary"] = options.get("summary") or (endpoint.__doc__ or "").partition("\n")[0]
        # The limit is not passed to FastAPI, which would answer in plain text, and before a 401.
        super().__init__(path, endpoint, **{**options, "operation_id": endpoint.__name__})
        if not self.policy.needs_principal and current_principal in dependencies_of(self.dependant):
            raise PolicyError(
                f"{endpoint.__qualname__} takes the principal, and its policy {self.policy} does not need one;"
                " use another policy, or drop the parameter"
            )

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return FastAPI's handler behind the policy and the strict parser."""
        handle = super().get_route_handler()

        async def guarded(request: Request) -> Response:
            limit_body(request.scope, self.body_limit)
            schemes = [scheme_and_credentials(value)[0] for value in request.headers.getlist("Authorization")]
            # A bearer token, valid or not, is checked before the body is read.
            if self.policy.needs_principal or (self.policy.needs_caller and "bearer" in schemes):
                principal = await self.authenticate(request)
                # For handlers, and for the log.
                request.state.principal, request.state.principal_id = principal, str(principal.user_id)
                require(self.policy, principal)
            strict = StrictRequest(request.scope, request.receive)
            await self.load(strict)
            if self.policy.needs_caller:
                strict.state.caller = await services_of(request.app)[Authentication].caller_of(strict)
            return await handle(strict)

        return guarded

    async def authenticate(self, request: Request) -> Principal:
        """Make the principal of a request; raises `Unauthenticated`."""
        return await services_of(request.app)[Authentication](request)

    async def load(self, request: StrictRequest) -> None:
        """Read the body if the handler takes one: a form, or JSON."""
        if self.body_field is not None:
            await request.load(form=isinstance(self.body_field.field_info, Form))


def require(policy: Policy, principal: Principal) -> None:
    """Enforce the policy of a route, or of a part of it; raises a `Problem`, and emits an event of it."""
    try:
        policy.check(principal)
    except Problem:
        emit_event(AccessEvent.ACCESS_DENIED, outcome="denied", user_id=principal.user_id, policy=str(policy))
        raise


def route_policies(app: FastAPI) -> list[tuple[str, str, Policy]]:
    """Return method, path and policy of every operation, sorted by path; raises as `guarded_routes` does."""
    return [(method, path, route.policy) for path, method, route in guarded_routes(app)]


def guarded_routes(app: FastAPI) -> list[tuple[str, str, GuardedRoute]]:
    """Return path, method and route of every operation, sorted; raises `PolicyError` for one that nothing guards."""
    found: list[tuple[str, str, GuardedRoute]] = []
    for context in iter_route_contexts(app.routes):
        route = context.original_route
        if not isinstance(route, GuardedRoute):
            raise PolicyError(f"{context.path} is a {type(route).__name__}; only a GuardedRoute has a policy")
        found += ((context.path or "", method, route) for method in context.methods or ())
    return sorted(found, key=lambda each: each[:2])


class GuardedRouter(APIRouter):
    """A router whose routes have policies. It tries its routes, which takes long, only if one of them can be meant."""

    def __init__(self, *, route_class: type[GuardedRoute] = GuardedRoute, **options: Any) -> None:
        super().__init__(route_class=route_class, **options)
        self._starts: tuple[str, ...] = ()
        self._counted = 0

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """Return FastAPI's answer, but at once for a path in which the beginning of no route is."""
        if self._counted != len(self.routes):
            paths = {getattr(route, "path", "") for route in self.routes}
            self._starts = tuple({path.partition("{")[0] for path in paths})
            self._counted = len(self.routes)
        path: str = scope["path"]
        if any(start in path for start in self._starts):
            return super().matches(scope)
        return Match.NONE, {}
