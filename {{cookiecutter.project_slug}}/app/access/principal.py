"""The authenticated caller of a request."""

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import Depends, Request

from app.access.permissions import Permission
from app.access.roles import Role

CLIENT_SECRET = "client_secret"  # noqa: S105  # the name of a method
"""The authentication method of an OAuth client that acts for itself. RFC 8176 has no name for it."""


@dataclass(frozen=True, slots=True)
class Principal:
    """A signed-in user, or an OAuth client that acts for itself.

    `permissions` are those of the roles that are also in the token's scope; `authenticated_at` and `methods` are
    `auth_time`, and `amr` of RFC 8176; `client_id` is `None` for the service's own sign-in, with tokens or a cookie.
    """

    user_id: UUID
    session_id: UUID
    roles: frozenset[Role]
    permissions: frozenset[Permission]
    authenticated_at: datetime
    methods: tuple[str, ...]
    client_id: str | None = None

    @property
    def is_program(self) -> bool:
        """Return whether an OAuth client acts for itself, without a user."""
        return CLIENT_SECRET in self.methods


async def current_principal(request: Request) -> Principal:
    """Return the principal of the request."""
    principal: Principal = request.state.principal
    return principal


CurrentPrincipal = Annotated[Principal, Depends(current_principal)]
"""The principal as a parameter of a handler whose policy needs one."""
