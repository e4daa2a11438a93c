"""`manage routes`: the table of who may call what."""

from fastapi import FastAPI
from fastapi.routing import iter_route_contexts

from app.access.guard import GuardedRoute
from app.access.policies import Policy, Public
from app.access.roles import Role, RoleTable
from app.commands.support import say, settings_or_exit
from app.core.services import services_of
from app.http.request.body_limit import KIB, SMALL_BODY
from app.main import create_app

ASKERS = (None, *Role)
"""Who asks: nobody, and somebody with each role."""

_METHOD_WIDTH = 8
_COLUMNS = "".join(f"{asker or 'nobody':<9}" for asker in ASKERS)
HEADER = f"{'method':<{_METHOD_WIDTH}}{'path':<56}{'policy':<36}{_COLUMNS}body"


def routes() -> None:
    """Print every route: method, path, policy, who may call it, and how much it reads if that is more than 4 KiB."""
    table = table_of(create_app(settings_or_exit()))
    say(HEADER)
    for line in sorted((line for lines in table.values() for line in lines), key=lambda line: line[_METHOD_WIDTH:]):
        say(line)


def table_of(app: FastAPI) -> dict[str, list[str]]:
    """The lines of the table by the feature whose folder has the handler; sorted by path within each."""
    table: dict[str, list[tuple[str, str, str]]] = {}
    for context in iter_route_contexts(app.routes):
        route = context.original_route
        if isinstance(route, GuardedRoute):
            feature = route.endpoint.__module__.split(".")[2]
            for method in context.methods or ():
                path, roles = context.path or "", services_of(app)[RoleTable]
                line = line_of(method, path, route.policy, route.body_limit, roles)
                table.setdefault(feature, []).append((path, method, line))
    return {feature: [line for *_, line in sorted(lines)] for feature, lines in sorted(table.items())}


def may_call(policy: Policy, asker: Role | None, roles: RoleTable) -> bool:
    """What the policy says about somebody with one role, or about nobody, by the tables alone."""
    permission = getattr(policy, "permission", None)
    if permission is not None:
        return asker is not None and permission in roles.permissions_of([asker])
    return asker is not None or isinstance(policy, Public)


def line_of(method: str, path: str, policy: Policy, body_limit: int, roles: RoleTable) -> str:
    """Return the line of a route."""
    cells = "".join(f"{'yes' if may_call(policy, asker, roles) else '-':<9}" for asker in ASKERS)
    size = "" if body_limit == SMALL_BODY else f"{body_limit // KIB} KiB"
    return f"{method:<{_METHOD_WIDTH}}{path:<56}{policy!s:<36}{cells}{size}".rstrip()
