"""`app/access/guard.py`: a router is asked for its own paths, and for all of them."""

import pytest
from fastapi import FastAPI

from app.access.guard import GuardedRouter
from app.access.policies import Public, policy
from tests.support.http.asgi import call, http_scope

pytestmark = pytest.mark.anyio


@policy(Public())
async def answer(name: str = "") -> str:
    """Answer with what was in the path."""
    return name


def application(*routers: GuardedRouter, prefix: str = "") -> FastAPI:
    """An application of these routers."""
    app = FastAPI(openapi_url=None)
    for router in routers:
        app.include_router(router, prefix=prefix)
    return app


@pytest.mark.parametrize("path", ["/things", "/things/a/parts", "/items/a", "/x/items/b", "/"])
@pytest.mark.parametrize("prefix", ["", "/api/v1"])
async def test_every_path_of_its_routes_is_found(path: str, prefix: str) -> None:
    """With a parameter at its end, in its middle or at its beginning; below a prefix or not."""
    first, second = GuardedRouter(prefix="/things"), GuardedRouter()
    first.get("")(answer)
    first.get("/{name}/parts")(answer)
    second.get("/items/{name}")(answer)
    second.get("/{name}/items/b")(answer)
    second.get("/")(answer)
    app = application(first, second, prefix=prefix)
    assert (await call(app, http_scope(path=prefix + path))).status == 200
    assert (await call(app, http_scope(method="POST", path=prefix + path))).status == 405
    assert (await call(app, http_scope(path=prefix + path + "/no"))).status == 404


async def test_a_route_that_is_added_later_is_found() -> None:
    """Also after the router was asked once."""
    router = GuardedRouter()
    router.get("/early")(answer)
    app = application(router)
    assert (await call(app, http_scope(path="/late"))).status == 404
    router.get("/late")(answer)
    assert (await call(app, http_scope(path="/late"))).status == 200


async def test_a_router_within_a_router_is_found() -> None:
    """It may hold any path."""
    inner, outer = GuardedRouter(prefix="/inner"), GuardedRouter()
    inner.get("/{name}")(answer)
    outer.get("/other")(answer)
    outer.include_router(inner, prefix="/deep")
    assert (await call(application(outer), http_scope(path="/deep/inner/x"))).status == 200
