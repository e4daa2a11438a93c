"""Permissions on the audit trail."""

from app.access.roles import Permission


class TrailPermission(Permission):
    """Permissions on the audit trail."""

    AUDIT_READ = "audit:read", "Read the audit trail"
