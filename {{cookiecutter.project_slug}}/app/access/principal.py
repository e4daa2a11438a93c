"""Who is asking: one object, made once for a request."""

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import Depends, Request

from app.access.permissions import Permission
from app.access.roles import Role


@dataclass(frozen=True, slots=True)
class Principal:
    """A signed-in user, as far as a policy needs to know.

    `permissions` are the effective ones: what the roles allow and the token's scope names. `authenticated_at` and
    `methods` say when and how the user proved who they are (`auth_time`, and `amr` of RFC 8176).
    """

    user_id: UUID
    session_id: UUID
    roles: frozenset[Role]
    permissions: frozenset[Permission]
    authenticated_at: datetime
    methods: tuple[str, ...]


async def _principal_of(request: Request) -> Principal:
    principal: Principal = request.state.principal
    return principal


CurrentPrincipal = Annotated[Principal, Depends(_principal_of)]
"""The principal as a parameter of a handler whose policy is not `Public`."""
