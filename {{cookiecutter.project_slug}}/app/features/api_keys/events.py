"""Security events of API keys."""

from app.core.events import ACTOR, SUBJECT, SecurityEvent


class ApiKeyEvent(SecurityEvent):
    """Security events of API keys."""

    API_KEY_CREATED = "api_key_created", ACTOR
    API_KEY_LEAKED = "api_key_leaked", SUBJECT
    API_KEY_REVOKED = "api_key_revoked", ACTOR
    API_KEY_ROTATED = "api_key_rotated", ACTOR
