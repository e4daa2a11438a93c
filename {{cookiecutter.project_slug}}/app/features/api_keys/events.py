"""Security events of API keys."""

from app.core.events import ACTOR, SUBJECT, SecurityEvent

_FIELDS = "`user_id`, `target_id`"


class ApiKeyEvent(SecurityEvent):
    """Security events of API keys."""

    API_KEY_CREATED = "api_key_created", "A user made an API key", _FIELDS, ACTOR
    API_KEY_LEAKED = "api_key_leaked", "A text was reported as a leaked key; one that is ended", _FIELDS, SUBJECT
    API_KEY_REVOKED = "api_key_revoked", "A user ended an API key, or a reset of the password did", _FIELDS, ACTOR
    API_KEY_ROTATED = "api_key_rotated", "A user replaced an API key", f"{_FIELDS}, `replaced_by`", ACTOR
