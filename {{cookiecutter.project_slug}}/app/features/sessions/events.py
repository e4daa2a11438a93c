"""Security events of sessions."""

from enum import StrEnum

from app.core.events import ACTOR, ON_SESSION, SUBJECT, SecurityEvent


class SessionEvent(SecurityEvent):
    """Security events of sessions."""

    SESSION_ENDED = "session_ended", SUBJECT, ON_SESSION
    SIGNED_OUT = "signed_out", ACTOR, ON_SESSION


class EndReason(StrEnum):
    """Why a session ended. A feature that ends sessions declares its own reasons in a subclass."""


class SessionEnd(EndReason):
    """Why the user or a limit ended a session."""

    ENDED_BY_USER = "ended by user"
    REVOKED = "revoked"
    TOO_MANY = "too many sessions"
