"""Security events of the vault."""

from app.core.events import ACTOR, SecurityEvent


class VaultEvent(SecurityEvent):
    """Security events of the vault."""

    SECRET_CHANGED = "secret_changed", "A user changed one of their secrets", "`user_id`, `target_id`", ACTOR
    SECRET_CREATED = "secret_created", "A user put a secret into the vault", "`user_id`, `target_id`", ACTOR
    SECRET_DELETED = "secret_deleted", "A user deleted one of their secrets", "`user_id`, `target_id`", ACTOR
    SECRET_REVEALED = "secret_revealed", "A user saw one of their secrets in clear", "`user_id`, `target_id`", ACTOR
    SECRET_UNREADABLE = "secret_unreadable", "A sealed value did not open", "`user_id`, `target_id`", ACTOR
