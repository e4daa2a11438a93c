"""Security events of OAuth clients."""

from app.core.events import ACTOR, NOBODY, SecurityEvent


class ClientEvent(SecurityEvent):
    """Security events of OAuth clients."""

    CLIENT_AUTHENTICATION_FAILED = "client_authentication_failed"
    CLIENT_CREATED = "client_created", ACTOR
    CLIENT_REMOVED = "client_removed", ACTOR
    CLIENT_SECRET_ROTATED = "client_secret_rotated", ACTOR
    TOKEN_REFUSED = "token_refused", NOBODY
