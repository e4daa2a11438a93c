"""Permissions on the service itself."""

from app.access.roles import Permission


class SystemPermission(Permission):
    """Permissions on the service itself."""

    DOCS_READ = "docs:read", "Read the description of the API"
