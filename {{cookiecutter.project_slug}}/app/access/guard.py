"""The route class that enforces policies, and the census that no route escapes it.

The policy is enforced before the body is read: who may not call a route cannot make it parse anything either. FastAPI
would read and parse the body before it runs a dependency, so a policy is no dependency.
"""

from collections.abc import Awaitable, Callable, Coroutine, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

from fastapi import FastAPI, Request, Response
from fastapi.params import Form
from fastapi.routing import APIRoute, iter_route_contexts

from app.access.events import AccessEvent
from app.access.policies import Policy, PolicyError, policy_of
from app.access.principal import Principal
from app.core.errors import Problem
from app.core.events.flow import emit_event
from app.core.services import services_of
from app.http.request.body_limit import MAX_BODY_BYTES, SMALL_BODY, limit_body
from app.http.request.credentials import scheme_and_credentials
from app.http.request.strict_json import StrictRequest


class Authenticator(Protocol):
    """Makes the principal of a request from one kind of credentials."""

    def takes(self, request: Request) -> bool:
        """Whether the request is judged by this kind of credentials."""

    async def __call__(self, request: Request) -> Principal:
        """Make the principal; raises `Unauthenticated`."""


class Authentication:
    """Finds out who sends a request: the first authenticator that takes the request decides."""

    def __init__(self) -> None:
        self._authenticators: list[Authenticator] = []

    def prefer(self, authenticator: Authenticator) -> None:
        """Ask this authenticator before those that are there."""
        self._authenticators.insert(0, authenticator)

    async def __call__(self, request: Request) -> Principal:
        """Make the principal of the request; raises `Unauthenticated`."""
        return await next(each for each in self._authenticators if each.takes(request))(request)


@dataclass(frozen=True)
class CallerAuthentication:
    """Finds out which OAuth client or user a request comes from, or raises `Unauthenticated`; it may read the form.

    A user with a bearer token is in `request.state.principal` by then.
    """

    caller_of: Callable[[Request], Awaitable[object]]


class GuardedRoute(APIRoute):
    """A route whose handler declares one policy. Without one, it cannot be made, and the boot stops.

    It reads a body of `SMALL_BODY` bytes, or of what its decorator says: `@router.post("", max_body_size=16 * KIB)`.
    """

    def __init__(
        self, path: str, endpoint: Callable[..., Any], *, max_body_size: int | None = None, **options: Any
    ) -> None:
        self.policy = policy_of(endpoint)
        self.body_limit = SMALL_BODY if max_body_size is None else max_body_size
        if self.body_limit > MAX_BODY_BYTES:
            raise PolicyError(
                f"{path} would read {self.body_limit} bytes, and no body may have more than {MAX_BODY_BYTES}"
            )
        # Not handed on: the framework would refuse in plain text, and in the place of a 401 too.
        super().__init__(path, endpoint, **options)

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """FastAPI's handler behind the policy, reading strictly."""
        handle = super().get_route_handler()

        async def guarded(request: Request) -> Response:
            limit_body(request.scope, self.body_limit)
            if self.policy.needs_principal:
                require(self.policy, await principal_of(request, self.authenticate))
            elif self.policy.needs_caller and shows_token(request):
                await principal_of(request, self.authenticate)
            strict = StrictRequest(request.scope, request.receive)
            await self.load(strict)
            if self.policy.needs_caller:
                strict.state.caller = await services_of(request.app)[CallerAuthentication].caller_of(strict)
            return await handle(strict)

        return guarded

    async def authenticate(self, request: Request) -> Principal:
        """Make the principal of a request; raises `Unauthenticated`."""
        return await services_of(request.app)[Authentication](request)

    async def load(self, request: StrictRequest) -> None:
        """Read the body where the handler takes one: a form, or JSON."""
        if self.body_field is not None:
            await request.load(form=isinstance(self.body_field.field_info, Form))


def shows_token(request: Request) -> bool:
    """Whether the request has a bearer token, whatever it is worth: it is judged before the body is read."""
    values = request.headers.getlist("Authorization")
    return any(scheme_and_credentials(value)[0] == "bearer" for value in values)


async def principal_of(request: Request, authenticate: Callable[[Request], Awaitable[Principal]]) -> Principal:
    """Make the principal of the request, where the logs find it too; raises `Unauthenticated`."""
    principal = await authenticate(request)
    request.state.principal = principal
    request.state.principal_id = str(principal.user_id)
    return principal


def require(policy: Policy, principal: Principal) -> None:
    """Enforce the policy of a route, or of a part of what it does; raises a `Problem`, which is told as an event."""
    try:
        policy.enforce(principal)
    except Problem:
        emit_event(AccessEvent.ACCESS_DENIED, outcome="denied", user_id=principal.user_id, policy=str(policy))
        raise


class RoutePolicy(NamedTuple):
    """A line of the route table."""

    method: str
    path: str
    policy: Policy


def route_policies(app: FastAPI) -> list[RoutePolicy]:
    """The policy of every method of every path, sorted by path.

    Raises `PolicyError` for a route that `GuardedRoute` does not guard (a mounted application, a plain Starlette route,
    a websocket), because nothing would ask who calls it.
    """
    return sorted(_census(app), key=lambda line: (line.path, line.method))


def _census(app: FastAPI) -> Iterator[RoutePolicy]:
    for context in iter_route_contexts(app.routes):
        route = context.original_route
        if not isinstance(route, GuardedRoute):
            raise PolicyError(f"{context.path} is a {type(route).__name__}; only a GuardedRoute has a policy")
        for method in context.methods or ():
            yield RoutePolicy(method, context.path or "", route.policy)
