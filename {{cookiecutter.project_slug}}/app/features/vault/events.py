"""Security events of the vault."""

from app.core.events import ACTOR, SecurityEvent


class VaultEvent(SecurityEvent):
    """Security events of the vault."""

    SECRET_CHANGED = "secret_changed", ACTOR
    SECRET_CREATED = "secret_created", ACTOR
    SECRET_DELETED = "secret_deleted", ACTOR
    SECRET_REVEALED = "secret_revealed", ACTOR
    SECRET_UNREADABLE = "secret_unreadable", ACTOR
