"""Permissions on OAuth clients."""

from app.access.roles import Permission


class ClientPermission(Permission):
    """Permissions on OAuth clients."""

    CLIENTS_READ = "clients:read", "See which applications are registered"
    CLIENTS_WRITE = "clients:write", "Register and remove applications"
