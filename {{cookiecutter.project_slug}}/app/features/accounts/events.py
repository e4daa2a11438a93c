"""Security events of accounts, their passwords and their mail."""

from app.core.events import ACTOR, SUBJECT, SecurityEvent
from app.features.sessions.events import EndReason


class AccountEvent(SecurityEvent):
    """Security events of accounts, their passwords and their mail."""

    ACCOUNT_CREATED = "account_created", "An account was made", "`user_id`, `roles`", SUBJECT
    ACCOUNT_DELETED = (
        "account_deleted",
        "An administrator or its user deleted an account, or failed to; or the owner of its mailbox replaced it",
        "`user_id`, `target_id`, or `session_id`; `reason`",
        ACTOR,
    )
    ACCOUNT_DISABLED = "account_disabled", "An administrator disabled an account", "`user_id`, `target_id`", ACTOR
    ACCOUNT_ENABLED = "account_enabled", "An administrator enabled an account", "`user_id`, `target_id`", ACTOR
    ACCOUNT_INVITED = "account_invited", "An administrator invited a person", "`user_id`, `target_id`, `roles`", ACTOR
    ACCOUNT_RENAMED = "account_renamed", "A user or administrator renamed an account", "`user_id`, `target_id`", ACTOR
    ACCOUNT_TOKEN_REFUSED = "account_token_refused", "A mailed token did not hold", "`purpose`"
    ALERTS_CHANGED = "alerts_changed", "A user chose which alerts they get by mail", "`user_id`, `muted`", ACTOR
    DATA_EXPORTED = "data_exported", "A user copied all that is kept about them", "`user_id`", ACTOR
    EMAIL_CHANGE_REQUESTED = (
        "email_change_requested",
        "A user asked for another address, or failed to",
        "`user_id`, `session_id`",
        ACTOR,
    )
    EMAIL_CHANGED = "email_changed", "The account has the other address", "`user_id`", SUBJECT
    EMAIL_VERIFIED = (
        "email_verified",
        "A user confirmed the mailbox of a new account, or gave a wrong password with the token",
        "`user_id`",
        SUBJECT,
    )
    HASHING_SHED = "hashing_shed", "Too many sign-ins waited for their hash", "`waiting`"
    MAIL_LIMITED = "mail_limited", "A client, a mailbox or an account had its share of mails", "`by`"
    PASSWORD_CHANGED = "password_changed", "A user changed the password, or failed to", "`user_id`, `session_id`", ACTOR
    PASSWORD_RESET = "password_reset", "A password was set by a mailed token; all sessions ended", "`user_id`", SUBJECT
    PASSWORD_RESET_REQUESTED = (
        "password_reset_requested",
        "A client asked for such a token",
        "`user_id` if there is an account",
        SUBJECT,
    )
    REGISTRATION_REPEATED = "registration_repeated", "A registered address has an account already", "`user_id`", SUBJECT
    ROLES_CHANGED = (
        "roles_changed",
        "An administrator set the roles of an account",
        "`user_id`, `target_id`, `before`, `after`",
        ACTOR,
    )
    SIGNIN_LIMITED = (
        "signin_limited",
        "A network, a mailbox, an OAuth client, a session or a mailed token had its share of wrong passwords",
        "`by`; of a session `user_id` and `session_id`, of a token `user_id`",
        ACTOR,
    )


class AccountEnd(EndReason):
    """Why a change of the account ends its sessions."""

    PASSWORD_CHANGED = "password changed"  # noqa: S105  # a reason, not a secret
    PASSWORD_RESET = "password reset"  # noqa: S105  # a reason, not a secret
    ROLES_CHANGED = "roles changed"
    ACCOUNT_DISABLED = "account disabled"
