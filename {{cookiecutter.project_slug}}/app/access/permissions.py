"""The vocabulary of access: what may be done, as `resource:action`."""

from enum import StrEnum


class Permission(StrEnum):
    """Everything that a role can allow. Each is an OAuth 2 scope of the same name (RFC 6749 section 3.3)."""

    ACCOUNT_READ = "account:read"
    ACCOUNT_WRITE = "account:write"
    AUDIT_READ = "audit:read"
    CLIENTS_READ = "clients:read"
    CLIENTS_WRITE = "clients:write"
    DOCS_READ = "docs:read"
    ROLES_ASSIGN = "roles:assign"
    SECRETS_READ = "secrets:read"
    SECRETS_REVEAL = "secrets:reveal"
    SECRETS_WRITE = "secrets:write"
    USERS_READ = "users:read"
    USERS_WRITE = "users:write"
