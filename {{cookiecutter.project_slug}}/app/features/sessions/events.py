"""Security events of sessions."""

from app.core.events import ACTOR, ON_SESSION, SUBJECT, SecurityEvent


class SessionEvent(SecurityEvent):
    """Security events of sessions."""

    SESSION_ENDED = "session_ended", SUBJECT, ON_SESSION
    SIGNED_OUT = "signed_out", ACTOR, ON_SESSION


ENDED_BY_USER = "ended by user"
"""Why a session ended, in up to 32 characters; who ends one for another reason writes that there."""
