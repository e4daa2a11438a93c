"""Alerts: mails to the owner of an account that the owner can switch off."""

from enum import StrEnum


class Alert(StrEnum):
    """The alerts. Mails about passwords and factors are none: they cannot be switched off."""

    NEW_DEVICE = "new_device"
    ROLES_CHANGED = "roles_changed"
    NEW_APPLICATION = "new_application"
    ACCOUNT_DISABLED = "account_disabled"


def parse_alerts(text: str | None) -> frozenset[Alert]:
    """Return the alerts in a text that separates them by spaces; unknown ones are left out."""
    return frozenset(alert for alert in Alert if alert in (text or "").split())
