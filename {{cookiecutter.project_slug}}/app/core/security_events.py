"""Security events under stable names: what an alert is built on (ASVS 16.3). `docs/logging.md` lists them."""

from enum import StrEnum
from typing import Any, Literal

import structlog

_log = structlog.get_logger("security")


class SecurityEvent(StrEnum):
    """What can happen. A name is never changed: alerts depend on it."""

    ACCESS_DENIED = "access_denied"
    ACCOUNT_CREATED = "account_created"
    ACCOUNT_DELETED = "account_deleted"
    ACCOUNT_DISABLED = "account_disabled"
    ACCOUNT_ENABLED = "account_enabled"
    CROSS_ORIGIN_REFUSED = "cross_origin_refused"
    HASHING_SHED = "hashing_shed"
    HOST_REFUSED = "host_refused"
    PASSWORD_CHANGED = "password_changed"  # noqa: S105  # a name, not a secret
    RATE_LIMITED = "rate_limited"
    ROLES_CHANGED = "roles_changed"
    SESSION_ENDED = "session_ended"
    SIGNED_OUT = "signed_out"
    SIGNIN_FAILED = "signin_failed"
    SIGNIN_LIMITED = "signin_limited"
    SIGNIN_SUCCEEDED = "signin_succeeded"
    TOKEN_REFRESHED = "token_refreshed"  # noqa: S105  # a name, not a secret
    TOKEN_REUSED = "token_reused"  # noqa: S105  # a name, not a secret
    TOKEN_REVOKED = "token_revoked"  # noqa: S105  # a name, not a secret
    UNAUTHENTICATED = "unauthenticated"


def security_event(event: SecurityEvent, *, outcome: Literal["success", "failure", "denied"], **fields: Any) -> None:
    """Log a security event; request id and client are added by the log context."""
    write = _log.info if outcome == "success" else _log.warning
    write(event.value, outcome=outcome, **fields)
