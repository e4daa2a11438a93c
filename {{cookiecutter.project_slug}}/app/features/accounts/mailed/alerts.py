"""Alerts: mails to the owner of an account that the owner can switch off."""

from app.core.mail.outbox import MailTemplate


class Alert(MailTemplate):
    """The alerts. Mails about passwords and factors are none: they cannot be switched off."""

    NEW_DEVICE = "new_device", "A sign-in from a new device", "ip", "user_agent"
    ROLES_CHANGED = "roles_changed", "Your roles were changed", "roles"
    NEW_APPLICATION = "new_application", "An application may act for you", "application", "ip", "user_agent"
    ACCOUNT_DISABLED = "account_disabled", "Your account was disabled"


def parse_alerts(text: str | None) -> frozenset[Alert]:
    """Return the alerts in a text that separates them by spaces; unknown ones are left out."""
    return frozenset(alert for alert in Alert if alert in (text or "").split())
