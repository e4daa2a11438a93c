"""Security events: what happened to accounts, sessions and rights, under names that do not change (ASVS 16.3).

They are written at every `LOG_LEVEL`. `docs/logging.md` lists each of them with its fields.
"""

import logging
from enum import StrEnum
from typing import Literal

import structlog

Outcome = Literal["success", "failure", "denied"]


class SecurityEvent(StrEnum):
    """The names. Monitoring relies on them: one is added, but never renamed."""

    SIGNIN_SUCCEEDED = "signin_succeeded"
    """A password opened an account, and a session was started."""

    SIGNIN_FAILED = "signin_failed"
    """Address and password opened nothing: unknown, wrong or disabled."""

    SIGNIN_LIMITED = "signin_limited"
    """A sign-in was refused because the limit of the account or of the address is reached."""

    TOKEN_REFRESHED = "token_refreshed"  # noqa: S105  # the name of an event
    """A refresh token was exchanged for new tokens."""

    TOKEN_REUSED = "token_reused"  # noqa: S105  # the name of an event
    """A refresh token came a second time: there is a copy of it, and its session was ended."""

    TOKEN_REVOKED = "token_revoked"  # noqa: S105  # the name of an event
    """A client revoked a token, and with it the session."""

    SIGNED_OUT = "signed_out"
    """A user ended the session that asked for it."""

    ACCESS_DENIED = "access_denied"
    """Somebody known asked for what they may not do."""

    UNAUTHENTICATED = "unauthenticated"
    """A request that needs credentials came with none, or with some that do not hold."""

    ROLES_CHANGED = "roles_changed"
    """An administrator gave an account other roles."""

    ACCOUNT_CREATED = "account_created"
    """An account was made."""

    ACCOUNT_DISABLED = "account_disabled"
    """An administrator disabled an account, which ended its sessions."""

    ACCOUNT_ENABLED = "account_enabled"
    """An administrator enabled an account again."""

    ACCOUNT_DELETED = "account_deleted"
    """An administrator deleted an account."""

    PASSWORD_CHANGED = "password_changed"  # noqa: S105  # the name of an event
    """A user changed their password, or gave a wrong current one."""

    SECRET_CREATED = "secret_created"  # noqa: S105  # the name of an event
    """A user put a secret into the vault."""

    SECRET_CHANGED = "secret_changed"  # noqa: S105  # the name of an event
    """A user changed the name or a value of one of their secrets."""

    SECRET_DELETED = "secret_deleted"  # noqa: S105  # the name of an event
    """A user deleted one of their secrets."""

    SECRET_REVEALED = "secret_revealed"  # noqa: S105  # the name of an event
    """A user was shown one of their secrets in clear."""

    SECRET_UNREADABLE = "secret_unreadable"  # noqa: S105  # the name of an event
    """A sealed value did not open: it was altered or moved, or its key is gone."""

    SESSION_ENDED = "session_ended"
    """A session was ended by something other than its own sign-out."""

    RATE_LIMITED = "rate_limited"
    """A request was refused because its address sent too many."""

    CROSS_ORIGIN_REFUSED = "cross_origin_refused"
    """A browser sent a request on behalf of a page of another origin."""

    HOST_REFUSED = "host_refused"
    """A request was for a host that this service is not."""

    HASHING_SHED = "hashing_shed"
    """So many passwords were waiting to be verified that one was not taken."""


# Not the level of the settings: a quiet log still tells of attacks (ASVS 16.3.1).
_log = structlog.wrap_logger(
    None,
    wrapper_class=structlog.make_filtering_bound_logger(logging.NOTSET),
    logger_factory_args=("security",),
)


def security_event(event: SecurityEvent, *, outcome: Outcome, **fields: object) -> None:
    """Write a security event: at `info` when it succeeded, at `warning` when it failed or was denied.

    `fields` identify by id (`user_id`, `session_id`, `target_id`), never by a name, an address or a secret.
    """
    write = _log.info if outcome == "success" else _log.warning
    write(event.value, outcome=outcome, **fields)
