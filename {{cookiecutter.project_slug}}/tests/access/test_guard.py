"""The boot stops on a route that has not exactly one policy."""

from collections.abc import Callable
from typing import Annotated, Any
from uuid import UUID

import pytest
from fastapi import APIRouter, Depends, FastAPI, WebSocket
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route

from app.access.guard import GuardedRoute, route_policies
from app.access.policies import Authenticated, ClientOrUser, CurrentPrincipal, Policy, PolicyError, Public, policy
from app.http.request.body_limit import MAX_BODY_BYTES


async def endpoint() -> None:
    """A handler that declares nothing."""


def plain_route(app: FastAPI) -> None:
    """A route of Starlette, past FastAPI."""
    app.router.routes.append(Route("/plain", PlainTextResponse("open")))


def mounted_application(app: FastAPI) -> None:
    """Somebody else's application."""
    app.router.routes.append(Mount("/other", PlainTextResponse("open")))


def default_route_class(app: FastAPI) -> None:
    """A router whose author forgot the route class."""
    router = APIRouter()
    router.get("/forgotten")(endpoint)
    app.include_router(router)


def socket(app: FastAPI) -> None:
    """A websocket."""

    async def talk(socket: WebSocket) -> None:
        await socket.accept()

    app.add_api_websocket_route("/socket", talk)


@pytest.mark.parametrize("add", [plain_route, mounted_application, default_route_class, socket])
def test_a_route_that_nothing_guards_stops_the_boot(add: Callable[[FastAPI], None]) -> None:
    """However it was added, the census sees it."""
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    add(app)
    with pytest.raises(PolicyError, match="only a GuardedRoute has a policy"):
        route_policies(app)


def test_a_handler_without_a_policy_cannot_become_a_route() -> None:
    """The message says what to write, and where."""
    router = APIRouter(route_class=GuardedRoute)
    with pytest.raises(PolicyError, match="endpoint declares no policy; put @policy"):
        router.get("/open")(endpoint)


async def with_principal(principal: CurrentPrincipal) -> None:
    """A handler that takes the principal."""


async def user_of(principal: CurrentPrincipal) -> UUID:
    """A dependency that takes it."""
    return principal.user_id


async def with_dependency(user_id: Annotated[UUID, Depends(user_of)]) -> None:
    """A handler that takes what is made of the principal."""


@pytest.mark.parametrize("handler", [with_principal, with_dependency])
@pytest.mark.parametrize("rule", [Public(), ClientOrUser()], ids=str)
def test_a_handler_cannot_take_a_principal_that_its_policy_does_not_need(
    handler: Callable[..., Any], rule: Policy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every request would be answered 500; the boot stops, and names the handler."""
    monkeypatch.setattr(handler, "__access_policy__", rule, raising=False)
    router = APIRouter(route_class=GuardedRoute)
    with pytest.raises(PolicyError, match=f"{handler.__name__} takes the principal, and its policy {rule}"):
        router.get("/open")(handler)


def test_no_route_reads_more_than_any_body_may_have() -> None:
    """A limit that could never be reached is a mistake, and the boot says so."""

    async def read() -> None: ...

    policy(Public())(read)
    router = APIRouter(route_class=GuardedRoute)
    router.post("/largest", max_body_size=MAX_BODY_BYTES)(read)
    with pytest.raises(PolicyError, match="/larger would read"):
        router.post("/larger", max_body_size=MAX_BODY_BYTES + 1)(read)


def test_a_handler_has_one_policy() -> None:
    """Two would leave open which of them holds."""

    async def twice() -> None: ...

    policy(Public())(twice)
    with pytest.raises(PolicyError, match="two policies"):
        policy(Authenticated())(twice)


def test_the_census_sees_through_nested_routers() -> None:
    """Prefixes add up, every method has its line."""
    inner = APIRouter(prefix="/inner", route_class=GuardedRoute)
    inner.api_route("/x", methods=["GET", "POST"])(policy(Public())(endpoint))
    outer = APIRouter(prefix="/outer", route_class=GuardedRoute)
    outer.include_router(inner)
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    app.include_router(outer)
    assert [(method, path) for method, path, _ in route_policies(app)] == [
        ("GET", "/outer/inner/x"),
        ("POST", "/outer/inner/x"),
    ]
