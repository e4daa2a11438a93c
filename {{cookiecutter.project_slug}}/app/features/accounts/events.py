"""Security events of accounts, their passwords and their mail; and the alerts about them."""

from app.core.events import ACTOR, NOBODY, SUBJECT, SecurityEvent
from app.core.mail.outbox import MailTemplate


class AccountEvent(SecurityEvent):
    """Security events of accounts, their passwords and their mail."""

    ACCOUNT_CREATED = "account_created", SUBJECT
    ACCOUNT_DELETED = "account_deleted", ACTOR
    ACCOUNT_DISABLED = "account_disabled", ACTOR
    ACCOUNT_ENABLED = "account_enabled", ACTOR
    ACCOUNT_INVITED = "account_invited", ACTOR
    ACCOUNT_RENAMED = "account_renamed", ACTOR
    ACCOUNT_TOKEN_REFUSED = "account_token_refused", NOBODY
    ALERTS_CHANGED = "alerts_changed", ACTOR
    DATA_EXPORTED = "data_exported", ACTOR
    EMAIL_CHANGE_REQUESTED = "email_change_requested", ACTOR
    EMAIL_CHANGED = "email_changed", SUBJECT
    EMAIL_VERIFIED = "email_verified", SUBJECT
    HASHING_SHED = "hashing_shed"
    MAIL_LIMITED = "mail_limited"
    PASSWORD_CHANGED = "password_changed", ACTOR
    PASSWORD_RESET = "password_reset", SUBJECT
    PASSWORD_RESET_REQUESTED = "password_reset_requested", SUBJECT
    REGISTRATION_REPEATED = "registration_repeated", SUBJECT
    ROLES_CHANGED = "roles_changed", ACTOR
    SIGNIN_LIMITED = "signin_limited", ACTOR


class Alert(MailTemplate):
    """Mails to the owner of an account that the owner can switch off: none about passwords and factors."""

    NEW_DEVICE = "new_device", "A sign-in from a new device", "ip", "user_agent"
    ROLES_CHANGED = "roles_changed", "Your roles were changed", "roles"
    NEW_APPLICATION = "new_application", "An application may act for you", "application", "ip", "user_agent"
    ACCOUNT_DISABLED = "account_disabled", "Your account was disabled"


def parse_alerts(text: str | None) -> frozenset[Alert]:
    """Return the alerts in a text that separates them by spaces; unknown ones are left out."""
    return frozenset(alert for alert in Alert if alert in (text or "").split())
