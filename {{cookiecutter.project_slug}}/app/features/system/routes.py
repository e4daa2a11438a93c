"""Health, service information, and the API description."""

import asyncio
from collections.abc import Awaitable, Callable
from contextvars import Context
from typing import Annotated, Literal

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse

from app.access.guard import GuardedRouter
from app.access.policies import Allow, Authenticated, Public, policy
from app.core.database.database import UNAVAILABLE_ERRORS
from app.core.errors import Unavailable
from app.core.schemas import ResponseBody
from app.core.services import provided
from app.core.settings.model import Settings
from app.features.system.permissions import SystemPermission

health_router = GuardedRouter(tags=["system"])
router = GuardedRouter(tags=["system"])

READY_SECONDS = 0.25


class SharedCheck:
    """Runs checks once for all concurrent callers (ASVS 15.2.2); repeats a success for `seconds`, and no failure."""

    def __init__(self, *checks: Callable[[], Awaitable[object]], seconds: float) -> None:
        self._checks = checks
        self._seconds = seconds
        self._running: asyncio.Task[None] | None = None
        self._good_until = 0.0

    async def __call__(self) -> None:
        """Return if the check passes; raises what it raises."""
        loop = asyncio.get_running_loop()
        if loop.time() < self._good_until:
            return
        if self._running is None or self._running.done():
            # In no context: it belongs to no request. Shielded: a caller that is cancelled does not end it for others.
            self._running = loop.create_task(self._run(), context=Context())
        await asyncio.shield(self._running)

    async def _run(self) -> None:
        for check in self._checks:
            await check()
        self._good_until = asyncio.get_running_loop().time() + self._seconds


class Health(ResponseBody):
    """The service is up, or ready."""

    status: Literal["ok"] = "ok"


class Info(ResponseBody):
    """The settings that a signed-in user may see."""

    app_name: str
    admin_email: str
    items_per_user: int


@health_router.get("/livez")
@policy(Public())
async def livez() -> Health:
    """Report that the process answers."""
    return Health()


@health_router.get("/readyz")
@policy(Public())
async def readyz(readiness_check: Annotated[SharedCheck, provided(SharedCheck)]) -> Health:
    """Report whether the service can serve: the database takes writes, and Redis answers if set. 503 otherwise."""
    try:
        await readiness_check()
    except UNAVAILABLE_ERRORS:
        raise Unavailable("The database does not answer, or takes no writes.", retry_after=5) from None
    return Health()


@router.get("/info")
@policy(Authenticated())
async def info(settings: Annotated[Settings, provided(Settings)]) -> Info:
    """Show the name of this service, who runs it, and how much each user may keep."""
    return Info.model_validate(settings)


def docs_router(settings: Settings) -> APIRouter:
    """Make the route of the OpenAPI document: open in development, for `docs:read` in production (ASVS 13.4.5)."""
    docs = GuardedRouter()

    @docs.get("/openapi.json", include_in_schema=False)
    @policy(Allow(SystemPermission.DOCS_READ) if settings.production else Public())
    async def openapi(request: Request) -> JSONResponse:
        return JSONResponse(request.app.openapi())

    return docs
