"""Production speaks HTTPS: a plain request is refused, not redirected, for its token is on the wire already.

(ASVS 4.1.2.) The health routes answer the probes of an orchestrator, which come without TLS.
"""

from starlette.types import ASGIApp, Receive, Scope, Send

from app.core.errors import Forbidden, send_problem

PROBES = frozenset({"/livez", "/readyz"})


class HttpsMiddleware:
    """Refuses plain HTTP."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let HTTPS through."""
        if scope["type"] == "http" and scope["scheme"] != "https" and scope["path"] not in PROBES:
            await send_problem(Forbidden("This service speaks HTTPS only."), scope, receive, send)
            return
        await self.app(scope, receive, send)
