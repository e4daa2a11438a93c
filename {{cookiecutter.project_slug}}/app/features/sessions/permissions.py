"""Permissions on the own account, which every role has."""

from app.access.roles import Permission


class AccountPermission(Permission):
    """Permissions on the own account, which every role has."""

    ACCOUNT_READ = "account:read", "See your name, your e-mail address, your roles, your sessions, and how you sign in"
    ACCOUNT_WRITE = "account:write", "Change your account, and end your sessions"
