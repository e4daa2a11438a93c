"""`manage routes` and `manage roles`: the tables of who may call and do what."""

from fastapi import FastAPI

from app.access.guard import guarded_routes
from app.access.policies import Policy, Public
from app.access.roles import Grants, Role, RoleTable
from app.assembly import FEATURES
from app.commands.support import say, settings_or_exit
from app.core.services import services_of
from app.http.request.body_limit import KIB, SMALL_BODY
from app.main import create_app

ASKERS = (None, *Role)
"""The callers of the table: anonymous, and a user with each role."""

_METHOD_WIDTH = 8
_COLUMNS = "".join(f"{asker or 'nobody':<9}" for asker in ASKERS)
HEADER = f"{'method':<{_METHOD_WIDTH}}{'path':<56}{'policy':<36}{_COLUMNS}{'key':<6}body"
ROLES_HEADER = f"{'permission':<24}" + "".join(f"{role:<9}" for role in Role) + "description"


def routes() -> None:
    """Print every route: method, path, policy, who may call it, if a key may, and the size of its body beyond 4 KiB."""
    table = table_of(create_app(settings_or_exit()))
    say(HEADER)
    for line in sorted((line for lines in table.values() for line in lines), key=lambda line: line[_METHOD_WIDTH:]):
        say(line)


def table_of(app: FastAPI) -> dict[str, list[str]]:
    """Return the lines of the table for each feature with a handler, sorted by path."""
    table: dict[str, list[str]] = {}
    roles = services_of(app)[RoleTable]
    for path, method, route in guarded_routes(app):
        feature = route.endpoint.__module__.split(".")[2]
        table.setdefault(feature, []).append(line_of(method, path, route.policy, route.body_limit, roles))
    return dict(sorted(table.items()))


def may_call(policy: Policy, asker: Role | None, roles: RoleTable) -> bool:
    """Return whether a user with one role, or an anonymous caller, may call a route with this policy."""
    permission = getattr(policy, "permission", None)
    if permission is not None:
        return asker is not None and permission in roles.permissions_of([asker])
    return asker is not None or isinstance(policy, Public)


def line_of(method: str, path: str, policy: Policy, body_limit: int, roles: RoleTable) -> str:
    """Return the line of a route."""
    cells = "".join(f"{'yes' if may_call(policy, asker, roles) else '-':<9}" for asker in ASKERS)
    size = "" if body_limit == SMALL_BODY else f"{body_limit // KIB} KiB"
    # Pages take the session cookie alone.
    key = "yes" if policy.takes_api_keys and path.startswith(("/api/", "/openapi")) else "-"
    return f"{method:<{_METHOD_WIDTH}}{path:<56}{policy!s:<36}{cells}{key:<6}{size}".rstrip()


def roles() -> None:
    """Print every permission: which roles have it, and what it allows."""
    say(ROLES_HEADER)
    for line in sorted(line for feature in FEATURES for line in lines_of(feature.grants)):
        say(line)


def lines_of(grants: Grants) -> list[str]:
    """Return the lines of the permissions that a feature grants."""
    lines = []
    for permission in sorted(grants):
        cells = "".join(f"{'yes' if role in grants[permission] else '-':<9}" for role in Role)
        lines.append(f"{permission:<24}{cells}{permission.description}")
    return lines
