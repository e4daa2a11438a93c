"""Policies: pure functions of the principal. Every handler names exactly one.

@router.get("/users")
@policy(Allow(UserPermission.USERS_READ))
async def list_users() -> …
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated, Any, TypeVar
from uuid import UUID

from fastapi import Depends, Request

from app.access.roles import Permission, Role
from app.core.clock import utc_now
from app.core.errors import Forbidden, Unauthenticated

CLIENT_SECRET = "client_secret"
"""The authentication method of an OAuth client that acts for itself. RFC 8176 has no name for it."""

API_KEY = "api_key"
"""The authentication method of a program with an API key of its owner."""

PASSKEY = "pop"
"""The authentication method of a passkey: proof of possession of a key (RFC 8176)."""

MFA = "mfa"
"""The authentication method that says that more than one factor was used (RFC 8176)."""


@dataclass(frozen=True, slots=True)
class Principal:
    """A signed-in user, or an OAuth client that acts for itself.

    `permissions` are those of the roles that are also in the token's scope; `authenticated_at` and `methods` are
    `auth_time`, and `amr` of RFC 8176; `client_id` is `None` for the service's own sign-in, with tokens or a cookie.
    An API key stands for its owner, and has no session: `session_id` is the id of the key.
    """

    user_id: UUID
    session_id: UUID
    roles: frozenset[Role]
    permissions: frozenset[Permission]
    authenticated_at: datetime
    methods: tuple[str, ...]
    client_id: str | None = None
    needs_factor: bool = False
    """Whether a role demands a second factor, and the sign-in used none: only policies that `enrol` let it in."""


async def current_principal(request: Request) -> Principal:
    """Return the principal of the request."""
    principal: Principal = request.state.principal
    return principal


CurrentPrincipal = Annotated[Principal, Depends(current_principal)]
"""The principal as a parameter of a handler whose policy needs one."""


STEP_UP_MINUTES = 15
"""The age of a sign-in that sensitive actions accept: `Recent(STEP_UP_MINUTES, …)`."""

_Endpoint = TypeVar("_Endpoint", bound=Callable[..., Any])
_ATTRIBUTE = "__access_policy__"


class PolicyError(Exception):
    """A route does not have exactly one policy. The boot stops."""


class FactorRequired(Forbidden):
    """A role demands a second factor, and the account has none, or the sign-in did not use it (ASVS 6.3.3)."""


@dataclass(frozen=True, kw_only=True)
class Policy(ABC):
    """Decides whether a principal may call a route. One that `enrols` lets in who still has to add a factor."""

    needs_principal = True
    needs_caller = False
    takes_api_keys = False
    enrols: bool = False

    def check(self, principal: Principal) -> None:
        """Return if the principal may; raise a `Problem` otherwise."""
        if API_KEY in principal.methods and not self.takes_api_keys:
            raise Forbidden("This needs a sign-in; an API key is refused.")
        if principal.needs_factor and not self.enrols:
            raise FactorRequired("Your role demands a second factor. Add one to your account first.")
        self.enforce(principal)

    @abstractmethod
    def enforce(self, principal: Principal) -> None:
        """Return if the principal may, however they authenticated; raise a `Problem` otherwise."""

    def __str__(self) -> str:
        """Return the name for the route table."""
        return type(self).__name__


class Public(Policy):
    """Every caller. Credentials are ignored."""

    needs_principal = False

    def enforce(self, principal: Principal) -> None:
        """Allow."""


class Authenticated(Policy):
    """Every signed-in user."""

    takes_api_keys = True

    def enforce(self, principal: Principal) -> None:
        """Allow: there is a principal."""


class ClientOrUser(Policy):
    """An OAuth client with its own credentials, or a signed-in user; which is in `request.state.caller`."""

    needs_principal = False
    needs_caller = True

    def enforce(self, principal: Principal) -> None:
        """Allow: there is a caller."""


@dataclass(frozen=True)
class Allow(Policy):
    """Every principal with the permission, by role and by the scope of the token or the API key."""

    takes_api_keys = True
    permission: Permission

    def enforce(self, principal: Principal) -> None:
        """Raise `Forbidden` with RFC 6750's `insufficient_scope` if the permission is missing."""
        if self.permission not in principal.permissions:
            challenge = f'Bearer error="insufficient_scope", scope="{self.permission}"'
            raise Forbidden(f"This needs the permission {self.permission}.", headers={"WWW-Authenticate": challenge})

    def __str__(self) -> str:
        """Return the name with the permission."""
        return f"Allow({self.permission})"


@dataclass(frozen=True)
class Recent(Policy):
    """Every user who signed in within the last minutes, with the permission if one is named (ASVS 7.5.3).

    A refresh is no sign-in. A client that acts for itself is rejected: its secret proves no person.
    """

    minutes: int
    permission: Permission | None = None

    def enforce(self, principal: Principal) -> None:
        """Raise `Forbidden` as `Allow` does, or `Unauthenticated` with RFC 9470's challenge to sign in again."""
        # First, because a new sign-in does not help if the permission is missing.
        if self.permission is not None:
            Allow(self.permission).enforce(principal)
        self.require_person(principal)
        if utc_now() - principal.authenticated_at > timedelta(minutes=self.minutes):
            raise Unauthenticated(
                f"This needs a sign-in within the last {self.minutes} minutes. Sign in again.",
                challenge=f'Bearer error="insufficient_user_authentication", max_age={self.minutes * 60}',
            )

    def require_person(self, principal: Principal) -> None:
        """Raise `Forbidden` for a client that acts for itself: it cannot sign in again."""
        if CLIENT_SECRET in principal.methods:
            raise Forbidden("This needs a person who has just signed in; a client that acts for itself is refused.")

    def __str__(self) -> str:
        """Return the name with the minutes and the permission."""
        return f"{type(self).__name__}({self.minutes} min{f', {self.permission}' if self.permission else ''})"


class OwnSession(Recent):
    """As `Recent`, without OAuth clients that act for the user: no application changes sessions of another."""

    def require_person(self, principal: Principal) -> None:
        """Raise `Forbidden` for every OAuth client."""
        if principal.client_id is not None:
            raise Forbidden("This needs a sign-in with the service; an application that acts for you is refused.")


def policy(rule: Policy) -> Callable[[_Endpoint], _Endpoint]:
    """Declare the policy of a handler, between the route's decorator and the handler."""

    def declare(endpoint: _Endpoint) -> _Endpoint:
        if hasattr(endpoint, _ATTRIBUTE):
            raise PolicyError(f"{endpoint.__qualname__} has two policies; keep one")
        setattr(endpoint, _ATTRIBUTE, rule)
        return endpoint

    return declare


def policy_of(endpoint: Callable[..., Any]) -> Policy:
    """Return the policy that the handler declares; raises `PolicyError` if it declares none."""
    rule = getattr(endpoint, _ATTRIBUTE, None)
    if not isinstance(rule, Policy):
        name = getattr(endpoint, "__qualname__", repr(endpoint))
        raise PolicyError(f"{name} declares no policy; put @policy(…) between the route's decorator and the function")
    return rule
