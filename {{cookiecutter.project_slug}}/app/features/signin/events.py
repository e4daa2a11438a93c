"""Security events of sign-ins and tokens."""

from app.core.events import ACTOR, NOBODY, ON_SESSION, SUBJECT, SecurityEvent
from app.features.sessions.events import EndReason


class SignInEvent(SecurityEvent):
    """Security events of sign-ins and tokens."""

    SIGNIN_FAILED = "signin_failed", "Address and password opened no account", "`user_id` if there is one", SUBJECT
    SIGNIN_SUCCEEDED = "signin_succeeded", "A session began", "`user_id`, `session_id`, `method`", ACTOR
    TOKEN_ISSUED = (
        "token_issued",
        "An OAuth client got a session for a code, or for itself",
        "`user_id`, `session_id`, `client_id`, `grant_type`",
        SUBJECT,
    )
    TOKEN_REFRESHED = "token_refreshed", "A refresh token was exchanged", "`user_id`, `session_id`", ACTOR
    TOKEN_REUSED = "token_reused", "A refresh token came twice; its session ended", "`session_id`", NOBODY, ON_SESSION
    TOKEN_REVOKED = (
        "token_revoked",
        "A user, or a client, revoked one of their tokens",
        "`session_id`, `user_id` or `client_id`",
        ACTOR,
        ON_SESSION,
    )


class SignInEnd(EndReason):
    """Why a misuse of tokens ends a session."""

    REFRESH_TOKEN_REUSED = "refresh token reused"  # noqa: S105  # a reason, not a secret
