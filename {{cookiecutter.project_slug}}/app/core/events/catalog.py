"""Security events: what happened to accounts, sessions and rights, under names that do not change (ASVS 16.3).

They are logged at every `LOG_LEVEL`, and each is a row of the audit trail. `docs/logging.md` lists them with their
fields.
"""

from enum import StrEnum

from app.core.events.flow import Outcome, emit


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

    SESSION_FORGED = "session_forged"
    """The row of a browser session does not say what this service sealed: somebody else wrote to the database."""

    PASSWORD_CONFIRMED = "password_confirmed"  # noqa: S105  # the name of an event
    """A user gave their password once more, or a wrong one, before something that needs a recent sign-in."""

    TOKEN_ISSUED = "token_issued"  # noqa: S105  # the name of an event
    """An OAuth client got a session, for a code or for its own credentials."""

    TOKEN_REFUSED = "token_refused"  # noqa: S105  # the name of an event
    """A client got no tokens: its code, verifier, refresh token or scope did not hold, or it may not use the grant."""

    CLIENT_AUTHENTICATION_FAILED = "client_authentication_failed"
    """An OAuth client is unknown, or its credentials are wrong."""

    CLIENT_CREATED = "client_created"
    """Somebody registered an OAuth client."""

    CLIENT_SECRET_ROTATED = "client_secret_rotated"  # noqa: S105  # the name of an event
    """Somebody gave an OAuth client another secret."""

    CLIENT_REMOVED = "client_removed"
    """Somebody removed an OAuth client, which ended every session that it had."""

    CODE_REUSED = "code_reused"
    """An authorization code came a second time: with its verifier, it ended the session that the first one started."""

    CONSENT_GIVEN = "consent_given"
    """A user allowed an OAuth client to act for them."""

    CONSENT_DENIED = "consent_denied"
    """A user did not allow an OAuth client to act for them."""

    CONSENT_REVOKED = "consent_revoked"
    """A user took back what they had allowed an OAuth client, which ended its sessions of theirs."""

    SIGNED_OUT = "signed_out"
    """A user ended the session that asked for it."""

    ACCESS_DENIED = "access_denied"
    """Somebody known asked for what they may not do."""

    UNAUTHENTICATED = "unauthenticated"
    """A request that needs credentials came with none, or with some that do not hold."""

    ROLES_CHANGED = "roles_changed"
    """An administrator gave an account other roles."""

    ALERTS_CHANGED = "alerts_changed"
    """A user chose which alerts they get by mail."""

    ACCOUNT_CREATED = "account_created"
    """An account was made."""

    ACCOUNT_DISABLED = "account_disabled"
    """An administrator disabled an account, which ended its sessions."""

    ACCOUNT_ENABLED = "account_enabled"
    """An administrator enabled an account again."""

    ACCOUNT_RENAMED = "account_renamed"
    """A user or an administrator changed what an account is called."""

    ACCOUNT_DELETED = "account_deleted"
    """An administrator or its owner deleted an account, or its owner gave a wrong password for that.

    Also: one that nobody had confirmed gave way to who showed that the mailbox is theirs.
    """

    ACCOUNT_INVITED = "account_invited"
    """An administrator invited somebody, by a mail with a token."""

    ACCOUNT_TOKEN_REFUSED = "account_token_refused"  # noqa: S105  # the name of an event
    """A mailed token came that is unknown, used, replaced or expired."""

    REGISTRATION_REPEATED = "registration_repeated"
    """Somebody registered with an address that has an account."""

    EMAIL_VERIFIED = "email_verified"
    """A user showed that the mailbox of their new account is theirs."""

    EMAIL_CHANGE_REQUESTED = "email_change_requested"
    """A user asked for another address, or gave a wrong password for that."""

    EMAIL_CHANGED = "email_changed"
    """A user showed that the mailbox of the other address is theirs, and the account has that address now."""

    MAIL_LIMITED = "mail_limited"
    """A mail was not sent because the limit of the client or of the mailbox is reached."""

    PASSWORD_CHANGED = "password_changed"  # noqa: S105  # the name of an event
    """A user changed their password, or gave a wrong current one."""

    PASSWORD_RESET_REQUESTED = "password_reset_requested"  # noqa: S105  # the name of an event
    """Somebody asked for a mail with which to set a new password, for an account that exists or not."""

    PASSWORD_RESET = "password_reset"  # noqa: S105  # the name of an event
    """A user set a password with a token that was mailed to them, which ended every session."""

    KEY_ROTATED = "key_rotated"
    """Somebody put another `SECRET_KEY` into `.env`."""

    KEYS_RETIRED = "keys_retired"
    """Somebody removed the earlier keys from `.env`."""

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

    AUDIT_ARCHIVED = "audit_archived"
    """The oldest rows of the audit trail were moved to a file."""

    AUDIT_EXPORTED = "audit_exported"
    """Somebody took a copy of the audit trail, or of a part of it."""

    AUDIT_KEY_CHANGED = "audit_key_changed"
    """The audit trail goes on under another key; a failure where the end of the old part could not be confirmed."""

    AUDIT_CHAIN_BROKEN = "audit_chain_broken"
    """The end of the audit trail was not as this service left it; it goes on behind this mark."""

    HASHING_SHED = "hashing_shed"
    """So many passwords were waiting to be verified that one was not taken."""


def security_event(event: SecurityEvent, *, outcome: Outcome, **fields: object) -> None:
    """Tell of a security event: the log gets a line, the audit trail a row.

    `fields` identify by id (`user_id`, `session_id`, `target_id` with a `target_type` unless it is a user), never by a
    name, an address or a secret. `audit/entries.py` knows whether `user_id` did it or suffered it. Told inside of the
    transaction that makes a change, an event is committed with it.
    """
    emit(event.value, outcome, fields)
