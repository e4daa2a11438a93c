"""Permissions on the API keys of all accounts."""

from app.access.roles import Permission


class ApiKeyPermission(Permission):
    """Permissions on the API keys of all accounts."""

    KEYS_READ = "keys:read", "See the API keys of all accounts"
    KEYS_WRITE = "keys:write", "End API keys of others, and make those of service accounts"
