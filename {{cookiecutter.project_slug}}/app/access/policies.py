"""Policies: pure functions of the principal. Every handler names exactly one.

@router.get("/users")
@policy(Allow(UserPermission.USERS_READ))
async def list_users() -> …
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

from app.access.permissions import Permission
from app.access.principal import Principal
from app.core.clock import utc_now
from app.core.errors import Forbidden, Unauthenticated

STEP_UP_MINUTES = 15
"""How old a sign-in may be for what a stolen session must not do: `Recent(STEP_UP_MINUTES, …)`."""

_Endpoint = TypeVar("_Endpoint", bound=Callable[..., Any])
_ATTRIBUTE = "__access_policy__"


class PolicyError(Exception):
    """A route does not have exactly one policy. The boot stops."""


class Policy(ABC):
    """Decides whether a principal may call a route."""

    needs_principal = True
    needs_caller = False

    @abstractmethod
    def enforce(self, principal: Principal) -> None:
        """Return if the principal may; raise a `Problem` otherwise."""


@dataclass(frozen=True)
class Public(Policy):
    """Everybody, signed in or not. Credentials are not looked at."""

    needs_principal = False

    def enforce(self, principal: Principal) -> None:
        """Allow."""

    def __str__(self) -> str:
        """Its name in the route table."""
        return "Public"


@dataclass(frozen=True)
class Authenticated(Policy):
    """Whoever is signed in."""

    def enforce(self, principal: Principal) -> None:
        """Allow: that there is a principal is all that is asked."""

    def __str__(self) -> str:
        """Its name in the route table."""
        return "Authenticated"


@dataclass(frozen=True)
class ClientOrUser(Policy):
    """An OAuth client by its own credentials, or whoever is signed in.

    The credentials of a client may stand in the form (RFC 6749 section 2.3.1), so that here the form is read first; the
    handler finds who it is in `request.state.caller`.
    """

    needs_principal = False
    needs_caller = True

    def enforce(self, principal: Principal) -> None:
        """Allow: that somebody is known is all that is asked."""

    def __str__(self) -> str:
        """Its name in the route table."""
        return "ClientOrUser"


@dataclass(frozen=True)
class Allow(Policy):
    """Whoever has the permission, by role and by the token's scope."""

    permission: Permission

    def enforce(self, principal: Principal) -> None:
        """Raise `Forbidden` with RFC 6750's `insufficient_scope` where the permission is missing."""
        if self.permission not in principal.permissions:
            challenge = f'Bearer error="insufficient_scope", scope="{self.permission}"'
            raise Forbidden(f"This needs the permission {self.permission}.", headers={"WWW-Authenticate": challenge})

    def __str__(self) -> str:
        """Its name in the route table."""
        return f"Allow({self.permission})"


@dataclass(frozen=True)
class Recent(Policy):
    """Whoever signed in within the last minutes, and has the permission where one is named (ASVS 7.5.3).

    A refresh makes nobody recent: `authenticated_at` is when the user last proved who they are. A client that acts for
    itself never is: its secret proves no person.
    """

    minutes: int
    permission: Permission | None = None

    def enforce(self, principal: Principal) -> None:
        """Raise `Forbidden` as `Allow` does, or `Unauthenticated` with RFC 9470's challenge to sign in again."""
        # First, for a new sign-in would not help whoever lacks the permission.
        if self.permission is not None:
            Allow(self.permission).enforce(principal)
        self.require_person(principal)
        limit = timedelta(minutes=self.minutes)
        if utc_now() - principal.authenticated_at > limit:
            challenge = f'Bearer error="insufficient_user_authentication", max_age={int(limit.total_seconds())}'
            raise Unauthenticated(
                f"This needs a sign-in within the last {self.minutes} minutes. Sign in again.", challenge=challenge
            )

    def require_person(self, principal: Principal) -> None:
        """Raise `Forbidden` for a client that acts for itself: signing in again would not help it."""
        if principal.is_program:
            raise Forbidden("This needs a person who has just signed in; a client that acts for itself is refused.")

    def __str__(self) -> str:
        """Its name in the route table."""
        return f"{type(self).__name__}({self.minutes} min{f', {self.permission}' if self.permission else ''})"


class OwnSession(Recent):
    """As `Recent`, and signed in with the service itself: an OAuth client that acts for the user is refused.

    For what decides about other clients and sessions of the user: no application ends or changes another one's.
    """

    def require_person(self, principal: Principal) -> None:
        """Raise `Forbidden` for every OAuth client."""
        if principal.client_id is not None:
            raise Forbidden(
                "This needs a sign-in with the service itself; an application that acts for you is refused."
            )


def policy(rule: Policy) -> Callable[[_Endpoint], _Endpoint]:
    """Declare the policy of a handler; it stands between the route's decorator and the handler."""

    def declare(endpoint: _Endpoint) -> _Endpoint:
        if hasattr(endpoint, _ATTRIBUTE):
            raise PolicyError(f"{endpoint.__qualname__} has two policies; keep one")
        setattr(endpoint, _ATTRIBUTE, rule)
        return endpoint

    return declare


def policy_of(endpoint: Callable[..., Any]) -> Policy:
    """The policy that the handler declares; raises `PolicyError` where it declares none."""
    rule = getattr(endpoint, _ATTRIBUTE, None)
    if not isinstance(rule, Policy):
        name = getattr(endpoint, "__qualname__", repr(endpoint))
        raise PolicyError(f"{name} declares no policy; put @policy(…) between the route's decorator and the function")
    return rule
