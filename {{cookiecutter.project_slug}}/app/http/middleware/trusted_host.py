"""Only hosts of `ALLOWED_HOSTS`: no answer is made for a name that somebody else chose (ASVS 4.1.3).

The health routes answer whatever the name is: orchestrators and load balancers ask by the address of a container.
"""

import re
from collections.abc import Iterable
from functools import lru_cache

from starlette.types import ASGIApp, Receive, Scope, Send

from app.core.errors import BadRequest, send_problem
from app.core.events.flow import emit_event
from app.core.settings.rules import host_name
from app.http.events import HttpEvent
from app.http.middleware.https import PROBES

_PORT = re.compile(r":[0-9]{1,5}\Z")


class TrustedHostMiddleware:
    """Refuses a request whose `Host` is missing, there twice, malformed or of somebody else."""

    def __init__(self, app: ASGIApp, *, allowed: Iterable[str]) -> None:
        self.app = app
        self.any = "*" in allowed
        self.names = frozenset(allowed)
        self.suffixes = tuple(pattern[1:] for pattern in allowed if pattern.startswith("*."))
        self.is_allowed = lru_cache(maxsize=256)(self._is_allowed)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request for this service through."""
        if scope["type"] == "http":
            hosts = [value for name, value in scope["headers"] if name == b"host"]
            if len(hosts) != 1 or not (scope["path"] in PROBES or self.is_allowed(hosts[0])):
                emit_event(HttpEvent.HOST_REFUSED, outcome="denied")
                await send_problem(BadRequest("The request is for another host."), scope, receive, send)
                return
        await self.app(scope, receive, send)

    def _is_allowed(self, host: bytes) -> bool:
        try:
            name = host_name(_PORT.sub("", host.decode("latin-1")))
        except ValueError:
            return False
        return self.any or name in self.names or bool(self.suffixes and name.endswith(self.suffixes))
