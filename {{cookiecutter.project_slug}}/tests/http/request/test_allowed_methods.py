"""`app/http/request/allowed_methods.py`: what a 405 tells."""

import httpx2
import pytest
from fastapi import APIRouter, FastAPI

from app.http.request.allowed_methods import HeadMiddleware, install_allowed_methods, require_known_method
from app.http.request.base import ChecksMiddleware

pytestmark = pytest.mark.anyio


@pytest.fixture
def app() -> FastAPI:
    """An application whose paths have several routes each, in several routers."""
    app = FastAPI(openapi_url=None)
    router = APIRouter(prefix="/things")

    async def endpoint() -> str:
        return "done"

    for methods in (["GET"], ["PUT", "PATCH"], ["DELETE"]):
        router.add_api_route("/{thing_id}", endpoint, methods=methods)
    app.add_api_route("/things", endpoint, methods=["POST"])
    app.include_router(router)
    install_allowed_methods(app)
    app.add_middleware(HeadMiddleware)
    app.add_middleware(ChecksMiddleware, checks=[require_known_method])
    return app


async def asked(app: FastAPI, method: str, path: str) -> tuple[int, str | None]:
    """The status, and what is allowed."""
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="http://service") as client:
        answer = await client.request(method, path)
    return answer.status_code, answer.headers.get("allow")


@pytest.mark.parametrize(
    ("method", "path", "allow"),
    [
        ("POST", "/things/1", "DELETE, GET, HEAD, PATCH, PUT"),
        ("OPTIONS", "/things/1", "DELETE, GET, HEAD, PATCH, PUT"),
        ("GET", "/things", "POST"),
        ("HEAD", "/things", "POST"),
    ],
)
async def test_names_every_method_of_the_path(app: FastAPI, method: str, path: str, allow: str) -> None:
    """The methods of all routes of the path are named, in whatever router they are, and HEAD beside GET."""
    assert await asked(app, method, path) == (405, allow)


@pytest.mark.asvs("13.4.4")
@pytest.mark.parametrize("method", ["TRACE", "TRACK", "CONNECT", "PROPFIND", "FOO"])
async def test_refuses_unknown_methods_everywhere(app: FastAPI, method: str) -> None:
    """TRACE and the like are 405 on paths with routes and without."""
    assert await asked(app, method, "/things") == (405, "POST")
    assert await asked(app, method, "/nowhere") == (405, "")


async def test_leaves_the_rest() -> None:
    """A path without a route is 404 for a known method."""
    app = FastAPI(openapi_url=None)
    install_allowed_methods(app)
    app.add_middleware(ChecksMiddleware, checks=[require_known_method])
    assert await asked(app, "GET", "/nowhere") == (404, None)
