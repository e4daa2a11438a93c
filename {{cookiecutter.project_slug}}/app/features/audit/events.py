"""Security events of the audit trail itself."""

from app.core.events import SecurityEvent


class TrailEvent(SecurityEvent):
    """Security events of the audit trail itself."""

    AUDIT_ARCHIVED = (
        "audit_archived",
        "The oldest rows of the audit trail were moved to a file by `manage audit archive`",
        "`through`, `ends`: the last of them",
    )
    AUDIT_CHAIN_BROKEN = "audit_chain_broken", "The end of the audit trail was not as the service left it", "`reason`"
    AUDIT_KEY_CHANGED = (
        "audit_key_changed",
        "The audit trail goes on under another key; `failure` where the old end could not be confirmed",
        "`previous`, `head`",
    )
