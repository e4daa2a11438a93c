"""Security events of browser sessions."""

from app.core.events import ACTOR, ON_SESSION, SUBJECT, SecurityEvent


class BrowserEvent(SecurityEvent):
    """Security events of browser sessions."""

    PASSWORD_CONFIRMED = "password_confirmed", ACTOR
    SESSION_FORGED = "session_forged", SUBJECT, ON_SESSION
