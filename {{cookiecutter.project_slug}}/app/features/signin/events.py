"""Security events of sign-ins and tokens."""

from app.core.events import ACTOR, NOBODY, ON_SESSION, SUBJECT, SecurityEvent


class SignInEvent(SecurityEvent):
    """Security events of sign-ins and tokens."""

    SIGNIN_FAILED = "signin_failed", SUBJECT
    SIGNIN_CHALLENGED = "signin_challenged", SUBJECT
    SIGNIN_SUCCEEDED = "signin_succeeded", ACTOR
    TOKEN_ISSUED = "token_issued", SUBJECT
    TOKEN_REFRESHED = "token_refreshed", ACTOR
    TOKEN_REUSED = "token_reused", NOBODY, ON_SESSION
    TOKEN_REVOKED = "token_revoked", ACTOR, ON_SESSION
