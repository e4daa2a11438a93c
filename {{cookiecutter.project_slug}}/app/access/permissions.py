"""The vocabulary of access: what may be done, as `resource:action`."""

from collections.abc import Mapping
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


# What each allows, as people are told: in the description of the API, and wherever they are asked.
DESCRIPTIONS: Mapping[Permission, str] = {
    Permission.ACCOUNT_READ: "See your name, your e-mail address, your roles and your sessions",
    Permission.ACCOUNT_WRITE: "Change your account, and end your sessions",
    Permission.AUDIT_READ: "Read the audit trail",
    Permission.CLIENTS_READ: "See which applications are registered",
    Permission.CLIENTS_WRITE: "Register and remove applications",
    Permission.DOCS_READ: "Read the description of the API",
    Permission.ROLES_ASSIGN: "Give people other roles",
    Permission.SECRETS_READ: "List your secrets, masked",
    Permission.SECRETS_REVEAL: "See your secrets in clear",
    Permission.SECRETS_WRITE: "Keep, change and delete your secrets",
    Permission.USERS_READ: "See all accounts",
    Permission.USERS_WRITE: "Invite, change, disable and delete accounts",
}
