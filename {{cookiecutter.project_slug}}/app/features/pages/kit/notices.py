"""What was done, said on the page that comes next. The URL names the notice; the text is only ever ours."""

from enum import StrEnum
from typing import Self


class Notice(StrEnum):
    """Names as they are in a URL, each with what a page says. A feature declares its own in a subclass."""

    text: str

    def __new__(cls, name: str, text: str) -> Self:
        """Make a member of a name and its text."""
        member = str.__new__(cls, name)
        member._value_, member.text = name, text
        return member


class PagesNotice(Notice):
    """What was done on these pages."""

    SIGNIN_ENDED = "signin-ended", "That took too long, or there were too many tries. Sign in again."
    PROFILE = "profile", "Your name has been changed."
    ALERTS = "alerts", "We have noted which mails you want."
    PASSWORD = "password", "Your password has been changed. Every other session of yours has ended."
    PASSWORD_REMOVED = "password-removed", "You have no password any more. Your passkeys sign you in."
    FACTORS = "factors", "Your second factors have changed. Every other session of yours has ended."
    FACTORS_RESET = "factors-reset", "The second factors have been removed, and the sessions of the account have ended."
    EMAIL = "email", "We have written to the new address. It counts when you open the link in that mail."
    SESSION_ENDED = "session-ended", "The session has ended."
    SESSIONS_ENDED = "sessions-ended", "All other sessions have ended."
    ACCOUNT_DELETED = "account-deleted", "Your account has been deleted, with all that belonged to it."
    APPLICATION_REVOKED = "application-revoked", "The application may no longer act for you."
    CLIENT_REMOVED = "client-removed", "The client has been removed, and its sessions have ended."
    USER_CHANGED = "user-changed", "The account has been changed."
    USER_DISABLED = "user-disabled", "The account is disabled, and its sessions have ended."
    USER_ENABLED = "user-enabled", "The account is enabled."
    USER_DELETED = "user-deleted", "The account has been deleted."
    USER_INVITED = "user-invited", "The invitation is on its way. It holds for a week."
    ROLES_CHANGED = "roles-changed", "The roles have been changed, and the sessions of the account have ended."
