"""Security events of second factors, and the mails about them."""

from app.core.events import ACTOR, SUBJECT, SecurityEvent
from app.core.mail.outbox import MailTemplate


class FactorEvent(SecurityEvent):
    """Security events of second factors."""

    FACTOR_ADDED = "factor_added", ACTOR
    FACTOR_FAILED = "factor_failed", SUBJECT
    FACTOR_REMOVED = "factor_removed", ACTOR
    FACTORS_RESET = "factors_reset", ACTOR
    PASSKEY_COPIED = "passkey_copied", SUBJECT
    PASSWORD_REMOVED = "password_removed", ACTOR


class FactorMail(MailTemplate):
    """The mails about factors."""

    FACTOR_ADDED = "factor_added", "A second factor was added", "factor"
    FACTOR_REMOVED = "factor_removed", "A second factor was removed", "factor"
    PASSKEY_COPIED = "passkey_copied", "A passkey may have been copied", "factor", "ip", "user_agent"
    PASSWORD_REMOVED = "password_removed", "Your password was removed", "factor"
    RECOVERY_CODE_USED = "recovery_code_used", "A recovery code was used", "left", "ip", "user_agent"
