"""The permissions, named `resource:action`."""

from enum import StrEnum
from typing import Annotated, Self

from pydantic import WithJsonSchema


class Permission(StrEnum):
    """A permission, and the OAuth 2 scope of the same name (RFC 6749 section 3.3), with a description for users."""

    description: str

    def __new__(cls, name: str, description: str) -> Self:
        """Make a member from its name and its description."""
        member = str.__new__(cls, name)
        member._value_, member.description = name, description
        return member


PermissionName = Annotated[str, WithJsonSchema({"$ref": "#/components/schemas/Permission"})]
"""The name of a permission in an answer. The OpenAPI document lists all of them in one schema."""
