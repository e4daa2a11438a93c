"""The permissions, named `resource:action`, and the roles that have them, as the features grant them."""

from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Annotated

from pydantic import WithJsonSchema

from app.core.schemas import TextWithMore


class Permission(TextWithMore):
    """A permission, and the OAuth 2 scope of the same name (RFC 6749 section 3.3), with a description for users."""

    def __init__(self, _: str, description: str) -> None:
        self.description = description


PermissionName = Annotated[str, WithJsonSchema({"$ref": "#/components/schemas/Permission"})]
"""The name of a permission in an answer. The OpenAPI document lists all of them in one schema."""


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
