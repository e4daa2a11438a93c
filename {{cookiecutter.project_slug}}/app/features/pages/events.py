"""Security events of the pages."""

from app.core.events import ACTOR, SecurityEvent
from app.features.sessions.events import EndReason


class PagesEvent(SecurityEvent):
    """Security events of the pages."""

    AUDIT_EXPORTED = (
        "audit_exported",
        "Somebody took a copy of the audit trail from its page",
        "`user_id`, `filters`",
        ACTOR,
    )


class PagesEnd(EndReason):
    """Why a page ends a session."""

    ENDED_BY_ADMINISTRATOR = "ended by administrator"
