"""What nobody else caught: one log line, and an answer that shows nothing of the inside (ASVS 16.5.1)."""

import structlog
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.core.errors import Problem, send_problem

_log = structlog.get_logger("app")


class LastResortMiddleware:
    """Turns a crash into a 500. An answer that has begun is broken off, so that no client takes it for whole."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, whatever happens."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started = False

        async def send_noting(message: Message) -> None:
            nonlocal started
            started = started or message["type"] == "http.response.start"
            await send(message)

        try:
            await self.app(scope, receive, send_noting)
        except ClientDisconnect:
            _log.info("client_disconnected")
        except Problem as problem:
            # Raised by a middleware: the handlers of the application only see what its routes raise.
            if not started:
                await send_problem(problem, scope, receive, send)
        except Exception:  # noqa: BLE001  # the last resort
            _log.exception("unhandled_error")
            if not started:
                failed = Problem("The service failed. The request id names the log line.")
                await send_problem(failed, scope, receive, send)
