"""Security events of consents and authorization codes."""

from app.core.events import ACTOR, SecurityEvent
from app.features.sessions.events import EndReason


class ConsentEvent(SecurityEvent):
    """Security events of consents and authorization codes."""

    CODE_REUSED = (
        "code_reused",
        "An authorization code was used twice; with its verifier, what it started has ended",
        "`session_id` where something had started, `ended`",
    )
    CONSENT_DENIED = (
        "consent_denied",
        "A user did not allow an OAuth client to act for them",
        "`user_id`, `target_id`, a client's, `scope`",
        ACTOR,
    )
    CONSENT_GIVEN = (
        "consent_given",
        "A user allowed an OAuth client to act for them",
        "`user_id`, `target_id`, a client's, `scope`",
        ACTOR,
    )
    CONSENT_REVOKED = (
        "consent_revoked",
        "A user took that back; the client's sessions of theirs have ended",
        "`user_id`, `target_id`, a client's",
        ACTOR,
    )


class ConsentEnd(EndReason):
    """Why a user or a misuse ends the sessions of a client."""

    CODE_REUSED = "authorization code reused"
    CONSENT_REVOKED = "consent revoked"
