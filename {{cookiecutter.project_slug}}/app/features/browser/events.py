"""Security events of browser sessions."""

from app.core.events import ACTOR, ON_SESSION, SUBJECT, SecurityEvent


class BrowserEvent(SecurityEvent):
    """Security events of browser sessions."""

    PASSWORD_CONFIRMED = (
        "password_confirmed",
        "A user gave their password once more before something sensitive, or failed to",
        "`user_id`, `session_id`",
        ACTOR,
    )
    SESSION_FORGED = (
        "session_forged",
        "A browser session in the database is not what this service wrote",
        "`user_id`, `session_id`",
        SUBJECT,
        ON_SESSION,
    )
