"""Security events of the audit trail itself."""

from app.core.events import SecurityEvent


class TrailEvent(SecurityEvent):
    """Security events of the audit trail itself."""

    AUDIT_ARCHIVED = "audit_archived"
    AUDIT_CHAIN_BROKEN = "audit_chain_broken"
    AUDIT_KEY_CHANGED = "audit_key_changed"
