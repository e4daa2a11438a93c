"""Security events of OAuth clients."""

from app.core.events import ACTOR, SecurityEvent
from app.features.sessions.events import EndReason


class ClientEvent(SecurityEvent):
    """Security events of OAuth clients."""

    CLIENT_AUTHENTICATION_FAILED = "client_authentication_failed"
    CLIENT_CREATED = "client_created", ACTOR
    CLIENT_REMOVED = "client_removed", ACTOR
    CLIENT_SECRET_ROTATED = "client_secret_rotated", ACTOR
    TOKEN_REFUSED = "token_refused"  # noqa: S105  # the name of an event


class ClientEnd(EndReason):
    """Why a change of a client ends its sessions."""

    CLIENT_REMOVED = "client removed"
    CLIENT_SECRET_ROTATED = "client secret rotated"  # noqa: S105  # a reason, not a secret
