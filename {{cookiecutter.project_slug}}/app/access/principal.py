"""Who is asking: one object, made once for a request."""

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import Depends, Request

from app.access.permissions import Permission
from app.access.roles import Role

CLIENT_SECRET = "client_secret"  # noqa: S105  # the name of a method
"""The method of an OAuth client that acts for itself. RFC 8176 has no name for it."""


@dataclass(frozen=True, slots=True)
class Principal:
    """A signed-in user, as far as a policy needs to know.

    `permissions` are the effective ones: what the roles allow and the token's scope names. `authenticated_at` and
    `methods` say when and how the user proved who they are (`auth_time`, and `amr` of RFC 8176). `client_id` is the
    OAuth client that acts for the user; None is the service's own sign-in, with tokens or with a cookie.
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
        """Whether an OAuth client acts for itself: no person has signed in."""
        return CLIENT_SECRET in self.methods


async def _principal_of(request: Request) -> Principal:
    principal: Principal = request.state.principal
    return principal


CurrentPrincipal = Annotated[Principal, Depends(_principal_of)]
"""The principal as a parameter of a handler whose policy is not `Public`."""
