"""What a page links to: a link is shown where its target exists, and lets whoever looks at the page in."""

from functools import cached_property

from fastapi import FastAPI

from app.access.guard import route_policies
from app.access.policies import Policy
from app.access.principal import Principal
from app.core.errors import Forbidden, Unauthenticated


class Navigation:
    """Asks the policies themselves, so that no link promises what they refuse, and none is forgotten."""

    def __init__(self, app: FastAPI) -> None:
        self._app = app

    @cached_property
    def _policies(self) -> dict[str, Policy]:
        return {line.path: line.policy for line in route_policies(self._app) if line.method == "GET"}

    def may_open(self, principal: Principal | None, path: str) -> bool:
        """Whether there is a page with this path, as the route table writes it, and it may be opened."""
        policy = self._policies.get(path)
        if policy is None or (policy.needs_principal and principal is None):
            return False
        if principal is None or not policy.needs_principal:
            return True
        try:
            policy.enforce(principal)
        except Forbidden:
            return False
        except Unauthenticated:
            return True  # after the password, which the page asks for
        return True
