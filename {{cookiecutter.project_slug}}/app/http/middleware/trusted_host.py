"""Requests for hosts outside of `ALLOWED_HOSTS` are rejected, so that no client chooses the name (ASVS 4.1.3)."""

import re
from collections.abc import Iterable
from functools import lru_cache

from starlette.types import Scope

from app.core.errors import BadRequest
from app.core.events import emit_event
from app.core.settings.rules import host_name
from app.http.events import HttpEvent
from app.http.middleware.https import PROBES
from app.http.request.base import header_values

_PORT = re.compile(r":[0-9]{1,5}\Z")


class TrustedHostCheck:
    """Rejects a request whose `Host` is missing, repeated, malformed or not allowed."""

    def __init__(self, *, allowed: Iterable[str]) -> None:
        self.any = "*" in allowed
        self.names = frozenset(allowed)
        self.suffixes = tuple(pattern[1:] for pattern in allowed if pattern.startswith("*."))
        self.is_allowed = lru_cache(maxsize=256)(self._is_allowed)

    def __call__(self, scope: Scope) -> None:
        """Raise `BadRequest` for another host, except for probes."""
        hosts = header_values(scope, b"host")
        if len(hosts) != 1 or not (scope["path"] in PROBES or self.is_allowed(hosts[0])):
            emit_event(HttpEvent.HOST_REFUSED, outcome="denied")
            raise BadRequest("The request is for another host.")

    def _is_allowed(self, host: bytes) -> bool:
        try:
            name = host_name(_PORT.sub("", host.decode("latin-1")))
        except ValueError:
            return False
        return self.any or name in self.names or bool(self.suffixes and name.endswith(self.suffixes))
