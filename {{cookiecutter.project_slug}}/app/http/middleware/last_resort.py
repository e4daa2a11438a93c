"""Unhandled exceptions: one log line, and an answer that shows no internals (ASVS 16.5.1)."""

from typing import Any

import structlog
from starlette.requests import ClientDisconnect
from starlette.types import Receive, Scope, Send

from app.core.errors import Problem, send_problem
from app.http.request.base import HttpMiddleware, at_start

_log = structlog.get_logger("app")


class LastResortMiddleware(HttpMiddleware):
    """Turns an exception into a 500. An answer that has begun is cut off, so that no client takes it for complete."""

    async def _handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        started = dict[str, Any]()
        try:
            await self.app(scope, receive, at_start(send, started.update))
        except ClientDisconnect:
            _log.info("client_disconnected")
        except Problem as problem:
            # Raised by a middleware; the application's exception handlers see those of its routes alone.
            if not started:
                await send_problem(problem, scope, receive, send)
        except Exception:
            _log.exception("unhandled_error")
            if not started:
                failed = Problem("The service failed. The request id names the log line.")
                await send_problem(failed, scope, receive, send)
