"""Alerts: what the owner of an account is told by mail, unless they switch it off."""

from enum import StrEnum


class Alert(StrEnum):
    """The alerts. What is about passwords and factors is none: nobody can switch that off."""

    NEW_DEVICE = "new_device"
    ROLES_CHANGED = "roles_changed"
    NEW_APPLICATION = "new_application"
    ACCOUNT_DISABLED = "account_disabled"


def parse_alerts(text: str | None) -> frozenset[Alert]:
    """The alerts in a text that separates them by spaces; one that this version does not know is left out."""
    return frozenset(alert for alert in Alert if alert in (text or "").split())
