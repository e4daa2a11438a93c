"""HTTPS in production: plain HTTP is rejected, not redirected, because its token was sent in the clear (ASVS 4.1.2)."""

from starlette.types import Scope

from app.core.errors import Forbidden

PROBES = frozenset({"/livez", "/readyz"})
"""The health routes. An orchestrator calls them without TLS, and by the address of a container."""


def require_https(scope: Scope) -> None:
    """Raise `Forbidden` for plain HTTP, except for probes."""
    if scope["scheme"] != "https" and scope["path"] not in PROBES:
        raise Forbidden("This service speaks HTTPS only.")
