"""Who may do what: one table. `tests/access/routes.txt` shows what it means for every route."""

from collections.abc import Iterable, Mapping
from enum import StrEnum

from app.access.permissions import Permission


class Role(StrEnum):
    """What a user is here. A user can have several roles, and has at least one."""

    MEMBER = "member"
    AUDITOR = "auditor"
    ADMIN = "admin"


# What everybody may do, with what is their own: whose it is, the query of each feature asks.
_OWN_ACCOUNT = frozenset(
    {
        Permission.ACCOUNT_READ,
        Permission.ACCOUNT_WRITE,
        Permission.SECRETS_READ,
        Permission.SECRETS_REVEAL,
        Permission.SECRETS_WRITE,
    }
)

ROLE_PERMISSIONS: Mapping[Role, frozenset[Permission]] = {
    Role.MEMBER: _OWN_ACCOUNT,
    Role.AUDITOR: _OWN_ACCOUNT | {Permission.AUDIT_READ, Permission.USERS_READ},
    Role.ADMIN: frozenset(Permission),
}


def permissions_of(roles: Iterable[Role]) -> frozenset[Permission]:
    """Everything that the roles allow together."""
    return frozenset().union(*(ROLE_PERMISSIONS[role] for role in roles))
