"""The roles and their permissions, which the features grant."""

from collections.abc import Iterable, Mapping
from enum import StrEnum

from app.access.permissions import Permission


class Role(StrEnum):
    """A role. A user has at least one."""

    MEMBER = "member"
    AUDITOR = "auditor"
    ADMIN = "admin"


EVERY_ROLE = frozenset(Role)
AUDITORS = frozenset({Role.AUDITOR, Role.ADMIN})
ADMINISTRATORS = frozenset({Role.ADMIN})

Grants = Mapping[Permission, frozenset[Role]]
"""Which roles have which permissions."""


class RoleTable:
    """The permissions of each role."""

    def __init__(self, grants: Grants) -> None:
        self.permissions: Mapping[str, Permission] = {str(name): name for name in sorted(grants)}
        self._of_role = {role: frozenset(name for name in grants if role in grants[name]) for role in Role}

    def permissions_of(self, roles: Iterable[Role]) -> frozenset[Permission]:
        """Return the permissions that the roles have together."""
        return frozenset().union(*(self._of_role[role] for role in roles))

    def describe(self, scope: Iterable[str]) -> list[str]:
        """Describe what a scope allows; a permission that no longer exists stays a name."""
        known = self.permissions
        return [known[name].description if name in known else name for name in sorted(scope)]
