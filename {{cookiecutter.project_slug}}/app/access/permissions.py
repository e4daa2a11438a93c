"""The vocabulary of access: what may be done, as `resource:action`."""

from enum import StrEnum
from typing import Annotated, Self

from pydantic import WithJsonSchema


class Permission(StrEnum):
    """What a role can allow. Each is an OAuth 2 scope of the same name (RFC 6749 section 3.3).

    A feature declares its own in a subclass: each member is a name, and what it allows, as people are told.
    """

    description: str

    def __new__(cls, name: str, description: str) -> Self:
        """Make a member of its name and its description."""
        member = str.__new__(cls, name)
        member._value_, member.description = name, description
        return member


PermissionName = Annotated[str, WithJsonSchema({"$ref": "#/components/schemas/Permission"})]
"""The name of a permission, in an answer. The description of the API has all of them in one place."""
