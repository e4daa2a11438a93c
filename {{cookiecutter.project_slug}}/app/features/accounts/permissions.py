"""Permissions on all accounts."""

from app.access.roles import Permission


class UserPermission(Permission):
    """Permissions on all accounts."""

    ROLES_ASSIGN = "roles:assign", "Give people other roles"
    USERS_READ = "users:read", "See all accounts"
    USERS_WRITE = "users:write", "Invite, change, disable and delete accounts"
