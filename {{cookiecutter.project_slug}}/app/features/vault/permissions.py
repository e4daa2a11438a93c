"""Permissions of the vault."""

from app.access.roles import Permission


class VaultPermission(Permission):
    """Permissions on the own secrets."""

    SECRETS_READ = "secrets:read", "List your secrets, masked"
    SECRETS_REVEAL = "secrets:reveal", "See your secrets in clear"
    SECRETS_WRITE = "secrets:write", "Keep, change and delete your secrets"
